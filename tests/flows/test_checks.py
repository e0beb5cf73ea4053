"""Checks of the destination before paying: nothing is sent to an account that does not exist, and each is asked about once."""

import asyncio
import json

import pytest
from world import BANK

from gateway import destination_checker

VALID = BANK
INVALID = BANK | {"bankAccountNumber": "999966660003"}  # Pivot sheet, section 12: an inquiry finds nothing
OTHER_NAME = BANK | {"bankAccountNumber": "999966660001"}  # exists as "Dummy Simulation"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(destination_checker, "AGAIN_AFTER_S", (0.05,))


async def checking(world, policy):
    """A merchant whose Pivot connection checks before it pays."""
    if not world.gateways:
        await world.start_gateway()
    shop = await world.merchant(providers=("pivot",))
    pool = world.gateways[0].pool
    await pool.execute(
        "update connection set settings = settings || $1 where account_id = $2",
        {"check_before_paying": policy},
        shop.account_id,
    )
    return shop


async def operations(world):
    return (await world.control("GET", "pivot", "requests"))["operations"]


async def spoil_inquiries(world, kind, times, **params):
    fault = {"operation": "inquire_account", "kind": kind, "when": "before", "times": times, "params": params}
    await world.control("POST", "pivot", "faults", fault)


@pytest.mark.parametrize(
    ("policy", "destination", "end"),
    [
        ("off", INVALID, "failed"),  # by the bank, after it was sent
        ("invalid", VALID, "paid"),
        ("invalid", OTHER_NAME, "paid"),
        ("invalid", INVALID, "refused"),
        ("warning", VALID, "paid"),
        ("warning", OTHER_NAME, "refused"),
        ("warning", INVALID, "refused"),
    ],
)
async def test_what_each_policy_lets_through(world, policy, destination, end):
    shop = await checking(world, policy)
    start = (await shop.balance())["available"]
    made = await shop.pay(provider="pivot", **destination)
    assert made["phase"] == "queued", "the request itself asks nobody"
    payout = await shop.until(made["id"], "paid", "failed", "needs_review")
    counted = await operations(world)
    assert counted.get("inquire_account", 0) == (policy != "off")
    if end == "refused":
        assert (payout["phase"], payout["failureCode"]) == ("failed", "invalid_destination")
        assert "not sent" in payout["failureReason"]
        assert "create_payout" not in counted, "nothing was ever sent"
        assert await world.gateways[0].pool.fetchval("select count(*) from attempt") == 0
        assert (await shop.balance())["available"] == start
    else:
        assert payout["phase"] == end
    assert len(await world.sent("pivot")) == (end == "paid")
    assert "Dummy Simulation" not in json.dumps(await shop.timeline(made["id"])), "whose account it is stays the bank's"


async def test_the_answer_is_used_again_and_travels_with_the_payout(world):
    """Three payouts to one account, one inquiry; each row names it, so that Pivot looks nothing up twice."""
    shop = await checking(world, "invalid")
    first = await shop.pay(provider="pivot", **VALID)
    await shop.until(first["id"], "paid")
    others = [await shop.pay(provider="pivot", **VALID) for _ in range(2)]
    for payout in others:
        await shop.until(payout["id"], "paid")
    assert (await operations(world))["inquire_account"] == 1
    pool = world.gateways[0].pool
    reference = await pool.fetchval("select reference from destination_check")
    assert {row[0] for row in await pool.fetch("select destination_ref from attempt")} == {reference}
    steps = await shop.timeline(first["id"])
    assert "its bank account was checked" in next(s["reason"] for s in steps if s["type"] == "payout.sending")
    assert await pool.fetchval("select count(*) from destination_check where digest like '%1234567890%'") == 0

    stranger = await checking(world, "invalid")
    made = await stranger.pay(provider="pivot", **VALID)
    await stranger.until(made["id"], "paid")
    assert (await operations(world))["inquire_account"] == 2, "one account's answers are no other account's"


async def test_an_old_answer_is_asked_for_again(world):
    shop = await checking(world, "invalid")
    for inquiries in (1, 2):
        made = await shop.pay(provider="pivot", **VALID)
        await shop.until(made["id"], "paid")
        assert (await operations(world))["inquire_account"] == inquiries
        await world.gateways[0].pool.execute("update destination_check set checked_at = now() - interval '31 days'")


async def test_a_lost_answer_is_sent_again_with_the_same_reference(world):
    """The same order gives the same bytes: the reference is stored with the attempt before the first byte."""
    shop = await checking(world, "invalid")
    fault = {"operation": "create_payout", "kind": "drop", "when": "before", "times": 1}
    await world.control("POST", "pivot", "faults", fault)
    made = await shop.pay(provider="pivot", **VALID)
    pool = world.gateways[0].pool
    async with asyncio.timeout(5):
        while await pool.fetchval("select count(*) from attempt") == 0:
            await asyncio.sleep(0.01)
    # Whatever is learnt or lost about the destination meanwhile: the attempt says again what it said first.
    await pool.execute("update destination_check set reference = '00000000-0000-4000-8000-000000000000'")
    await pool.execute("update payout set destination_ref = null")
    paid = await shop.until(made["id"], "paid", "failed", "needs_review", timeout_s=15)
    assert paid["phase"] == "paid", await shop.timeline(made["id"])
    assert len(await world.sent("pivot")) == 1
    assert [row["sends"] for row in await pool.fetch("select sends from attempt")] == [2]


async def test_an_inquiry_that_takes_its_time_is_read_again_not_made_again(world):
    await world.control("PATCH", "pivot", "settings", {"inquiryPendingMs": 300})
    shop = await checking(world, "warning")
    made = await shop.pay(provider="pivot", **VALID)
    # It may come onto a desk meanwhile, since four tries are over quickly here; the answer takes it off again.
    await shop.until(made["id"], "paid", "failed")
    counted = await operations(world)
    assert counted["inquire_account"] == 1
    assert counted["get_inquiry"] >= 1


async def test_without_an_answer_the_milder_policy_pays_unchecked(world):
    shop = await checking(world, "invalid")
    await spoil_inquiries(world, "status", 99, status=503)
    made = await shop.pay(provider="pivot", **VALID)
    await shop.until(made["id"], "paid")
    steps = await shop.timeline(made["id"])
    assert "could not be checked" in next(s["reason"] for s in steps if s["type"] == "payout.sending")
    assert await world.gateways[0].pool.fetchval("select destination_ref from attempt") is None


async def test_without_an_answer_the_stricter_policy_waits_on_a_desk_until_there_is_one(world):
    shop = await checking(world, "warning")
    await spoil_inquiries(world, "drop", None)
    kept, taken_back = [await shop.pay(provider="pivot", **VALID) for _ in range(2)]
    for payout in (kept, taken_back):
        waiting = await shop.until(payout["id"], "needs_review")
        assert "Nothing has left" in waiting["reviewReason"]
        assert waiting["cancelable"] is True
    assert await world.sent("pivot") == []
    status, answer = await shop.call("POST", f"/api/v1/payouts/{taken_back['id']}/cancel", {})
    assert (status, answer["data"]["phase"], answer["data"]["reviewReason"]) == (200, "cancelled", None)
    await world.control("DELETE", "pivot", "faults")
    paid = await shop.until(kept["id"], "paid", "failed")
    assert (paid["phase"], paid["reviewReason"]) == ("paid", None)
    assert len(await world.sent("pivot")) == 1
    types = [step["type"] for step in await shop.timeline(kept["id"])]
    assert types[:4] == ["payout.created", "payout.needs_review", "payout.requeued", "payout.sending"]


async def test_without_a_connection_to_ask_through_each_policy_does_what_it_does_without_an_answer(world):
    milder, stricter, healthy = [await checking(world, policy) for policy in ("invalid", "warning", "invalid")]
    for shop in (milder, stricter):
        await shop.lose_secrets("pivot")
    unchecked, waiting, made = [await shop.pay(provider="pivot", **VALID) for shop in (milder, stricter, healthy)]
    await healthy.until(made["id"], "paid")
    await stricter.until(waiting["id"], "needs_review")
    pool = world.gateways[0].pool
    async with asyncio.timeout(10):
        while await pool.fetchval("select check_outcome from payout where id = $1", unchecked["id"]) != "unanswered":
            await asyncio.sleep(0.02)
    assert len(await world.sent("pivot")) == 1
    assert await failed_rounds(world) == 0


async def failed_rounds(world):
    sample = world.gateways[0].metrics.registry.get_sample_value
    return sample("gateway_rounds_total", {"loop": "destination_checker", "outcome": "error"})


async def test_many_checks_that_nobody_can_make_keep_no_other_from_being_made(world):
    """More than a round asks, all due before the one of somebody else."""
    broken, healthy = [await checking(world, "invalid") for _ in range(2)]
    await broken.lose_secrets("pivot")
    gateway = world.gateways[0]
    await gateway.checker.close()
    for number in range(60):
        await broken.pay(provider="pivot", **BANK | {"bankAccountNumber": f"12345{number:05}"})
    await gateway.checker.round()
    made = await healthy.pay(provider="pivot", **VALID)
    for _ in range(4):
        await gateway.checker.round()
    await healthy.until(made["id"], "paid")


async def test_an_error_of_ours_about_one_check_keeps_no_other_from_being_ruled_on(world, monkeypatch):
    """One answer cannot be stored and one payout cannot be refused: the rest goes on, and the first without its answer."""
    monkeypatch.setattr(destination_checker, "_LEASE_S", 0.05)
    spoilt, healthy = [await checking(world, "invalid") for _ in range(2)]
    pool = world.gateways[0].pool
    unstored = f"connection_id <> '{spoilt.connections['pivot']}' or checked_at is null"
    await pool.execute(f"alter table destination_check add constraint unstored check ({unstored})")
    await pool.execute("alter table payout add constraint unrefused check (amount_minor <> 20000000 or phase <> 'failed')")
    refused = await healthy.pay(provider="pivot", amount=200_000_00, **INVALID)
    unchecked = await spoilt.pay(provider="pivot", **VALID)
    made = await healthy.pay(provider="pivot", **VALID)
    await healthy.until(made["id"], "paid")
    paid = await spoilt.until(unchecked["id"], "paid")
    steps = await spoilt.timeline(paid["id"])
    assert "could not be checked" in next(s["reason"] for s in steps if s["type"] == "payout.sending")
    assert (await healthy.payout(refused["id"]))["phase"] == "queued"
    assert await failed_rounds(world) >= 4


async def test_a_check_that_pivot_forgot_costs_an_attempt_and_no_payout(world):
    shop = await checking(world, "invalid")
    first = await shop.pay(provider="pivot", **VALID)
    await shop.until(first["id"], "paid")
    pool = world.gateways[0].pool
    await pool.execute("update destination_check set reference = '00000000-0000-4000-8000-000000000000'")
    made = await shop.pay(provider="pivot", **VALID)
    paid = await shop.until(made["id"], "paid", "failed", "needs_review")
    assert paid["phase"] == "paid", await shop.timeline(made["id"])
    attempts = await pool.fetch("select state, destination_ref from attempt where payout_id = $1 order by number", made["id"])
    assert [row["state"] for row in attempts] == ["refused", "paid"]
    assert attempts[1]["destination_ref"] is None, "the second names the account itself"
    assert len(await world.sent("pivot")) == 2


async def test_two_gateways_ask_once(world):
    await world.start_gateway()
    await world.start_gateway()
    shop = await checking(world, "invalid")
    made = await asyncio.gather(*(shop.pay(provider="pivot", gateway=n % 2, **VALID) for n in range(10)))
    for payout in made:
        await shop.until(payout["id"], "paid")
    assert (await operations(world))["inquire_account"] == 1
    assert len(await world.sent("pivot")) == 10
