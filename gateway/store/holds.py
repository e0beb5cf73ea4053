"""Recovery holds: where the database stands, and holds from their opening to their release. Looks nothing up.

The database refuses what must not be: attempts while a hold is open, two holds at once, a release by one person.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from asyncpg import Record

from gateway.high_water import Position
from gateway.store.database import Pool


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldRow:
    """One row of `recovery_hold`, and how far its look-ups are."""

    id: str
    reason: str
    declared_by: str
    opened_at: datetime
    age_s: float
    listed_at: datetime | None
    unknown_accepted_by: str | None
    released_first_by: str | None
    released_second_by: str | None
    total: int  # payouts that were not over when it was opened
    cleared: int  # nothing of them was found where it could be
    found: int  # an attempt was found and taken over
    desk: int  # only a person can tell
    over: int  # they ended by themselves, or a later hold looks after them
    to_look_up: int  # queued, and nobody knows yet whether they were sent
    under_way: int  # not queued: they are looked up once what is known of them has ended


_HOLD = """
    select h.id, h.reason, h.declared_by, h.opened_at, extract(epoch from now() - h.opened_at)::float8 as age_s, h.listed_at,
           h.unknown_accepted_by, h.released_first_by, h.released_second_by,
           count(l.payout_id)::int as total,
           (count(*) filter (where l.state = 'cleared'))::int as cleared,
           (count(*) filter (where l.state = 'found'))::int as found,
           (count(*) filter (where l.state = 'desk'))::int as desk,
           (count(*) filter (where l.state = 'over'))::int as over,
           (count(*) filter (where l.state = 'waiting' and p.phase = 'queued'))::int as to_look_up,
           (count(*) filter (where l.state = 'waiting' and p.phase <> 'queued'))::int as under_way
      from recovery_hold h
      left join recovery_lookup l on l.hold_id = h.id
      left join payout p on p.account_id = l.account_id and p.id = l.payout_id
"""


async def read_position(pool: Pool, key: str | None = None) -> Position:
    """Where the database stands now, and whether it knows the attempt with this key."""
    record = await pool.fetchrow("select * from database_position($1)", key)
    if record is None:
        raise RuntimeError("database_position answered no row; nobody may assume where the database stands")
    return Position(**record)


async def has_payouts(pool: Pool) -> bool:
    """Whether there is anything that this database could have forgotten the end of."""
    return bool(await pool.fetchval("select exists (select from payout)"))


async def has_attempts(pool: Pool) -> bool:
    """Whether anything was ever sent for this database, as far as it knows."""
    return bool(await pool.fetchval("select exists (select from attempt)"))


async def open_hold(pool: Pool, *, hold_id: str, reason: str, declared_by: str, last_number: int) -> bool:
    """Open a hold; False when one is open already, which then looks up as far as this one would have."""
    async with pool.acquire() as connection, connection.transaction():
        # Waits for claims that are being written, and they wait for us: after the commit no attempt is stored that does not
        # see the hold.
        await connection.execute("lock table attempt in share mode")
        opened = await connection.fetchval(
            """insert into recovery_hold (id, reason, declared_by, last_number) values ($1, $2, $3, $4)
               on conflict do nothing returning true""",
            hold_id,
            reason,
            declared_by,
            last_number,
        )
        if not opened:
            await connection.execute(
                """update recovery_hold set last_number = greatest(last_number, $1)
                    where released_second_at is null and last_number < $1""",
                last_number,
            )
        return bool(opened)


async def was_held_since(pool: Pool, moment: datetime) -> bool:
    """Whether a hold was opened in this database after that moment: what was forgotten before is looked up, or was."""
    return bool(await pool.fetchval("select exists (select from recovery_hold where opened_at > $1)", moment))


async def is_held(pool: Pool) -> bool:
    """Whether a hold is open."""
    return bool(await pool.fetchval("select exists (select from recovery_hold where released_second_at is null)"))


async def last_hold(pool: Pool) -> HoldRow | None:
    """The open hold, or the last that was; None when there never was one."""
    return _hold(
        await pool.fetchrow(f"{_HOLD} group by h.id order by h.released_second_at is null desc, h.opened_at desc limit 1")
    )


async def accept_unknown(pool: Pool, hold_id: str, person: str) -> None:
    """Let what cannot be looked up go to the desk, now."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(
            """update recovery_hold set unknown_accepted_by = $2, unknown_accepted_at = now()
                where id = $1 and released_second_at is null and unknown_accepted_by is null""",
            hold_id,
            person,
        )
        await connection.execute(
            "update recovery_lookup set due_at = now() where hold_id = $1 and state = 'waiting' and due_at > now()", hold_id
        )


_RELEASES: Sequence[str] = (
    """update recovery_hold set released_first_by = $2, released_first_at = now()
        where id = $1 and released_first_at is null and listed_at is not null""",
    """update recovery_hold set released_second_by = $2, released_second_at = now()
        where id = $1 and released_first_at is not null and released_second_at is null
          and lower(released_first_by) <> lower($2)""",
)


async def release_first(pool: Pool, hold_id: str, person: str) -> bool:
    """Write down who releases a hold first; False when somebody already has, or its payouts are not listed yet."""
    return str(await pool.execute(_RELEASES[0], hold_id, person)).endswith(" 1")


async def release_second(pool: Pool, hold_id: str, person: str) -> bool:
    """Release a hold for good; False unless another person has begun to."""
    return str(await pool.execute(_RELEASES[1], hold_id, person)).endswith(" 1")


def _hold(record: Record | None) -> HoldRow | None:
    return None if record is None else HoldRow(**record)
