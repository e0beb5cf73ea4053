"""Destination checks: which payouts wait for one, claims for asking, answers, and clearing payouts to be sent.

Keeps a keyed hash of the destination and the answer. Never moves a payout: that belongs to `gateway.apply`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from gateway.store.database import Pool
from schemas.checks import CheckPolicy, Verdict
from schemas.destination import BankAccount
from schemas.payout import Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class Unnamed:
    """A queued payout whose destination has no hash yet."""

    account_id: str
    id: str
    connection_id: str
    destination: BankAccount = field(repr=False)


_BANK = "p.bank_code, p.bank_name, p.bank_account_number, p.bank_account_holder"


def _account(bank_code: str | None, bank_name: str, number: str, holder: str) -> BankAccount:
    return BankAccount.model_construct(
        type="bank_account", bank_code=bank_code, bank_name=bank_name, bank_account_number=number, bank_account_holder=holder
    )


async def unnamed_payouts(pool: Pool, providers: Sequence[str], *, limit: int) -> list[Unnamed]:
    """Unsent payouts of connections that check before they pay, and that nobody has looked at yet."""
    records = await pool.fetch(
        f"""select p.account_id, p.id, p.connection_id, {_BANK}
              from connection c
              cross join lateral (
                   select * from payout p
                    where p.connection_id = c.id and p.phase = 'queued' and not p.tried_here
                      and p.destination_digest is null and p.destination_type = 'bank_account'
                    order by p.due_at, p.id limit $2
              ) p
             where c.provider = any ($1) and c.settings->>'check_before_paying' in ('invalid', 'warning') limit $2""",
        list(providers),
        limit,
    )
    return [
        Unnamed(account_id=r[0], id=r[1], connection_id=r[2], destination=_account(r[3], r[4], r[5], r[6])) for r in records
    ]


async def name_destinations(
    pool: Pool, named: Sequence[tuple[Unnamed, str]], *, good_for_s: float, forgiven_after_s: float
) -> None:
    """Store the hashes of destinations, each with a check.

    An answer that is too old is asked for again; so is, with its tries forgotten, a question without one for a while.
    """
    named = _in_lock_order(named)
    await pool.execute(
        """with given as (
               select * from unnest($1::text[], $2::text[], $3::text[], $4::text[])
                   as g(account_id, payout_id, connection_id, digest)
           ), hashed as (
               update payout p set destination_digest = g.digest
                 from given g where p.account_id = g.account_id and p.id = g.payout_id
           )
           insert into destination_check as k (account_id, connection_id, digest)
           select distinct account_id, connection_id, digest from given order by account_id, connection_id, digest
           on conflict (account_id, connection_id, digest) do update
              set verdict = 'unknown', reference = null, tries = 0, due_at = now(), checked_at = null
            where k.checked_at < now() - make_interval(secs => $5)
               or (k.verdict in ('unknown', 'pending') and k.asked_at < now() - make_interval(secs => $6))""",
        [payout.account_id for payout, _ in named],
        [payout.id for payout, _ in named],
        [payout.connection_id for payout, _ in named],
        [digest for _, digest in named],
        good_for_s,
        forgiven_after_s,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DueCheck:
    """A destination to be asked about now."""

    account_id: str
    connection_id: str
    digest: str
    reference: str | None  # of the check that was begun
    tries: int  # this one included
    destination: BankAccount = field(repr=False)


async def claim_checks(pool: Pool, *, lease_s: float, limit: int) -> list[DueCheck]:
    """Checks that are due and that a payout waits for; each is ours until the lease runs out."""
    records = await pool.fetch(
        f"""with due as (
                select k.account_id, k.connection_id, k.digest, {_BANK}
                  from destination_check k
                  cross join lateral (
                       select {_BANK} from payout p
                        where p.connection_id = k.connection_id and p.destination_digest = k.digest
                          and p.account_id = k.account_id and p.check_outcome is null and not p.tried_here
                          and p.phase in ('queued', 'needs_review') limit 1
                  ) p
                 where k.verdict in ('unknown', 'pending') and k.due_at <= now()
                 order by k.due_at limit $2 for update of k skip locked
            )
            update destination_check k
               set due_at = now() + make_interval(secs => $1), asked_at = now(), tries = k.tries + 1
              from due where k.account_id = due.account_id and k.connection_id = due.connection_id and k.digest = due.digest
            returning k.account_id, k.connection_id, k.digest, k.reference, k.tries, due.bank_code, due.bank_name,
                      due.bank_account_number, due.bank_account_holder""",
        lease_s,
        limit,
    )
    return [
        DueCheck(
            account_id=r[0],
            connection_id=r[1],
            digest=r[2],
            reference=r[3],
            tries=r[4],
            destination=_account(r[5], r[6], r[7], r[8]),
        )
        for r in records
    ]


async def settle_check(pool: Pool, check: DueCheck, verdict: Verdict, reference: str | None, *, again_in_s: float) -> None:
    """Write what a check answered, and when to ask again if it did not."""
    await pool.execute(
        """update destination_check
              set verdict = $4, reference = coalesce($5, reference), due_at = now() + make_interval(secs => $6),
                  checked_at = case when $4 in ('valid', 'warning', 'invalid') then now() end
            where account_id = $1 and connection_id = $2 and digest = $3""",
        check.account_id,
        check.connection_id,
        check.digest,
        verdict.value,
        reference,
        again_in_s,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """An unsent payout whose destination was answered about, or could not be for long enough."""

    account_id: str
    id: str
    seq: int
    phase: Phase
    provider: str
    amount_minor: int
    currency: str
    verdict: Verdict
    reference: str | None
    policy: CheckPolicy


async def checked_payouts(pool: Pool, *, unanswered_after: int, limit: int) -> list[Checked]:
    """Payouts to be ruled on. One that waits on a desk is ruled on again when there is an answer or another policy."""
    records = await pool.fetch(
        """select p.account_id, p.id, p.seq, p.phase, p.provider, p.amount_minor, p.currency, k.verdict, k.reference,
                  coalesce(c.settings->>'check_before_paying', 'off') as policy
             from payout p
             join destination_check k
               on k.account_id = p.account_id and k.connection_id = p.connection_id and k.digest = p.destination_digest
             join connection c on c.account_id = p.account_id and c.id = p.connection_id
            where p.destination_digest is not null and p.check_outcome is null and not p.tried_here
              and p.phase in ('queued', 'needs_review')
              and (k.verdict in ('valid', 'warning', 'invalid')
                   or coalesce(c.settings->>'check_before_paying', 'off') = 'off'
                   or (k.tries >= $1 and (p.phase = 'queued' or c.settings->>'check_before_paying' = 'invalid')))
            limit $2""",
        unanswered_after,
        limit,
    )
    return [
        Checked(
            **{
                **record,
                "phase": Phase(record["phase"]),
                "verdict": Verdict(record["verdict"]),
                "policy": CheckPolicy(record["policy"]),
            }
        )
        for record in records
    ]


Waiting = TypeVar("Waiting", Unnamed, Checked)


def _in_lock_order(given: Sequence[tuple[Waiting, str]]) -> list[tuple[Waiting, str]]:
    """As `record_changes` locks them: two writers wait for each other, and never deadlock."""
    return sorted(given, key=lambda one: (one[0].account_id, one[0].id))


async def clear_payouts(pool: Pool, cleared: Sequence[tuple[Checked, str]]) -> None:
    """Let payouts be sent, each with the outcome of its check and the reference that its first attempt may name."""
    cleared = _in_lock_order(cleared)
    await pool.execute(
        """update payout p set check_outcome = g.outcome, destination_ref = g.reference
             from unnest($1::text[], $2::text[], $3::int[], $4::text[], $5::text[])
                  as g(account_id, payout_id, seq, outcome, reference)
            where p.account_id = g.account_id and p.id = g.payout_id and p.seq = g.seq""",
        [payout.account_id for payout, _ in cleared],
        [payout.id for payout, _ in cleared],
        [payout.seq for payout, _ in cleared],
        [outcome for _, outcome in cleared],
        [payout.reference for payout, _ in cleared],
    )
