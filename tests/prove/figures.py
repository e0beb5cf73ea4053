"""What a run was like, read from the database when it is over: certainty, people, failovers. Judges nothing."""

from dataclasses import dataclass

import asyncpg


@dataclass(frozen=True, slots=True)
class Figures:
    """Of all payouts of a run. Times in seconds, from created to final or to a person's desk."""

    payouts: int
    by_phase: dict[str, int]
    median_s: float
    p95_s: float
    on_desk: int  # a person has to end it, or to look at it beside its final state
    were_on_desk: int  # a person was asked, and then a fact ended it
    failed_over: int  # payouts with attempts at more than one connection
    failed_over_and_paid: int
    attempts: int
    sends: int
    desk_reasons: dict[str, int]


_CERTAINTY = """
    select percentile_cont(array[0.5, 0.95]) within group (order by extract(epoch from known_at - created_at)) as at
      from (select p.created_at, coalesce(p.completed_at, (select min(e.created_at) from event e
                    where e.account_id = p.account_id and e.payout_id = p.id and e.phase = 'needs_review')) as known_at
              from payout p) known where known_at is not null
"""


async def read(connection: asyncpg.Connection) -> Figures:
    """Read all of it; the gateways may be gone."""
    by_phase = {r["phase"]: r["many"] for r in await connection.fetch("select phase, count(*) as many from payout group by 1")}
    median_s, p95_s = await connection.fetchval(_CERTAINTY) or (0.0, 0.0)
    reasons = await connection.fetch(
        """select coalesce(regexp_replace(review_reason, '[0-9]+', 'N', 'g'), '') as reason, count(*) as many from payout
            where phase = 'needs_review' or review_reason is not null group by 1 order by 2 desc"""
    )
    moved = await connection.fetchrow(
        """select count(*) as many, count(*) filter (where p.phase = 'paid') as paid
             from payout p where (select count(distinct connection_id) from attempt a
                                   where a.account_id = p.account_id and a.payout_id = p.id) > 1"""
    )
    were = await connection.fetchval(
        """select count(*) from payout p where p.phase <> 'needs_review' and p.review_reason is null and exists (
               select 1 from event e where e.account_id = p.account_id and e.payout_id = p.id and e.phase = 'needs_review')"""
    )
    attempts = await connection.fetchrow("select count(*) as many, coalesce(sum(sends), 0) as sends from attempt")
    return Figures(
        payouts=sum(by_phase.values()),
        by_phase=by_phase,
        median_s=median_s,
        p95_s=p95_s,
        on_desk=sum(r["many"] for r in reasons),
        were_on_desk=were,
        failed_over=moved["many"],
        failed_over_and_paid=moved["paid"],
        attempts=attempts["many"],
        sends=attempts["sends"],
        desk_reasons={r["reason"]: r["many"] for r in reasons},
    )


async def timeline(connection: asyncpg.Connection, payout_id: str) -> list[str]:
    """Every step of a payout, and its attempts, one line each."""
    events = await connection.fetch(
        "select created_at, type, phase, source, reason from event where payout_id = $1 order by seq", payout_id
    )
    attempts = await connection.fetch(
        """select a.number, c.name, a.key, a.state, a.exposure, a.sends, a.sent_at, a.last_sent_at from attempt a
             join connection c on c.id = a.connection_id where a.payout_id = $1 order by a.number""",
        payout_id,
    )
    return [
        *(f"{e['created_at']:%H:%M:%S.%f} {e['type']} ({e['phase']}) {e['source']}: {e['reason']}" for e in events),
        *(
            f"attempt {a['number']} at {a['name']} key {a['key']}: {a['state']}, exposure {a['exposure']}, "
            f"{a['sends']} sends, first {a['sent_at']:%H:%M:%S.%f}, last {a['last_sent_at']:%H:%M:%S.%f}"
            for a in attempts
        ),
    ]
