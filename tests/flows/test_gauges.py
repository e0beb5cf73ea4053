"""Gauges when their queries fail: what was seen last stays, the others go on, and the failure is counted."""

import asyncio

import pytest
from world import BANK

QUEUED = {"provider": "xendit", "phase": "queued"}


@pytest.fixture
async def queued(world):
    """(gateway, merchant) with one payout that nobody sends, already counted, and nobody who fills the gauges but the test."""
    gateway = await world.start_gateway()
    merchant = await world.merchant(providers=("xendit",))
    await gateway.dispatcher.close()
    await gateway.gauges.close()
    await merchant.pay(provider="xendit", **BANK)
    await gateway.gauges.fill()
    return gateway, merchant


async def test_a_gauge_whose_query_fails_keeps_its_value_and_no_other_from_being_filled(queued):
    gateway, _ = queued
    sample = gateway.metrics.registry.get_sample_value
    assert sample("gateway_payouts_open", QUEUED) == 1
    assert sample("gateway_connections_paused", {"provider": "xendit"}) == 0
    await gateway.pool.execute("update connection set paused_until = now() + interval '1 hour', paused_reason = 'a test'")
    await gateway.pool.execute("alter table payout rename to payout_gone")
    with pytest.raises(ExceptionGroup, match="keep what they said last"):
        await gateway.gauges.fill()
    await gateway.pool.execute("alter table payout_gone rename to payout")
    assert sample("gateway_payouts_open", QUEUED) == 1
    assert sample("gateway_queue_age_seconds", QUEUED) > 0
    assert sample("gateway_connections_paused", {"provider": "xendit"}) == 1


async def test_a_scrape_never_meets_a_gauge_that_is_empty(world, queued):
    gateway, _ = queued
    filling = asyncio.create_task(gateway.gauges.fill())
    met = []
    while not filling.done():
        met.append(gateway.metrics.registry.get_sample_value("gateway_payouts_open", QUEUED))
        await asyncio.sleep(0)
    await filling
    assert len(met) > 10
    assert set(met) == {1}


async def test_what_is_over_is_shown_no_more(queued):
    gateway, merchant = queued
    sample = gateway.metrics.registry.get_sample_value
    [payout_id] = [row["id"] for row in await gateway.pool.fetch("select id from payout")]
    status, _ = await merchant.call("POST", f"/api/v1/payouts/{payout_id}/cancel", {})
    assert status == 200
    await gateway.gauges.fill()
    assert sample("gateway_payouts_open", QUEUED) is None
    assert sample("gateway_queue_age_seconds", QUEUED) is None


async def test_gauges_that_cannot_be_filled_are_a_failed_round(world):
    gateway = await world.start_gateway(roles="api")
    await gateway.pool.execute("alter table incident rename to incident_gone")
    gateway.gauges.wake()
    async with asyncio.timeout(5):
        while not gateway.metrics.registry.get_sample_value("gateway_rounds_total", {"loop": "gauges", "outcome": "error"}):
            await asyncio.sleep(0.02)
    await gateway.pool.execute("alter table incident_gone rename to incident")
