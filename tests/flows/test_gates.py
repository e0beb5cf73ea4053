"""Pace and circuit in the flow: the provider's own request counter is the judge."""

import asyncio
import time
from dataclasses import replace

from world import BANK, QUICK


async def creates(world, provider):
    return (await world.control("GET", provider, "requests"))["operations"].get("create_payout", 0)


async def test_a_paced_connection_sends_no_faster_than_its_rate(world):
    plexy = QUICK["plexy"]
    paced = {**QUICK, "plexy": replace(plexy, contract=replace(plexy.contract, rate_per_s=4))}
    await world.start_gateway(paced)
    merchant = await world.merchant(providers=("plexy",))
    card = await merchant.save_card()
    started = time.monotonic()
    made = [
        await merchant.pay(amount=5_000_00, currency="KZT", destination={"type": "card", "cardId": card}) for _ in range(12)
    ]
    await asyncio.sleep(1.0)
    assert await creates(world, "plexy") <= 4 + 4 * (time.monotonic() - started)
    for payout in made:
        await merchant.until(payout["id"], "paid", timeout_s=15)
    assert time.monotonic() - started > (12 - 4) / 4 - 0.1
    assert len(await world.sent("plexy")) == 12


async def test_too_many_requests_are_waited_out_and_fail_nothing(world, shop):
    await world.control("POST", "pivot", "faults", {
        "operation": "create_payout", "kind": "status", "when": "before", "times": 2,
        "params": {"status": 429, "headers": {"Retry-After": "1"}},
    })  # fmt: skip
    made = await shop.pay(provider="pivot", **BANK)
    await shop.until(made["id"], "paid", timeout_s=15)
    assert await creates(world, "pivot") == 3
    assert len(await world.sent("pivot")) == 1


async def test_an_open_circuit_keeps_payouts_in_the_queue(world):
    """The provider answers nothing: after a few tries no more payouts are put at risk of an unknown outcome."""
    gateway = await world.start_gateway()
    merchant = await world.merchant(providers=("plexy",))
    card = await merchant.save_card()
    await world.control("POST", "plexy", "faults", {"operation": "create_payout", "kind": "drop", "when": "before"})
    for _ in range(10):
        await merchant.pay(amount=5_000_00, currency="KZT", destination={"type": "card", "cardId": card})
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)
    assert gateway.dispatcher.gates.open_circuits() == ["plexy"]
    assert await creates(world, "plexy") == 5
    assert await gateway.pool.fetchval("select count(*) from payout where phase = 'queued'") == 5
    await world.control("DELETE", "plexy", "faults")
    async with asyncio.timeout(15):
        while await gateway.pool.fetchval("select count(*) from payout where phase = 'paid'") < 5:
            await asyncio.sleep(0.1)
    assert gateway.dispatcher.gates.open_circuits() == []
    assert len(await world.sent("plexy")) == 5
