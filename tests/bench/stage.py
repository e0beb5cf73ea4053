"""What the measured gateway stands on: an embedded PostgreSQL with a fresh database a scenario, accounts, keys, connections."""

import asyncio
import itertools
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import aiohttp
import asyncpg
from processes import Child

from gateway.embedded_postgres import EmbeddedPostgres
from gateway.onboarding import create_account, create_bearer_key, create_connection, create_signing_key
from gateway.sealing import Seal, new_master_key
from gateway.store import ledger
from gateway.store.database import Pool, migrate, open_pool
from providers.registry import PROVIDERS

_CREDIT_MINOR = 10**15
_PACE_PER_S = 10_000.0
_TEST_CARD_FIELDS = {  # the sandbox takes plain base64 where Plexy takes its own encryption
    **dict.fromkeys(
        ("encryptedExpiryMonth", "encryptedExpiryYear", "encryptedCvv", "encryptedCardholderName"), "NDExMTExMTExMTExMTExMQ=="
    ),
    "encryptedCardNumber": "NDExMTExMTExMTExMTExMQ==",
}


class Stage:
    """One PostgreSQL for the whole run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.postgres = EmbeddedPostgres(folder / "postgres")
        self._numbers = itertools.count(1)
        self.postgres_version = ""

    async def __aenter__(self) -> Self:
        await self.postgres.start()
        connection = await asyncpg.connect(self.postgres.dsn)
        self.postgres_version = await connection.fetchval("show server_version")
        await connection.close()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.postgres.stop()

    async def database(self) -> "Database":
        """A fresh migrated database."""
        name = f"bench_{next(self._numbers)}"
        connection = await asyncpg.connect(self.postgres.dsn)
        await connection.execute(f"create database {name}")
        await connection.close()
        dsn = self.postgres.dsn_of(name)
        await asyncio.to_thread(migrate, dsn)
        return Database(name, dsn, self.folder)


@dataclass
class Account:
    """An account and its keys."""

    id: str
    bearer: str
    key_id: str
    secret: str
    connections: dict[str, list[str]] = field(default_factory=dict)


class Database:
    """A database of one scenario, and what is set up in it."""

    def __init__(self, name: str, dsn: str, folder: Path) -> None:
        self.name = name
        self.dsn = dsn
        self.master_key = new_master_key()
        self._seal = Seal(self.master_key)
        self._folder = folder
        self.pool: Pool

    async def __aenter__(self) -> Self:
        self.pool = await open_pool(self.dsn, size=4)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.pool.close()

    def gateway(self, *roles: str) -> Child:
        """A gateway process over this database."""
        asked = {
            "dsn": self.dsn,
            "master_key": self.master_key,
            "roles": ",".join(roles),
            "log_file": str(self._folder / f"{self.name}-{'-'.join(roles)}.log"),
        }
        return Child("serve_gateway.py", first=asked)

    async def account(self, *currencies: str) -> Account:
        """An account with plenty of money in these currencies."""
        account_id = await create_account(self.pool, "Benchmark", currencies[0])
        bearer = await create_bearer_key(self.pool, self._seal, account_id)
        signing = await create_signing_key(self.pool, self._seal, account_id)
        for currency in currencies:
            await ledger.credit(
                self.pool,
                account_id=account_id,
                currency=currency,
                amount_minor=_CREDIT_MINOR,
                reference=f"start {currency}",
                fingerprint=b"start",
                tx_id=f"ltx_{uuid.uuid4().hex}",
                memo=None,
            )
        return Account(account_id, bearer.key, signing.key_id, signing.secret)

    async def connect(
        self,
        account: Account,
        provider: str,
        settings: dict[str, Any],
        secrets: dict[str, Any],
        connection_id: str | None = None,
    ) -> str:
        """A connection of this account. Its pace is its own: the contract's is for the real provider."""
        made = await create_connection(
            self.pool,
            self._seal,
            PROVIDERS,
            account_id=account.id,
            provider=provider,
            name=provider,
            settings=settings,
            secret_values=secrets,
            connection_id=connection_id,
            rate_per_s=_PACE_PER_S,
        )
        account.connections.setdefault(provider, []).append(made)
        return made


class Sandboxes:
    """The sandboxes' control surface: merchants, settings, and the ledgers of money really sent."""

    def __init__(self, http: aiohttp.ClientSession, port: int) -> None:
        self._http = http
        self.url = f"http://127.0.0.1:{port}"

    async def control(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        async with self._http.request(method, f"{self.url}/_sandbox/{path}", json=body) as answer:
            told = await answer.json()
            assert answer.status < 300, (path, told)
            return told

    async def connect(self, database: Database, account: Account, provider: str, gateway_port: int) -> None:
        """A connection of the account at a sandbox merchant of its own, with webhooks to the gateway."""
        connection_id, unique = f"conn_{uuid.uuid4().hex}", uuid.uuid4().hex
        hook = f"http://127.0.0.1:{gateway_port}/webhooks/{provider}/{connection_id}"
        settings = {"base_url": f"{self.url}/{provider}"}
        asked: dict[str, Any]
        if provider == "plexy":
            asked = {"webhookUrl": hook, "webhookToken": unique, "balance": 10**14}
        elif provider == "mollie":
            settings["balance_id"] = f"bal_{unique}"
            balance = {"id": f"bal_{unique}", "currency": "EUR", "available": "10000000000.00"}
            asked = {"webhookUrl": hook, "webhookSecret": unique, "balances": [balance]}
        else:
            asked = {"callbackUrl": hook, "callbackApiKey": unique, "balance": 10**14}
        made = await self.control("POST", f"{provider}/merchants", asked)
        secrets: dict[str, Any] = {
            "plexy": lambda: {"api_key": made["apiKey"], "webhook_token": unique},
            "mollie": lambda: {"api_key": made["apiKey"], "webhook_secrets": [unique]},
            "pivot": lambda: {
                "client_id": made["merchantId"],
                "client_secret": made["merchantSecret"],
                "callback_key": unique,
            },
        }[provider]()
        await database.connect(account, provider, settings, secrets, connection_id)

    async def save_card(self, account: Account, gateway_port: int) -> str:
        """The id of a card that can be paid to."""
        url = f"http://127.0.0.1:{gateway_port}/api/v1/cards"
        headers = {"Authorization": f"Bearer {account.bearer}", "Idempotency-Key": uuid.uuid4().hex}
        async with self._http.post(url, json={"cardFields": _TEST_CARD_FIELDS}, headers=headers) as answer:
            made = await answer.json()
            assert answer.status == 201, made
        card_id: str = made["data"]["id"]
        async with asyncio.timeout(10):
            while True:
                async with self._http.get(f"{url}/{card_id}", headers=headers) as answer:
                    if (await answer.json())["data"]["state"] == "active":
                        return card_id
                await asyncio.sleep(0.05)
