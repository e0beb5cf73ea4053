"""What the demo needs before its first payout: an account with published keys, money, and a connection at each sandbox.

Everything has a fixed id or reference, so that a second start finds it again: nothing is credited or made twice. It sets
up no account of anybody else, and refuses a database that holds one.
"""

from dataclasses import dataclass
from typing import Any

import aiohttp

from gateway.app import DEMO_BEARER, DEMO_KEY_ID, DEMO_SECRET
from gateway.demo.merchant import Merchant
from gateway.onboarding import create_account, create_bearer_key, create_connection, create_signing_key
from gateway.running import StartError
from gateway.sealing import MasterKeyError, Seal, key_place
from gateway.store.accounts import find_key, list_accounts
from gateway.store.database import Pool
from providers.registry import PROVIDERS

ACCOUNT_ID = "acct_00000000000000000000000000000001"
CREDITS = {"IDR": 1_000_000_000_00, "EUR": 100_000_00, "KZT": 10_000_000_00}
BANK = {
    "bankCode": "BCA",
    "bankName": "Bank Central Asia",
    "bankAccountNumber": "1234567890",
    "bankAccountHolder": "PT Contoh Sejahtera",
}
# Low enough to pay every sample for years, and far more than the demo account has.
_MOLLIE_BALANCE = {"id": "bal_demo", "currency": "EUR", "available": "10000000.00"}
# So that a person can watch: milliseconds at sandbox speed 1.
_PACE_MS: dict[str, dict[str, int]] = {
    "plexy": {"cardSavedAfterMs": 800, "processingAfterMs": 1000, "settledAfterMs": 2000, "webhookAfterMs": 300},
    "mollie": {"initiatedAfterMs": 2500, "atBankAfterMs": 1500, "completedAfterMs": 2000},
    "pivot": {"doneAfterMs": 3000},
}


@dataclass(frozen=True, slots=True)
class _Connection:
    """One connection, its sandbox merchant, and the keys under which that merchant learns our webhook address."""

    id: str
    provider: str
    name: str
    priority: int
    settings: dict[str, Any]
    secrets: dict[str, Any]
    merchant: dict[str, Any] | None
    webhook_field: str = "webhookUrl"
    currencies: tuple[str, ...] = ()


# Credentials at sandboxes on this machine: they open nothing anywhere else.
_CONNECTIONS = (
    _Connection(
        id="conn_00000000000000000000000000000001",
        provider="plexy",
        name="Plexy sandbox",
        priority=100,
        settings={},
        secrets={"api_key": "pr_demo_plexy", "webhook_token": "demo-plexy-webhook"},
        merchant={"apiKey": "pr_demo_plexy", "webhookToken": "demo-plexy-webhook"},
    ),
    _Connection(
        id="conn_00000000000000000000000000000002",
        provider="mollie",
        name="Mollie sandbox",
        priority=100,
        settings={"balance_id": _MOLLIE_BALANCE["id"]},
        secrets={"api_key": "test_demo_mollie", "webhook_secrets": ["demo-mollie-webhook"]},
        merchant={"apiKey": "test_demo_mollie", "webhookSecret": "demo-mollie-webhook"},
        currencies=("EUR",),
    ),
    _Connection(
        id="conn_00000000000000000000000000000003",
        provider="pivot",
        name="Pivot sandbox",
        priority=100,
        settings={},
        secrets={"client_id": "demo-pivot", "client_secret": "demo-pivot-secret", "callback_key": "demo-pivot-callback"},
        merchant={"merchantId": "demo-pivot", "merchantSecret": "demo-pivot-secret", "callbackApiKey": "demo-pivot-callback"},
        webhook_field="callbackUrl",
    ),
    _Connection(
        id="conn_00000000000000000000000000000004",
        provider="manual",
        name="Manual transfers",
        priority=900,
        settings={},
        secrets={},
        merchant=None,
    ),
)


@dataclass(frozen=True, slots=True)
class Places:
    """Where the parts of this run listen; the ports may be others than in the run before."""

    gateway_url: str
    sandbox_url: str


async def set_up(pool: Pool, seal: Seal, session: aiohttp.ClientSession, places: Places, *, speed: float) -> None:
    """Make or find everything again, before the gateway starts: it must never send to where the sandboxes used to be."""
    there = {account_id for account_id, _, _ in await list_accounts(pool)}
    if there and ACCOUNT_ID not in there:  # accounts that were added to a demo's own database are welcome there
        raise StartError(
            f"This database holds {len(there)} other account(s), and the demo would put published keys beside them. "
            "Nothing was changed. Use another GATEWAY_DATA_DIR or GATEWAY_DATABASE_URL for the demo."
        )
    await create_account(pool, "Demo merchant", "IDR", ACCOUNT_ID)
    await create_bearer_key(pool, seal, ACCOUNT_ID, key=DEMO_BEARER)
    await create_signing_key(pool, seal, ACCOUNT_ID, key_id=DEMO_KEY_ID, secret=DEMO_SECRET)
    await _check_keys(pool, seal)
    control = _Control(session, places.sandbox_url)
    for connection in _CONNECTIONS:
        settings = await _introduce(control, connection, places)
        await create_connection(
            pool,
            seal,
            PROVIDERS,
            account_id=ACCOUNT_ID,
            provider=connection.provider,
            name=connection.name,
            settings=settings,
            secret_values=connection.secrets,
            currencies=connection.currencies,
            priority=connection.priority,
            connection_id=connection.id,
        )
    for provider, pace in _PACE_MS.items():
        await control.call("PATCH", provider, "settings", {name: ms / speed for name, ms in pace.items()})


async def fund(merchant: Merchant) -> None:
    """Bring the starting money in, once ever, and name a default bank account unless there is one."""
    for currency, amount in CREDITS.items():
        credit = {"amount": amount, "currency": currency, "reference": f"demo start {currency}"}
        await merchant.call("POST", "/api/v1/ledger/credits", credit)
    if not (await merchant.call("GET", "/api/v1/payouts/bank-account"))["configured"]:
        await merchant.call("PATCH", "/api/v1/payouts/bank-account", BANK)


async def _check_keys(pool: Pool, seal: Seal) -> None:
    for lookup in (DEMO_KEY_ID, seal.lookup_of(DEMO_BEARER)):
        row = await find_key(pool, lookup)
        if row is None:
            raise StartError(
                "A demo key was revoked in this database, and a revoked key stays revoked. "
                "Start the demo with another GATEWAY_DATA_DIR."
            )
        try:
            if row.secret_sealed:
                seal.open(row.secret_sealed, key_place(row.account_id, row.id))
        except MasterKeyError as error:
            raise StartError(
                "This demo's secrets were sealed under another master key: the file `master-key` in the data folder, or "
                "GATEWAY_MASTER_KEY, has changed. Put it back, or start with another GATEWAY_DATA_DIR."
            ) from error


class _Control:
    """The sandboxes' control surface, which no merchant and no gateway has."""

    def __init__(self, session: aiohttp.ClientSession, sandbox_url: str) -> None:
        self._session = session
        self._url = sandbox_url

    async def call(self, method: str, provider: str, path: str, body: dict[str, Any] | None = None) -> Any:
        async with self._session.request(method, f"{self._url}/_sandbox/{provider}/{path}", json=body) as answer:
            told = await answer.json()
            if answer.status != 200:
                raise StartError(f"The {provider} sandbox could not be set up: {told}")
            return told


async def _introduce(control: _Control, connection: _Connection, places: Places) -> dict[str, Any]:
    """Make a connection's merchant known at its sandbox; the connection's settings."""
    if connection.merchant is None:
        return connection.settings
    provider = connection.provider
    # The webhook's address is told at every start, since the port may be another one; money is not, so that it is kept.
    webhook = f"{places.gateway_url}/webhooks/{provider}/{connection.id}"
    merchant = {**connection.merchant, connection.webhook_field: webhook}
    if provider == "mollie":
        known = (await control.call("GET", provider, "merchants"))["merchants"]
        if not any(_MOLLIE_BALANCE["id"] == balance["id"] for one in known for balance in one["balances"]):
            merchant["balances"] = [_MOLLIE_BALANCE]
    await control.call("POST", provider, "merchants", merchant)
    return {**connection.settings, "base_url": f"{places.sandbox_url}/{provider}"}
