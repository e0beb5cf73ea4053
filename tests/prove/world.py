"""The fault world: real gateway processes, a real PostgreSQL, providers with their own money files, a robot operator, clients.

Brings all of it up in one folder, lets a plan run through it (safety, then liveness), and ends what it started. Judges nothing:
that is the checker's work.
"""

import asyncio
import contextlib
import random
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import aiohttp
import asyncpg

from gateway.ids import new_id
from gateway.onboarding import create_account, create_bearer_key, create_connection
from gateway.sealing import Seal, new_master_key
from gateway.store import ledger
from gateway.store.database import open_pool
from providers.registry import PROVIDERS
from tests.prove import orders, planted
from tests.prove.database import Database
from tests.prove.desks import DESKS, MANUAL
from tests.prove.history import History
from tests.prove.merchants import Caller, Merchants
from tests.prove.money import ROBOT_FILE
from tests.prove.nemesis import Nemesis
from tests.prove.plan import Plan
from tests.prove.providers import Providers
from tests.prove.robot import Robot
from tests.prove.supervisor import Service

_CREDIT_MINOR = 10**17
_LOOK_S = 0.25
# Without those on the desk: nobody decides about them here, and a long run would come to wait for them alone.
_OPEN = """select (select count(*) from payout where phase = 'queued')
                + (select count(*) from attempt a join payout p on p.account_id = a.account_id and p.id = a.payout_id
                    where a.exposure = 'open' and p.phase <> 'needs_review')"""
_UNCERTAIN = "select count(*) from payout where phase in ('queued', 'processing')"


@dataclass(frozen=True, slots=True)
class Ran:
    """How a run went by the clock."""

    faults_s: float
    converged_s: float | None  # None: not within its time
    made: int


class World:
    """Everything that runs for one plan."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan = plan
        self.folder = folder
        self.database = Database(folder / "pg")
        self.nemesis: Nemesis
        self.gateways: list[Service] = []
        self._stack = AsyncExitStack()
        self._master_key = new_master_key()
        self._http: aiohttp.ClientSession
        self._providers: Providers
        self._provider_process: Service
        self._bearers: list[str] = []
        self._ports: dict[str, int] = {}
        self._history: History

    async def __aenter__(self) -> Self:
        try:
            await self._bring_up()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def history_file(self) -> Path:
        return self.folder / "clients.jsonl"

    async def run(self) -> Ran:
        """Faults while payouts flow; then none, until all is known or time is up."""
        plan = self.plan
        rng = random.Random(f"{plan.seed}/clients")
        caller = Caller(self._http, [f"http://127.0.0.1:{self._ports[g.name]}" for g in self.gateways], rng, self._history)
        merchants = Merchants(caller, self._bearers)
        robot = asyncio.create_task(Robot(caller, self._bearers, self.folder / ROBOT_FILE).work())
        started = time.monotonic()
        await self.nemesis.start()
        async with self._pace() as pace:
            wanted = orders.draw(plan.seed, plan.payouts, plan.accounts)
            await merchants.pay(wanted, per_s=plan.pace_per_s, may_send=pace.may_send)
        await asyncio.sleep(max(0.0, plan.faults_at_least_s - (time.monotonic() - started)))
        await self.nemesis.stop()
        faults_s = time.monotonic() - started
        converged_s = await self._converge()
        await asyncio.sleep(plan.quiet_s)
        robot.cancel()
        await asyncio.gather(robot, return_exceptions=True)
        await asyncio.gather(*(gateway.end() for gateway in self.gateways))
        return Ran(faults_s, converged_s, merchants.created)

    async def _bring_up(self) -> None:
        self._http = await self._stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        await self._stack.enter_async_context(self.database)
        await self._plant()
        self._history = History(self.history_file)
        self._stack.callback(self._history.close)
        self._provider_process = self._service("providers", "tests.prove.serve_providers", self._provider_job)
        self.gateways = [
            self._service(name, "tests.prove.serve_gateway", lambda name=name: self._gateway_job(name))
            for name in (f"gateway-{number}" for number in range(self.plan.gateways))
        ]
        ports, *facts = await asyncio.gather(*(service.start() for service in (self._provider_process, *self.gateways)))
        self._ports |= ports["ports"]
        self._ports |= {gateway.name: told["port"] for gateway, told in zip(self.gateways, facts, strict=True)}
        self._providers = Providers(self._http, self._ports, self.plan.scale)
        await self._providers.settle_in()
        await self._open_accounts()
        self.nemesis = Nemesis(
            self.plan.seed,
            self.plan.temper,
            gateways=self.gateways,
            provider_process=self._provider_process,
            providers=self._providers,
            database=self.database,
            log=self.folder / "nemesis.jsonl",
            scale=self.plan.scale,
        )

    async def _plant(self) -> None:
        if self.plan.bug:
            connection = await self.database.connect()
            try:
                await planted.change(self.plan.bug, connection)
            finally:
                await connection.close()

    def _service(self, name: str, module: str, job: Any) -> Service:
        service = Service(name, module, self.folder, job)
        self._stack.push_async_callback(service.end)
        return service

    def _provider_job(self) -> dict[str, Any]:
        ports = {desk.name: self._ports.get(desk.name, 0) for desk in DESKS}
        return {"folder": str(self.folder), "seed": self.plan.seed, "scale": self.plan.scale, "ports": ports}

    def _gateway_job(self, name: str) -> dict[str, Any]:
        return {
            "dsn": self.database.dsn,
            "master_key": self._master_key,
            "port": self._ports.get(name, 0),
            "log_file": str(self.folder / f"{name}.log"),
            "policy": self.plan.policy,
            "bug": self.plan.bug,
            "scale": self.plan.scale,
        }

    async def _open_accounts(self) -> None:
        """Accounts that prefer the desks in different orders, so that each is somebody's first and somebody's next."""
        seal = Seal(self._master_key)
        pool = await open_pool(self.database.dsn, size=2)
        try:
            for number in range(self.plan.accounts):
                account_id = await create_account(pool, f"Merchant {number}", "IDR")
                self._bearers.append((await create_bearer_key(pool, seal, account_id)).key)
                await ledger.credit(
                    pool, account_id=account_id, currency="IDR", amount_minor=_CREDIT_MINOR, reference="start",
                    fingerprint=b"start", tx_id=new_id("ltx"), memo=None,
                )  # fmt: skip
                for place in range(len(DESKS)):
                    desk = DESKS[(number + place) % len(DESKS)]
                    connection_id = f"conn_{uuid.uuid4().hex}"
                    home = self.gateways[(number + place) % len(self.gateways)]
                    hook = f"http://127.0.0.1:{self._ports[home.name]}/webhooks/{desk.provider}/{connection_id}"
                    settings, secrets = await self._providers.merchant(desk, hook, uuid.uuid4().hex)
                    await create_connection(
                        pool, seal, PROVIDERS, account_id=account_id, provider=desk.provider, name=desk.name,
                        settings=settings, secret_values=secrets, currencies=["IDR"], connection_id=connection_id,
                        priority=100 * (place + 1),
                    )  # fmt: skip
                await create_connection(
                    pool, seal, PROVIDERS, account_id=account_id, provider="manual", name=MANUAL, settings={},
                    secret_values={}, currencies=["IDR"], priority=900,
                )  # fmt: skip
        finally:
            await pool.close()

    @asynccontextmanager
    async def _pace(self) -> AsyncIterator["_Pace"]:
        pace = _Pace(self.database, self.plan.window)
        task = asyncio.create_task(pace.watch())
        try:
            yield pace
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _converge(self) -> float | None:
        """Seconds until every payout was final or on a desk."""
        started = time.monotonic()
        connection = await self.database.connect()
        try:
            while time.monotonic() - started < self.plan.converge_s:
                if not await connection.fetchval(_UNCERTAIN):
                    return time.monotonic() - started
                await asyncio.sleep(_LOOK_S)
            return None
        finally:
            await connection.close()


class _Pace:
    """Holds the clients back while enough payouts are open, by a look at the database."""

    def __init__(self, database: Database, window: int) -> None:
        self._database = database
        self._window = window
        self._open = 0

    def may_send(self) -> bool:
        return self._open < self._window

    async def watch(self) -> None:
        while True:
            with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
                connection = await self._database.connect()
                try:
                    while True:
                        self._open = await connection.fetchval(_OPEN)
                        await asyncio.sleep(_LOOK_S)
                finally:
                    connection.terminate()
            await asyncio.sleep(_LOOK_S)
