"""The rerouter: tells all processes how connections do, and moves what waits at a connection that does not work.

It moves only payouts of which nothing is out, by the rules of `gateway.failover` for what was not sent. It sends nothing.
"""

import time

import structlog

from gateway.apply import Apply
from gateway.connections import Connections
from gateway.failover import next_connection
from gateway.gates import Gates
from gateway.learned import Learned
from gateway.lifecycle import Ended
from gateway.loops import Failures, Loop
from gateway.store.accounts import paused_connections
from gateway.store.database import Pool
from gateway.store.routes import LearnedHealth, RoutablePayout, share_health, waiting_at

_log = structlog.get_logger(__name__)
_PAGE = 200
_SHARE_EVERY_S = 2.0
SOURCE = "rerouter"


class Rerouter(Loop):
    """Looks at connections whose circuit is open in this process, and at those that are paused."""

    name = "rerouter"

    def __init__(
        self, pool: Pool, connections: Connections, apply: Apply, gates: Gates, learned: Learned, *, poll_s: float
    ) -> None:
        super().__init__(poll_s=poll_s)
        self._pool = pool
        self._connections = connections
        self._apply = apply
        self._gates = gates
        self._learned = learned
        self._shared_at = -_SHARE_EVERY_S
        self._looked_at: dict[str, str] = {}  # connection -> the last payout looked at: what cannot move must not block others

    async def round(self) -> bool:
        """Move what can be moved; whether there may be more. Raises when some could not be, once all were looked at."""
        await self._share()
        stuck_at = {connection_id for connection_id, _ in await paused_connections(self._pool)}
        stuck_at |= self._gates.open_now()
        more, failures = False, Failures(self.name)
        for connection_id in sorted(stuck_at):
            waiting = await waiting_at(self._pool, connection_id, after_id=self._looked_at.get(connection_id, ""), limit=_PAGE)
            for payout in waiting:
                if self._closing:  # with a database that does not answer, a page of errors takes far longer than a stop
                    return False
                with failures.caught(payout=payout.id):
                    await self._move(payout)
            if len(waiting) == _PAGE:
                self._looked_at[connection_id] = waiting[-1].id
                more = True
            else:
                self._looked_at.pop(connection_id, None)
        failures.end()
        return more

    async def _move(self, payout: RoutablePayout) -> None:
        policy = await self._connections.policy(payout.account_id)
        found = (await self._connections.router(payout.account_id)).route(payout.wanted, policy)
        onward = next_connection(
            Ended.NOT_SENT,
            at=payout.connection_id,
            tried=payout.tried,
            route=found,
            limits=policy.failover,
            age_s=payout.age_s,
        )
        if onward.to is not None and await self._apply.reroute(payout, onward, found, source=SOURCE):
            _log.info("payout.rerouted", payout=payout.id, provider=onward.to.contract.provider)

    async def _share(self) -> None:
        now_s = time.monotonic()
        if now_s < self._shared_at + _SHARE_EVERY_S:
            return
        self._shared_at = now_s
        states = self._gates.states()
        learned = [
            LearnedHealth(
                account_id=seen.account_id,
                connection_id=connection_id,
                circuit_open=states.get(connection_id, (False, False))[0],
                saturated=states.get(connection_id, (False, False))[1],
                success=seen.success,
                paid_s=seen.paid_s,
            )
            for connection_id, seen in self._learned.seen.items()
        ]
        if learned:
            await share_health(self._pool, learned)
