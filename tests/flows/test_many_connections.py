"""What goes out in one claim through many connections: nobody waits for the connections of others."""

import asyncio

import pytest
from world import BANK


@pytest.fixture
async def many(world):
    """Three merchants with queued payouts of their own connections, and a gateway that does not send by itself."""
    gateway = await world.start_gateway()
    merchants = [await world.merchant(providers=("xendit",)) for _ in range(3)]
    await gateway.dispatcher.close()
    made = [await merchant.pay(provider="xendit", **BANK) for merchant in merchants]
    return gateway, merchants, made


async def test_their_connections_are_read_in_one_query(many, monkeypatch):
    gateway, merchants, made = many
    asked = []
    read = gateway.connections._rows._flush

    async def count(connection_ids):
        asked.append(set(connection_ids))
        return await read(connection_ids)

    monkeypatch.setattr(gateway.connections._rows, "_flush", count)
    gateway.connections._by_id.clear()
    assert await gateway.dispatcher.round()
    assert asked == [{merchant.connections["xendit"] for merchant in merchants}]
    for merchant, payout in zip(merchants, made, strict=True):
        await merchant.until(payout["id"], "paid")


async def test_one_that_cannot_be_opened_keeps_no_other_from_being_sent(many, world):
    gateway, merchants, made = many
    broken, *others = merchants
    await gateway.pool.execute("update connection set secrets_sealed = '\\x00' where id = $1", broken.connections["xendit"])
    gateway.connections._by_id.clear()
    assert await gateway.dispatcher.round()
    for merchant, payout in zip(others, made[1:], strict=True):
        await merchant.until(payout["id"], "paid")
    async with asyncio.timeout(5):  # nothing has left for it, so it waits in the queue as after any other "not sent"
        while (last := (await broken.timeline(made[0]["id"]))[-1])["type"] != "payout.requeued":
            await asyncio.sleep(0.02)
    assert "its secrets cannot be opened" in last["reason"]
    assert len(await world.sent("xendit")) == len(others)


async def test_one_that_cannot_be_opened_keeps_no_other_from_being_read(many, world):
    """All are sent and no notice is read. The broken one's payout stays open, and is read when its secrets are back."""
    gateway, merchants, made = many
    await gateway.inbox.close()
    await gateway.reconciler.close()
    assert await gateway.dispatcher.round()
    async with asyncio.timeout(5):
        while len(await world.sent("xendit")) < len(merchants):
            await asyncio.sleep(0.02)
    broken, *others = merchants
    connection_id = broken.connections["xendit"]
    secrets = await gateway.pool.fetchval("select secrets_sealed from connection where id = $1", connection_id)
    await gateway.pool.execute("update connection set secrets_sealed = '\\x00' where id = $1", connection_id)

    async def read_until_paid(merchant, payout):
        async with asyncio.timeout(5):
            while (await merchant.payout(payout["id"]))["phase"] != "paid":
                gateway.connections._by_id.clear()
                await gateway.pool.execute("update attempt set check_at = now() where exposure = 'open'")
                await gateway.reconciler.round()

    for merchant, payout in zip(others, made[1:], strict=True):
        await read_until_paid(merchant, payout)
    assert (await broken.payout(made[0]["id"]))["phase"] == "processing"
    await gateway.pool.execute("update connection set secrets_sealed = $2 where id = $1", connection_id, secrets)
    await read_until_paid(broken, made[0])
    assert len(await world.sent("xendit")) == len(merchants)
