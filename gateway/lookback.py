"""The look-back: once a day each provider's own list of payouts is compared with our attempts, and differences are told.

It reads the list, opens incidents and has attempts read again. It believes no row of a list and moves no payout.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import structlog

from gateway.compare_listing import Comparison, Difference, Doubt, compare, still_different
from gateway.connections import Connection, Connections
from gateway.dispatcher import lease_s
from gateway.ids import new_id
from gateway.loops import Failures, Loop
from gateway.metrics import Metrics
from gateway.store.database import Pool
from gateway.store.incidents import NewIncident, add_incidents
from gateway.store.lookbacks import (
    DueLookBack,
    claim_look_backs,
    end_look_back,
    keep_doubts,
    ours_to_compare,
    read_soon,
    standing_doubts,
)
from gateway.stuck import age_text
from schemas import ids
from schemas.contract import DAY_S, HOUR_S
from schemas.listing import Listing
from schemas.report import Unclear

_log = structlog.get_logger(__name__)

EVERY_S = float(DAY_S)
AGAIN_S = float(HOUR_S)  # after a list that could not be read to its end
OVERLAP_S = float(DAY_S)
LONGEST_S = 30.0 * DAY_S  # a list that can never be read to its end must not be asked for further and further back
SETTLED_S = 600.0  # what is younger may still be on its way onto the list, whatever the contract hopes
CLOCKS_APART = timedelta(minutes=5)  # the provider's clock dates the rows, the database's our attempts
_POLL_S = 60.0
_AT_ONCE = 5


class Outcome(StrEnum):
    """How much of the list could be read, and whether we could compare it."""

    COMPLETE = "complete"
    PARTIAL = "partial"  # what is on it was compared, and what is missing proves nothing
    UNREAD = "unread"
    FAILED = "failed"  # by an error of ours, which is raised


@dataclass(frozen=True, slots=True, kw_only=True)
class LookedBack:
    """What one comparison found."""

    outcome: Outcome
    since: datetime
    until: datetime
    reason: str = ""  # why it is not complete
    rows: int = 0
    differences: Sequence[Difference] = ()
    new: int = 0  # of the differences, those that opened an incident now
    doubts: int = 0  # attempts that are read again since the list shows another state


class LookBack(Loop):
    """Compares the connections that are due."""

    name = "lookback"

    def __init__(self, pool: Pool, connections: Connections, metrics: Metrics) -> None:
        super().__init__(poll_s=_POLL_S)
        self._pool = pool
        self._connections = connections
        self._metrics = metrics

    async def round(self) -> bool:
        """Compare what is due; whether there may be more."""
        due = await self._claim(limit=_AT_ONCE)
        failures = Failures(self.name)
        for one in due:
            with failures.caught(connection=one.connection_id, provider=one.provider):
                await self._look_back(one)
        failures.end()
        return len(due) == _AT_ONCE

    async def now(self, connection_id: str) -> LookedBack | None:
        """Compare one connection at once, due or not; None when there is no such connection, or nothing to compare it with."""
        for due in await self._claim(limit=1, connection_id=connection_id):
            return await self._look_back(due)
        return None

    async def _claim(self, *, limit: int, connection_id: str | None = None) -> list[DueLookBack]:
        providers = [contract.provider for contract in self._connections.contracts() if contract.lists_payouts]
        return await claim_look_backs(
            self._pool,
            providers,
            every_s=EVERY_S,
            again_s=AGAIN_S,
            overlap_s=OVERLAP_S,
            longest_s=LONGEST_S,
            limit=limit,
            connection_id=connection_id,
        )

    async def _look_back(self, due: DueLookBack) -> LookedBack:
        contract = self._connections.contract(due.provider)
        until = due.now - timedelta(seconds=max(contract.visibility_s, SETTLED_S))
        try:
            found = await self._compared(due, until)
            if found.outcome is Outcome.COMPLETE:
                await end_look_back(self._pool, due, until=until, every_s=EVERY_S)
        except Exception:
            self._metrics.lookbacks.labels(due.provider, Outcome.FAILED).inc()
            raise
        self._metrics.lookbacks.labels(due.provider, found.outcome).inc()
        if found.outcome is not Outcome.COMPLETE:
            _log.warning(
                "lookback.incomplete", provider=due.provider, connection=due.connection_id, reason=found.reason, rows=found.rows
            )
        return found

    async def _compared(self, due: DueLookBack, until: datetime) -> LookedBack:
        if until <= due.since:
            wait = age_text((due.since - until).total_seconds())
            reason = f"nothing that went out through it is old enough to be surely on the list; try again in {wait}"
            return LookedBack(outcome=Outcome.UNREAD, since=due.since, until=until, reason=reason)
        connection = await self._connections.usable(due.connection_id)
        if connection is None:
            reason = "the connection is gone, or its secrets cannot be opened"
            return LookedBack(outcome=Outcome.UNREAD, since=due.since, until=until, reason=reason)
        listing = await self._listed(connection, due, until)
        if isinstance(listing, Unclear):
            return LookedBack(outcome=Outcome.UNREAD, since=due.since, until=until, reason=listing.reason)
        ours = await ours_to_compare(self._pool, due, listing.rows, until=until)
        comparison = compare(listing, ours, connection.contract, since=due.since, until=until)
        standing = await standing_doubts(self._pool, due, comparison.doubts) if comparison.doubts else set()
        confirmed = [doubt for doubt in comparison.doubts if doubt.ours.id in standing]
        differences = [*comparison.differences, *(still_different(doubt, connection.contract) for doubt in confirmed)]
        new = await self._open(due, differences) if differences else 0
        fresh = [doubt for doubt in comparison.doubts if doubt.ours.id not in standing]
        await self._read_again(due, connection, listing, comparison, fresh)
        return LookedBack(
            outcome=Outcome.COMPLETE if listing.complete else Outcome.PARTIAL,
            since=due.since,
            until=until,
            reason=listing.reason,
            rows=len(listing.rows),
            differences=differences,
            new=new,
            doubts=len(fresh),
        )

    async def _listed(self, connection: Connection, due: DueLookBack, until: datetime) -> Listing | Unclear:
        try:
            return await connection.connector.listed(due.since - CLOCKS_APART, until + CLOCKS_APART)
        except Exception:
            _log.exception("lookback.connector_raised", connection=due.connection_id, provider=due.provider)
            return Unclear("our connector failed while it read the list")

    async def _open(self, due: DueLookBack, differences: Sequence[Difference]) -> int:
        """Open an incident for each difference that has none yet; how many those are."""
        incidents = {
            (one := new_id(ids.INCIDENT)): NewIncident(
                id=one,
                kind=difference.kind,
                subject=difference.subject,
                payout_id=difference.ours.payout_id if difference.ours else None,
                attempt_id=difference.ours.id if difference.ours else None,
                amount_minor=difference.amount_minor,
                currency=difference.currency,
                detail=difference.detail,
            )
            for difference in differences
        }
        opened = await add_incidents(self._pool, due.account_id, due.connection_id, list(incidents.values()))
        for one in opened:
            incident = incidents[one]
            self._metrics.lookback_differences.labels(due.provider, incident.kind).inc()
            _log.error(
                "incident.opened",
                incident=one,
                kind=incident.kind,
                provider=due.provider,
                connection=due.connection_id,
                payout=incident.payout_id,
                attempt=incident.attempt_id,
            )
        return len(opened)

    async def _read_again(
        self,
        due: DueLookBack,
        connection: Connection,
        listing: Listing,
        comparison: Comparison,
        fresh: Sequence[Doubt],
    ) -> None:
        await keep_doubts(self._pool, due, fresh, settled=None if listing.complete else sorted(comparison.seen))
        if fresh:
            await read_soon(self._pool, due, [doubt.ours.id for doubt in fresh], lease_s=lease_s(connection.contract))
