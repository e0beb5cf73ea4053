"""A process that stands still in the middle of a transaction (stopped, or its machine is) does not hold up the others for ever.

Its session's locks go when PostgreSQL has waited long enough, wherever in the transaction it stopped.
"""

import asyncio

import pytest
from world import BANK

from gateway.store import database

SOON_S = 0.3
WITHIN_S = 5.0


@pytest.fixture
async def frozen_pool(dsn):
    """Sessions as every process opens them, only that PostgreSQL waits a shorter time for them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "_IDLE_IN_TRANSACTION_S", SOON_S)
        patch.setattr(database, "_TRANSACTION_S", SOON_S)
        pool = await database.open_pool(dsn, size=1)
    yield pool
    pool.terminate()


@pytest.mark.parametrize(
    ("where", "seen"), [("between two statements", "idle in transaction"), ("before a statement is executed", "active")]
)
async def test_what_a_frozen_process_had_locked_can_be_paid(world, frozen_pool, where, seen):
    gateway = await world.start_gateway(roles="api")
    merchant = await world.merchant()
    payout = await merchant.pay(**BANK)
    session = await frozen_pool.acquire()
    await session.execute("begin")
    await session.fetchrow("select id from payout where id = $1 for update", payout["id"])
    if where == "before a statement is executed":
        await session.prepare("select count(*) from payout")  # as every statement begins the first time
    state, waits = await gateway.pool.fetchrow(
        "select state, wait_event from pg_stat_activity where pid = $1", session.get_server_pid()
    )
    assert (state, waits) == (seen, "ClientRead"), "it waits for its process, and holds its locks"
    async with asyncio.timeout(WITHIN_S):
        await gateway.pool.execute("update payout set due_at = now() where id = $1", payout["id"])
