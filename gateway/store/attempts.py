"""Attempts: claiming queued payouts for sending, claiming open attempts for reading, and finding them again.

A claim is a lease: whoever holds it works alone until it runs out by the database's clock. Never sends anything.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from asyncpg import Record
from asyncpg.pool import PoolConnectionProxy

from gateway.high_water import Mark, Position
from gateway.store.database import Pool
from gateway.store.rows import AttemptRow, attempt_row

_COLUMNS = """a.account_id, a.id, a.payout_id, a.number, a.connection_id, a.provider, a.key, a.submission_id, a.state,
    a.exposure, a.provider_ref, a.submission_ref, a.checks, a.sends, a.sent_at, a.last_sent_at,
    a.cancel_asked_at is not null as cancel_asked, a.moves_on, a.paid_late_at is not null as paid_late,
    p.paid_late_attempt_id is not null and p.paid_late_attempt_id <> a.id as paid_elsewhere,
    a.adopted_for is not null as adopted,
    p.amount_minor, p.currency,
    p.phase, p.seq, p.review_reason, p.reference is not null as has_reference, p.attempt_id as newest_attempt_id,
    p.statement_descriptor, extract(epoch from p.final_at - now())::float8 as final_in_s,
    extract(epoch from now() - a.sent_at)::float8 as age_s, extract(epoch from now() - a.last_sent_at)::float8 as quiet_s"""
_FROM = "from attempt a join payout p on p.account_id = a.account_id and p.id = a.payout_id"


Transacting: TypeAlias = "PoolConnectionProxy[Record]"  # a connection of the pool, inside a transaction


@dataclass(frozen=True, slots=True)
class Lane:
    """How payouts of one provider are claimed: read from its contract."""

    provider: str
    at_most: int  # payouts per connection and claim
    per_send: int  # payouts that go out in one send
    at_first: int  # payouts for a connection whose gate this process does not know yet
    linger_s: float  # what else is due within this time goes along
    slots: int | None  # accepted, not yet executed payouts that a connection may have
    room: int | None = None  # payouts of this provider in one claim, over all its connections; None: no limit


@dataclass(slots=True, kw_only=True)  # not frozen, like the rows: gateway/store/rows.py
class Queued:
    """A queued payout, locked for this claim."""

    account_id: str
    id: str
    seq: int
    connection_id: str
    provider: str
    amount_minor: int
    currency: str
    destination_type: str
    bank_code: str | None
    bank_name: str | None
    bank_account_number: str | None = field(repr=False)
    bank_account_holder: str | None = field(repr=False)
    card_id: str | None
    card_token_sealed: bytes | None = field(repr=False)
    statement_descriptor: str | None
    send_alone: bool
    destination_ref: str | None  # what the provider knows the bank account by, after it checked it
    check_outcome: str | None
    attempts: int  # the number of the last one
    free_slot: int | None


# The connection whose payout has waited longest comes first: `limit` must not starve those that happen to stand last.
_QUEUED = """
    with waiting as (
        select c.id, c.settings, c.provider, lane.linger_s, lane.slots, lane.room, oldest.due_at,
               least(case when lane.slots is null then lane.at_most else 1 end,
                     coalesce(gate.sends::bigint * lane.per_send, lane.at_first)) as at_most
          from connection c
          join unnest($1::text[], $2::int[], $3::float8[], $4::int[], $7::int[], $8::int[], $9::int[])
               lane(provider, at_most, linger_s, slots, per_send, at_first, room) on lane.provider = c.provider
          left join unnest($10::text[], $11::int[]) gate(connection_id, sends) on gate.connection_id = c.id
         cross join lateral (
               select p.due_at from payout p where p.connection_id = c.id and p.phase = 'queued' and p.due_at <= now()
                order by p.due_at limit 1
         ) oldest
         where (c.paused_until is null or c.paused_until <= now()) and coalesce(gate.sends, 1) > 0
           and not exists (select from recovery_hold h where h.released_second_at is null)
    ), ready as materialized (
        -- What those before it may take of its provider's room is not there for it.
        select w.*, least(w.at_most, w.room - sum(w.at_most) over (partition by w.provider order by w.due_at, w.id) + w.at_most)
                    as takes
          from waiting w
         order by w.due_at
    )
    select q.*, coalesce((select max(a.number) from attempt a where a.account_id = q.account_id and a.payout_id = q.id), 0)
               as attempts,
           free.slot as free_slot, card.token_sealed as card_token_sealed
      from ready c
      left join lateral (
           select min(s) as slot from generate_series(1, c.slots) s
            where not exists (select 1 from attempt a where a.connection_id = c.id and a.scheduled_slot = s
                                 and a.state in ('sending', 'unconfirmed', 'pending'))
      ) free on true
      cross join lateral (
           select p.account_id, p.id, p.seq, p.connection_id, p.provider, p.amount_minor, p.currency, p.destination_type,
                  p.bank_code, p.bank_name, p.bank_account_number, p.bank_account_holder, p.card_id, p.statement_descriptor,
                  p.send_alone,
                  -- A second attempt names the account itself: perhaps it was the reference that was refused.
                  case when not p.tried_here then p.destination_ref end as destination_ref, p.check_outcome
             from payout p
            where p.connection_id = c.id and p.phase = 'queued' and p.due_at <= now() + make_interval(secs => c.linger_s)
              and ($6::text is null or p.id = $6)
              and (coalesce(c.settings->>'check_before_paying', 'off') = 'off' or p.tried_here
                   or p.check_outcome is not null)
              and not exists (select from recovery_lookup l where l.account_id = p.account_id and l.payout_id = p.id
                                 and l.state = 'waiting')
            order by p.due_at, p.id
            limit case when c.slots is not null and free.slot is null then 0 else greatest(c.takes, 0) end
              for update of p skip locked
      ) q
      left join card on card.account_id = q.account_id and card.id = q.card_id and card.state = 'active'
     limit $5
"""


async def lock_queued(
    connection: Transacting,
    lanes: Sequence[Lane],
    gates: tuple[Sequence[str], Sequence[int]],
    *,
    limit: int,
    payout_id: str | None = None,
) -> list[Queued]:
    """Lock payouts that may go out now, for the transaction that `connection` is in; others skip them.

    `gates`: connections, and how many sends each may start now.
    """
    records = await connection.fetch(
        _QUEUED,
        [lane.provider for lane in lanes],
        [lane.at_most for lane in lanes],
        [lane.linger_s for lane in lanes],
        [lane.slots for lane in lanes],
        limit,
        payout_id,
        [lane.per_send for lane in lanes],
        [lane.at_first for lane in lanes],
        [lane.room for lane in lanes],
        *gates,
    )
    return [Queued(**record) for record in records]


async def set_aside(pool: Pool, payout: Queued, *, for_s: float) -> None:
    """Leave a queued payout alone for a while: the database refuses its attempt, and it must not stop the others."""
    await pool.execute(
        """update payout set due_at = now() + make_interval(secs => $3)
            where account_id = $1 and id = $2 and phase = 'queued'""",
        payout.account_id,
        payout.id,
        for_s,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAttempt:
    """An attempt to be stored before it is sent."""

    payout: Queued
    id: str
    key: str
    submission_id: str
    slot: int | None
    lease_s: float
    event_id: str
    source: str
    reason: str


async def record_attempts(connection: Transacting, attempts: Sequence[NewAttempt], last: Mark | None = None) -> Position:
    """Store attempts as `sending`, in the transaction that has locked their payouts; answers where the database stands.

    And whether it knows what was sent before these, by the last mark: asked in the same statement, it costs no round trip.
    """
    record = await connection.fetchrow(
        """with given as (
               select * from unnest($1::text[], $2::text[], $3::int[], $4::int[], $5::text[], $6::text[], $7::text[],
                                    $8::text[], $9::text[], $10::int[], $11::text[], $12::text[], $13::text[],
                                    $14::float8[], $15::text[])
                   as g(account_id, payout_id, seq, attempts, connection_id, provider, id, key, submission_id, slot,
                        event_id, source, reason, lease_s, destination_ref)
           ), moved as (
               update payout p set phase = 'processing', seq = p.seq + 1, attempt_id = g.id, tried_here = true,
                      head = event_hash(p.head, g.account_id, g.payout_id, g.seq + 1, g.event_id, 'payout.sending',
                                        'processing', 'pending', g.id, g.source, g.reason, null, null, null, now()),
                      updated_at = now()
                 from given g where p.account_id = g.account_id and p.id = g.payout_id
               returning g.*, p.head, p.route
           ), stored as (
               insert into attempt (account_id, id, payout_id, number, connection_id, provider, key, submission_id, state,
                                    exposure, scheduled_slot, check_at, sent_at, last_sent_at, updated_at, destination_ref,
                                    route)
               select account_id, id, payout_id, attempts + 1, connection_id, provider, key, submission_id, 'sending', 'open',
                      slot, now() + make_interval(secs => lease_s), now(), now(), now(), destination_ref, route
                 from moved
           ), told as (
               insert into event (account_id, payout_id, seq, id, type, phase, status, attempt_id, source, reason, created_at,
                                  hash)
               select account_id, payout_id, seq + 1, event_id, 'payout.sending', 'processing', 'pending', id, source, reason,
                      now(), head
                 from moved
           )
           select * from database_position($16)""",
        [a.payout.account_id for a in attempts],
        [a.payout.id for a in attempts],
        [a.payout.seq for a in attempts],
        [a.payout.attempts for a in attempts],
        [a.payout.connection_id for a in attempts],
        [a.payout.provider for a in attempts],
        [a.id for a in attempts],
        [a.key for a in attempts],
        [a.submission_id for a in attempts],
        [a.slot for a in attempts],
        [a.event_id for a in attempts],
        [a.source for a in attempts],
        [a.reason for a in attempts],
        [a.lease_s for a in attempts],
        [a.payout.destination_ref for a in attempts],
        last.key if last else None,
    )
    if record is None:
        raise RuntimeError("the claim does not say where the database stands; it is given up, and nothing was sent")
    return Position(**record)


async def get_attempts(pool: Pool, ids: Iterable[tuple[str, str]]) -> dict[str, AttemptRow]:
    """Attempts by (account, id), as they stand now."""
    pairs = list(ids)
    records = await pool.fetch(
        f"select {_COLUMNS} {_FROM} where (a.account_id, a.id) in (select * from unnest($1::text[], $2::text[]))",
        [account_id for account_id, _ in pairs],
        [attempt_id for _, attempt_id in pairs],
    )
    return {record["id"]: attempt_row(record) for record in records}


async def claim_due(pool: Pool, *, lease_s: float, limit: int, not_of: Iterable[str] = ()) -> list[AttemptRow]:
    """Attempts that are due to be read, open or watched; each is ours until the lease runs out.

    `not_of`: connections whose attempts are left alone.
    """
    records = await pool.fetch(
        f"""with due as (
                select account_id, id from attempt where check_at <= now() and connection_id <> all($3::text[])
                 order by check_at limit $2 for update skip locked
            ), leased as (
                update attempt a set check_at = now() + make_interval(secs => $1), checks = a.checks + 1
                  from due where a.account_id = due.account_id and a.id = due.id returning a.*
            )
            select {_COLUMNS} from leased a join payout p on p.account_id = a.account_id and p.id = a.payout_id""",
        lease_s,
        limit,
        list(not_of),
    )
    return [attempt_row(record) for record in records]


async def mark_resent(
    pool: Pool, attempts: Sequence[AttemptRow], *, submission_id: str, lease_s: float, within_s: float
) -> set[str]:
    """Store that attempts go out once more with their own keys, before they do; the ids of those that may.

    Not those that somebody else has claimed or moved since they were claimed here, or is moving right now, nor those first
    sent `within_s` ago or earlier: whoever was stopped for hours in between must not repeat what its provider has forgotten.
    None while a recovery hold is open, and none that was taken over by one or waits for it: their payouts may have gone on
    with another key.
    """
    records = await pool.fetch(
        """with free as (
               select a.account_id, a.id from unnest($1::text[], $2::text[], $3::int[]) as g(account_id, id, checks)
                 join attempt a on a.account_id = g.account_id and a.id = g.id and a.checks = g.checks
                where a.state = 'unconfirmed' and a.sent_at > now() - make_interval(secs => $6) and a.adopted_for is null
                  and not exists (select from recovery_hold h where h.released_second_at is null)
                  and not exists (select from recovery_lookup l where l.account_id = a.account_id
                                     and l.payout_id = a.payout_id and l.state = 'waiting')
                  for update of a skip locked
           )
           update attempt a set sends = a.sends + 1, last_sent_at = now(), submission_id = $4,
                  check_at = now() + make_interval(secs => $5), updated_at = now()
             from free where a.account_id = free.account_id and a.id = free.id
           returning a.id""",
        [a.account_id for a in attempts],
        [a.id for a in attempts],
        [a.checks for a in attempts],
        submission_id,
        lease_s,
        within_s,
    )
    return {record["id"] for record in records}


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What the notices of one connection name: our keys, the provider's ids, its ids of batches."""

    connection_id: str
    keys: Sequence[str] = ()
    provider_refs: Sequence[str] = ()
    submission_refs: Sequence[str] = ()


async def find_attempts(pool: Pool, named: Sequence[Named]) -> list[list[AttemptRow]]:
    """For each, the attempts of its connection that are named; perhaps with those that another one of this connection names."""
    records = await pool.fetch(
        f"""with named as (
                select a.account_id, a.id from unnest($1::text[], $2::text[]) n(connection_id, name)
                  join attempt a on a.key = n.name and a.connection_id = n.connection_id
                union
                select a.account_id, a.id from unnest($3::text[], $4::text[]) n(connection_id, name)
                  join attempt a on a.connection_id = n.connection_id and a.provider_ref = n.name
                union
                select a.account_id, a.id from unnest($5::text[], $6::text[]) n(connection_id, name)
                  join attempt a on a.connection_id = n.connection_id and a.submission_ref = n.name
            )
            select {_COLUMNS} from named n join attempt a on a.account_id = n.account_id and a.id = n.id
              join payout p on p.account_id = a.account_id and p.id = a.payout_id""",
        [one.connection_id for one in named for _ in one.keys],
        [key for one in named for key in one.keys],
        [one.connection_id for one in named for _ in one.provider_refs],
        [ref for one in named for ref in one.provider_refs],
        [one.connection_id for one in named for _ in one.submission_refs],
        [ref for one in named for ref in one.submission_refs],
    )
    found: dict[str, list[AttemptRow]] = {one.connection_id: [] for one in named}
    for record in records:
        found[record["connection_id"]].append(attempt_row(record))
    return [found[one.connection_id] for one in named]


async def destinations_of(pool: Pool, attempts: Sequence[AttemptRow]) -> Mapping[str, Queued]:
    """Where the money of these attempts goes, by attempt id: what a repetition with the same key needs."""
    records = await pool.fetch(
        """select a.id as for_attempt, p.account_id, p.id, p.seq, p.connection_id, p.provider, p.amount_minor, p.currency,
                  p.destination_type, p.bank_code, p.bank_name, p.bank_account_number, p.bank_account_holder, p.card_id,
                  p.statement_descriptor, p.send_alone, a.destination_ref, p.check_outcome, a.number as attempts,
                  null::int as free_slot,
                  card.token_sealed as card_token_sealed
             from attempt a join payout p on p.account_id = a.account_id and p.id = a.payout_id
             left join card on card.account_id = p.account_id and card.id = p.card_id and card.state = 'active'
            where (a.account_id, a.id) in (select * from unnest($1::text[], $2::text[]))""",
        [a.account_id for a in attempts],
        [a.id for a in attempts],
    )
    return {record["for_attempt"]: Queued(**{k: v for k, v in record.items() if k != "for_attempt"}) for record in records}


async def open_ages(pool: Pool) -> list[tuple[str, str, float]]:
    """(provider, state, age of the oldest in seconds) of the attempts that are read back; manual ones are not."""
    records = await pool.fetch(
        """select provider, state, extract(epoch from now() - min(sent_at))::float8 as oldest_s
             from attempt where exposure = 'open' and check_at is not null group by provider, state"""
    )
    return [(r["provider"], r["state"], r["oldest_s"]) for r in records]
