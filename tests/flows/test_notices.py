"""Notices: early, twice, forged, lost, out of order. They speed things up; the truth does not depend on them."""

import asyncio
import uuid

import pytest
from world import BANK


async def fault(world, provider, kind, times=None, **params):
    await world.control("POST", provider, "faults", {"operation": "webhook", "kind": kind, "times": times, "params": params})


@pytest.mark.parametrize("kind", ["twice", "before_answer", "never", "forged", "invented_status"])
async def test_whatever_the_webhooks_do_the_payout_is_paid_once(world, shop, kind):
    for provider in ("pivot", "mollie", "plexy"):
        await fault(world, provider, kind, times=20)
    card = await shop.save_card() if kind in {"twice", "before_answer"} else None
    made = [
        await shop.pay(provider="pivot", **BANK),
        await shop.pay(amount=250_00, currency="EUR", destination={"type": "balance"}, provider="mollie"),
    ]
    if card:
        made.append(await shop.pay(amount=5_000_00, currency="KZT", destination={"type": "card", "cardId": card}))
    for payout in made:
        end = await shop.until(payout["id"], "paid", "failed", "needs_review", timeout_s=15)
        assert end["phase"] == "paid", await shop.timeline(payout["id"])
    assert len(await world.sent("pivot")) == len(await world.sent("mollie")) == 1
    assert len(await world.sent("plexy")) == (1 if card else 0)
    for payout in made:
        steps = await shop.timeline(payout["id"])
        assert [s["type"] for s in steps].count("payout.paid") == 1
        assert [s["seq"] for s in steps] == list(range(1, len(steps) + 1))


async def test_forged_notices_change_nothing_and_are_not_stored(world, shop):
    made = await shop.pay(provider="manual", **BANK)
    for provider, connection_id in shop.connections.items():
        for headers in (
            {},
            {"Authorization": "Bearer wrong", "X-API-Key": "wrong", "X-Mollie-Signature": "sha256=" + "0" * 64},
            {"Authorization": "", "X-API-Key": "", "X-Mollie-Signature": ""},
        ):
            status, answer = await shop.call(
                "POST", f"/webhooks/{provider}/{connection_id}", {"event": "PAYOUT.SUCCESS"}, headers=headers
            )
            assert (status, answer["error"]["code"]) == (401, "invalid_signature")
    status, _ = await shop.call("POST", f"/webhooks/pivot/conn_{'0' * 32}", {})
    assert status == 401
    assert await world.gateways[0].pool.fetchval("select count(*) from notice") == 0
    assert (await shop.payout(made["id"]))["status"] == "pending"


async def test_invented_connections_cost_nobody_an_access_token(world, shop):
    """A connection is looked up before its proof, so anyone may ask for any: they must not drive out those that are there."""
    connections = world.gateways[0].connections
    connections._by_id._at_most, connections._by_id._for_s = 20, 0.0
    known = await connections.get(shop.connections["pivot"])
    for _ in range(40):
        status, _ = await shop.call("POST", f"/webhooks/pivot/conn_{uuid.uuid4().hex}", {})
        assert status == 401
    assert (await connections.get(shop.connections["pivot"])).connector is known.connector


async def test_a_notice_is_a_hint_where_only_a_static_secret_proves_it(world, shop):
    """A caller who knows Pivot's static key says SUCCESS: Pivot is asked, and its answer counts."""
    await world.control("PATCH", "pivot", "settings", {"doneAfterMs": 60_000})
    made = await shop.pay(provider="pivot", **BANK)
    await shop.until(made["id"], "processing")
    gateway = world.gateways[0]
    async with asyncio.timeout(5):
        while (await gateway.pool.fetchval("select state from attempt")) != "pending":
            await asyncio.sleep(0.02)
    key = await gateway.pool.fetchval("select key from attempt")
    secret = (await gateway.connections.get(shop.connections["pivot"])).connector
    body = {
        "event": "PAYOUT.SUCCESS",
        "data": {
            "uuid": "00000000-0000-4000-8000-000000000001",
            "merchantId": "x",
            "payouts": {
                "referenceId": key,
                "amount": {"currency": "IDR", "value": "150000"},
                "status": "SUCCESS",
                "reason": "",
            },
        },
    }
    assert secret is not None
    path = f"/webhooks/pivot/{shop.connections['pivot']}"
    status, _ = await shop.call("POST", path, body, headers={"X-API-Key": await callback_key(gateway, shop)})
    assert status == 200
    await asyncio.sleep(0.5)
    assert (await shop.payout(made["id"]))["phase"] == "processing"


async def callback_key(gateway, shop):
    import orjson

    from gateway.sealing import connection_place
    from gateway.store.accounts import find_connection

    row = await find_connection(gateway.pool, shop.connections["pivot"])
    return orjson.loads(gateway.seal.open(row.secrets_sealed, connection_place(row.account_id, row.id)))["callback_key"]
