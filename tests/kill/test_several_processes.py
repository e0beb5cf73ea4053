"""Two and three processes on one database: racing for the same keys (F42), started anew one after the other under load (F4),
and PostgreSQL crashing under all of them (F7)."""

import asyncio
import signal
import uuid

from tests.kill.judge import judge

_END_WITHIN_S = 10.0
_KEYS, _CLIENTS = 20, 10


async def test_f42_many_clients_with_the_same_keys(stage):
    """Twenty keys, ten clients each, three processes: twenty payouts, each paid once."""
    for _ in range(3):
        await stage.start()
    wanted = [(uuid.uuid4().hex, stage.transfer(provider=("pivot", "xendit")[n % 2])) for n in range(_KEYS)]
    await asyncio.gather(*(stage.client.pay(body, key) for _ in range(_CLIENTS) for key, body in wanted))
    await stage.settled()
    ended = await judge(stage)
    assert ended == {"paid": _KEYS}


async def test_f4_rolling_restart_under_load(stage):
    """SIGTERM one after the other: clients meet what can be repeated, each process ends in time, everything is paid once."""
    stage.client.patience_s = 10.0  # nobody is stopped here: each request is answered, or its connection closed
    old = [await stage.start(), await stage.start()]
    loading = asyncio.create_task(_load(stage, 8))
    for process in old:
        await asyncio.sleep(0.3)
        await stage.start()
        process.signal(signal.SIGTERM)
        assert await process.ended() < _END_WITHIN_S
        assert process.status == 0
    await loading
    await stage.settled()
    ended = await judge(stage)
    assert ended["failed"] == 0
    # A card's provider that is slow to answer leaves a question, restart or not; every bank transfer has its end.
    assert not await stage.pool.fetch("select id from payout where phase = 'needs_review' and card_id is null")
    # 409: a cancellation that came too late, or a create whose key is in use at this moment.
    retryable = {"200", "201", "409", "503", "ClientConnectorError", "ServerDisconnectedError", "ClientOSError"}
    assert set(stage.client.met) <= retryable, stage.client.met


async def _load(stage, many):
    for _ in range(many):
        await stage.load()
        await asyncio.sleep(0.15)


async def test_f7_postgres_crashes_under_load(own_stage):
    """Ended at once in the middle of its work, twice, and recovered: the gateways connect again, nothing answered is lost."""
    stage, server = own_stage
    await stage.start()
    await stage.start()
    for _ in range(2):
        loading = asyncio.create_task(_load(stage, 4))
        await asyncio.sleep(0.4)
        await server.crash(down_s=0.1)
        await loading
    await stage.settled()
    await judge(stage)
