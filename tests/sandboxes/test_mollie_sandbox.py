"""The Mollie sandbox against its fact sheet (`mollie.md`)."""

import asyncio
import hashlib
import hmac
import uuid
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest

from providers.mollie.sandbox import sign
from providers.sandbox.clock import next_business_day_ms

EUR = {"currency": "EUR", "value": "10.00"}


class Mollie:
    def __init__(self, world: Any) -> None:
        self.world = world

    async def open(self, **merchant: Any) -> "Mollie":
        wanted = {
            "apiKey": "test_example",
            "webhookUrl": self.world.receiver.url,
            "balances": [{"id": "bal_one", "available": "100.00"}, {"id": "bal_two", "available": "50.00"}],
            **merchant,
        }
        self.merchant = await self.world.control("mollie", "POST", "merchants", wanted)
        self.headers = {"Authorization": f"Bearer {self.merchant['apiKey']}"}
        await self.world.settings("mollie", businessDay=60)
        return self

    async def create(self, key: str | None = None, **body: Any) -> Any:
        headers = {**self.headers, **({"Idempotency-Key": key} if key else {})}
        body = {"balanceId": "bal_one", "amount": EUR, **body}
        return await self.world.call("POST", "/mollie/v2/payouts", json=body, headers=headers)

    async def get(self, path: str) -> Any:
        url = path if path.startswith("http") else f"/mollie/v2{path}"
        return await self.world.call("GET", url, headers=self.headers)

    async def delete(self, payout: str) -> Any:
        return await self.world.call("DELETE", f"/mollie/v2/payouts/{payout}", headers=self.headers)

    async def until(self, payout: str, *statuses: str) -> Any:
        async def read() -> Any:
            body = (await self.get(f"/payouts/{payout}")).json
            return body if body["status"] in statuses else None

        return await self.world.until(read)

    async def available(self, balance: str) -> Any:
        (merchant,) = (await self.world.control("mollie", "GET", "merchants"))["merchants"]
        return {line["id"]: line["available"] for line in merchant["balances"]}[balance]


@pytest.fixture
async def mollie(world: Any) -> Mollie:
    return await Mollie(world).open()


async def test_runs_from_requested_to_completed_with_signed_events(mollie: Mollie, world: Any) -> None:
    await world.settings("mollie", businessDay=300)
    created = await mollie.create("k1", description="example")
    assert created.status == 201
    assert created.headers["Content-Type"].startswith("application/hal+json")
    body = created.json
    assert body["id"].startswith("payout_")
    assert (body["status"], body["statusReason"]["code"], body["mode"]) == ("requested", "requested", "test")
    assert (body["initiatedAt"], body["completedAt"], body["canceledAt"]) == (None, None, None)
    assert await mollie.available("bal_one") == "100.00"  # taken at initiation only
    done = await mollie.until(body["id"], "completed")
    assert done["initiatedAt"]
    assert done["completedAt"]
    assert done["statusReason"]["code"] == "completed"
    hooks = await world.hooks(3)
    secret = mollie.merchant["webhookSecret"].encode()
    told = {hook.json["type"].removeprefix("payout."): hook for hook in hooks}  # no order is promised
    assert set(told) == {"initiated", "processing-at-bank", "completed"}
    for status, hook in told.items():
        mac = hmac.new(secret, hook.raw, hashlib.sha256).hexdigest()
        assert hook.headers.getall("X-Mollie-Signature") == [f"sha256={mac}"]
        assert (hook.json["type"], hook.json["entityId"]) == (f"payout.{status}", body["id"])
        assert hook.json["_embedded"]["entity"]["status"] == status
        assert hook.json["_links"]["entity"]["href"] == f"/v2/payouts/{body['id']}"
    assert len({hook.json["id"] for hook in hooks}) == 3
    (line,) = await world.money("mollie")
    assert (line["kind"], line["amount"], line["currency"], line["ourRef"]) == ("sent", "10.00", "EUR", "k1")
    assert line["otherRefs"] == {"description": "example"}
    assert line["providerRef"] == body["id"]
    assert await mollie.available("bal_one") == "90.00"


def test_signature_vector() -> None:
    expected = "sha256=e5e6baf7cb4fe8d71f68b75342d72d9499a982d65654ee8f5eb7c10d8e4dbed7"
    assert sign("example-signing-secret", b'{"resource":"event","id":"event_example"}') == expected


def test_business_days() -> None:
    def next_run(day: int, hour: int) -> datetime:
        at_ms = int(datetime(2026, 11, day, hour, tzinfo=UTC).timestamp() * 1000)
        return datetime.fromtimestamp(next_business_day_ms(at_ms, 6) / 1000, UTC)

    assert next_run(18, 3) == datetime(2026, 11, 19, 6, tzinfo=UTC)  # Wednesday before six
    assert next_run(20, 23) == datetime(2026, 11, 23, 6, tzinfo=UTC)  # Friday
    assert next_run(22, 1) == datetime(2026, 11, 23, 6, tzinfo=UTC)  # Sunday


async def test_idempotency(mollie: Mollie, world: Any) -> None:
    key = str(uuid.uuid4())
    first = await mollie.create(key)
    replay = await mollie.create(key)
    assert (replay.status, replay.raw) == (201, first.raw)
    assert replay.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    other = await mollie.create(key, description="other")
    assert (other.status, other.json["title"]) == (400, "Bad Request")
    # A refusal is remembered as well (M-3).
    refused = await mollie.create("late", balanceId="bal_nobody")
    assert (await mollie.create("late", balanceId="bal_nobody")).headers["Idempotent-Replayed"] == "true"
    assert refused.json["field"] == "balanceId"
    # After an hour the same key pays again: the trap of section 8.
    await world.settings("mollie", idempotencyTtlMs=1)
    await mollie.until(first.json["id"], "completed")
    second = await mollie.create(key)
    assert second.status == 201
    assert second.json["id"] != first.json["id"]
    await mollie.until(second.json["id"], "completed")
    (double,) = (await world.control("mollie", "GET", "ledger/summary"))["doublePayments"]
    assert (double["ourRef"], double["count"]) == (key, 2)


async def test_same_key_while_the_first_is_running(mollie: Mollie, world: Any) -> None:
    await world.settings("mollie", createTakesMs=300, businessDay=60_000)
    first = asyncio.create_task(mollie.create("k"))
    await asyncio.sleep(0.03)
    assert (await mollie.create("k")).status == 409
    assert (await first).status == 201
    assert (await mollie.create("k")).headers["Idempotent-Replayed"] == "true"


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "unknown balance": ({"balanceId": "bal_nobody"}, "balanceId"),
    "no balance": ({"balanceId": None}, "balanceId"),
    "too much": ({"amount": {"currency": "EUR", "value": "100.01"}}, "amount"),
    "other currency": ({"amount": {"currency": "USD", "value": "1.00"}}, "amount"),
    "no decimals": ({"amount": {"currency": "EUR", "value": "10"}}, "amount"),
    "a number": ({"amount": {"currency": "EUR", "value": 10.0}}, "amount"),
    "zero": ({"amount": {"currency": "EUR", "value": "0.00"}}, "amount"),
    "half an amount": ({"amount": {"value": "10.00"}}, "amount"),
    "long description": ({"description": "d" * 256}, "description"),
    "testmode with a key": ({"testmode": True}, "testmode"),
}


@pytest.mark.parametrize(("body", "field"), REFUSED.values(), ids=REFUSED)
async def test_refusals(mollie: Mollie, body: dict[str, Any], field: str) -> None:
    answer = await mollie.create(**body)
    assert answer.status == 422
    assert answer.headers["Content-Type"].startswith("application/hal+json")
    assert (answer.json["status"], answer.json["title"], answer.json["field"]) == (422, "Unprocessable Entity", field)
    assert (await mollie.get("/payouts")).json["count"] == 0


async def test_one_payout_waits_per_balance_and_inactive_balances_pay_nothing(mollie: Mollie, world: Any) -> None:
    await world.settings("mollie", businessDay="real", speed=1)
    first = await mollie.create()
    second = await mollie.create()
    assert (second.status, second.json["field"]) == (422, "balanceId")
    assert (await mollie.create(balanceId="bal_two")).status == 201
    canceled = await mollie.delete(first.json["id"])
    assert canceled.status == 200
    assert canceled.json["status"] == "canceled"
    assert canceled.json["canceledAt"]
    assert canceled.json["initiatedAt"] is None
    assert (await world.hooks(1))[0].json["type"] == "payout.canceled"
    assert (await mollie.delete(first.json["id"])).status == 409
    assert (await mollie.create()).status == 201
    inactive = {"apiKey": "test_example", "balances": [{"id": "bal_off", "status": "inactive"}]}
    await world.control("mollie", "POST", "merchants", inactive)
    assert (await mollie.create(balanceId="bal_off")).json["field"] == "balanceId"
    assert await world.money("mollie") == []


async def test_whole_balance_when_no_amount_is_given(mollie: Mollie) -> None:
    created = await mollie.create(amount=None)
    assert created.json["amount"] == {"currency": "EUR", "value": "100.00"}
    await mollie.until(created.json["id"], "completed")
    assert await mollie.available("bal_one") == "0.00"
    assert (await mollie.create(amount=None)).json["field"] == "amount"


async def test_funds_are_checked_again_at_initiation(mollie: Mollie, world: Any) -> None:
    await world.settings("mollie", businessDay=300)
    created = await mollie.create()
    poorer = {"apiKey": "test_example", "balances": [{"id": "bal_one", "available": "9.99"}]}
    await world.control("mollie", "POST", "merchants", poorer)
    failed = await mollie.until(created.json["id"], "failed")
    assert failed["statusReason"]["code"] == "insufficient_funds"
    assert failed["initiatedAt"]
    assert failed["completedAt"] is None
    assert await world.money("mollie") == []
    assert await mollie.available("bal_one") == "9.99"


async def test_returned_after_completed(mollie: Mollie, world: Any) -> None:
    created = await mollie.create("ret")
    await mollie.until(created.json["id"], "completed")
    await world.control("mollie", "POST", "payouts/ret/advance", {"to": "returned"})
    failed = (await mollie.get(f"/payouts/{created.json['id']}")).json
    assert (failed["status"], failed["statusReason"]["code"]) == ("failed", "returned")
    assert [line["kind"] for line in await world.money("mollie")] == ["sent", "returned"]
    assert await mollie.available("bal_one") == "100.00"
    assert "payout.failed" in [hook.json["type"] for hook in await world.hooks(4)]


async def test_bank_failure_before_completion_moves_no_money(mollie: Mollie, world: Any) -> None:
    await world.settings("mollie", businessDay="real", speed=1)
    payout = (await mollie.create()).json["id"]
    await world.control("mollie", "POST", f"payouts/{payout}/advance", {"to": "processing-at-bank", "hold": True})
    assert await mollie.available("bal_one") == "90.00"
    order = {"to": "failed", "reason": "bank_processing_failed"}
    await world.control("mollie", "POST", f"payouts/{payout}/advance", order)
    assert await mollie.available("bal_one") == "100.00"
    assert await world.money("mollie") == []


async def test_list_pages_can_be_followed(mollie: Mollie, world: Any) -> None:
    made = []
    for _ in range(5):
        made.append((await mollie.create()).json["id"])
        await world.control("mollie", "POST", f"payouts/{made[-1]}/advance", {"to": "completed"})
    other = (await mollie.create(balanceId="bal_two")).json["id"]
    seen, url = [], "/payouts?limit=2"
    page: Any = None
    while url:
        page = (await mollie.get(url)).json
        assert page["count"] == len(page["_embedded"]["payouts"])
        seen += [payout["id"] for payout in page["_embedded"]["payouts"]]
        url = page["_links"]["next"] and page["_links"]["next"]["href"]
    assert seen == [other, *reversed(made)]
    assert "documentation" not in page["_embedded"]["payouts"][0]["_links"]
    assert page["_links"]["previous"]
    mine = (await mollie.get("/payouts?balanceId=bal_two")).json
    assert [payout["id"] for payout in mine["_embedded"]["payouts"]] == [other]
    oldest = (await mollie.get("/payouts?sort=asc&limit=1")).json
    assert oldest["_embedded"]["payouts"][0]["id"] == made[0]
    bad = await mollie.get("/payouts?from=payout_nobody")
    assert (bad.status, bad.json["field"]) == (400, "from")
    assert (await mollie.get("/payouts?limit=251")).status == 400


async def test_auth_and_modes(mollie: Mollie, world: Any) -> None:
    payout = (await mollie.create()).json["id"]
    assert (await mollie.get("/balances/bal_one")).status == 403  # an API key cannot
    stranger = await world.call("GET", f"/mollie/v2/payouts/{payout}", headers={"Authorization": "Bearer test_x"})
    assert (stranger.status, stranger.json["title"]) == (401, "Unauthorized Request")
    live = await Mollie(world).open(apiKey="live_example", balances=[{"id": "bal_live"}])
    assert (await live.get(f"/payouts/{payout}")).status == 404
    assert (await live.create()).json["field"] == "balanceId"


async def test_organisation_token_reads_balances_and_chooses_the_mode(world: Any) -> None:
    token = await Mollie(world).open(apiKey="access_example", balances=[{"id": "bal_org", "available": "20.00"}])
    await world.settings("mollie", businessDay=60_000)
    created = await token.create(balanceId="bal_org", testmode=True)
    assert created.json["mode"] == "test"
    assert "testmode" not in created.json
    assert (await token.get(f"/payouts/{created.json['id']}")).status == 404
    assert (await token.get(f"/payouts/{created.json['id']}?testmode=true")).status == 200
    for name in ("bal_org", "primary"):
        balance = (await token.get(f"/balances/{name}?testmode=true")).json
        assert (balance["id"], balance["transferFrequency"]) == ("bal_org", "never")
    assert (await token.get("/balances")).json["_embedded"]["balances"][0]["availableAmount"]["value"] == "20.00"


async def test_secret_rotation_and_payload_variants(world: Any) -> None:
    mollie = await Mollie(world).open(webhookSecrets=["old", "new"])
    await world.settings("mollie", simplePayload=True)
    payout = (await mollie.create()).json["id"]
    hooks = await world.hooks(3)
    assert hooks[0].headers.getall("X-Mollie-Signature") == [sign("old", hooks[0].raw), sign("new", hooks[0].raw)]
    assert "_embedded" not in hooks[0].json
    assert hooks[0].json["entityId"] == payout
    await world.settings("mollie", simplePayload=False, barePayload=True)
    await world.control("mollie", "POST", f"payouts/{payout}/advance", {"to": "completed"})
    assert "payout" in [hook.json["resource"] for hook in await world.hooks(4)]


async def test_webhooks_retry_ten_times(mollie: Mollie, world: Any) -> None:
    world.receiver.statuses = [404] * 20
    await world.settings("mollie", speed=5_000_000)
    payout = (await mollie.create()).json["id"]
    await world.control("mollie", "POST", f"payouts/{payout}/advance", {"to": "canceled"})
    await world.hooks(10)

    async def given_up() -> bool:
        counts = (await world.control("mollie", "GET", "deliveries"))["counts"]
        return bool(counts.get("given_up"))

    await world.until(given_up)
    canceled = [hook for hook in world.receiver.hooks if hook.json["type"] == "payout.canceled"]
    assert len(canceled) == 10
    assert len({hook.raw for hook in canceled}) == 1


async def test_webhooks_may_overtake_the_answer(mollie: Mollie, world: Any) -> None:
    await world.settings("mollie", businessDay=60_000)
    await world.fault("mollie", "webhook", "before_answer", times=1)
    created = await mollie.create("k")
    assert created.json["status"] == "requested"
    assert [hook.json["type"] for hook in world.receiver.hooks] == [
        "payout.initiated",
        "payout.processing-at-bank",
        "payout.completed",
    ]


async def test_lost_answer_is_replayed_to_the_same_key(mollie: Mollie, world: Any) -> None:
    await world.fault("mollie", "create_payout", "drop", when="after", times=1)
    with pytest.raises(aiohttp.ClientError):
        await mollie.create("k")
    replay = await mollie.create("k")
    assert replay.headers["Idempotent-Replayed"] == "true"
    await mollie.until(replay.json["id"], "completed")
    assert len(await world.money("mollie")) == 1
