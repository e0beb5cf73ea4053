"""The gauges that only the database can fill: how much waits, how old it is, what needs a person.

Reads, and changes nothing. A gauge that cannot be read keeps what it said last, and never says nothing: an alert must not
end because its query failed. That it is old shows as a failed round of this loop.
"""

from collections import Counter
from collections.abc import Sequence

from prometheus_client import Gauge

from gateway.gates import Gates
from gateway.loops import Loop
from gateway.metrics import Metrics
from gateway.store.accounts import paused_connections
from gateway.store.attempts import open_ages
from gateway.store.database import Pool
from gateway.store.holds import is_held
from gateway.store.incidents import open_incidents
from gateway.store.lookbacks import look_back_ages
from gateway.store.notices import inbox_age
from gateway.store.payouts import phase_counts
from gateway.store.provider_balances import lowest_balances
from gateway.store.reviews import review_age
from schemas.contract import Contract
from schemas.money import to_decimal

_EVERY_S = 5.0
_BALANCE_COUNTS_S = 3600.0  # an older reading says nothing about now


class Gauges(Loop):
    """Fills the gauges of one process, again and again."""

    name = "gauges"
    only_reads = True

    def __init__(self, pool: Pool, metrics: Metrics, gates: Gates, contracts: Sequence[Contract]) -> None:
        super().__init__(poll_s=_EVERY_S)
        self._pool = pool
        self._providers = [contract.provider for contract in contracts]
        self._listing = [contract.provider for contract in contracts if contract.lists_payouts]
        self._metrics = metrics
        self._gates = gates

    async def round(self) -> bool:
        """Fill them once more."""
        await self.fill()
        return False

    async def fill(self) -> None:
        """Fill all that can be filled. Raises what kept the others from it."""
        errors = []
        for fill in (
            self._payouts,
            self._attempts,
            self._balances,
            self._connections,
            self._inbox,
            self._lookbacks,
            self._hold,
            self._reviews,
            self._incidents,
        ):
            try:
                await fill()
            except Exception as error:
                errors.append(error)
        if errors:
            raise ExceptionGroup("some gauges could not be filled: they keep what they said last", errors)

    async def _payouts(self) -> None:
        counts = await phase_counts(self._pool)
        _show(self._metrics.open_payouts, [((provider, phase), many) for provider, phase, many, _ in counts])
        _show(self._metrics.queue_age_s, [((provider, phase), oldest_s) for provider, phase, _, oldest_s in counts])

    async def _attempts(self) -> None:
        ages = await open_ages(self._pool)
        _show(self._metrics.attempt_age_s, [((provider, state), oldest_s) for provider, state, oldest_s in ages])

    async def _balances(self) -> None:
        balances = await lowest_balances(self._pool, younger_than_s=_BALANCE_COUNTS_S)
        shown = [((provider, currency), float(to_decimal(lowest, currency))) for provider, currency, lowest in balances]
        _show(self._metrics.provider_balance, shown)

    async def _connections(self) -> None:
        open_circuits = Counter(self._gates.open_circuits())
        _show(self._metrics.open_circuits, [((provider,), many) for provider, many in open_circuits.items()])
        paused = Counter(provider for _, provider in await paused_connections(self._pool))
        _show(self._metrics.paused, [((provider,), paused[provider]) for provider in {*self._providers, *paused}])

    async def _inbox(self) -> None:
        waiting, age_s = await inbox_age(self._pool)
        self._metrics.inbox_waiting.set(waiting)
        self._metrics.inbox_age_s.set(age_s)

    async def _lookbacks(self) -> None:
        ages = await look_back_ages(self._pool, self._listing)
        _show(self._metrics.lookback_age_s, [((provider,), oldest_s) for provider, oldest_s in ages])

    async def _hold(self) -> None:
        self._metrics.recovery_hold.set(await is_held(self._pool))

    async def _reviews(self) -> None:
        reviews, oldest_s = await review_age(self._pool)
        self._metrics.reviews_open.set(reviews)
        self._metrics.review_age_s.set(oldest_s)

    async def _incidents(self) -> None:
        incidents = await open_incidents(self._pool)
        _show(self._metrics.incidents_open, [((kind,), many) for kind, many, _ in incidents])
        _show(self._metrics.incident_age_s, [((kind,), age_s) for kind, _, age_s in incidents])


def _show(gauge: Gauge, values: Sequence[tuple[tuple[str, ...], float]]) -> None:
    """Replace all that a gauge says. Nothing is awaited in between: a scrape never meets it empty or half filled."""
    gauge.clear()
    for labels, value in values:
        gauge.labels(*labels).set(value)
