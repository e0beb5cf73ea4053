"""What waits for a person, in whatever phase: how much and since when, and what an operator needs to ask its provider.

Reads, and changes nothing; of all accounts, for the gauges and the operator's command line only.
"""

from dataclasses import dataclass
from datetime import datetime

from gateway.store.database import Pool

# The step that put a payout there; what a lookup after a restore put there has no such step, and has not moved since.
_PUT_THERE = """left join lateral (
                  select e.created_at, e.attempt_id from event e
                   where e.account_id = p.account_id and e.payout_id = p.id
                     and e.type in ('payout.needs_review', 'payout.contradicted', 'payout.paid_late')
                   order by e.seq desc limit 1
             ) put on true"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewRow:
    """A payout that waits for a person, with the attempt that it is about, if anything of it was sent."""

    account_id: str
    payout_id: str
    phase: str
    since: datetime
    amount_minor: int
    currency: str
    provider: str
    provider_ref: str | None  # of the submission where the provider names only that
    attempt_key: str | None
    reason: str


async def review_age(pool: Pool) -> tuple[int, float]:
    """How many payouts are on a person's desk, and for how many seconds the oldest of them has been."""
    record = await pool.fetchrow(
        f"""select count(*) as many,
                   coalesce(extract(epoch from now() - min(coalesce(put.created_at, p.updated_at))), 0)::float8 as oldest_s
              from payout p {_PUT_THERE} where p.review_reason is not null"""
    )
    return (record["many"], record["oldest_s"]) if record else (0, 0.0)


async def list_reviews(pool: Pool, account_id: str | None = None) -> list[ReviewRow]:
    """What waits for a person, the longest first: of one account, or of all."""
    records = await pool.fetch(
        f"""select p.account_id, p.id as payout_id, p.phase, coalesce(put.created_at, p.updated_at) as since, p.amount_minor,
                   p.currency, coalesce(a.provider, p.provider) as provider,
                   coalesce(a.provider_ref, a.submission_ref) as provider_ref, a.key as attempt_key,
                   p.review_reason as reason
              from payout p {_PUT_THERE}
              left join attempt a on a.account_id = p.account_id and a.id = coalesce(put.attempt_id, p.attempt_id)
             where p.review_reason is not null and ($1::text is null or p.account_id = $1)
             order by since, p.id""",
        account_id,
    )
    return [ReviewRow(**record) for record in records]
