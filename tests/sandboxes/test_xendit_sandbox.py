"""The Xendit sandbox against its fact sheet (`xendit.md`)."""

import base64
import json
from typing import Any

import pytest

from tests.sandboxes.desks import XenditDesk

NEVER_MS = 3_600_000


@pytest.fixture
async def xendit(world: Any) -> XenditDesk:
    desk = XenditDesk(world)
    await desk.open()
    return desk


def basic(key: str, password: str = "") -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'{key}:{password}'.encode()).decode()}"}


async def test_accepts_pays_and_tells_flat(xendit: XenditDesk, world: Any) -> None:
    created = await xendit.pay(10_000, key="pay-0001", description="example", metadata={"a": "b"})
    assert created.status == 200
    body = created.json
    assert body["id"].startswith("disb-")
    assert (body["status"], body["amount"], body["currency"], body["reference_id"]) == ("ACCEPTED", 10_000, "IDR", "pay-0001")
    assert body["channel_properties"] == {"account_number": "0000000099", "account_holder_name": "PT Contoh"}
    assert (body["description"], body["metadata"]) == ("example", {"a": "b"})
    assert "failure_code" not in body
    assert len(body["created"]) == len("2026-01-01T00:00:00.000Z")
    assert body["estimated_arrival_time"] > body["created"]
    (hook,) = await world.hooks(1)
    assert hook.headers["x-callback-token"] == xendit.proof
    assert list(hook.json) == ["created", "business_id", "event", "api_version", "data"]
    data = hook.json["data"]
    assert list(data) == [
        "id", "amount", "status", "reference_id", "idempotency_key", "channel_code", "channel_category", "account_number",
        "connector_reference", "currency", "created", "updated",
    ]  # fmt: skip
    assert (data["status"], data["idempotency_key"], data["account_number"]) == ("SUCCEEDED", "pay-0001", "0000000099")
    (line,) = await world.money("xendit")
    assert (line["kind"], line["amount"], line["currency"], line["ourRef"]) == ("sent", "10000", "IDR", "pay-0001")
    assert line["destination"] == "ID_BCA ****0099"
    assert await xendit.balance() == "999990000"
    assert (await xendit.call("GET", "/balance?account_type=CASH&currency=IDR")).json == {"balance": 999_990_000}
    assert (await xendit.call("GET", "/balance?account_type=HOLDING")).json == {"balance": 0}
    assert (await xendit.call("GET", "/balance?currency=PHP")).status == 400


async def test_a_key_shows_the_current_state_and_refuses_another_body(xendit: XenditDesk, world: Any) -> None:
    first = await xendit.pay(key="k1")
    await xendit.until_status(first.json["id"], "SUCCEEDED")
    again = await xendit.pay(key="k1")
    assert (again.status, again.json["id"], again.json["status"]) == (200, first.json["id"], "SUCCEEDED")
    other = await xendit.pay(30_000, key="k1")
    assert (other.status, other.json["error_code"]) == (409, "DUPLICATE_ERROR")
    assert "duplicate" in other.json["message"]
    await xendit.settings(duplicateHttp=400, duplicateCode="DUPLICATE_PAYOUT_ERROR", errorTextField="error_message")
    other = await xendit.pay(30_000, key="k1")
    assert (other.status, other.json["error_code"]) == (400, "DUPLICATE_PAYOUT_ERROR")
    assert "duplicate" in other.json["error_message"]
    assert await xendit.kinds() == ["sent"]


async def test_keys_expire_only_when_told_to(xendit: XenditDesk, world: Any) -> None:
    first = await xendit.pay(key="k1")
    await xendit.settings(idemTtlMs=0)
    second = await xendit.pay(key="k1")
    assert second.json["id"] != first.json["id"]
    await xendit.until_kinds("sent", "sent")
    found = (await xendit.call("GET", "/v2/payouts?reference_id=k1")).json
    assert [row["id"] for row in found["data"]] == [second.json["id"], first.json["id"]]  # references may repeat


async def test_finding_by_reference(xendit: XenditDesk) -> None:
    made = [(await xendit.pay(key=f"k{n}", reference_id="same")).json["id"] for n in range(3)]
    whole = (await xendit.call("GET", "/v2/payouts?reference_id=same")).json
    assert ([row["id"] for row in whole["data"]], whole["has_more"]) == (made[::-1], False)
    page = (await xendit.call("GET", "/v2/payouts?reference_id=same&limit=1")).json
    assert ([row["id"] for row in page["data"]], page["has_more"]) == ([made[2]], True)
    after = (await xendit.call("GET", f"/v2/payouts?reference_id=same&limit=1&after_id={made[2]}")).json
    assert [row["id"] for row in after["data"]] == [made[1]]
    before = (await xendit.call("GET", f"/v2/payouts?reference_id=same&limit=1&before_id={made[0]}")).json
    assert [row["id"] for row in before["data"]] == [made[1]]
    assert (await xendit.call("GET", "/v2/payouts?reference_id=nobody")).json == {"has_more": False, "data": []}
    await xendit.settings(listShape="array")
    assert (await xendit.call("GET", "/v2/payouts?reference_id=nobody")).json == []
    assert (await xendit.call("GET", "/v2/payouts")).status == 400
    assert (await xendit.call("GET", "/v2/payouts?reference_id=same&limit=0")).status == 400
    missing = await xendit.read("disb-nobody")
    assert (missing.status, missing.json["error_code"]) == (404, "DATA_NOT_FOUND")


async def test_cancel_only_while_accepted(xendit: XenditDesk, world: Any) -> None:
    waiting = (await xendit.pay(account="131313")).json["id"]
    assert (await xendit.call("GET", f"/v2/payouts/{waiting}/cancel")).status == 404  # only POST, unless told otherwise
    cancelled = await xendit.call("POST", f"/v2/payouts/{waiting}/cancel")
    assert (cancelled.status, cancelled.json["status"]) == (200, "CANCELLED")
    again = await xendit.call("POST", f"/v2/payouts/{waiting}/cancel")
    assert (again.status, again.json["error_code"]) == (400, "API_VALIDATION_ERROR")  # E-1
    assert await xendit.balance() == "1000000000"
    assert world.receiver.hooks == []  # E-3
    await xendit.settings(cancelByGet=True, emitCancelled=True, cancelRefused=409)
    other = (await xendit.pay(account="131313")).json["id"]
    assert (await xendit.call("GET", f"/v2/payouts/{other}/cancel")).json["status"] == "CANCELLED"
    assert (await xendit.call("GET", f"/v2/payouts/{other}/cancel")).status == 409
    assert (await world.hooks(1))[0].json["event"] == "payout.cancelled"
    assert await xendit.kinds() == []


async def test_too_little_balance_fails_later(world: Any) -> None:
    desk = XenditDesk(world)
    await desk.open()
    key = "xnd_development_poor"
    await desk.control("POST", "merchants", {"apiKey": key, "balance": 19_999, "webhookUrl": world.receiver.url})
    desk.headers = basic(key)
    made = await desk.pay(20_000)
    assert (made.status, made.json["status"]) == (200, "ACCEPTED")
    await desk.until_status(made.json["id"], "FAILED")
    assert (await desk.read(made.json["id"])).json["failure_code"] == "INSUFFICIENT_BALANCE"
    assert await desk.kinds() == []
    assert (await desk.call("GET", "/balance")).json == {"balance": 19_999}


async def test_webhooks_in_the_documented_shape(xendit: XenditDesk, world: Any) -> None:
    await xendit.settings(webhookShape="nested")
    await xendit.pay(account="123456")
    (hook,) = await world.hooks(1)
    assert list(hook.json) == ["created", "business_id", "event", "data"]
    data = hook.json["data"]
    assert data["channel_properties"]["account_number"] == "123456"
    assert (hook.json["event"], data["failure_code"]) == ("payout.failed", "TEMPORARY_TRANSFER_ERROR")


async def test_webhooks_retry_six_times_unless_they_are_switched_off(xendit: XenditDesk, world: Any) -> None:
    await xendit.settings(speed=5_000_000)
    world.receiver.statuses = [500] * 20
    await xendit.pay(key="k1")
    hooks = await world.hooks(7)
    assert len({hook.raw for hook in hooks}) == 1

    async def given_up() -> int:
        return int((await xendit.control("GET", "deliveries"))["counts"].get("given_up", 0))

    await world.until(given_up)
    await xendit.settings(webhookRetries=False)
    await xendit.pay(key="k2")

    async def given_up_at_once() -> bool:
        return await given_up() == 2

    await world.until(given_up_at_once)
    assert len(world.receiver.hooks) == 8


async def test_a_review_ends_when_somebody_ends_it(xendit: XenditDesk, world: Any) -> None:
    held = (await xendit.pay(holder="Walter Green", account="72019761")).json["id"]
    await xendit.until_status(held, "PENDING_COMPLIANCE_ASSESSMENT")
    await xendit.control("POST", f"payouts/{held}/advance", {"to": "REQUESTED"})
    await xendit.until_status(held, "SUCCEEDED")
    await xendit.settings(complianceEvent="payout.rejected")
    refused = (await xendit.pay(holder="Walter White", account="79018761")).json["id"]
    await xendit.until_status(refused, "COMPLIANCE_REJECTED")
    hooks = await world.hooks(2)
    assert (hooks[1].json["event"], hooks[1].json["data"]["status"]) == ("payout.rejected", "COMPLIANCE_REJECTED")
    assert await xendit.kinds() == ["sent"]


async def test_forced_states_carry_their_money(xendit: XenditDesk, world: Any) -> None:
    await xendit.settings(requestedAfterMs=NEVER_MS)
    payout = (await xendit.pay(key="k1")).json["id"]
    for status in ("SUCCEEDED", "SUCCEEDED", "REVERSED", "SUCCEEDED"):
        await xendit.control("POST", "payouts/k1/advance", {"to": status})
    assert await xendit.kinds() == ["sent", "returned", "sent"]
    assert await xendit.balance() == "999980000"
    assert (await xendit.read(payout)).json["status"] == "SUCCEEDED"
    for order in ({"to": "PENDING"}, {"to": "FAILED", "reason": "BAD_MOOD"}):
        refused = await world.call("POST", f"/_sandbox/xendit/payouts/{payout}/advance", json=order)
        assert refused.status == 400


async def test_channels(xendit: XenditDesk) -> None:
    (bca,) = (await xendit.call("GET", "/payouts_channels?channel_code=ID_BCA")).json
    assert bca == {
        "channel_code": "ID_BCA",
        "channel_category": "BANK",
        "currency": "IDR",
        "channel_name": "Bca",
        "amount_limits": {"minimum": 10_000, "maximum": 50_000_000_000, "minimum_increment": 1},
    }
    wallets = (await xendit.call("GET", "/payouts_channels?currency=PHP&channel_category=EWALLET")).json
    assert [row["channel_code"] for row in wallets] == ["PH_GCASH", "PH_PAYMAYA"]
    await xendit.settings(extraChannels=["ID_NEW"], channelLimits={"ID_NEW": {"minimumIncrement": 500, "maximum": 90_000}})
    assert (await xendit.pay(20_000, channel_code="ID_NEW")).status == 200
    assert (await xendit.pay(20_100, channel_code="ID_NEW")).json["error_code"] == "AMOUNT_INCREMENT_NOT_SUPPORTED"
    assert (await xendit.pay(90_500, channel_code="ID_NEW")).json["error_code"] == "MAXIMUM_TRANSFER_LIMIT_ERROR"


async def test_account_lengths_are_looked_at_on_request(xendit: XenditDesk) -> None:
    await xendit.settings(checkAccountLengths=True)
    short = (await xendit.pay(account="12345678")).json["id"]
    await xendit.until_status(short, "FAILED")
    assert (await xendit.read(short)).json["failure_code"] == "INVALID_DESTINATION"
    fits = (await xendit.pay(account="1234567890")).json["id"]
    await xendit.until_status(fits, "SUCCEEDED")


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no reference": ({"reference_id": ""}, "API_VALIDATION_ERROR"),
    "long reference": ({"reference_id": "r" * 256}, "API_VALIDATION_ERROR"),
    "unknown channel": ({"channel_code": "BCA"}, "CHANNEL_CODE_NOT_SUPPORTED"),
    "no account": ({"channel_properties": {}}, "API_VALIDATION_ERROR"),
    "long holder": ({"holder": "h" * 101}, "API_VALIDATION_ERROR"),
    "account type": (
        {"channel_properties": {"account_number": "1", "account_type": "BANK_ACCOUNT"}},
        "API_VALIDATION_ERROR",
    ),
    "amount as text": ({"amount": "20000"}, "API_VALIDATION_ERROR"),
    "true": ({"amount": True}, "API_VALIDATION_ERROR"),
    "negative": ({"amount": -1}, "API_VALIDATION_ERROR"),
    "half a rupiah": ({"amount": 20_000.5}, "API_VALIDATION_ERROR"),
    "too little": ({"amount": 9_999}, "MINIMUM_TRANSFER_LIMIT_ERROR"),
    "too much": ({"amount": 50_000_000_001}, "MAXIMUM_TRANSFER_LIMIT_ERROR"),
    "another currency": ({"currency": "PHP"}, "API_VALIDATION_ERROR"),
    "another key's currency": ({"currency": "PHP", "channel_code": "PH_GCASH"}, "REQUEST_FORBIDDEN_ERROR"),
    "long description": ({"description": "d" * 101}, "API_VALIDATION_ERROR"),
    "many addresses": ({"receipt_notification": {"email_to": ["a"] * 4}}, "API_VALIDATION_ERROR"),
    "much metadata": ({"metadata": {f"k{n}": "v" for n in range(51)}}, "API_VALIDATION_ERROR"),
}


@pytest.mark.parametrize(("more", "code"), REFUSED.values(), ids=REFUSED)
async def test_refusals(xendit: XenditDesk, more: dict[str, Any], code: str) -> None:
    answer = await xendit.pay(key="k1", **more)
    assert answer.json["error_code"] == code
    assert answer.status == (403 if code == "REQUEST_FORBIDDEN_ERROR" else 400)
    assert answer.json["message"]
    assert (await xendit.pay(key="k1")).status == 200  # a refusal uses up no key


async def test_amounts_stay_exact(world: Any) -> None:
    desk = XenditDesk(world)
    await desk.open()
    made = await desk.control("POST", "merchants", {"currency": "PHP", "balance": "1000.10"})
    desk.headers = basic(made["apiKey"])
    account = '{"account_number":"08123"}'
    body = f'{{"reference_id":"p","channel_code":"PH_GCASH","channel_properties":{account},"amount":%s,"currency":"PHP"}}'
    answers = {}
    for n, amount in enumerate(("100.10", "0.001", "1e2", "100.1")):
        headers = {**desk.headers, "idempotency-key": f"k{n}"}
        answers[amount] = await world.call("POST", "/xendit/v2/payouts", data=body % amount, headers=headers)
    assert [answer.status for answer in answers.values()] == [200, 400, 400, 200]
    assert b'"amount":100.1,' in answers["100.10"].raw
    assert (await desk.call("GET", "/balance")).raw == b'{"balance":799.90}'
    refused = await world.call("POST", "/_sandbox/xendit/merchants", json={"apiKey": made["apiKey"], "currency": "IDR"})
    assert refused.status == 400  # one key, one currency


async def test_auth_permission_and_sub_accounts(xendit: XenditDesk, world: Any) -> None:
    async def read(headers: dict[str, str]) -> Any:
        return await world.call("GET", "/xendit/balance", headers=headers)

    for headers in (basic("xnd_development_nobody"), {"Authorization": "Bearer x"}, {"Authorization": "Basic ***"}, {}):
        answer = await read(headers)
        assert (answer.status, answer.json["error_code"]) == (401, "INVALID_API_KEY")
    key = (await xendit.control("POST", "merchants", {"canPay": False}))["apiKey"]
    assert (await read(basic(key))).status == 200
    assert (await read(basic(key, "password"))).status == 401
    forbidden = await xendit.pay(headers=basic(key))
    assert (forbidden.status, forbidden.json["error_code"]) == (403, "REQUEST_FORBIDDEN_ERROR")
    without = await xendit.call("POST", "/v2/payouts", data=json.dumps({}))
    assert (without.status, without.json["errors"][0]["path"]) == (400, "idempotency-key")  # E-7
    sub = {"for-user-id": "sub-1"}
    mine = await xendit.pay(key="k1", headers=sub)
    assert mine.json["business_id"] == "sub-1"
    assert (await xendit.read(mine.json["id"])).status == 404
    assert (await xendit.call("GET", f"/v2/payouts/{mine.json['id']}", headers=sub)).status == 200
    assert (await xendit.pay(30_000, key="k1")).status == 200  # keys are known by business


async def test_merchants_show_no_secrets_and_keep_what_is_not_said(xendit: XenditDesk) -> None:
    made = await xendit.control("POST", "merchants", {"apiKey": "xnd_production_a", "callbackToken": "t", "balance": "5"})
    again = await xendit.control("POST", "merchants", {"apiKey": "xnd_production_a"})
    assert again == made
    shown = str(await xendit.control("GET", "merchants"))
    assert "xnd_production_a" not in shown
    assert xendit.proof not in shown
