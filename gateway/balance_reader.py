"""The balance reader: asks providers now and then what is on our balance, so that a low one is seen before payouts get stuck.

Slow on purpose, and only for connections in use. Never part of a request, and no payout is held back by what it reads: only
the provider knows what its balance is when it pays.
"""

import asyncio
import time

import structlog

from gateway.connections import Connections
from gateway.loops import Failures, Loop
from gateway.store.database import Pool
from gateway.store.provider_balances import claim_readings, keep_balances
from schemas import ids
from schemas.contract import DAY_S
from schemas.report import Unclear

_log = structlog.get_logger(__name__)

EVERY_S = 300.0  # for each connection
USED_WITHIN_S = DAY_S
POLL_S = 15.0
_AT_ONCE = 20


class BalanceReader(Loop):
    """Reads the balances of connections that are in use."""

    name = "balance_reader"

    def __init__(self, pool: Pool, connections: Connections) -> None:
        super().__init__(poll_s=POLL_S)
        self._pool = pool
        self._connections = connections

    async def round(self) -> bool:
        """Read what is due; whether there may be more."""
        providers = [c.provider for c in self._connections.contracts() if c.reads_balance]
        # Ids begin with their time: the payouts of the last day are a range of the primary key.
        since = f"{ids.PAYOUT}_{int((time.time() - USED_WITHIN_S) * 1000):012x}"
        due = await claim_readings(self._pool, providers, every_s=EVERY_S, used_since_id=since, limit=_AT_ONCE)
        failures = Failures(self.name)
        await asyncio.gather(*(self._read(account_id, connection_id, failures) for account_id, connection_id in due))
        failures.end()
        return len(due) == _AT_ONCE

    async def _read(self, account_id: str, connection_id: str, failures: Failures) -> None:
        with failures.caught(connection=connection_id):
            connection = await self._connections.usable(connection_id)
            if connection is None:
                return
            try:
                balances = await connection.connector.balance()
            except Exception:
                _log.exception("balance.connector_raised", connection=connection_id, provider=connection.row.provider)
                return
            if isinstance(balances, Unclear):
                _log.info("balance.unread", connection=connection_id, provider=connection.row.provider, reason=balances.reason)
                return
            await keep_balances(self._pool, account_id, connection_id, balances)
