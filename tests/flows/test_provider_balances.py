"""Balances at providers: read in the background for connections in use, shown with their age, and measured."""

import pytest
from world import BANK

from gateway.loops import SomeFailedError

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


async def test_one_balance_that_cannot_be_read_or_kept_keeps_no_other_from_being_read(world):
    gateway = await world.start_gateway()
    await gateway.balance_reader.close()
    sealed, unkept, *others = [await world.merchant(providers=("pivot",)) for _ in range(4)]
    for shop in (sealed, unkept, *others):
        await shop.pay(provider="pivot", **BANK)
    await sealed.lose_secrets("pivot")
    await gateway.balance_reader.round()
    assert [len(await shown(shop, "pivot")) for shop in (sealed, unkept, *others)] == [0, 1, 1, 1]

    await gateway.pool.execute("truncate provider_balance")
    await gateway.pool.execute("update connection set balance_read_at = null")
    spoilt = f"connection_id <> '{unkept.connections['pivot']}'"
    await gateway.pool.execute(f"alter table provider_balance add constraint spoilt check ({spoilt})")
    with pytest.raises(SomeFailedError, match="1 of the round failed"):
        await gateway.balance_reader.round()
    assert [len(await shown(shop, "pivot")) for shop in (sealed, unkept, *others)] == [0, 0, 1, 1]


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
