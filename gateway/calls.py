"""Calls to connectors that never raise: one report per order or lookup, whatever happened, and applying them.

Shared by the loops. A defect of a connector in the middle of a call is Unclear like anything else that is not known.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence

import structlog

from gateway.apply import Apply
from gateway.connections import Connection
from gateway.ids import bare
from gateway.recording import Said
from gateway.store.rows import AttemptRow
from providers.last_moment import leave_by
from schemas.checks import DestinationCheck, Verdict
from schemas.destination import BankAccount
from schemas.order import Lookup, Order
from schemas.report import Report, Unclear

_log = structlog.get_logger(__name__)
_SUBMISSIONS_AT_ONCE = 32


def lookup_of(attempt: AttemptRow) -> Lookup:
    """An attempt's row as connectors look it up."""
    return Lookup(
        attempt_id=attempt.id,
        key=attempt.key,
        amount_minor=attempt.amount_minor,
        currency=attempt.currency,
        sent_at=attempt.sent_at,
        provider_ref=attempt.provider_ref,
        submission_ref=attempt.submission_ref,
    )


def in_parts(attempts: Sequence[AttemptRow]) -> Iterator[list[AttemptRow]]:
    """Attempts in parts that even a slow provider reads within a lease; what went out together stays together."""
    together: dict[str, list[AttemptRow]] = defaultdict(list)
    for attempt in attempts:
        together[attempt.submission_id].append(attempt)
    submissions = list(together.values())
    for start in range(0, len(submissions), _SUBMISSIONS_AT_ONCE):
        yield [attempt for some in submissions[start : start + _SUBMISSIONS_AT_ONCE] for attempt in some]


def _one_each(reports: list[Report], wanted: int) -> list[Report]:
    return reports if len(reports) == wanted else [Unclear("the connector did not answer for each one")] * wanted


async def submit_all(
    connection: Connection, submission_id: str, orders: Sequence[Order], *, send_before: float
) -> list[Report]:
    """Send orders in one submission; one report per order, in order. Nothing leaves after `send_before` (monotonic clock)."""
    try:
        with leave_by(send_before):
            reports = await connection.connector.submit(bare(submission_id), orders)
    except Exception as error:
        _log.exception("submit.connector_raised", submission=submission_id, provider=connection.row.provider)
        return [Unclear(f"the connector failed with {type(error).__name__} while it was sending")] * len(orders)
    return _one_each(reports, len(orders))


async def read_back(connection: Connection, attempts: Sequence[AttemptRow]) -> list[Report]:
    """Read attempts; one report per attempt, in order."""
    return await look_up(connection, [lookup_of(a) for a in attempts])


async def look_up(connection: Connection, lookups: Sequence[Lookup]) -> list[Report]:
    """Read attempts that need not be in the database; one report per lookup, in order."""
    try:
        reports = await connection.connector.find(lookups)
    except Exception as error:
        _log.exception("find.connector_raised", connection=connection.row.id, provider=connection.row.provider)
        return [Unclear(f"the connector failed with {type(error).__name__} while it was reading")] * len(lookups)
    return _one_each(reports, len(lookups))


async def cancel(connection: Connection, attempt: AttemptRow) -> Report:
    """Ask to stop an attempt. Whatever this answers is not believed: a read after it is."""
    try:
        return await connection.connector.cancel(lookup_of(attempt))
    except Exception as error:
        _log.exception("cancel.connector_raised", connection=connection.row.id, provider=connection.row.provider)
        return Unclear(f"the connector failed with {type(error).__name__} while it was cancelling")


async def check(connection: Connection, destination: BankAccount, begun: str | None) -> DestinationCheck:
    """Ask whether a bank account exists, or read the check that was begun before."""
    try:
        return await connection.connector.check_destination(destination, begun)
    except Exception as error:
        _log.exception("check.connector_raised", connection=connection.row.id, provider=connection.row.provider)
        return DestinationCheck(Verdict.UNKNOWN, reason=f"the connector failed with {type(error).__name__} while it was asking")


async def apply_all(apply: Apply, attempts: Sequence[AttemptRow], reports: Sequence[Report], source: str) -> None:
    """Apply one report per attempt, gathered into as few writes as possible. The attempts are as they were before the call.

    When one cannot be applied its error is raised, after all the others have been.
    """
    outcomes = await asyncio.gather(
        *(
            apply(Said(account_id=a.account_id, attempt_id=a.id, report=report, source=source, quiet_s=a.quiet_s))
            for a, report in zip(attempts, reports, strict=True)
        ),
        return_exceptions=True,
    )
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
