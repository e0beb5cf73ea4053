"""The watch over the invariants: runs the rules of `store/invariants.sql` on the real data every few minutes.

It reports and never repairs: a rule that is broken is a metric that is not zero, and a line at error level with the ids.
"""

import asyncio
import contextlib
import time

import structlog

from gateway.loops import Loop
from gateway.metrics import Metrics
from gateway.store.database import Pool
from gateway.store.invariants import Finding, Rule, check_rule, rules

_log = structlog.get_logger(__name__)

TIMEOUT_S = 120.0
_FIRST_AFTER_S = 20.0  # a process that has just started has its payouts to send first
_REST = 20.0  # a rule that takes long rests this many times as long: all of them together never take much of the database


class Invariants(Loop):
    """Runs each rule that is due; one process at a time."""

    name = "invariants"
    only_reads = True  # and a check may take longer than a stop

    def __init__(self, pool: Pool, metrics: Metrics, *, every_s: float) -> None:
        super().__init__(poll_s=every_s)
        self._pool = pool
        self._metrics = metrics
        self._every_s = every_s
        self._due_at: dict[str, float] = {}

    async def _run(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), min(_FIRST_AFTER_S, self._every_s))
        await super()._run()

    async def round(self) -> bool:
        """Check what is due."""
        complete = True
        for rule in rules():
            started = time.monotonic()
            if started < self._due_at.get(rule.name, 0.0):
                continue
            try:
                finding = await check_rule(self._pool, rule, timeout_s=TIMEOUT_S, alone=True)
            except Exception:
                complete = False
                self._metrics.invariant_failures.labels(rule.name).inc()
                _log.exception("invariant.unchecked", rule=rule.name, reason="nobody knows whether it holds; it is tried again")
            else:
                if finding is None:
                    # Another process checks, and tells: what this one last saw must not stand for ever.
                    self._metrics.invariant_violations.clear()
                    return False
                self._tell(rule, finding)
            took_s = time.monotonic() - started
            # A little early, so that a round that comes by its own clock finds everything due.
            self._due_at[rule.name] = started + max(self._every_s * 0.9, took_s * _REST)
        if complete:
            self._metrics.invariants_checked.set_to_current_time()
        return False

    def _tell(self, rule: Rule, finding: Finding) -> None:
        self._metrics.invariant_violations.labels(rule.name).set(finding.many)
        if finding.many:
            _log.error(
                "invariant.violated",
                rule=rule.name,
                reason=rule.meaning,
                many=finding.many,
                ids=[offender for offender, _ in finding.offenders],
                accounts=sorted({account for _, account in finding.offenders}),
            )
