"""Stopping a gateway: nothing new is begun, and what has left is heard to its end, whoever else is slow meanwhile."""

import asyncio
from pathlib import Path

import asyncpg
from world import BANK, MASTER_KEY

from gateway import running
from gateway.settings import Settings


async def test_a_client_that_never_ends_its_request_costs_no_answer_of_a_provider(world, monkeypatch):
    """It needs no key for that. The loops stop claiming at once, and requests are not waited for as long as a stop takes."""
    settings = Settings(port=0, poll_s=0.03, pool_size=4, data_dir=Path(world.data_dir) / "gateway")
    async with running.gateway(settings, world.dsn, MASTER_KEY) as gateway:
        world.gateways.append(gateway)
        merchant = await world.merchant(providers=("xendit",))
        connection = await gateway.connections.get(merchant.connections["xendit"])
        submit = type(connection.connector).submit

        async def answers_after_a_while(self, submission_id, orders):
            answer = await submit(self, submission_id, orders)
            await asyncio.sleep(0.6)
            return answer

        monkeypatch.setattr(type(connection.connector), "submit", answers_after_a_while)
        await asyncio.gather(*(merchant.pay(provider="xendit", **BANK) for _ in range(120)))
        _, client = await asyncio.open_connection("127.0.0.1", gateway.port)
        client.write(
            b"POST /api/v1/payouts HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer nobody\r\n"
            b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
        )
        await client.drain()
        await asyncio.sleep(0.3)
        claimed = await gateway.pool.fetchval("select count(*) from attempt")
    world.gateways.clear()
    client.close()
    assert not gateway.dispatcher._sending, "every send was heard to its end"
    connection = await asyncpg.connect(world.dsn)
    try:
        assert await connection.fetchval("select count(*) from attempt where state = 'sending'") == 0
        assert await connection.fetchval("select count(*) from attempt") <= claimed + 50, "at most the round that was under way"
    finally:
        await connection.close()
