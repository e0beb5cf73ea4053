"""The inbox: notices, proven at the edge and stored as they came, and claims for reading them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from gateway.store.database import Pool
from gateway.store.rows import NoticeRow


@dataclass(frozen=True, slots=True, kw_only=True)
class NewNotice:
    """A proven notice to be stored."""

    account_id: str
    connection_id: str
    provider: str
    id: str
    digest: bytes  # SHA-256 of the body: the same bytes again are the same notice
    body_sealed: bytes = field(repr=False)


async def add_notices(pool: Pool, notices: Sequence[NewNotice]) -> list[bool]:
    """Store all in one commit; for each, whether it is new."""
    records = await pool.fetch(
        """insert into notice (account_id, connection_id, provider, id, digest, body_sealed)
           select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::bytea[])
               as n(account_id, connection_id, provider, id, digest, body_sealed)
            order by connection_id, digest
           on conflict do nothing returning id""",
        [n.account_id for n in notices],
        [n.connection_id for n in notices],
        [n.provider for n in notices],
        [n.id for n in notices],
        [n.digest for n in notices],
        [n.body_sealed for n in notices],
    )
    new = {record["id"] for record in records}
    return [n.id in new for n in notices]


async def claim_notices(pool: Pool, *, lease_s: float, limit: int, not_of: Iterable[str] = ()) -> list[NoticeRow]:
    """Notices to be read now; each is ours until the lease runs out. `not_of`: connections whose notices are left alone."""
    records = await pool.fetch(
        """with due as (
               select account_id, connection_id, digest from notice
                where state = 'new' and due_at <= now() and connection_id <> all($3::text[])
                order by due_at limit $2 for update skip locked
           )
           update notice n set due_at = now() + make_interval(secs => $1), tries = n.tries + 1
             from due where n.account_id = due.account_id and n.connection_id = due.connection_id and n.digest = due.digest
           returning n.account_id, n.connection_id, n.digest, n.id, n.provider, n.body_sealed, n.tries, n.received_at,
                     extract(epoch from now() - n.received_at)::float8 as age_s""",
        lease_s,
        limit,
        list(not_of),
    )
    return [NoticeRow(**record) for record in records]


@dataclass(frozen=True, slots=True)
class NoticeOutcome:
    """What became of a claimed notice: `new` with a time to try again, or an end."""

    notice: NoticeRow
    state: str
    detail: str | None = None
    again_in_s: float = 0.0


async def settle_notices(pool: Pool, outcomes: Sequence[NoticeOutcome]) -> list[None]:
    """Write what became of claimed notices, all in one commit; answers once per outcome."""
    await pool.execute(
        """update notice n set state = g.state, detail = g.detail, due_at = now() + make_interval(secs => g.again_in_s)
             from unnest($1::text[], $2::text[], $3::bytea[], $4::text[], $5::text[], $6::float8[])
                  as g(account_id, connection_id, digest, state, detail, again_in_s)
            where n.account_id = g.account_id and n.connection_id = g.connection_id and n.digest = g.digest""",
        [o.notice.account_id for o in outcomes],
        [o.notice.connection_id for o in outcomes],
        [o.notice.digest for o in outcomes],
        [o.state for o in outcomes],
        [o.detail for o in outcomes],
        [o.again_in_s for o in outcomes],
    )
    return [None] * len(outcomes)


async def inbox_age(pool: Pool) -> tuple[int, float]:
    """How many notices wait to be read, and the age of the oldest in seconds."""
    record = await pool.fetchrow(
        """select count(*) as many, coalesce(extract(epoch from now() - min(received_at)), 0)::float8 as oldest_s
             from notice where state = 'new'"""
    )
    return (record["many"], record["oldest_s"]) if record else (0, 0.0)
