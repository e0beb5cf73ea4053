"""The Plexy sandbox against its fact sheet (`plexy.md`)."""

import base64
from typing import Any

import pytest

GOOD, BAD = "4111111111111111", "5105105105105100"

WEBHOOK_FIELDS = [
    "amount", "bin", "brand", "cardTokenId", "createdAt", "currency", "customerId", "description", "id", "last4",
    "merchantReference", "parentTransactionId", "payerIp", "paymentLinkId", "paymentMethod", "paymentSessionId",
    "recurringType", "retrievalReferenceNumber", "secure3d", "status", "storeId", "terminalId", "type", "updatedAt",
]  # fmt: skip


class Plexy:
    def __init__(self, world: Any) -> None:
        self.world = world

    async def open(self, **merchant: Any) -> "Plexy":
        wanted = {"webhookUrl": self.world.receiver.url, "balance": 10_000, **merchant}
        self.merchant = await self.world.control("plexy", "POST", "merchants", wanted)
        self.headers = {"Authorization": self.merchant["apiKey"]}
        return self

    async def post(self, path: str, body: Any) -> Any:
        return await self.world.call("POST", f"/plexy{path}", json=body, headers=self.headers)

    async def get(self, path: str) -> Any:
        return await self.world.call("GET", f"/plexy{path}", headers=self.headers)

    async def save(self, number: str, user: str | None = "user-1") -> Any:
        text = base64.b64encode(number.encode()).decode()
        others = ("ExpiryMonth", "ExpiryYear", "Cvv", "CardholderName")
        card = {"encryptedCardNumber": text, **{f"encrypted{name}": "opaque" for name in others}}
        return await self.post("/v1/cards", {"cardData": card, "externalUserId": user})

    async def token(self, number: str = GOOD) -> str:
        """Save a card and wait for its webhook; the receiver is empty afterwards."""
        assert (await self.save(number)).status == 200
        (hook,) = await self.world.hooks(1)
        self.world.receiver.hooks.clear()
        return str(hook.json["data"]["cardTokenId"])

    async def pay(self, token: str, amount: Any = 100, **more: Any) -> Any:
        return await self.post("/v1/payout", {"tokenId": token, "amount": amount, **more})

    async def balance(self) -> str:
        (merchant,) = (await self.world.control("plexy", "GET", "merchants"))["merchants"]
        return str(merchant["balance"])


@pytest.fixture
async def plexy(world: Any) -> Plexy:
    return await Plexy(world).open()


async def test_saves_a_card_and_tells_the_token_by_webhook_only(plexy: Plexy, world: Any) -> None:
    saved = await plexy.save(GOOD)
    assert list(saved.json) == ["customerId"]
    (hook,) = await world.hooks(1)
    assert hook.headers["Authorization"] == f"Bearer {plexy.merchant['webhookToken']}"
    assert hook.json["name"] == "card.saved"
    data = hook.json["data"]
    assert (data["externalUserId"], data["last4"], data["brand"], data["bin"]) == ("user-1", "1111", "visa", "411111")
    assert data["customerId"] == saved.json["customerId"]
    assert "amount" not in data
    listed = await plexy.get(f"/v1/customers/{data['customerId']}/card-tokens")
    assert listed.json["data"][0]["cardTokenId"] == data["cardTokenId"]


async def test_only_test_cards_exist(plexy: Plexy) -> None:
    for number in ("4242424242424242", "not a card"):
        answer = await plexy.save(number)
        assert (answer.status, answer.json["code"], answer.json["type"]) == (422, 5, "validationError")
    incomplete = await plexy.post("/v1/cards", {"cardData": {"encryptedCardNumber": "x"}})
    assert (incomplete.status, incomplete.json["code"]) == (400, 3)


async def test_settles_a_payout(plexy: Plexy, world: Any) -> None:
    token = await plexy.token()
    created = await plexy.pay(token, 150.5)
    assert created.status == 200
    assert (created.json["status"], created.json["currency"], created.json["amount"]) == ("new", "KZT", 150.5)
    (hook,) = await world.hooks(1)
    assert hook.headers["Authorization"] == f"Bearer {plexy.merchant['webhookToken']}"
    assert hook.json["name"] == "transaction.settled"
    data = hook.json["data"]
    assert list(data) == WEBHOOK_FIELDS
    assert (data["id"], data["status"], data["amount"]) == (created.json["id"], "settled", 150.5)
    assert (data["type"], data["merchantReference"], data["cardTokenId"]) == ("unknown", None, None)
    assert len(data["updatedAt"]) == len("2025-12-08T13:48:12.079754Z")
    assert len(hook.json["postedAt"]) == len("2025-12-08T13:48:15.135728094Z")
    read = (await plexy.get(f"/v1/transactions/{created.json['id']}")).json
    assert (read["transactionId"], read["status"], read["amount"]) == (created.json["id"], "settled", 150.5)
    (line,) = await world.money("plexy")
    assert (line["kind"], line["amount"], line["providerRef"]) == ("sent", "150.5", created.json["id"])
    assert (line["ourRef"], token in line["destination"]) == (None, False)
    assert line["destination"].startswith("card ****1111")
    assert await plexy.balance() == "9849.50"


@pytest.mark.parametrize("status", ["rejected", "failed"])
async def test_failure_card_moves_no_money(plexy: Plexy, world: Any, status: str) -> None:
    await world.settings("plexy", failureStatus=status)
    token = await plexy.token(BAD)
    await plexy.pay(token)
    (hook,) = await world.hooks(1)
    assert (hook.json["name"], hook.json["data"]["status"]) == (f"transaction.{status}", status)
    assert hook.json["data"]["error_code"]
    assert hook.json["data"]["error_message"]
    assert await world.money("plexy") == []
    assert await plexy.balance() == "10000.00"


async def test_empty_balance_shows_as_rejected(world: Any) -> None:
    plexy = await Plexy(world).open(balance=150)
    token = await plexy.token()
    ids = [(await plexy.pay(token, 100)).json["id"] for _ in range(2)]
    hooks = await world.hooks(2)
    told = {hook.json["data"]["id"]: hook.json["data"] for hook in hooks}
    assert told[ids[0]]["status"] == "settled"
    assert (told[ids[1]]["status"], told[ids[1]]["error_code"]) == ("rejected", "51")
    assert len(await world.money("plexy")) == 1
    assert await plexy.balance() == "50.00"


async def test_two_posts_are_two_payouts(plexy: Plexy, world: Any) -> None:
    token = await plexy.token()
    reference = {"merchantReference": "pa_1"}
    first, second = [(await plexy.pay(token, **reference)).json["id"] for _ in range(2)]
    assert first != second
    await world.hooks(2)
    summary = await world.control("plexy", "GET", "ledger/summary")
    assert summary["sums"]["KZT"]["sent"] == "200"
    (double,) = summary["doublePayments"]
    assert (double["ourRef"], double["count"], double["lines"]) == ("pa_1", 2, [1, 2])


REFUSED = {
    "unknown token": ({"tokenId": "nobody"}, 404, 4),
    "no token": ({"tokenId": None}, 400, 3),
    "amount as text": ({"amount": "100"}, 400, 3),
    "three decimals": ({"amount": 100.001}, 400, 3),
    "negative": ({"amount": -100}, 400, 3),
    "true": ({"amount": True}, 400, 3),
    "below the minimum": ({"amount": 99.99}, 422, 5),
    "other currency": ({"currency": "USD"}, 400, 3),
}


@pytest.mark.parametrize(("body", "http", "code"), REFUSED.values(), ids=REFUSED)
async def test_refusals(plexy: Plexy, world: Any, body: dict[str, Any], http: int, code: int) -> None:
    token = await plexy.token()
    answer = await plexy.post("/v1/payout", {"tokenId": token, "amount": 100, **body})
    assert (answer.status, answer.json["code"]) == (http, code)
    assert set(answer.json) == {"code", "message", "source", "type"}
    assert (await plexy.get("/v1/transactions")).json["total"] == 0


async def test_auth_is_the_raw_key(plexy: Plexy, world: Any) -> None:
    assert (await plexy.get("/v1/transactions")).status == 200
    for value in (f"Bearer {plexy.merchant['apiKey']}", "pr_wrong", ""):
        answer = await world.call("GET", "/plexy/v1/transactions", headers={"Authorization": value})
        assert answer.status == 401
    stranger = await Plexy(world).open()
    token = await plexy.token()
    assert (await stranger.pay(token)).status == 404
    payout = (await plexy.pay(token)).json["id"]
    assert (await stranger.get(f"/v1/transactions/{payout}")).json["code"] == 4


async def test_list_pages(plexy: Plexy) -> None:
    token = await plexy.token()
    made = [(await plexy.pay(token)).json["id"] for _ in range(5)]
    pages = [(await plexy.get(f"/v1/transactions?page={n}&size=2")).json for n in (1, 2, 3, 4)]
    assert [row["transactionId"] for page in pages for row in page["data"]] == made[::-1]
    assert (pages[0]["total"], pages[0]["page"], pages[0]["size"], pages[3]["data"]) == (5, 1, 2, [])
    assert set(pages[0]["data"][0]) == {"transactionId", "amount", "createdAt", "rrn", "status", "orderReference"}


async def test_variants_of_shape(plexy: Plexy, world: Any) -> None:
    token = await plexy.token()
    await world.settings("plexy", wrappedIds=True, prefixedStatuses=True, idField="data.id", echoMerchantReference=True)
    created = (await plexy.pay(token, merchantReference="mine")).json
    payout = created["data"]["id"]
    assert "id" not in created
    (hook,) = await world.hooks(1)
    assert hook.json["data"]["cardTokenId"] == {"Value": None}
    assert hook.json["data"]["merchantReference"] == "mine"
    read = (await plexy.get(f"/v1/transactions/{payout}")).json
    assert (read["status"], read["merchantReference"]) == ("TRANSACTION_STATUS_SETTLED", "mine")


async def test_the_cards_event_can_have_another_name(plexy: Plexy, world: Any) -> None:
    await world.settings("plexy", cardEventName="card.tokenized")
    await plexy.save(GOOD)
    assert (await world.hooks(1))[0].json["name"] == "card.tokenized"


async def test_forced_states_carry_their_money(plexy: Plexy, world: Any) -> None:
    await world.settings("plexy", processingAfterMs=60_000)
    token = await plexy.token()
    payout = (await plexy.pay(token)).json["id"]
    await world.control("plexy", "POST", f"payouts/{payout}/advance", {"to": "processing", "hold": True})
    assert await world.money("plexy") == []
    for status in ("settled", "settled", "failed", "settled"):  # never expected, so it must be testable
        await world.control("plexy", "POST", f"payouts/{payout}/advance", {"to": status})
    assert [line["kind"] for line in await world.money("plexy")] == ["sent", "returned", "sent"]
    assert await plexy.balance() == "9900.00"
    assert len(await world.hooks(4)) == 4
    unknown = await world.call("POST", f"/_sandbox/plexy/payouts/{payout}/advance", json={"to": "paid"})
    assert unknown.status == 400


async def test_webhook_may_overtake_the_answer(plexy: Plexy, world: Any) -> None:
    token = await plexy.token()
    await world.settings("plexy", settledAfterMs=60_000, webhookAfterMs=60_000)
    await world.fault("plexy", "webhook", "before_answer", times=1)
    created = await plexy.pay(token)
    assert created.json["status"] == "new"
    assert [hook.json["data"]["id"] for hook in world.receiver.hooks] == [created.json["id"]]
    await world.settings("plexy", settledAfterMs=None, webhookAfterMs=None)
    assert (await world.control("plexy", "GET", "settings"))["settledAfterMs"] is None


async def test_a_500_may_hide_a_payout_or_a_refusal(plexy: Plexy, world: Any) -> None:
    token = await plexy.token()
    await world.fault("plexy", "create_payout", "status", when="after", times=1, params={"status": 500})
    await world.fault("plexy", "create_payout", "refuse", times=1, params={"code": 2, "http": 500})
    answers = [await plexy.pay(token) for _ in range(3)]
    assert sorted((answer.status, answer.json.get("code", 0)) for answer in answers) == [(200, 0), (500, 2), (500, 2)]
    assert (await plexy.get("/v1/transactions")).json["total"] == 2
    await world.hooks(2)
    assert len(await world.money("plexy")) == 2
