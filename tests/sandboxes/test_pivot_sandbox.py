"""The Pivot sandbox against its fact sheet (`pivot.md`): section numbers in the names of what is checked."""

import asyncio
import uuid
from typing import Any

import pytest


class Pivot:
    def __init__(self, world: Any) -> None:
        self.world = world

    async def open(self, **merchant: Any) -> "Pivot":
        wanted = {"callbackUrl": self.world.receiver.url, "balance": 10_000_000, **merchant}
        self.merchant = await self.world.control("pivot", "POST", "merchants", wanted)
        await self.login()
        return self

    async def login(self) -> None:
        answer = await self.token(self.merchant["merchantSecret"])
        self.bearer = f"Bearer {answer.json['data']['accessToken']}"

    async def token(self, secret: str) -> Any:
        headers = {"X-MERCHANT-ID": self.merchant["merchantId"], "X-MERCHANT-SECRET": secret}
        body = {"grantType": "client_credentials"}
        return await self.world.call("POST", "/pivot/v1/access-token", json=body, headers=headers)

    async def get(self, path: str) -> Any:
        return await self.world.call("GET", f"/pivot{path}", headers={"Authorization": self.bearer})

    async def create(self, *rows: dict[str, Any], request_id: str | None = None, body: Any = None) -> Any:
        headers = {"Authorization": self.bearer, "X-REQUEST-ID": request_id or uuid.uuid4().hex}
        return await self.world.call("POST", "/pivot/v1/payouts", json=body or {"payouts": list(rows)}, headers=headers)

    async def final(self, payout: str) -> Any:
        async def read() -> Any:
            data = (await self.get(f"/v1/payouts/{payout}")).json.get("data")
            return data if data and data["status"] != "IN_PROGRESS" else None

        return await self.world.until(read)

    async def balance(self) -> Any:
        return (await self.get("/v1/payouts/balance?currency=IDR")).json["data"]["availableBalance"]["value"]


def row(reference: str, account: str = "1234567890", value: Any = "100000", **more: Any) -> dict[str, Any]:
    return {
        "referenceId": reference,
        "channelCode": "BRI",
        "channelInformation": {"accountNumber": account, "accountName": "Dummy Simulation"},
        "amount": {"value": value, "currency": "IDR"},
        **more,
    }


@pytest.fixture
async def pivot(world: Any) -> Pivot:
    return await Pivot(world).open()


async def test_pays_one_row_and_tells_with_a_single_callback(pivot: Pivot, world: Any) -> None:
    created = await pivot.create(row("pay-1", description="example1"))
    assert created.status == 200
    assert created.json["code"] == "00"
    data = created.json["data"]
    assert data["status"] == "IN_PROGRESS"
    assert "status" not in data["payouts"][0]
    assert data["payouts"][0]["inquiryId"] == ""
    done = await pivot.final(data["uuid"])
    assert (done["status"], done["payouts"][0]["status"], done["payouts"][0]["reason"]) == ("DONE", "SUCCESS", "")
    assert done["payoutResults"]["totalSuccessAmount"] == 100_000
    (hook,) = await world.hooks(1)
    assert hook.headers["X-API-Key"] == pivot.merchant["callbackApiKey"]
    assert hook.json["event"] == "PAYOUT.SUCCESS"
    assert hook.json["data"]["payouts"] == {
        "referenceId": "pay-1",
        "amount": {"currency": "IDR", "value": "100000"},
        "status": "SUCCESS",
        "reason": None,
    }
    (line,) = await world.money("pivot")
    assert (line["kind"], line["ourRef"], line["amount"], line["currency"]) == ("sent", "pay-1", "100000", "IDR")
    assert line["destination"] == "BRI ****7890"
    assert await pivot.balance() == "9900000.00"


async def test_three_ways_to_read_a_payout(pivot: Pivot) -> None:
    data = (await pivot.create(*(row(f"r{n}") for n in range(3)))).json["data"]
    await pivot.final(data["uuid"])
    paged = (await pivot.get(f"/v1/payouts/{data['uuid']}?page=2&perPage=2")).json
    assert [r["referenceId"] for r in paged["data"]["payouts"]] == ["r2"]
    assert paged["pagination"] == {"page": 2, "perPage": 2, "totalItems": 3, "totalPages": 2}
    one = (await pivot.get(f"/v1/payouts/{data['uuid']}?referenceId=r1")).json["data"]
    assert one["payouts"]["referenceId"] == "r1"
    assert not {"created", "status", "updated"} & set(one)
    rows = (await pivot.get("/v1/payouts/r1?type=single")).json["data"]
    assert [r["status"] for r in rows] == ["SUCCESS"]
    assert (await pivot.get("/v1/payouts/none?type=single")).json["code"] == "resource_missing"
    assert (await pivot.get("/v1/payouts/none")).status == 404


async def test_batch_with_magic_accounts_sends_only_what_succeeds(pivot: Pivot, world: Any) -> None:
    accounts = ("999966660001", "999966660002", "999966660003", "999966660006", "5550001111")
    created = await pivot.create(*(row(f"m{n}", account) for n, account in enumerate(accounts)))
    done = await pivot.final(created.json["data"]["uuid"])
    assert [(r["status"], r["reason"]) for r in done["payouts"]] == [
        ("SUCCESS", ""),
        ("FAILED", "Inactive account"),
        ("FAILED", "Invalid account"),
        ("FAILED", "Dormant account"),
        ("SUCCESS", ""),
    ]
    (hook,) = await world.hooks(1)
    assert hook.json["event"] == "PAYOUT.DONE"
    assert "payouts" not in hook.json["data"]
    assert hook.json["data"]["payoutResults"]["totalFailedCount"] == 3
    assert [line["ourRef"] for line in await world.money("pivot")] == ["m0", "m4"]
    assert await pivot.balance() == "9800000.00"


@pytest.mark.parametrize("merchant", [{"balance": 50_000}, {}], ids=["low balance", "magic account"])
async def test_no_funds_is_silent_and_waits(world: Any, merchant: dict[str, Any]) -> None:
    pivot = await Pivot(world).open(**merchant)
    created = await pivot.create(row("a", "1234567" if merchant else "999966660007"), row("b"))
    assert created.json["code"] == "00"
    data = created.json["data"]
    stuck = await pivot.final(data["uuid"])
    assert stuck["status"] == "PENDING"
    assert {(r["status"], r["reason"]) for r in stuck["payouts"]} == {("APPROVED", "Insufficient Balance")}
    assert stuck["payoutResults"]["totalPendingCount"] == 2
    assert (await world.hooks(1))[0].json["event"] == "PAYOUT.PENDING"
    assert await world.money("pivot") == []
    # The dashboard cancels it.
    await world.control("pivot", "POST", f"payouts/{data['uuid']}/advance", {"to": "CANCELLED"})
    cancelled = (await pivot.get(f"/v1/payouts/{data['uuid']}")).json["data"]
    assert cancelled["payoutResults"]["totalCancelledCount"] == 2
    assert (await world.hooks(2))[1].json["event"] == "PAYOUT.CANCELLED"


async def test_retry_after_a_top_up_pays(world: Any) -> None:
    pivot = await Pivot(world).open(balance=50_000)
    data = (await pivot.create(row("late"))).json["data"]
    assert (await pivot.final(data["uuid"]))["status"] == "PENDING"
    credentials = {name: pivot.merchant[name] for name in ("merchantId", "merchantSecret")}
    await world.control("pivot", "POST", "merchants", {**credentials, "balance": 100_000})
    await world.control("pivot", "POST", f"payouts/{data['uuid']}/advance", {"to": "IN_PROGRESS"})
    assert (await pivot.final(data["uuid"]))["payouts"][0]["status"] == "SUCCESS"
    assert await pivot.balance() == "0.00"
    assert len(await world.money("pivot")) == 1


async def test_timeout_account_answers_503_although_the_payout_exists(pivot: Pivot, world: Any) -> None:
    await world.settings("pivot", timeoutHiddenMs=500)
    request_id = uuid.uuid4().hex
    first = await pivot.create(row("t1", "999966660008"), request_id=request_id)
    assert (first.status, first.json["code"]) == (503, "service_unavailable")
    assert first.json["error"]["type"] == "GATEWAY_ERROR"
    read = await pivot.get("/v1/payouts/t1?type=single")
    assert read.json["code"] == "payouts_in_process"
    again = await pivot.create(row("t1", "999966660008"), request_id=request_id)
    assert again.json["code"] == "service_unavailable"

    async def paid() -> Any:
        return (await pivot.get("/v1/payouts/t1?type=single")).json.get("data")

    assert (await world.until(paid))[0]["status"] == "SUCCESS"
    assert len(await world.money("pivot")) == 1


async def test_request_id_replays_refuses_and_forgets(pivot: Pivot, world: Any) -> None:
    request_id = uuid.uuid4().hex
    first = await pivot.create(row("i1"), request_id=request_id)
    replay = await pivot.create(row("i1"), request_id=request_id)
    assert (replay.status, replay.raw) == (200, first.raw)
    other = await pivot.create(row("i2"), request_id=request_id)
    assert (other.status, other.json["code"]) == (409, "resource_already_exists")
    assert other.json["error"]["details"][0]["field"] == ""
    await world.settings("pivot", requestIdTtlMs=0)
    # After its time the key would be a new transaction, were it not for the reference.
    late = await pivot.create(row("i1"), request_id=request_id)
    assert (late.json["code"], late.json["error"]["details"][0]["field"]) == ("resource_already_exists", "referenceId")
    assert (await pivot.create(row("i3"), request_id=request_id)).status == 200


REFUSED = {
    "number amount": (row("x", value=100_000), "field_format_invalid", "amount.value", 400),
    "decimals": (row("x", value="100000.00"), "field_format_invalid", "amount.value", 400),
    "below the minimum": (row("x", value="9999"), "amount_below_limit", "amount.value", 400),
    "currency": (row("x", amount={"value": "100000", "currency": "USD"}), "field_format_invalid", "amount.currency", 400),
    "no amount": (row("x", amount=None), "field_required", "amount", 400),
    "channel": (row("x", channelCode="ID_BCA"), "unsupported_channel_code", "channelCode", 400),
    "no channel": (row("x", channelCode=None), "field_required", "channelCode", 400),
    "no account": (row("x", channelInformation={"accountName": "n"}), "field_required", "accountNumber", 400),
    "long name": (
        row("x", channelInformation={"accountName": "n" * 61, "accountNumber": "1"}),
        "field_format_invalid",
        "accountName",
        400,
    ),
    "description with spaces": (row("x", description="two words"), "field_format_invalid", "description", 400),
    "long reference": (row("r" * 101), "field_format_invalid", "referenceId", 400),
    "no reference": (row(""), "field_required", "referenceId", 400),
    "both ways": (row("x", inquiryId=str(uuid.uuid4())), "field_format_invalid", "inquiryId", 400),
    "unknown inquiry": (
        {"referenceId": "x", "inquiryId": str(uuid.uuid4()), "amount": {"value": "100000", "currency": "IDR"}},
        "resource_missing",
        "inquiryId",
        404,
    ),
}


@pytest.mark.parametrize(("bad", "code", "field", "http"), REFUSED.values(), ids=REFUSED)
async def test_one_bad_row_refuses_the_whole_batch(
    pivot: Pivot, world: Any, bad: dict[str, Any], code: str, field: str, http: int
) -> None:
    answer = await pivot.create(row("good"), bad)
    assert (answer.status, answer.json["code"]) == (http, code)
    assert answer.json["error"]["details"][0]["field"] == field
    assert answer.json["error"]["traceId"]
    assert (await pivot.get("/v1/payouts/good?type=single")).json["code"] == "resource_missing"


async def test_references_are_unique_for_ever_and_within_a_batch(pivot: Pivot) -> None:
    assert (await pivot.create(row("same"), row("same"))).json["code"] == "resource_already_exists"
    assert (await pivot.create(row("same"))).status == 200
    again = await pivot.create(row("new"), row("same"))
    assert (again.status, again.json["code"]) == (409, "resource_already_exists")


async def test_malformed_batches_and_request_ids(pivot: Pivot) -> None:
    assert (await pivot.create(body={"payouts": []})).json["code"] == "format_invalid"
    many = await pivot.create(*(row(f"n{n}") for n in range(1001)))
    assert many.json["error"]["details"][0]["message"].endswith("1000 items")
    assert (await pivot.create(*(row(f"k{n}") for n in range(1000)))).status == 200
    dashed = await pivot.create(row("d"), request_id=str(uuid.uuid4()))
    assert dashed.json["error"]["details"][0]["field"] == "X-REQUEST-ID"
    short = await pivot.create(row("d"), request_id="a" * 15)
    assert short.json["code"] == "field_format_invalid"


async def test_tokens_expire_and_wrong_secrets_are_refused(pivot: Pivot, world: Any) -> None:
    assert (await pivot.token("wrong")).status == 401
    await world.settings("pivot", tokenTtlMs=30)
    answer = await pivot.token(pivot.merchant["merchantSecret"])
    assert answer.json["data"]["tokenType"] == "Bearer"
    pivot.bearer = f"Bearer {answer.json['data']['accessToken']}"
    await asyncio.sleep(0.04)
    expired = await pivot.get("/v1/payouts/balance")
    assert (expired.status, expired.json["code"]) == (401, "credentials_invalid")
    await world.settings("pivot", tokenTtlMs=900_000)
    assert (await pivot.token(pivot.merchant["merchantSecret"])).json["data"]["expiresIn"] == "900"


async def test_inquiry_and_payout_by_inquiry_id(pivot: Pivot, world: Any) -> None:
    async def ask(account: str, name: str) -> Any:
        body = {"channelCode": "BCA", "channelInformation": {"accountNumber": account, "accountName": name}}
        headers = {"Authorization": pivot.bearer}
        return (await world.call("POST", "/pivot/v1/inquiry-account", json=body, headers=headers)).json

    valid = await ask("999966660001", "Dummy Simulation")
    assert (valid["message"], valid["data"]["inquiryResult"]) == ("OK", {"status": "VALID"})
    differs = (await ask("999966660001", "Someone"))["data"]["inquiryResult"]
    assert differs["status"] == "WARNING"
    assert differs["detail"].endswith("Bank record: Dummy Simulation")
    assert (await ask("999966660003", "X"))["data"]["inquiryResult"]["status"] == "INVALID"
    paid = await pivot.create(
        {"referenceId": "q", "inquiryId": valid["data"]["uuid"], "amount": {"value": "20000", "currency": "IDR"}}
    )
    assert paid.json["data"]["payouts"][0]["channelInformation"]["accountNumber"] == "999966660001"
    await world.settings("pivot", inquiryPendingMs=30)
    pending = (await ask("1234567", "X"))["data"]
    assert pending["inquiryResult"]["status"] == "PENDING"

    async def ready() -> bool:
        answer = await pivot.get(f"/v1/inquiry-account/{pending['uuid']}")
        return bool(answer.json["data"]["inquiryResult"]["status"] == "VALID")

    await world.until(ready)


async def test_rows_may_lag_behind_done(pivot: Pivot, world: Any) -> None:
    await world.settings("pivot", rowAfterMs=300, inProcessError=True, doneAfterMs=200)
    data = (await pivot.create(row("l1"), row("l2"))).json["data"]
    assert (await pivot.get(f"/v1/payouts/{data['uuid']}")).json["code"] == "payouts_in_process"
    done = await pivot.final(data["uuid"])
    assert (done["status"], {r["status"] for r in done["payouts"]}) == ("DONE", {"PENDING"})
    assert await world.money("pivot") == []

    async def paid() -> bool:
        return len(await world.money("pivot")) == 2

    await world.until(paid)


async def test_a_paid_row_that_comes_back_is_booked_once(pivot: Pivot, world: Any) -> None:
    data = (await pivot.create(row("back"))).json["data"]
    await pivot.final(data["uuid"])
    order = {"to": "FAILED", "reason": "Invalid account"}
    for _ in range(2):
        await world.control("pivot", "POST", "payouts/back/advance", order)
    assert [line["kind"] for line in await world.money("pivot")] == ["sent", "returned"]
    assert await pivot.balance() == "10000000.00"
    assert (await world.hooks(2))[1].json["event"] == "PAYOUT.FAILED"
    summary = await world.control("pivot", "GET", "ledger/summary")
    assert summary["sums"] == {"IDR": {"sent": "100000", "returned": "100000"}}
    assert summary["doublePayments"] == []


async def test_callbacks_retry_on_500_but_not_on_400(pivot: Pivot, world: Any) -> None:
    await world.settings("pivot", speed=20_000)
    world.receiver.statuses = [500, 408, 200]
    await pivot.create(row("c1"))
    hooks = await world.hooks(3)
    assert len({hook.raw for hook in hooks}) == 1
    world.receiver.hooks.clear()
    world.receiver.statuses = [400]
    await pivot.create(row("c2"))
    await world.hooks(1)

    async def given_up() -> bool:
        counts = (await world.control("pivot", "GET", "deliveries"))["counts"]
        return bool(counts.get("given_up"))

    await world.until(given_up)
    assert len(world.receiver.hooks) == 1
