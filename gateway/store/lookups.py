"""What a hold has to look up: payouts that may have been sent although the database does not know. Asks no provider.

Taking over a forgotten attempt is written here, in one transaction with its event; what the provider says of it is then
applied like any report, by `gateway.apply`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from gateway.store.database import Pool
from schemas.payout import Phase


class LookupState(StrEnum):
    """What became of a payout that had to be looked up."""

    WAITING = "waiting"
    CLEARED = "cleared"  # whoever could have it says that they do not
    FOUND = "found"  # an attempt was found, and is taken over
    DESK = "desk"  # only a person can find out
    OVER = "over"  # it has ended, or a later hold looks after it


@dataclass(frozen=True, slots=True, kw_only=True)
class DueLookup:
    """A payout to be looked up now."""

    account_id: str
    payout_id: str
    hold_id: str
    tries: int
    phase: Phase
    seq: int
    number: int  # of its newest attempt that is known
    last_number: int  # ask at least up to this one
    hold_age_s: float
    not_before: datetime  # a forgotten attempt left after this
    accepts_unknown: bool


async def list_payouts(pool: Pool) -> int:
    """Write down what an open hold has to look up, once: every payout that was not over. Answers how many."""
    async with pool.acquire() as connection, connection.transaction():
        hold_id = await connection.fetchval(
            "select id from recovery_hold where released_second_at is null and listed_at is null for update skip locked"
        )
        if hold_id is None:
            return 0
        listed = await connection.fetchval(
            """with listed as (
                   insert into recovery_lookup (account_id, payout_id, hold_id)
                   select account_id, id, $1 from payout where phase = 'queued'
                   union select account_id, payout_id, $1 from attempt where exposure = 'open'
                   union select account_id, id, $1 from payout where review_reason is not null and phase = 'needs_review'
                   on conflict do nothing returning 1
               )
               select count(*) from listed""",
            hold_id,
        )
        await connection.execute(
            """update recovery_lookup set state = 'over', detail = 'a later hold looks after it', updated_at = now()
                where state = 'waiting' and hold_id <> $1""",
            hold_id,
        )
        await connection.execute("update recovery_hold set listed_at = now() where id = $1", hold_id)
        return int(listed)


async def claim_lookups(pool: Pool, *, lease_s: float, limit: int) -> list[DueLookup]:
    """Payouts to be looked up now, each ours until the lease runs out.

    One with an open attempt is left to the reconciler: it is looked up once that has ended. One that failed or was cancelled
    meanwhile is looked up too, since the database may have forgotten an attempt that paid.
    """
    records = await pool.fetch(
        """with due as (
               select l.account_id, l.payout_id, l.hold_id, p.phase, p.seq, p.created_at from recovery_lookup l
                 join payout p on p.account_id = l.account_id and p.id = l.payout_id
                where l.state = 'waiting' and l.due_at <= now() and p.phase not in ('processing', 'paid', 'returned')
                  and not exists (select from attempt a where a.account_id = l.account_id and a.payout_id = l.payout_id
                                     and a.exposure in ('open', 'spent'))
                order by l.due_at limit $2 for update of l skip locked
           )
           update recovery_lookup l set due_at = now() + make_interval(secs => $1), tries = l.tries + 1
             from due join recovery_hold h on h.id = due.hold_id
            where l.account_id = due.account_id and l.payout_id = due.payout_id and l.hold_id = due.hold_id
           returning l.account_id, l.payout_id, l.hold_id, l.tries, due.phase, due.seq, h.last_number,
                     extract(epoch from now() - h.opened_at)::float8 as hold_age_s,
                     h.unknown_accepted_at is not null as accepts_unknown,
                     coalesce((select max(a.number) from attempt a
                                where a.account_id = l.account_id and a.payout_id = l.payout_id), 0) as number,
                     greatest(due.created_at, (select max(a.last_sent_at) from attempt a
                                where a.account_id = l.account_id and a.payout_id = l.payout_id)) as not_before""",
        lease_s,
        limit,
    )
    return [DueLookup(**{**record, "phase": Phase(record["phase"])}) for record in records]


async def close_lookups(pool: Pool) -> None:
    """End the look-ups of payouts that were paid or came back: what is known of them explains their money."""
    await pool.execute(
        """update recovery_lookup l set state = 'over', detail = 'it ended as ' || p.phase, updated_at = now() from payout p
            where l.state = 'waiting' and p.account_id = l.account_id and p.id = l.payout_id
              and p.phase in ('paid', 'returned')"""
    )


async def settle_lookups(pool: Pool, ended: Sequence[tuple[DueLookup, LookupState, str]]) -> None:
    """Write what became of payouts of which nothing has to be taken over."""
    await pool.execute(
        """update recovery_lookup l set state = g.state, detail = g.detail, updated_at = now()
             from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
                  as g(account_id, payout_id, hold_id, state, detail)
            where l.account_id = g.account_id and l.payout_id = g.payout_id and l.hold_id = g.hold_id
              and l.state = 'waiting'""",
        [due.account_id for due, _, _ in ended],
        [due.payout_id for due, _, _ in ended],
        [due.hold_id for due, _, _ in ended],
        [state for _, state, _ in ended],
        [detail for _, _, detail in ended],
    )


async def ask_again(pool: Pool, waiting: Sequence[tuple[DueLookup, float, str]]) -> None:
    """Let payouts wait for their next look-up, with why the last one said nothing."""
    await pool.execute(
        """update recovery_lookup l set due_at = now() + make_interval(secs => g.wait_s), detail = g.detail, updated_at = now()
             from unnest($1::text[], $2::text[], $3::text[], $4::float8[], $5::text[])
                  as g(account_id, payout_id, hold_id, wait_s, detail)
            where l.account_id = g.account_id and l.payout_id = g.payout_id and l.hold_id = g.hold_id
              and l.state = 'waiting'""",
        [due.account_id for due, _, _ in waiting],
        [due.payout_id for due, _, _ in waiting],
        [due.hold_id for due, _, _ in waiting],
        [wait_s for _, wait_s, _ in waiting],
        [detail for _, _, detail in waiting],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgottenAttempt:
    """An attempt that the database does not know, to be taken over as what it may be: sent, with an outcome to be read."""

    due: DueLookup
    id: str
    key: str
    number: int
    connection_id: str
    provider: str
    method: str
    slots: int | None
    submission_id: str
    event_id: str
    source: str
    reason: str
    review_reason: str | None  # set when only a person can tell
    state: LookupState


async def adopt(pool: Pool, forgotten: ForgottenAttempt) -> bool:
    """Take an attempt over, with its event, in one commit. False: its payout has moved on, and nothing was written."""
    due = forgotten.due
    written = await pool.execute(
        _ADOPT,
        due.account_id,
        due.payout_id,
        due.seq,
        forgotten.id,
        forgotten.key,
        forgotten.number,
        forgotten.connection_id,
        forgotten.provider,
        forgotten.method,
        forgotten.slots,
        forgotten.submission_id,
        due.not_before,
        due.hold_id,
        forgotten.event_id,
        forgotten.source,
        forgotten.reason,
        forgotten.review_reason,
        forgotten.state,
    )
    return str(written).endswith(" 1")


_ADOPT = """
    with moved as (
        update payout p set seq = p.seq + 1, attempt_id = $4, tried_here = true,
               phase = case when $17::text is null and p.phase = 'queued' then 'processing' else 'needs_review' end,
               review_reason = coalesce($17, p.review_reason),
               head = event_hash(p.head, p.account_id, p.id, p.seq + 1, $14, 'payout.adopted',
                                 case when $17::text is null and p.phase = 'queued' then 'processing' else 'needs_review' end,
                                 'pending', $4, $15, $16, null, null, null, now()),
               connection_id = $7, provider = $8, method = $9,
               -- What another connection found out about the bank account says nothing here.
               destination_digest = case when p.connection_id = $7 then p.destination_digest end,
               check_outcome = case when p.connection_id = $7 then p.check_outcome end,
               destination_ref = case when p.connection_id = $7 then p.destination_ref end,
               updated_at = now()
         where p.account_id = $1 and p.id = $2 and p.seq = $3 and p.phase in ('queued', 'needs_review')
        returning p.account_id, p.id, p.seq, p.phase, p.head, p.route
    ), looked_up as (
        update recovery_lookup l set state = $18, detail = $16, updated_at = now()
          from moved m where l.account_id = m.account_id and l.payout_id = m.id and l.hold_id = $13
    ), stored as (
        insert into attempt (account_id, id, payout_id, number, connection_id, provider, key, submission_id, state, exposure,
                             scheduled_slot, check_at, sent_at, last_sent_at, updated_at, route, adopted_for)
        select m.account_id, $4, m.id, $6, $7, $8, $5, $11, 'unconfirmed', 'open',
               (select min(s) from generate_series(1, $10::int) s
                 where not exists (select from attempt a where a.connection_id = $7 and a.scheduled_slot = s
                                      and a.state in ('sending', 'unconfirmed', 'pending'))),
               now(), $12, $12, now(), m.route, $13
          from moved m
    )
    insert into event (account_id, payout_id, seq, id, type, phase, status, attempt_id, source, reason, created_at, hash)
    select m.account_id, m.id, m.seq, $14, 'payout.adopted', m.phase, 'pending', $4, $15, $16, now(), m.head from moved m
"""


async def waiting_reasons(pool: Pool, hold_id: str, *, limit: int) -> list[tuple[int, str]]:
    """What queued payouts of a hold still wait for, and how many; the most frequent first."""
    records = await pool.fetch(
        """select count(*)::int as many, coalesce(l.detail, 'not asked for yet') as detail
             from recovery_lookup l join payout p on p.account_id = l.account_id and p.id = l.payout_id
            where l.hold_id = $1 and l.state = 'waiting' and p.phase = 'queued'
            group by 2 order by 1 desc, 2 limit $2""",
        hold_id,
        limit,
    )
    return [(record["many"], record["detail"]) for record in records]
