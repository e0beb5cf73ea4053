"""Look-backs: which connection is compared next and from when on, what of ours lies in that time, and what is in doubt.

A claim lasts until the next try is due, so a process that dies in the middle leaves the comparison to another one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.compare_listing import Doubt, OurAttempt
from gateway.store.database import Pool
from schemas.listing import Listed
from schemas.payout import AttemptState

_IDS_APART = timedelta(hours=1)  # an attempt's id has the time of the process that made it


@dataclass(frozen=True, slots=True, kw_only=True)
class DueLookBack:
    """A connection that is to be compared now, and from when on. Times are the database's."""

    account_id: str
    connection_id: str
    provider: str
    since: datetime
    now: datetime


async def claim_look_backs(
    pool: Pool,
    providers: Sequence[str],
    *,
    every_s: float,
    again_s: float,
    overlap_s: float,
    longest_s: float,
    limit: int,
    connection_id: str | None = None,
) -> list[DueLookBack]:
    """Connections that are due, ours for `again_s`; the one that is named is due at any time.

    What was compared last is compared once more for `overlap_s`, and what is in doubt until it is not.
    """
    records = await pool.fetch(
        """update connection c set look_back_at = now() + make_interval(secs => $3)
             from (select k.account_id, k.id from connection k
                    where k.provider = any ($1)
                      and case when $7::text is null
                               then coalesce(k.look_back_at, k.created_at + make_interval(secs => $2)) <= now()
                               else k.id = $7 end
                    order by k.look_back_at nulls first limit $6 for no key update skip locked) due
            where c.account_id = due.account_id and c.id = due.id
           returning c.account_id, c.id as connection_id, c.provider, now() as now,
                     greatest(c.created_at, now() - make_interval(secs => $5),
                              least(c.looked_back_until - make_interval(secs => $4),
                                    (select min(a.sent_at) from lookback_doubt d
                                       join attempt a on a.account_id = d.account_id and a.id = d.attempt_id
                                      where d.account_id = c.account_id and d.connection_id = c.id))) as since""",
        list(providers),
        every_s,
        again_s,
        overlap_s,
        longest_s,
        limit,
        connection_id,
    )
    return [DueLookBack(**record) for record in records]


async def end_look_back(pool: Pool, due: DueLookBack, *, until: datetime, every_s: float) -> None:
    """All until then was compared with a whole list; the next comparison is due `every_s` after this one began."""
    await pool.execute(
        """update connection set looked_back_until = greatest(looked_back_until, $3),
                  look_back_at = $4::timestamptz + make_interval(secs => $5)
            where account_id = $1 and id = $2""",
        due.account_id,
        due.connection_id,
        until,
        due.now,
        every_s,
    )


async def ours_to_compare(pool: Pool, due: DueLookBack, rows: Sequence[Listed], *, until: datetime) -> list[OurAttempt]:
    """The connection's attempts of that time, and whichever of this account at this provider the list names."""
    floor = f"pa_{int((due.since - _IDS_APART).timestamp() * 1000):012x}"
    records = await pool.fetch(
        """with found as (
               select a.id from attempt a
                where a.account_id = $1 and a.id >= $4 and a.connection_id = $3 and a.sent_at between $5 and $6
               union select a.id from attempt a where a.account_id = $1 and a.id = any ($7)
               union select a.id from attempt a where a.account_id = $1 and a.key = any ($8)
               union select a.id from connection c join attempt a on a.connection_id = c.id
                where c.account_id = $1 and c.provider = $2 and a.provider_ref = any ($9)
           )
           select a.id, a.payout_id, a.key, a.provider_ref, a.state, p.amount_minor, p.currency, a.sent_at, a.last_sent_at,
                  a.connection_id = $3 as here, a.adopted_for is not null as adopted
             from found f
             join attempt a on a.account_id = $1 and a.id = f.id
             join payout p on p.account_id = a.account_id and p.id = a.payout_id
            where a.provider = $2""",
        due.account_id,
        due.provider,
        due.connection_id,
        floor,
        due.since,
        until,
        [row.attempt_id for row in rows if row.attempt_id is not None],
        [row.key for row in rows if row.key is not None],
        [row.provider_ref for row in rows],
    )
    return [OurAttempt(**{**record, "state": AttemptState(record["state"])}) for record in records]


async def standing_doubts(pool: Pool, due: DueLookBack, doubts: Sequence[Doubt]) -> set[str]:
    """The attempts that an earlier look-back saw in the same two states, and that were read since then."""
    records = await pool.fetch(
        """select d.attempt_id from lookback_doubt d
             join unnest($3::text[], $4::text[], $5::text[]) as g(attempt_id, ours, theirs)
                  on g.attempt_id = d.attempt_id and g.ours = d.ours and g.theirs = d.theirs
            where d.account_id = $1 and d.connection_id = $2
              and exists (select from report r where r.account_id = d.account_id and r.attempt_id = d.attempt_id
                             and r.created_at > d.seen_at and r.kind <> 'Unclear')""",
        due.account_id,
        due.connection_id,
        [doubt.ours.id for doubt in doubts],
        [doubt.ours.state for doubt in doubts],
        [doubt.theirs for doubt in doubts],
    )
    return {record["attempt_id"] for record in records}


async def keep_doubts(pool: Pool, due: DueLookBack, doubts: Sequence[Doubt], *, settled: Sequence[str] | None) -> None:
    """Remember what is in doubt, with the time when it was first; forget the `settled`, or all others when None."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(
            """delete from lookback_doubt d where d.account_id = $1 and d.connection_id = $2
                  and d.attempt_id <> all ($3) and ($4::text[] is null or d.attempt_id = any ($4))""",
            due.account_id,
            due.connection_id,
            [doubt.ours.id for doubt in doubts],
            None if settled is None else list(settled),
        )
        await connection.execute(
            """insert into lookback_doubt as d (account_id, connection_id, attempt_id, ours, theirs)
               select $1, $2, * from unnest($3::text[], $4::text[], $5::text[])
               on conflict (account_id, connection_id, attempt_id) do update
                  set ours = excluded.ours, theirs = excluded.theirs, seen_at = now()
                where (d.ours, d.theirs) <> (excluded.ours, excluded.theirs)""",
            due.account_id,
            due.connection_id,
            [doubt.ours.id for doubt in doubts],
            [doubt.ours.state for doubt in doubts],
            [doubt.theirs for doubt in doubts],
        )


async def read_soon(pool: Pool, due: DueLookBack, attempt_ids: Sequence[str], *, lease_s: float) -> None:
    """Make attempts due for reading. Never one that is being sent, or may be right now: the time is its sender's lease.

    Nor one that somebody is changing at this moment: they say when it is read next.
    """
    await pool.execute(
        """with free as (
               select account_id, id from attempt
                where account_id = $1 and id = any ($2) and state <> 'sending'
                  and (state <> 'unconfirmed' or last_sent_at < now() - make_interval(secs => $3))
                  for update skip locked
           )
           update attempt a set check_at = least(a.check_at, now())
             from free where a.account_id = free.account_id and a.id = free.id""",
        due.account_id,
        list(attempt_ids),
        lease_s,
    )


async def look_back_ages(pool: Pool, providers: Sequence[str]) -> list[tuple[str, float]]:
    """(provider, for how many seconds nothing was compared at the connection that waits longest)."""
    records = await pool.fetch(
        """select provider, extract(epoch from now() - min(coalesce(looked_back_until, created_at)))::float8 as oldest_s
             from connection where provider = any ($1) group by provider""",
        list(providers),
    )
    return [(r["provider"], r["oldest_s"]) for r in records]
