"""Cancel and marks: what is allowed when, races with the dispatcher, and repeated requests."""

import asyncio

import pytest
from world import BANK


async def steer(shop, payout_id, what, body=None, key=None):
    return await shop.call("POST", f"/api/v1/payouts/{payout_id}/{what}", {} if body is None else body, key=key)


async def test_cancel_before_it_is_sent(world):
    await world.start_gateway(roles="api")
    merchant = await world.merchant()
    start = (await merchant.balance())["available"]
    made = await merchant.pay(provider="pivot", **BANK)
    assert made["cancelable"] is True
    status, answer = await steer(merchant, made["id"], "cancel", key="c1")
    assert (status, answer["data"]["status"], answer["data"]["cancelable"]) == (200, "cancelled", False)
    assert (await merchant.balance())["available"] == start
    again = await steer(merchant, made["id"], "cancel", key="c1")
    assert (again[0], again[1]["meta"]["idempotentReplayed"]) == (200, True)
    other = await steer(merchant, made["id"], "cancel", key="c2")
    assert (other[0], other[1]["error"]["code"]) == (409, "state_conflict")
    await world.start_gateway()
    await asyncio.sleep(0.5)
    assert await world.sent("pivot") == []


async def test_cancel_races_with_the_dispatcher(world, shop):
    """I18: exactly one wins; a cancelled payout has no effect at the provider."""
    made = await asyncio.gather(*(shop.pay(provider="pivot", **BANK) for _ in range(30)))

    async def late_cancel(number, payout):
        await asyncio.sleep(0.02 * number)
        return await steer(shop, payout["id"], "cancel")

    answers = await asyncio.gather(*(late_cancel(i, p) for i, p in enumerate(made)))
    cancelled = {p["id"] for p, (status, _) in zip(made, answers, strict=True) if status == 200}
    assert all(a["error"]["code"] == "state_conflict" for s, a in answers if s != 200)
    for payout in made:
        end = await shop.until(payout["id"], "paid", "cancelled", timeout_s=20)
        assert (end["phase"] == "cancelled") == (payout["id"] in cancelled)
    assert len(await world.sent("pivot")) == len(made) - len(cancelled)


async def test_a_manual_payout_can_be_cancelled_until_a_person_has_started_it(shop):
    first, second = await shop.pay(provider="manual", **BANK), await shop.pay(provider="manual", **BANK)
    await shop.until(first["id"], "processing")
    assert (await shop.payout(first["id"]))["cancelable"] is True
    status, answer = await steer(shop, first["id"], "cancel")
    assert (status, answer["data"]["status"]) == (200, "cancelled")
    await steer(shop, second["id"], "mark-in-transit")
    status, answer = await steer(shop, second["id"], "cancel")
    assert (status, answer["error"]["code"]) == (409, "state_conflict")


@pytest.mark.parametrize(
    ("steps", "last", "code"),
    [
        (["mark-paid"], 409, "state_conflict"),  # P-6: not from pending
        (["mark-in-transit", "mark-in-transit"], 409, "state_conflict"),
        (["mark-in-transit", "mark-paid", "mark-failed"], 409, "state_conflict"),
        (["mark-in-transit", "mark-failed", "mark-paid"], 409, "state_conflict"),
        (["mark-returned"], 409, "state_conflict"),
        (["mark-failed"], 200, None),
        (["mark-in-transit", "mark-failed"], 200, None),
        (["mark-in-transit", "mark-paid", "mark-returned"], 200, None),
        (["cancel", "mark-in-transit"], 409, "state_conflict"),
    ],
)
async def test_marks(shop, steps, last, code):
    bodies = {"mark-failed": {"failureReason": "bounced"}, "mark-returned": {"reason": "closed"}}
    made = await shop.pay(provider="manual", **BANK)
    for step in steps:
        status, answer = await steer(shop, made["id"], step, bodies.get(step))
    assert status == last, answer
    assert (answer["error"] or {}).get("code") == code


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (["mark-paid"], "cannot be marked paid: mark-in-transit comes first. Nothing was changed."),
        (["mark-in-transit", "mark-returned"], "that is in_transit cannot be marked returned: mark-paid comes first."),
        (["mark-failed", "mark-paid"], "that is failed cannot be marked paid. Nothing"),
    ],
)
async def test_a_refused_mark_says_which_comes_first(shop, steps, message):
    bodies = {"mark-failed": {"failureReason": "bounced"}, "mark-returned": {"reason": "closed"}}
    made = await shop.pay(provider="manual", **BANK)
    await shop.until(made["id"], "processing")
    for step in steps:
        status, answer = await steer(shop, made["id"], step, bodies.get(step))
    assert status == 409
    assert message in answer["error"]["message"]


async def test_marks_are_not_for_providers_that_report_themselves(shop):
    made = await shop.pay(provider="pivot", **BANK)
    status, answer = await steer(shop, made["id"], "mark-paid")
    assert (status, answer["error"]["code"]) == (409, "state_conflict")
    assert "Pivot" in answer["error"]["message"]


async def test_a_repeated_mark_is_replayed_and_its_key_cannot_be_reused(shop):
    made = await shop.pay(provider="manual", **BANK)
    first = await steer(shop, made["id"], "mark-in-transit", {"reference": "W"}, key="m1")
    again = await steer(shop, made["id"], "mark-in-transit", {"reference": "W"}, key="m1")
    other = await steer(shop, made["id"], "mark-in-transit", {"reference": "X"}, key="m1")
    paid = await steer(shop, made["id"], "mark-paid", {}, key="m1")
    assert (first[0], again[0], other[0], paid[0]) == (200, 200, 409, 409)
    assert again[1]["meta"]["idempotentReplayed"] is True
    assert other[1]["error"]["code"] == paid[1]["error"]["code"] == "idempotency_mismatch"


async def test_the_same_mark_racing_with_itself_happens_once(shop):
    made = await shop.pay(provider="manual", **BANK)
    answers = await asyncio.gather(
        *(steer(shop, made["id"], "mark-in-transit", {"reference": "W"}, key="race") for _ in range(20))
    )
    assert {status for status, _ in answers} == {200}
    steps = await shop.timeline(made["id"])
    assert [s["type"] for s in steps].count("payout.in_transit") == 1


async def test_default_bank_account(shop):
    status, answer = await shop.call("POST", "/api/v1/payouts", {"amount": 100, "currency": "IDR"})
    assert (status, answer["error"]["code"]) == (422, "bank_account_unconfigured")
    _, answer = await shop.call("GET", "/api/v1/payouts/bank-account")
    assert answer["data"]["configured"] is False
    status, _ = await shop.call("PATCH", "/api/v1/payouts/bank-account", BANK)
    assert status == 200
    made = await shop.pay(amount=100)
    assert made["bankAccountNumber"] == BANK["bankAccountNumber"]
    assert made["destination"]["type"] == "bank_account"
