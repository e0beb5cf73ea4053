"""When nobody knows: the answer was lost, before or after the money moved. One effect, and an honest state until then."""

import asyncio

import pytest
from world import BANK

SPOILT = [
    ("drop", {}),
    ("half_body", {}),
    ("wrong_content_type", {}),
    ("status", {"status": 500}),
    ("status", {"status": 503}),
    ("hang", {"ms": 300}),
    ("redirect", {}),
]
IDS = [f"{kind}{params.get('status', '')}" for kind, params in SPOILT]


async def spoil(world, provider, operation, kind, when, params, times=1):
    await world.control(
        "POST", provider, "faults", {"operation": operation, "kind": kind, "when": when, "times": times, "params": params}
    )


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("kind", "params"), SPOILT, ids=IDS)
async def test_pivot_pays_once_whatever_happens_to_the_answer(world, shop, kind, params, when):
    await spoil(world, "pivot", "create_payout", kind, when, params)
    made = await shop.pay(provider="pivot", **BANK)
    paid = await shop.until(made["id"], "paid", "failed", "needs_review", timeout_s=15)
    assert paid["phase"] == "paid", await shop.timeline(made["id"])
    [line] = await world.sent("pivot")
    assert line["amount"] == "150000"
    steps = await shop.timeline(made["id"])
    if kind != "hang":  # while the answer hangs, the webhook may already bring the truth
        assert "payout.unconfirmed" in [step["type"] for step in steps]
    assert {step["attemptId"] for step in steps if step["attemptId"]} == {steps[-1]["attemptId"]}, "one attempt, one key"


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("kind", "params"), SPOILT, ids=IDS)
async def test_mollie_pays_once_whatever_happens_to_the_answer(world, shop, kind, params, when):
    await spoil(world, "mollie", "create_payout", kind, when, params)
    made = await shop.pay(amount=250_00, currency="EUR", destination={"type": "balance"}, provider="mollie")
    paid = await shop.until(made["id"], "paid", "failed", "needs_review", timeout_s=15)
    assert paid["phase"] == "paid", await shop.timeline(made["id"])
    assert len(await world.sent("mollie")) == 1


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("kind", "params"), SPOILT, ids=IDS)
async def test_plexy_is_never_asked_twice(world, shop, kind, params, when):
    """Plexy knows no key: a lost answer is not sent again. The payout waits, with its money reserved."""
    card = await shop.save_card()
    await spoil(world, "plexy", "create_payout", kind, when, params)
    made = await shop.pay(amount=5_000_00, currency="KZT", destination={"type": "card", "cardId": card})
    await asyncio.sleep(0.8)
    payout = await shop.payout(made["id"])
    assert payout["status"] == "pending"
    assert payout["phase"] in {"processing", "needs_review"}
    assert (await shop.balance("KZT"))["locked"] == 5_000_00
    assert len(await world.sent("plexy")) == (1 if when == "after" else 0)
    counted = (await world.control("GET", "plexy", "requests"))["operations"]
    assert counted["create_payout"] == 1


async def test_a_provider_that_is_down_gets_it_when_it_is_back(world, shop):
    """Connection refused proves that nothing was sent: the payout waits in the queue and goes out with a new attempt."""
    from gateway.store.accounts import find_connection

    gateway = world.gateways[0]
    row = await find_connection(gateway.pool, shop.connections["pivot"])
    real = row.settings["base_url"]
    await set_base_url(gateway, row.id, "http://127.0.0.1:1")
    made = await shop.pay(provider="pivot", **BANK)
    async with asyncio.timeout(10):
        while "payout.requeued" not in [s["type"] for s in await shop.timeline(made["id"])]:
            await asyncio.sleep(0.05)
    assert (await shop.balance())["locked"] == 150_000_00
    await set_base_url(gateway, row.id, real)
    await shop.until(made["id"], "paid", timeout_s=15)
    assert len(await world.sent("pivot")) == 1


async def set_base_url(gateway, connection_id, url):
    await gateway.pool.execute(
        "update connection set settings = jsonb_set(settings, '{base_url}', to_jsonb($2::text)) where id = $1",
        connection_id,
        url,
    )


async def test_wrong_credentials_pause_the_connection_and_fail_no_payout(world, shop):
    # Twice: the first refusal only makes the connector fetch a new access token.
    await spoil(world, "pivot", "create_payout", "status", "before", {"status": 401}, times=2)
    made = await shop.pay(provider="pivot", **BANK)
    async with asyncio.timeout(10):
        while "payout.requeued" not in [s["type"] for s in await shop.timeline(made["id"])]:
            await asyncio.sleep(0.05)
    assert (await shop.payout(made["id"]))["phase"] == "queued"
    assert (await shop.balance())["locked"] == 150_000_00
    paused = await world.gateways[0].pool.fetchval("select paused_reason from connection where paused_until > now()")
    assert paused
