"""Connections, ready for use: rows from the store, secrets opened, connectors made, contracts beside them.

Remembers for a second only, so that a changed, paused or revoked connection is seen at once by every process.
Opened secrets live in the connectors and nowhere else.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from gateway.routing import Candidate
from gateway.sealing import Seal, connection_place
from gateway.store import accounts
from gateway.store.database import Pool
from gateway.store.rows import ConnectionRow
from providers.base import Connector, Provider
from providers.transport import Transport
from schemas.contract import Contract

_REMEMBER_S = 1.0


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection that can be talked through."""

    row: ConnectionRow
    contract: Contract
    connector: Connector


class Connections:
    """All connections that this process has met, by id and by account."""

    def __init__(self, pool: Pool, seal: Seal, providers: Mapping[str, Provider], transport: Transport) -> None:
        self._pool = pool
        self._seal = seal
        self._providers = providers
        self._transport = transport
        self._by_id: dict[str, tuple[float, Connection]] = {}
        self._by_account: dict[str, tuple[float, list[Candidate]]] = {}

    async def get(self, connection_id: str) -> Connection | None:
        """One connection by id, or None."""
        known = self._by_id.get(connection_id)
        if known and known[0] > time.monotonic():
            return known[1]
        row = await accounts.find_connection(self._pool, connection_id)
        if row is None or row.provider not in self._providers:
            return None
        # An unchanged connection keeps its connector: a new one would forget its access token.
        connection = known[1] if known and known[1].row == row else self._open(row)
        self._by_id[connection_id] = (time.monotonic() + _REMEMBER_S, connection)
        return connection

    async def candidates(self, account_id: str) -> list[Candidate]:
        """An account's connections as routing sees them."""
        known = self._by_account.get(account_id)
        if known and known[0] > time.monotonic():
            return known[1]
        candidates = [
            Candidate(
                connection_id=row.id,
                name=row.name,
                priority=row.priority,
                contract=self._providers[row.provider].contract,
                currencies=frozenset(row.currencies),
                paused=row.paused_reason is not None,
            )
            for row in await accounts.connections_of(self._pool, account_id)
            if row.provider in self._providers
        ]
        self._by_account[account_id] = (time.monotonic() + _REMEMBER_S, candidates)
        return candidates

    def contract(self, provider: str) -> Contract:
        """The contract of a provider that a stored payout names."""
        return self._providers[provider].contract

    def contracts(self) -> list[Contract]:
        """The contracts of all providers."""
        return [provider.contract for provider in self._providers.values()]

    def _open(self, row: ConnectionRow) -> Connection:
        provider = self._providers[row.provider]
        secrets = self._seal.open(row.secrets_sealed, connection_place(row.account_id, row.id))
        connector = provider.connect(
            provider.settings.model_validate(row.settings),
            provider.secrets.model_validate(orjson.loads(secrets)),
            self._transport,
        )
        return Connection(row, provider.contract, connector)
