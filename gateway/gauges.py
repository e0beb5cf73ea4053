"""The gauges that only the database can fill: how much waits, how old it is, what needs a person.

Reads, and changes nothing.
"""

import asyncio
from collections.abc import Sequence

import structlog

from gateway.gates import Gates
from gateway.metrics import Metrics
from gateway.store.accounts import paused_connections
from gateway.store.attempts import open_ages
from gateway.store.database import Pool
from gateway.store.holds import is_held
from gateway.store.incidents import open_incidents
from gateway.store.lookbacks import look_back_ages
from gateway.store.notices import inbox_age
from gateway.store.payouts import phase_counts, review_age
from gateway.store.provider_balances import lowest_balances
from schemas.contract import Contract
from schemas.money import to_decimal

_log = structlog.get_logger(__name__)

_EVERY_S = 5.0
_BALANCE_COUNTS_S = 3600.0  # an older reading says nothing about now


class Gauges:
    """Fills the gauges of one process, again and again."""

    def __init__(self, pool: Pool, metrics: Metrics, gates: Gates, contracts: Sequence[Contract]) -> None:
        self._pool = pool
        self._listing = [contract.provider for contract in contracts if contract.lists_payouts]
        self._metrics = metrics
        self._gates = gates

    async def keep_filling(self) -> None:
        """Fill them until cancelled."""
        while True:
            try:
                await self.fill()
            except Exception:
                _log.exception("gauges.failed")
            await asyncio.sleep(_EVERY_S)

    async def fill(self) -> None:
        """Fill them once."""
        m = self._metrics
        m.open_payouts.clear()
        m.queue_age_s.clear()
        for provider, phase, many, oldest_s in await phase_counts(self._pool):
            m.open_payouts.labels(provider, phase).set(many)
            m.queue_age_s.labels(provider, phase).set(oldest_s)
        m.attempt_age_s.clear()
        for provider, state, oldest_s in await open_ages(self._pool):
            m.attempt_age_s.labels(provider, state).set(oldest_s)
        m.provider_balance.clear()
        for provider, currency, lowest in await lowest_balances(self._pool, younger_than_s=_BALANCE_COUNTS_S):
            m.provider_balance.labels(provider, currency).set(float(to_decimal(lowest, currency)))
        m.paused.clear()
        for _, provider in await paused_connections(self._pool):
            m.paused.labels(provider).inc()
        m.open_circuits.clear()
        for provider in self._gates.open_circuits():
            m.open_circuits.labels(provider).inc()
        waiting, age_s = await inbox_age(self._pool)
        m.inbox_waiting.set(waiting)
        m.inbox_age_s.set(age_s)
        m.lookback_age_s.clear()
        for provider, oldest_s in await look_back_ages(self._pool, self._listing):
            m.lookback_age_s.labels(provider).set(oldest_s)
        await self._fill_what_needs_a_person()

    async def _fill_what_needs_a_person(self) -> None:
        m = self._metrics
        m.recovery_hold.set(await is_held(self._pool))
        reviews, oldest_s = await review_age(self._pool)
        m.reviews_open.set(reviews)
        m.review_age_s.set(oldest_s)
        for kind, many, age_s in await open_incidents(self._pool):
            m.incidents_open.labels(kind).set(many)
            m.incident_age_s.labels(kind).set(age_s)
