"""Onward: gathers what failover needs to know about payouts whose newest attempt has ended, and asks it.

Reads the payout, its attempts, the account's connections and policy. Decides nothing itself and writes nothing.
"""

from collections.abc import Mapping, Sequence

from gateway.connections import Connections
from gateway.failover import Next, next_connection
from gateway.lifecycle import Ended
from gateway.routing import Route
from gateway.store.database import Pool
from gateway.store.routes import routable_payouts
from gateway.store.rows import AttemptRow


class OnwardRoutes:
    """Where payouts may go next, by payout id."""

    def __init__(self, pool: Pool, connections: Connections) -> None:
        self._pool = pool
        self._connections = connections

    async def __call__(self, ended: Sequence[tuple[AttemptRow, Ended]]) -> Mapping[str, tuple[Next, Route]]:
        """One answer per payout; a payout of a connection that failover can never leave is simply answered with no."""
        payouts = await routable_payouts(self._pool, [(attempt.account_id, attempt.payout_id) for attempt, _ in ended])
        answers: dict[str, tuple[Next, Route]] = {}
        for attempt, how in ended:
            payout = payouts[attempt.payout_id]
            policy = await self._connections.policy(attempt.account_id)
            found = (await self._connections.router(attempt.account_id)).route(payout.wanted, policy)
            onward = next_connection(
                how,
                at=attempt.connection_id,
                tried=payout.tried,
                route=found,
                limits=policy.failover,
                age_s=payout.age_s,
            )
            answers[attempt.payout_id] = (onward, found)
        return answers
