"""Incidents: what must not happen and did, from the moment it is noticed until a person closes it.

Opening and closing only: late payments open theirs with the change that books them (`record_changes`). Moves no payout.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.store.database import Pool
from schemas.incident import ClosedAs, IncidentKind


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentRow:
    """One row of `incident`."""

    account_id: str
    id: str
    kind: str
    subject: str
    connection_id: str
    payout_id: str | None
    attempt_id: str | None
    amount_minor: int | None
    currency: str | None
    detail: str
    opened_at: datetime
    closed_at: datetime | None
    closed_by: str | None
    closed_as: str | None
    closed_reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewIncident:
    """An incident to be opened; of one kind and subject there is only ever one."""

    id: str
    kind: IncidentKind
    subject: str
    payout_id: str | None
    attempt_id: str | None
    amount_minor: int | None
    currency: str | None
    detail: str


async def add_incidents(pool: Pool, account_id: str, connection_id: str, news: Sequence[NewIncident]) -> set[str]:
    """Open those that were never opened before; their ids."""
    records = await pool.fetch(
        """insert into incident (account_id, connection_id, id, kind, subject, payout_id, attempt_id, amount_minor, currency,
                                 detail)
           select $1, $2, * from unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::text[],
                                        $10::text[])
           on conflict (account_id, kind, connection_id, subject) do nothing returning id""",
        account_id,
        connection_id,
        [n.id for n in news],
        [n.kind for n in news],
        [n.subject for n in news],
        [n.payout_id for n in news],
        [n.attempt_id for n in news],
        [n.amount_minor for n in news],
        [n.currency for n in news],
        [n.detail for n in news],
    )
    return {record["id"] for record in records}


async def list_incidents(
    pool: Pool, *, account_id: str | None = None, connection_id: str | None = None, also_closed: bool = False
) -> list[IncidentRow]:
    """Incidents, the oldest first: of one account or connection, or of all, for the operator's command line only."""
    records = await pool.fetch(
        """select * from incident where ($1::text is null or account_id = $1) and ($2::text is null or connection_id = $2)
              and ($3 or closed_at is null) order by opened_at, id""",
        account_id,
        connection_id,
        also_closed,
    )
    return [IncidentRow(**record) for record in records]


async def get_incident(pool: Pool, incident_id: str) -> IncidentRow | None:
    """One incident, of whichever account: for the operator's command line only."""
    record = await pool.fetchrow("select * from incident where id = $1", incident_id)
    return IncidentRow(**record) if record else None


async def close_incident(pool: Pool, incident_id: str, *, person: str, closed_as: ClosedAs, reason: str, tx_id: str) -> bool:
    """Close an open incident and, where it is about money, book the receivable away with it; False when it is not open.

    One statement, so that neither is ever there without the other.
    """
    closed = await pool.fetchval(
        """with closed as (
               update incident set closed_at = now(), closed_by = $2, closed_as = $3, closed_reason = $4
                where id = $1 and closed_at is null returning *
           ), booked as (
               insert into ledger_entry (account_id, tx_id, line, kind, book, currency, debit, credit, payout_id, memo,
                                         posted_at)
               select c.account_id, $5, l.line::smallint, l.kind, l.book, c.currency, l.debit * c.amount_minor,
                      l.credit * c.amount_minor, c.payout_id, $1, now()
                 from closed c
                 join (values ('recovered', 1, 'recover', 'funding', 1, 0), ('recovered', 2, 'recover', 'receivable', 0, 1),
                              ('written_off', 1, 'write_off', 'loss', 1, 0),
                              ('written_off', 2, 'write_off', 'receivable', 0, 1))
                      l(closed_as, line, kind, book, debit, credit) on l.closed_as = c.closed_as
           ), owed as (
               update balance b set receivable = b.receivable - c.amount_minor from closed c
                where c.kind = 'paid_late' and b.account_id = c.account_id and b.currency = c.currency
           )
           select count(*) from closed""",
        incident_id,
        person,
        closed_as,
        reason,
        tx_id,
    )
    return bool(closed)


async def open_incidents(pool: Pool) -> list[tuple[str, int, float]]:
    """(kind, how many are open, age of the oldest in seconds), of each kind."""
    records = await pool.fetch(
        """select kind, count(*) as many, extract(epoch from now() - min(opened_at))::float8 as oldest_s
             from incident where closed_at is null group by kind"""
    )
    found = {r["kind"]: (r["many"], r["oldest_s"]) for r in records}
    return [(kind.value, *found.get(kind, (0, 0.0))) for kind in IncidentKind]
