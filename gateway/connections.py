"""Connections, ready for use: rows from the store, secrets opened, connectors made, contracts beside them.

Remembers for a second only, so that a changed, paused or revoked connection is seen at once by every process.
Opened secrets live in the connectors and nowhere else.
"""

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import orjson
import structlog

from gateway.gather import Gather
from gateway.recall import Recall
from gateway.route_order import NO_HEALTH
from gateway.routing import Candidate, Router
from gateway.sealing import MasterKeyError, Seal, connection_place
from gateway.store import accounts
from gateway.store.database import Pool
from gateway.store.routes import get_policy, health_of
from gateway.store.rows import ConnectionRow
from providers.base import Connector, Provider
from providers.transport import Transport
from schemas.contract import Contract
from schemas.policy import DEFAULT_POLICY, RoutingPolicy

_log = structlog.get_logger(__name__)
_REMEMBER_S = 1.0
_HEALTH_FRESH_S = 60.0  # what nobody has confirmed for so long puts no connection last any more
_FUNDS_FRESH_S = 3600.0  # an older balance says nothing about now


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection that can be talked through."""

    row: ConnectionRow
    contract: Contract
    connector: Connector

    @property
    def rate_per_s(self) -> float | None:
        """How many sends a second: the connection's own pace, or its contract's."""
        return self.contract.rate_per_s if self.row.rate_per_s is None else self.row.rate_per_s


class Connections:
    """All connections that this process has met, by id and by account."""

    def __init__(self, pool: Pool, seal: Seal, providers: Mapping[str, Provider], transport: Transport) -> None:
        self._pool = pool
        self._seal = seal
        self._providers = providers
        self._transport = transport
        # Many are asked for together, by every claim; one read at a time, so that more of them share it.
        self._rows = Gather(partial(accounts.find_connections, pool), in_flight=1)
        self._by_id = Recall(self._read_connection, for_s=_REMEMBER_S)
        self._by_account = Recall(self._read_router, for_s=_REMEMBER_S)
        self._policies = Recall(self._read_policy, for_s=_REMEMBER_S)

    async def get(self, connection_id: str) -> Connection | None:
        """One connection by id, or None. Raises `MasterKeyError` when its secrets cannot be opened."""
        return await self._by_id.get(connection_id)

    async def usable(self, connection_id: str) -> Connection | None:
        """The same for loops that work on many: None, and a line in the log, also when its secrets cannot be opened.

        One that is broken must not keep the others of a round waiting.
        """
        try:
            return await self._by_id.get(connection_id)
        except MasterKeyError:
            _log.exception("connection.sealed", connection=connection_id)
            return None

    async def candidates(self, account_id: str) -> Sequence[Candidate]:
        """An account's connections as routing sees them."""
        return (await self._by_account.get(account_id)).candidates

    def router(self, account_id: str) -> Awaitable[Router]:
        """Routing among an account's connections."""
        return self._by_account.get(account_id)

    def policy(self, account_id: str) -> Awaitable[RoutingPolicy]:
        """How an account wants its payouts routed."""
        return self._policies.get(account_id)

    def forget_policies(self) -> None:
        """A policy was replaced: this process reads it anew."""
        self._policies.clear()

    def contract(self, provider: str) -> Contract:
        """The contract of a provider that a stored payout names."""
        return self._providers[provider].contract

    def contracts(self) -> list[Contract]:
        """The contracts of all providers."""
        return [provider.contract for provider in self._providers.values()]

    async def _read_connection(self, connection_id: str) -> Connection | None:
        row = await self._rows.submit(connection_id)
        if row is None or row.provider not in self._providers:
            return None
        # An unchanged connection keeps its connector: a new one would forget its access token.
        known = self._by_id.last(connection_id)
        return known if known and known.row == row else self._open(row)

    async def _read_policy(self, account_id: str) -> RoutingPolicy:
        stored = await get_policy(self._pool, account_id)
        return DEFAULT_POLICY if stored is None else RoutingPolicy.model_validate(stored)

    async def _read_router(self, account_id: str) -> Router:
        health = await health_of(self._pool, account_id, fresh_s=_HEALTH_FRESH_S, funds_fresh_s=_FUNDS_FRESH_S)
        candidates = [
            Candidate(
                connection_id=row.id,
                name=row.name,
                priority=row.priority,
                contract=self._providers[row.provider].contract,
                currencies=frozenset(row.currencies),
                paused=row.paused_reason is not None,
                health=health.get(row.id, NO_HEALTH),
            )
            for row in await accounts.connections_of(self._pool, account_id)
            if row.provider in self._providers
        ]
        return Router(candidates)

    def _open(self, row: ConnectionRow) -> Connection:
        provider = self._providers[row.provider]
        secrets = self._seal.open(row.secrets_sealed, connection_place(row.account_id, row.id))
        connector = provider.connect(
            provider.settings.model_validate(row.settings),
            provider.secrets.model_validate(orjson.loads(secrets)),
            self._transport,
        )
        return Connection(row, provider.contract, connector)
