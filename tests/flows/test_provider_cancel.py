"""Cancelling what a provider already has: it is asked outside the request, and only what it says afterwards is believed."""

import asyncio
from dataclasses import replace

import pytest
from world import BANK, QUICK

_MOLLIE = QUICK["mollie"]
# Nothing but the wish to cancel makes the gateway read again.
UNREAD = QUICK | {"mollie": replace(_MOLLIE, contract=replace(_MOLLIE.contract, poll_after_s=(60.0,)))}
PAYOUT = {"amount": 250_00, "currency": "EUR", "destination": {"type": "balance"}, "provider": "mollie"}


@pytest.fixture
async def waiting(world):
    """(merchant, payout) that Mollie has and will not execute before the next business day, a minute from now."""
    await world.control("PATCH", "mollie", "settings", {"businessDay": 60_000})
    gateway = await world.start_gateway(UNREAD)
    shop = await world.merchant()
    made = await shop.pay(**PAYOUT)
    async with asyncio.timeout(5):
        while await gateway.pool.fetchval("select state from attempt") != "pending":
            await asyncio.sleep(0.02)
    return shop, made["id"]


async def cancel(shop, payout_id, key=None):
    return await shop.call("POST", f"/api/v1/payouts/{payout_id}/cancel", {}, key=key)


async def test_while_requested(world, waiting):
    shop, payout_id = waiting
    before = await shop.payout(payout_id)
    assert (before["cancelable"], before["cancelRequested"]) == (True, False)
    await world.control(
        "POST", "mollie", "faults", {"operation": "cancel_payout", "kind": "slow", "times": 1, "params": {"ms": 300}}
    )
    status, answer = await cancel(shop, payout_id, key="c1")
    asked = answer["data"]
    assert (status, asked["status"], asked["cancelable"], asked["cancelRequested"]) == (200, "pending", False, True)
    assert (await shop.balance("EUR"))["locked"] == 250_00, "nothing is released before Mollie says so"
    again, other = await cancel(shop, payout_id, key="c1"), await cancel(shop, payout_id, key="c2")
    assert (again[0], again[1]["meta"]["idempotentReplayed"]) == (200, True)
    assert (other[0], other[1]["error"]["code"]) == (409, "state_conflict")
    cancelled = await shop.until(payout_id, "cancelled")
    assert cancelled["status"] == "cancelled"
    assert (await shop.balance("EUR"))["locked"] == 0
    assert await world.sent("mollie") == []
    types = [step["type"] for step in await shop.timeline(payout_id)]
    assert types == ["payout.created", "payout.sending", "payout.pending", "payout.cancel_requested", "payout.cancelled"]
    counted = (await world.control("GET", "mollie", "requests"))["operations"]
    assert counted["cancel_payout"] == 1


async def test_too_late(world, waiting):
    """409 from Mollie: the payout goes on, and nobody believes that it was cancelled."""
    shop, payout_id = waiting
    await world.control("POST", "mollie", "faults", {"operation": "webhook", "kind": "never", "times": 9})
    provider_ref = await world.gateways[0].pool.fetchval("select provider_ref from attempt")
    await world.control("POST", "mollie", f"payouts/{provider_ref}/advance", {"to": "initiated", "hold": True})
    status, _ = await cancel(shop, payout_id)
    assert status == 200
    async with asyncio.timeout(5):
        while (await shop.payout(payout_id))["status"] != "in_transit":
            await asyncio.sleep(0.02)
    payout = await shop.payout(payout_id)
    assert (payout["phase"], payout["cancelable"]) == ("processing", False)
    kept = await world.gateways[0].pool.fetchval("select detail->>'reason' from report where source = 'reconciler: cancel'")
    assert "409" in kept


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_lost_answer_to_a_cancel_is_settled_by_reading(world, waiting, when):
    shop, payout_id = waiting
    await world.control("POST", "mollie", "faults", {"operation": "webhook", "kind": "never", "times": 9})
    await world.control("POST", "mollie", "faults", {"operation": "cancel_payout", "kind": "drop", "when": when, "times": 9})
    await cancel(shop, payout_id)
    if when == "after":
        await shop.until(payout_id, "cancelled")
        return
    await asyncio.sleep(0.5)
    assert (await shop.payout(payout_id))["phase"] == "processing"
    assert (await shop.balance("EUR"))["locked"] == 250_00


async def test_providers_without_cancel_say_so(shop):
    made = await shop.pay(provider="pivot", **BANK | {"bankAccountNumber": "999966660007"})
    async with asyncio.timeout(5):
        while (await shop.payout(made["id"]))["phase"] != "processing":
            await asyncio.sleep(0.02)
    assert (await shop.payout(made["id"]))["cancelable"] is False
    status, answer = await cancel(shop, made["id"])
    assert (status, answer["error"]["code"]) == (409, "state_conflict")
