"""How incidents end: a person closes them, and lets a connection work again that was stopped by one.

Closing books away what was owed to us and changes nothing else: the payout stays as it is, and what is at the provider too.
"""

from gateway.ids import new_id
from gateway.store import accounts
from gateway.store import incidents as incident_store
from gateway.store.database import Pool
from gateway.store.incidents import IncidentRow
from schemas import ids
from schemas.incident import ClosedAs, IncidentKind
from schemas.text import PERSON_LIMIT, REASON_LIMIT, is_line

# How each kind may end. A late payment has moved the books, so nobody can explain it away.
MAY_END: dict[IncidentKind, frozenset[ClosedAs]] = {
    IncidentKind.PAID_LATE: frozenset({ClosedAs.RECOVERED, ClosedAs.WRITTEN_OFF}),
    IncidentKind.UNKNOWN_PAYOUT: frozenset({ClosedAs.EXPLAINED}),
    IncidentKind.MISSING_PAYOUT: frozenset({ClosedAs.EXPLAINED}),
    IncidentKind.DIFFERENT_PAYOUT: frozenset({ClosedAs.EXPLAINED}),
}


class IncidentError(RuntimeError):
    """What was asked for cannot be done with this incident or connection. One sentence; nothing was changed."""


async def find(pool: Pool, incident_id: str) -> IncidentRow:
    """One incident; `IncidentError` when there is none."""
    found = await incident_store.get_incident(pool, incident_id)
    if found is None:
        raise IncidentError(f"there is no incident {incident_id}; `incident list --all` shows them all")
    return found


async def close(pool: Pool, incident_id: str, *, person: str, closed_as: ClosedAs, reason: str) -> IncidentRow:
    """Close an incident, with the booking that belongs to it, and return it as it stands then."""
    person, reason = person.strip(), reason.strip()
    if not (is_line(person, most=PERSON_LIMIT) and is_line(reason, most=REASON_LIMIT)):
        raise IncidentError(
            "an incident is closed by somebody and for a reason: name both, in one line of printable characters each "
            f"(at most {PERSON_LIMIT} and {REASON_LIMIT}). Nothing was changed"
        )
    found = await find(pool, incident_id)
    allowed = MAY_END[IncidentKind(found.kind)]
    if closed_as not in allowed:
        names = " or ".join(sorted(allowed))
        raise IncidentError(f"an incident of kind {found.kind} ends as {names}, not as {closed_as}; nothing was changed")
    closed = await incident_store.close_incident(
        pool, incident_id, person=person, closed_as=closed_as, reason=reason,
        tx_id=new_id(ids.LEDGER_TRANSACTION),
    )  # fmt: skip
    if not closed:
        raise IncidentError(f"incident {incident_id} has been closed before; nothing was changed or booked again")
    return await find(pool, incident_id)


async def resume(pool: Pool, connection_id: str, *, anyway: bool) -> None:
    """Let a paused connection send again. Not while a late payment there is open, unless it is asked for by name."""
    if await accounts.find_connection(pool, connection_id) is None:
        raise IncidentError(f"there is no connection {connection_id}; nothing was changed")
    late = [
        one.id
        for one in await incident_store.list_incidents(pool, connection_id=connection_id)
        if one.kind == IncidentKind.PAID_LATE
    ]
    if late and not anyway:
        raise IncidentError(
            f"{connection_id} was stopped since its provider paid what it had ended before ({', '.join(late)}). It stays "
            "stopped. Close the incident first, or say --anyway once you know that it will not happen again"
        )
    await accounts.resume_connection(pool, connection_id)
