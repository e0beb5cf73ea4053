"""The database refuses exactly the moves that the lifecycle does not know, and every rewriting of what was sent."""

import asyncio
import itertools

import asyncpg
import pytest
from world import BANK

from gateway.lifecycle import MARKS, REOPENED, RESOLVED, TABLE
from schemas.payout import AttemptState


def moves():
    """Every move of an attempt that any part of the lifecycle can make."""
    by_table = {(state, cell.next_state) for state, row in TABLE.items() for cell in row.values() if cell.next_state}
    by_person = {(state, AttemptState(progress.value)) for progress, states in MARKS.items() for state in states}
    at_desk = {(state, target) for state, targets in RESOLVED.items() for target in targets.values()}
    reopened = {(state, AttemptState.PAID) for state in REOPENED}
    return {(before, after) for before, after in by_table | by_person | at_desk | reopened if before is not after}


async def test_attempts_move_as_the_lifecycle_says(dsn):
    connection = await asyncpg.connect(dsn)
    try:
        allowed = {
            pair
            for pair in itertools.permutations(AttemptState, 2)
            if await connection.fetchval("select attempt_may_move($1, $2)", *pair)
        }
    finally:
        await connection.close()
    assert allowed == moves()


@pytest.mark.parametrize(
    ("statement", "complaint"),
    [
        ("update attempt set state = 'sending'", "may not move"),
        ("update attempt set key = 'other'", "never rewritten"),
        ("update attempt set state = 'failed', exposure = 'closed'", "check constraint"),
        ("update attempt set state = 'failed', exposure = 'closed', evidence_id = 999999", "foreign key"),
        ("update payout set amount_minor = amount_minor + 1", "never rewritten"),
        ("update payout set phase = 'paid'", "without an event"),
        ("update payout set phase = 'failed', seq = seq + 1, head = 'x'", "money of an attempt may be out"),
        ("update payout set phase = 'queued', seq = seq + 1, head = 'x'", "money of an attempt may be out"),
        ("update payout set connection_id = 'other', seq = seq + 1, head = 'x'", "money of an attempt may be out"),
        ("delete from payout", "history"),
        ("delete from attempt", "history"),
        ("delete from report", "history"),
        ("truncate event", "history"),
        ("truncate report cascade", "history"),
        ("truncate ledger_entry", "history"),
        ("truncate attempt cascade", "history"),
    ],
)
async def test_the_database_refuses_it_even_when_the_code_asks(world, shop, statement, complaint):
    await shop.pay(provider="manual", **BANK)
    pool = world.gateways[0].pool
    async with asyncio.timeout(5):
        while not await pool.fetchval("select count(*) from attempt where state = 'pending'"):
            await asyncio.sleep(0.02)
    with pytest.raises(asyncpg.PostgresError, match=complaint):
        await pool.execute(statement)


async def test_a_final_payout_is_never_reopened(world, shop):
    made = await shop.pay(provider="pivot", **BANK | {"bankAccountNumber": "999966660003"})
    await shop.until(made["id"], "failed")
    for phase in ("queued", "processing", "needs_review", "paid", "cancelled"):
        with pytest.raises(asyncpg.CheckViolationError, match="may not move"):
            await world.gateways[0].pool.execute("update payout set phase = $1, seq = seq + 1, head = 'x'", phase)
