"""Cancelling at Xendit: stopped while it is ACCEPTED there, and believed only by its status when it is too late."""

import asyncio
from dataclasses import replace

import pytest
from world import BANK, QUICK

_XENDIT = QUICK["xendit"]
# Nothing but the wish to cancel makes the gateway read again.
UNREAD = QUICK | {"xendit": replace(_XENDIT, contract=replace(_XENDIT.contract, poll_after_s=(60.0,)))}
HELD = BANK | {"bankAccountNumber": "131313"}  # the sheet's own test account: stays ACCEPTED


@pytest.fixture
async def waiting(world):
    """(merchant, payout) that Xendit has and keeps in ACCEPTED."""
    gateway = await world.start_gateway(UNREAD)
    shop = await world.merchant(providers=("xendit",))
    made = await shop.pay(provider="xendit", **HELD)
    async with asyncio.timeout(5):
        while await gateway.pool.fetchval("select state from attempt") != "pending":
            await asyncio.sleep(0.02)
    assert (await shop.payout(made["id"]))["cancelable"] is True
    return shop, made["id"]


async def cancel(shop, payout_id):
    status, answer = await shop.call("POST", f"/api/v1/payouts/{payout_id}/cancel", {})
    assert (status, answer["data"]["status"], answer["data"]["cancelRequested"]) == (200, "pending", True), answer


async def provider_ref(world):
    return await world.gateways[0].pool.fetchval("select provider_ref from attempt")


async def money(world):
    """(what Xendit's ledger says happened to money, what its balance is in rupiah)."""
    lines = (await world.control("GET", "xendit", "ledger?limit=100"))["lines"]
    [merchant] = (await world.control("GET", "xendit", "merchants"))["merchants"]
    return [(line["kind"], line["amount"]) for line in lines], int(merchant["balance"])


async def test_while_accepted(world, waiting):
    shop, payout_id = waiting
    before = await shop.balance()
    assert before["locked"] == 150_000_00
    assert await money(world) == ([], 10**12 - 150_000), "held at Xendit, not sent"
    await cancel(shop, payout_id)
    cancelled = await shop.until(payout_id, "cancelled")
    assert cancelled["status"] == "cancelled"
    after = await shop.balance()
    assert (after["locked"], after["available"]) == (0, before["available"] + 150_000_00)
    assert await money(world) == ([], 10**12)
    types = [step["type"] for step in await shop.timeline(payout_id)]
    assert types == ["payout.created", "payout.sending", "payout.pending", "payout.cancel_requested", "payout.cancelled"]
    assert (await world.control("GET", "xendit", "requests"))["operations"]["cancel_payout"] == 1


@pytest.mark.parametrize("refused", [400, 409])
async def test_too_late_and_it_goes_on_to_be_paid(world, waiting, refused):
    """E-1: whatever Xendit answers, the payout is read; it has left, so it is paid once and nothing is released before."""
    shop, payout_id = waiting
    await world.control("PATCH", "xendit", "settings", {"cancelRefused": refused})
    await world.control("POST", "xendit", "faults", {"operation": "webhook", "kind": "never", "times": 9})
    ref = await provider_ref(world)
    await world.control("POST", "xendit", f"payouts/{ref}/advance", {"to": "REQUESTED", "hold": True})
    await cancel(shop, payout_id)
    async with asyncio.timeout(5):
        while (await shop.payout(payout_id))["status"] != "in_transit":
            await asyncio.sleep(0.02)
    payout = await shop.payout(payout_id)
    assert (payout["phase"], payout["cancelable"]) == ("processing", False)
    assert (await shop.balance())["locked"] == 150_000_00
    assert (await world.control("GET", "xendit", "requests"))["operations"]["cancel_payout"] == 1

    await world.control("DELETE", "xendit", "faults")
    await world.control("POST", "xendit", f"payouts/{ref}/advance", {"to": "SUCCEEDED"})
    paid = await shop.until(payout_id, "paid")
    assert paid["status"] == "paid"
    assert (await shop.balance())["locked"] == 0
    assert await money(world) == ([("sent", "150000")], 10**12 - 150_000)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_lost_answer_to_a_cancel_is_settled_by_reading(world, waiting, when):
    shop, payout_id = waiting
    await world.control("POST", "xendit", "faults", {"operation": "cancel_payout", "kind": "drop", "when": when, "times": 9})
    await cancel(shop, payout_id)
    if when == "after":
        await shop.until(payout_id, "cancelled")
        assert (await shop.balance())["locked"] == 0
        assert await money(world) == ([], 10**12)
        return
    await asyncio.sleep(0.5)
    assert (await shop.payout(payout_id))["phase"] == "processing"
    assert (await shop.balance())["locked"] == 150_000_00
    assert await money(world) == ([], 10**12 - 150_000)
