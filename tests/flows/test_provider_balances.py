"""Balances at providers: read in the background for connections in use, shown with their age, and measured."""

import pytest
from world import BANK

EUR_PAYOUT = {"amount": 250_00, "currency": "EUR", "destination": {"type": "balance"}, "provider": "mollie"}


async def shown(shop, provider):
    status, answer = await shop.call("GET", "/api/v1/providers")
    assert status == 200
    [found] = [p for p in answer["data"] if p["provider"] == provider]
    [connection] = found["connections"]
    return connection["balances"]


async def test_a_balance_is_read_for_connections_in_use_and_not_more_often_than_needed(world, shop):
    gateway = world.gateways[0]
    await gateway.balance_reader.round()
    assert await shown(shop, "pivot") == [], "nobody has paid through it yet"
    made = await shop.pay(provider="pivot", **BANK)
    await shop.until(made["id"], "paid")
    before = (await world.control("GET", "pivot", "requests"))["operations"]
    assert "get_balance" not in before, "no request of a merchant reads it"
    for _ in range(3):
        await gateway.balance_reader.round()
    assert (await world.control("GET", "pivot", "requests"))["operations"]["get_balance"] == 1
    [balance] = await shown(shop, "pivot")
    assert (balance["currency"], balance["amount"]) == ("IDR", (10**12 - 150_000) * 100)
    assert balance["ageSeconds"] < 60
    await gateway.gauges.fill()
    sample = gateway.metrics.registry.get_sample_value("gateway_provider_balance", {"provider": "pivot", "currency": "IDR"})
    assert sample == 10**12 - 150_000
    stranger = await world.merchant(providers=("pivot",))
    assert await shown(stranger, "pivot") == []


@pytest.mark.parametrize("allowed", [False, True])
async def test_mollie_shows_its_balance_only_to_those_who_may_read_it(world, shop, allowed):
    await world.control("PATCH", "mollie", "settings", {"apiKeyReadsBalances": allowed})
    made = await shop.pay(**EUR_PAYOUT)
    await shop.until(made["id"], "paid")
    await world.gateways[0].balance_reader.round()
    amounts = [balance["amount"] for balance in await shown(shop, "mollie")]
    assert amounts == ([100_000_000_00 - 250_00] if allowed else [])


async def test_xendit_is_asked_in_the_currency_of_its_key(world):
    gateway = await world.start_gateway()
    shop = await world.merchant(providers=("xendit",))
    made = await shop.pay(provider="xendit", **BANK)
    await shop.until(made["id"], "paid")
    await gateway.pool.execute("update connection set balance_read_at = null")  # the loop may have read it before the payout
    await gateway.balance_reader.round()
    [balance] = await shown(shop, "xendit")
    assert (balance["currency"], balance["amount"]) == ("IDR", (10**12 - 150_000) * 100)
    await gateway.gauges.fill()
    sample = gateway.metrics.registry.get_sample_value("gateway_provider_balance", {"provider": "xendit", "currency": "IDR"})
    assert sample == 10**12 - 150_000
