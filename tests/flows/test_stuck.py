"""Silent stuck states: a provider that has a payout, does not move it and says no word. A person is told, no money moves."""

import asyncio
from dataclasses import replace

from world import BANK, QUICK

NO_FUNDS_ACCOUNT = "999966660007"  # Pivot sheet, section 12


def alarming(provider, after_s=0.4):
    """The quick providers, of which one raises its alarm soon."""
    quick = QUICK[provider]
    return QUICK | {provider: replace(quick, contract=replace(quick.contract, pending_alarm_s=after_s))}


async def test_a_payout_that_waits_for_a_top_up_comes_onto_a_desk_and_off_it_again(world):
    """V-10: no error anywhere, the money stays reserved, nothing is sent again; the dashboard's retry pays it."""
    gateway = await world.start_gateway(alarming("pivot"))
    shop = await world.merchant()
    made = await shop.pay(provider="pivot", **BANK | {"bankAccountNumber": NO_FUNDS_ACCOUNT})
    stuck = await shop.until(made["id"], "needs_review")
    assert stuck["status"] == "pending"
    assert "APPROVED" in stuck["reviewReason"]
    assert "top it up" in stuck["reviewReason"]
    assert "needs_review" in (await shop.timeline(made["id"]))[-1]["type"]
    assert (await shop.balance())["locked"] == 150_000_00
    assert await gateway.pool.fetchval("select exposure from attempt") == "open"
    await gateway.gauges.fill()
    oldest = gateway.metrics.registry.get_sample_value("gateway_attempt_age_seconds", {"provider": "pivot", "state": "pending"})
    assert oldest >= 0.4
    counted = (await world.control("GET", "pivot", "requests"))["operations"]
    assert counted["create_payout"] == 1

    key = await gateway.pool.fetchval("select key from attempt")
    await world.control("POST", "pivot", f"payouts/{key}/advance", {"to": "SUCCESS"})
    paid = await shop.until(made["id"], "paid")
    assert paid["reviewReason"] is None
    assert (await shop.balance())["locked"] == 0
    assert len(await world.sent("pivot")) == 1


async def test_mollie_waits_for_the_business_day_without_an_alarm_and_then_with_one(world):
    await world.control("PATCH", "mollie", "settings", {"businessDay": 60_000})
    gateway = await world.start_gateway(alarming("mollie", after_s=1.0))
    shop = await world.merchant()
    made = await shop.pay(amount=250_00, currency="EUR", destination={"type": "balance"}, provider="mollie")
    async with asyncio.timeout(5):
        while await gateway.pool.fetchval("select state from attempt") != "pending":
            await asyncio.sleep(0.02)
    assert (await shop.payout(made["id"]))["phase"] == "processing"
    stuck = await shop.until(made["id"], "needs_review")
    assert "requested" in stuck["reviewReason"]
    assert "next business day" in stuck["reviewReason"]
