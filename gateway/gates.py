"""Gates: how many sends each connection may start now, by its pace, by those under way, and by whether its provider answers.

Holds back only what was never sent, so that a payout waits in the queue instead of using up attempts. Each process keeps
its own gates and learns by itself; nothing about the money depends on them.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gateway.breaker import Breaker, Circuit
from gateway.pacing import Bucket
from schemas.report import NotSent, RefusalCause, Refused, Report, Unclear

AT_ONCE = 50  # sends under way through one connection: a slow one must not take the places of all others


@dataclass(slots=True)
class _Gate:
    provider: str
    bucket: Bucket | None
    breaker: Breaker = field(default_factory=Breaker)
    under_way: int = 0

    def free(self, now_s: float) -> int:
        """How many sends may start now."""
        places = max(0, AT_ONCE - self.under_way)
        paced = min(places, self.bucket.available(now_s)) if self.bucket else places
        return self.breaker.allowed(paced, now_s)


class Gates:
    """The gates of all connections that this process has sent through."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._gates: dict[str, _Gate] = {}

    def free(self) -> tuple[list[str], list[int]]:
        """Connections and how many sends each may start now, for the claim; a connection not listed is not known yet."""
        now_s = self._clock()
        return list(self._gates), [gate.free(now_s) for gate in self._gates.values()]

    def started(self, connection_id: str, provider: str, rate_per_s: float | None) -> None:
        """A send starts; `rate_per_s` is the connection's pace as it stands now."""
        now_s = self._clock()
        gate = self._gates.get(connection_id)
        if gate is None:
            gate = self._gates[connection_id] = _Gate(provider, None)
        if rate_per_s is None:
            gate.bucket = None
        elif gate.bucket is None or gate.bucket.rate_per_s != rate_per_s:
            gate.bucket = Bucket.full(rate_per_s, now_s)
        if gate.bucket:
            gate.bucket.take(1, now_s)
        gate.under_way += 1
        gate.breaker.started(now_s)

    def ended(self, connection_id: str, reports: Sequence[Report]) -> None:
        """A send is over. One clear answer among its reports is enough to know that the provider works; none says nothing."""
        gate = self._gates.get(connection_id)
        if gate is None:
            return
        gate.under_way = max(0, gate.under_way - 1)
        now_s = self._clock()
        if not reports:
            gate.breaker.gave_up()
        elif all(isinstance(report, (NotSent, Unclear)) for report in reports):
            gate.breaker.troubled(now_s)
        else:
            gate.breaker.answered()
        for report in reports:
            if isinstance(report, Refused) and report.cause is RefusalCause.PACING and gate.bucket:
                gate.bucket.pause(report.retry_after_s, now_s)

    def under_way(self) -> Counter[str]:
        """How many sends are under way, by provider."""
        counted: Counter[str] = Counter()
        for gate in self._gates.values():
            counted[gate.provider] += gate.under_way
        return counted

    def open_now(self) -> set[str]:
        """The connections through which nothing may go now. Not those where one send is to try: it needs a payout."""
        now_s = self._clock()
        return {name for name, gate in self._gates.items() if gate.breaker.state(now_s) is Circuit.OPEN}

    def states(self) -> dict[str, tuple[bool, bool]]:
        """Of each connection: whether its circuit is open, and whether its pace is used up."""
        now_s = self._clock()
        return {
            name: (gate.breaker.state(now_s) is Circuit.OPEN, gate.bucket is not None and gate.bucket.available(now_s) < 1)
            for name, gate in self._gates.items()
        }

    def open_circuits(self) -> list[str]:
        """The provider of each connection whose circuit is not closed."""
        now_s = self._clock()
        return [gate.provider for gate in self._gates.values() if gate.breaker.state(now_s) is not Circuit.CLOSED]
