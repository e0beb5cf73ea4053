"""Planted bugs of how things are written down: B9, B11, B12, B14, B19."""

import asyncio
import contextlib
from dataclasses import replace
from typing import Any

import asyncpg

from gateway import app, apply, lifecycle
from gateway.store import database
from schemas.payout import AttemptState, Phase
from tests.prove.patching import Bug, Patching, rewrite


def _b9_no_compare_and_set(patch: Patching) -> None:
    record_changes = apply.record_changes

    async def overwrite(pool: Any, changes: Any) -> set[str]:
        records = await pool.fetch("select id, seq from payout where id = any ($1)", [c.payout_id for c in changes])
        now = {record["id"]: record["seq"] for record in records}
        return await record_changes(pool, [replace(change, expected_seq=now[change.payout_id]) for change in changes])

    patch.setattr(apply, "record_changes", overwrite)


async def _b11_read_then_update(connection: asyncpg.Connection) -> None:
    """A pause makes the race wide: what is between the reading and the writing takes no time here else."""
    await rewrite(
        connection,
        "create_payouts",
        ("\ndeclare\n", "\ndeclare\n    seen jsonb := '{}';\n"),
        ("         order by b.account_id, b.currency for update\n", "         order by b.account_id, b.currency\n"),
        (
            "        if needed > r.available then\n",
            """        seen := seen || jsonb_build_object(r.account_id || r.currency, r.available);
        perform pg_sleep(0.02);
        if needed > r.available then\n""",
        ),
        (
            "set available = b.available - s.total, in_transit",
            "set available = (seen->>(b.account_id || b.currency))::bigint - s.total, in_transit",
        ),
    )


_EVENTS_LATER_S = 0.1
_DO_NOT_WAIT = "set synchronous_commit = off"
_later: set[asyncio.Task[None]] = set()


def _b12_event_afterwards(patch: Patching) -> None:
    record_changes = apply.record_changes

    async def tell(pool: Any, event_ids: list[str]) -> None:
        await asyncio.sleep(_EVENTS_LATER_S)
        with contextlib.suppress(Exception):
            await pool.execute(
                "with told as (delete from untold where id = any ($1) returning *) insert into event select * from told",
                event_ids,
            )

    async def in_two_steps(pool: Any, changes: Any) -> set[str]:
        written = await record_changes(pool, changes)
        task = asyncio.create_task(tell(pool, [change.event_id for change in changes]))
        _later.add(task)
        task.add_done_callback(_later.discard)
        return written

    patch.setattr(apply, "record_changes", in_two_steps)


async def _b12_kept_apart(connection: asyncpg.Connection) -> None:
    await connection.execute("create table untold (like event including defaults)")
    await rewrite(connection, "record_changes", ("    insert into event (", "    insert into untold ("))


def _b14_each_notice_counts(patch: Patching) -> None:
    move_of = lifecycle.move_of
    twice = lifecycle.TABLE[AttemptState.PAID] | {lifecycle.News.PAID: lifecycle.Cell(AttemptState.PAID)}
    patch.setitem(lifecycle.TABLE, AttemptState.PAID, twice)
    patch.setattr(
        lifecycle,
        "move_of",
        lambda before, after: lifecycle.Move.SETTLE if before is after is Phase.PAID else move_of(before, after),
    )


async def _b14_same_bytes_twice(connection: asyncpg.Connection) -> None:
    await connection.execute("alter table notice drop constraint notice_pkey")


def _b19_commits_do_not_wait(patch: Patching) -> None:
    """Switched off behind the gateway's back: it looks when it starts."""
    open_pool, prepare = app.open_pool, database._prepare
    has_looked = False

    async def prepare_unsafely(connection: Any) -> None:
        await prepare(connection)
        if has_looked:
            await connection.execute(_DO_NOT_WAIT)

    async def unsafe(dsn: str, *, size: int) -> Any:
        nonlocal has_looked
        has_looked = False
        pool = await open_pool(dsn, size=size)
        has_looked = True
        async with contextlib.AsyncExitStack() as stack:
            for connection in [await stack.enter_async_context(pool.acquire()) for _ in range(size)]:
                await connection.execute(_DO_NOT_WAIT)
        return pool

    patch.setattr(database, "_prepare", prepare_unsafely)
    patch.setattr(app, "open_pool", unsafe)


BUGS: dict[str, Bug] = {
    "B9": Bug("a change is written whatever happened since it was decided", _b9_no_compare_and_set),
    "B11": Bug("a balance is read, then written", change=_b11_read_then_update),
    "B12": Bug("events are written in a transaction of their own", _b12_event_afterwards, _b12_kept_apart),
    "B14": Bug("a notice counts each time it comes", _b14_each_notice_counts, _b14_same_bytes_twice),
    "B19": Bug("commits do not wait for the disk", _b19_commits_do_not_wait),
}
