"""A small world on real sockets: PostgreSQL, the sandboxes, gateway processes in this process, and merchants."""

import asyncio
import base64
import uuid
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import aiohttp
from aiohttp import web

from gateway.app import Gateway, make_gateway
from gateway.ids import new_id
from gateway.onboarding import create_account, create_bearer_key, create_connection, create_signing_key
from gateway.sealing import new_master_key
from gateway.settings import Settings
from gateway.store import ledger
from gateway.store.attempts import get_attempts
from providers.registry import PROVIDERS
from providers.sandbox.server import RUNNING, build_app

TEST_CARD = "4111111111111111"
FAILING_CARD = "5105105105105100"
MASTER_KEY = new_master_key()
# The same contracts with a quick schedule: tests cannot wait as long as providers may take.
QUICK = {
    name: replace(
        provider,
        contract=replace(
            provider.contract, poll_after_s=(0.05, 0.1, 0.2, 0.3), visibility_s=0.5, submit_timeout_s=0.2, rate_per_s=None
        ),
    )
    for name, provider in PROVIDERS.items()
}
FAST = {
    "plexy": {"processingAfterMs": 5, "settledAfterMs": 20},
    "mollie": {"businessDay": 40},
    "pivot": {"doneAfterMs": 20},
    "xendit": {"requestedAfterMs": 5, "succeededAfterMs": 20},
}


@dataclass
class Merchant:
    """An account with everything it needs, and a client that speaks for it."""

    world: "World"
    account_id: str
    bearer: str
    signing_id: str
    signing_secret: str
    connections: dict[str, str] = field(default_factory=dict)

    async def call(self, method, path, body=None, *, key=None, headers=None, raw=None, gateway=0):
        """(status, whole envelope) of one request."""
        sent = {"Authorization": f"Bearer {self.bearer}", **(headers or {})}
        if method == "POST" and key is not False:
            sent["Idempotency-Key"] = key or uuid.uuid4().hex
        sent = {name: value for name, value in sent.items() if value is not None}
        kwargs = {"data": raw} if raw is not None else {"json": body} if body is not None else {}
        if raw is not None:
            sent.setdefault("Content-Type", "application/json")
        url = f"http://127.0.0.1:{self.world.gateways[gateway].port}{path}"
        async with self.world.http.request(method, url, headers=sent, **kwargs) as answer:
            return answer.status, (await answer.json() if answer.content_length else None)

    async def pay(self, *, key=None, gateway=0, **fields):
        """The created payout, or an assertion error with what was answered."""
        body = {"amount": 150_000_00, "currency": "IDR", **fields}
        status, answer = await self.call("POST", "/api/v1/payouts", body, key=key, gateway=gateway)
        assert status == 201, answer
        return answer["data"]

    async def payout(self, payout_id, gateway=0):
        status, answer = await self.call("GET", f"/api/v1/payouts/{payout_id}", gateway=gateway)
        assert status == 200, answer
        return answer["data"]

    async def until(self, payout_id, *phases, timeout_s=10.0, gateway=0):
        """The payout, once it is in one of these phases."""
        async with asyncio.timeout(timeout_s):
            while True:
                payout = await self.payout(payout_id, gateway)
                if payout["phase"] in phases:
                    return payout
                await asyncio.sleep(0.02)

    async def timeline(self, payout_id):
        status, answer = await self.call("GET", f"/api/v1/payouts/{payout_id}/timeline")
        assert status == 200, answer
        return answer["data"]

    async def balance(self, currency="IDR"):
        _, answer = await self.call("GET", f"/api/v1/payouts/balance?currency={currency}")
        return answer["data"]

    async def person(self, name, gateway=0):
        """The Authorization header of a new key that is this person's."""
        home = self.world.gateways[gateway]
        made = await create_bearer_key(home.pool, home.seal, self.account_id, person=name)
        return {"Authorization": f"Bearer {made.key}"}

    async def on_desk(self, gateway=0, **fields):
        """A manual payout whose attempt is with the operator, and which a person has been asked to look at."""
        home = self.world.gateways[gateway]
        made = await self.pay(provider="manual", **BANK, **fields)
        async with asyncio.timeout(10):
            while (attempt := await newest_attempt(home.pool, made)) is None or attempt.state != "pending":
                await asyncio.sleep(0.01)
        await home.apply.to_person(attempt, "nobody knows what became of it")
        return await self.payout(made["id"], gateway)

    async def lose_secrets(self, provider):
        """Nobody can open what is sealed in this connection any more."""
        home = self.world.gateways[0]
        await home.pool.execute("update connection set secrets_sealed = '\\x00' where id = $1", self.connections[provider])
        home.connections._by_id.clear()

    async def save_card(self, number=TEST_CARD):
        """The id of an active card."""
        status, answer = await self.call("POST", "/api/v1/cards", {"cardFields": card_fields(number)})
        assert status == 201, answer
        card_id = answer["data"]["id"]
        async with asyncio.timeout(5):
            while True:
                _, answer = await self.call("GET", f"/api/v1/cards/{card_id}")
                if answer["data"]["state"] != "saving":
                    assert answer["data"]["state"] == "active", answer
                    return card_id
                await asyncio.sleep(0.02)


def card_fields(number=TEST_CARD):
    """The fields of a card, encrypted as the sandbox takes them."""
    names = ("encryptedCardNumber", "encryptedExpiryMonth", "encryptedExpiryYear", "encryptedCvv", "encryptedCardholderName")
    return dict.fromkeys(names, base64.b64encode(number.encode()).decode())


BANK = {
    "bankCode": "BCA",
    "bankName": "Bank Central Asia",
    "bankAccountNumber": "1234567890",
    "bankAccountHolder": "PT Contoh",
}


async def newest_attempt(pool, payout):
    """A payout's newest attempt as it stands now, if it has one."""
    key = (payout["accountId"], await pool.fetchval("select attempt_id from payout where id = $1", payout["id"]))
    return (await get_attempts(pool, [key])).get(key[1]) if key[1] else None


class World:
    """Everything that runs for one test."""

    def __init__(self, dsn, data_dir):
        self.dsn = dsn
        self.data_dir = data_dir
        self.gateways: list[Gateway] = []
        self.http: aiohttp.ClientSession
        self.sandbox_url = ""
        self.sandboxes = {}  # by provider, for what no control call can do
        self._stack = AsyncExitStack()

    async def __aenter__(self):
        self.http = await self._stack.enter_async_context(aiohttp.ClientSession())
        runner = web.AppRunner(build_app(self.data_dir, speed=50.0, seed=1), access_log=None)
        await runner.setup()
        self.sandboxes = runner.app[RUNNING]
        self._stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.sandbox_url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        for provider, settings in FAST.items():
            await self.control("PATCH", provider, "settings", settings)
        return self

    async def __aexit__(self, *exc):
        for gateway in self.gateways:
            await gateway.stop()
        await self._stack.aclose()

    async def control(self, method, provider, path, body=None):
        """Steer a sandbox."""
        async with self.http.request(method, f"{self.sandbox_url}/_sandbox/{provider}/{path}", json=body) as answer:
            text = await answer.text()
            assert answer.status < 300, (answer.status, text)
            return await answer.json()

    async def sent(self, provider):
        """The sandbox's own ledger: every line of money really sent."""
        lines = (await self.control("GET", provider, "ledger?limit=1000"))["lines"]
        return [line for line in lines if line["kind"] == "sent"]

    async def start_gateway(self, providers=QUICK, **settings) -> Gateway:
        given = {"data_dir": Path(self.data_dir) / "gateway", **settings}
        gateway = await make_gateway(Settings(port=0, poll_s=0.05, pool_size=3, **given), self.dsn, MASTER_KEY, providers)
        await gateway.start()
        self.gateways.append(gateway)
        return gateway

    async def merchant(self, *, providers=("plexy", "mollie", "pivot", "manual"), credit=1_000_000_000_00) -> Merchant:
        """A merchant with a connection at each provider and money in three currencies."""
        gateway = self.gateways[0]
        account_id = await create_account(gateway.pool, "Test merchant", "IDR")
        bearer = await create_bearer_key(gateway.pool, gateway.seal, account_id, person="Olga")
        signing = await create_signing_key(gateway.pool, gateway.seal, account_id, person="Olga")
        merchant = Merchant(self, account_id, bearer.key, signing.key_id, signing.secret)
        for provider in providers:
            merchant.connections[provider] = await self.connect(merchant, provider)
        for currency in ("IDR", "EUR", "KZT") if credit else ():
            await ledger.credit(
                gateway.pool, account_id=account_id, currency=currency, amount_minor=credit, reference=f"start {currency}",
                fingerprint=b"start", tx_id=new_id("ltx"), memo=None,
            )  # fmt: skip
        return merchant

    async def connect(self, merchant, provider, *, gateway=0, **extra) -> str:
        """A connection of the merchant at a sandbox merchant of its own."""
        home = self.gateways[gateway]
        connection_id = f"conn_{uuid.uuid4().hex}"
        hook = f"http://127.0.0.1:{home.port}/webhooks/{provider}/{connection_id}"
        unique = uuid.uuid4().hex
        settings, secrets, currencies = {"base_url": f"{self.sandbox_url}/{provider}"}, {}, []
        if provider == "plexy":
            made = await self.control(
                "POST", provider, "merchants", {"webhookUrl": hook, "webhookToken": f"tok{unique}", "balance": 10**12}
            )
            secrets = {"api_key": made["apiKey"], "webhook_token": f"tok{unique}"}
        elif provider == "mollie":
            balance_id = f"bal_{unique}"
            made = await self.control("POST", provider, "merchants", {
                "webhookUrl": hook, "webhookSecret": f"sec{unique}",
                "balances": [{"id": balance_id, "currency": "EUR", "available": "100000000.00"}],
            })  # fmt: skip
            settings["balance_id"] = balance_id
            secrets = {"api_key": made["apiKey"], "webhook_secrets": [f"sec{unique}"]}
            currencies = ["EUR"]
        elif provider == "pivot":
            made = await self.control("POST", provider, "merchants", {
                "callbackUrl": hook, "callbackApiKey": f"cb{unique}", "balance": 10**12,
            })  # fmt: skip
            secrets = {
                "client_id": made["merchantId"], "client_secret": made["merchantSecret"], "callback_key": f"cb{unique}",
            }  # fmt: skip
        elif provider == "xendit":
            made = await self.control("POST", provider, "merchants", {
                "webhookUrl": hook, "callbackToken": f"cb{unique}", "balance": 10**12, "currency": "IDR",
            })  # fmt: skip
            settings["currency"] = "IDR"
            secrets = {"api_key": made["apiKey"], "callback_token": f"cb{unique}"}
            currencies = ["IDR"]
        else:
            settings = {}
        return await create_connection(
            home.pool, home.seal, PROVIDERS, account_id=merchant.account_id, provider=provider, name=provider,
            settings=settings, secret_values=secrets, currencies=currencies, connection_id=connection_id,
            priority=900 if provider == "manual" else 100, **extra,
        )  # fmt: skip
