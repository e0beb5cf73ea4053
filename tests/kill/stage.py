"""What a kill test stands on: PostgreSQL, sandboxes, gateway processes, a merchant, and payouts that pass every point.

Starts and watches; what must hold in the end is in `judge`.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit, urlunsplit

from gateway.app import make_gateway
from gateway.sealing import Seal
from gateway.settings import Settings
from gateway.store.database import Pool, open_pool
from tests.flows.world import BANK, MASTER_KEY, QUICK, Merchant, World
from tests.kill.client import Client
from tests.kill.process import GatewayProcess
from tests.kill.serve import LOG, Job
from tests.ports import free_port

# The amounts that ask Xendit's sandbox for a scenario (777NN rupiah); Pivot's is told to take them as amounts.
LOST, REFUSED, FAILED, STUCK = 777_22_00, 777_20_00, 777_05_00, 777_03_00
_FIRST_AMOUNT = 100_000_00
_LOOK_S = 0.03
_LOAD_EVERY_S = 2.0
_PATIENCE_S = 90.0  # for machines that have much else to do: nothing here waits longer than it has to


class Outside:
    """What `World` asks of a gateway, where no gateway is in this process."""

    def __init__(self, pool: Pool, port: int) -> None:
        self.pool = pool
        self.seal = Seal(MASTER_KEY)
        self.port = port

    async def stop(self) -> None:
        await self.pool.close()


class Stage(World):
    """The sandboxes in this process, the gateways in others."""

    client: Client
    merchant_: Merchant  # `merchant` is how `World` makes one

    def __init__(self, dsn: str, folder: Path) -> None:
        super().__init__(dsn, folder)
        self.port = free_port()
        self.running: list[GatewayProcess] = []
        self.asking: set[asyncio.Task[Any]] = set()
        self.cancelled: list[str] = []
        self._amounts = iter(range(_FIRST_AMOUNT, 10**9, 100))
        self._card = ""
        self._serve_now: list[int] = []
        self._looked_at = 0.0

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        await self.control("PATCH", "pivot", "settings", {"scenarioAmounts": False})
        await self.control("PATCH", "xendit", "settings", {"failedAfterMs": 20})
        await self._open_account()
        self.gateways = [Outside(await open_pool(self.dsn, size=3), self.port)]
        self.client = Client(self.http, self.merchant_.bearer, self._serving)
        return self

    async def __aexit__(self, *exc: object) -> None:
        for task in self.asking:
            task.cancel()
        await asyncio.gather(*self.asking, return_exceptions=True)
        for process in self.running:
            await process.stop()
        await super().__aexit__(*exc)

    @property
    def pool(self) -> Pool:
        return self.gateways[0].pool

    @property
    def socket(self) -> tuple[str, int]:
        """PostgreSQL's socket: its folder and number."""
        where = parse_qs(urlsplit(self.dsn).query)
        return where["host"][0], int(where["port"][0])

    def dsn_through(self, port: int) -> str:
        """The database's address behind a proxy."""
        parts = urlsplit(self.dsn)
        return urlunsplit(parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{port}", query="sslmode=disable"))

    def _serving(self) -> list[int]:
        """What a load balancer would send requests to, as it saw it a moment ago."""
        if time.monotonic() > self._looked_at + _LOOK_S:
            self._looked_at = time.monotonic()
            self._serve_now = [process.port for process in self.running if process.is_alive and not process.is_paused]
        return self._serve_now

    # --- processes

    async def start(self, points: str = "", *, dsn: str | None = None, port: int | None = None, **more: Any) -> GatewayProcess:
        """A gateway process that serves. The first one takes the port that providers know."""
        taken = {process.port for process in self.running if process.is_alive}
        job = Job(
            dsn=dsn or self.dsn,
            master_key=MASTER_KEY,
            port=port or (free_port() if self.port in taken else self.port),
            folder=str(self.data_dir),
            points=points,
            **more,
        )
        process = GatewayProcess(job)
        self.running.append(process)
        return await process.ready()

    async def reach(self, done: Callable[[], bool], why: str) -> None:
        """Ask for payouts until the process has got to where it was to get."""
        until = time.monotonic() + _PATIENCE_S
        while time.monotonic() < until:
            await self.load()
            with contextlib.suppress(TimeoutError):
                return await self.until(done, why, _LOAD_EVERY_S)
        raise AssertionError(f"{why} was never reached. {await self._state()}")

    async def _state(self) -> str:
        """Where everything stands, what the client met, and the last that the processes said: for a message."""
        stands = await self.pool.fetch(
            """select p.provider, p.phase, a.state, a.cancel_asked_at is not null as asked, count(*),
                      min(a.check_at) - now() as due
                 from payout p left join attempt a on a.id = p.attempt_id group by 1, 2, 3, 4 order by 1, 2, 3, 4"""
        )
        sessions = await self.pool.fetch(
            "select state, wait_event, left(query, 60) as query from pg_stat_activity where datname = current_database()"
        )
        said = (Path(self.data_dir) / LOG).read_text()[-3000:]
        rows = "\n".join(str(dict(row)) for row in (*stands, *sessions))
        return f"Met: {dict(self.client.met)}\n{rows}\nLog:\n{said}"

    async def until(self, done: Callable[[], bool], why: str, within_s: float = _PATIENCE_S) -> None:
        """Wait for it, by looking."""
        until = time.monotonic() + within_s
        while not done():
            if time.monotonic() > until:
                raise TimeoutError(why)
            await asyncio.sleep(0.01)

    # --- payouts

    async def load(self) -> None:
        """One of each kind, side by side; what they pass together is every point."""
        for provider in ("pivot", "pivot", "xendit", "xendit"):
            self.go(self.client.pay(self.transfer(provider=provider)))
        for _ in range(2):
            self.go(self.client.pay(self.transfer(provider="xendit", amount=LOST)))
        self.go(self.client.pay(self.transfer(amount=REFUSED)))
        self.go(self.client.pay(self.transfer(amount=FAILED)))
        self.go(self._pay_and_cancel())
        self.go(self.pay_card())

    def transfer(self, **fields: Any) -> dict[str, Any]:
        """A payout to a bank account, with an amount of its own."""
        return {"amount": next(self._amounts), "currency": "IDR", **BANK, **fields}

    async def pay_card(self) -> None:
        """A payout to a card: Plexy, which knows no keys."""
        card = {"type": "card", "cardId": self._card}
        await self.client.pay({"amount": next(self._amounts), "currency": "KZT", "destination": card})

    async def settled(self) -> None:
        """Wait until every request is answered and every payout is final or on a person's desk."""
        async with asyncio.timeout(_PATIENCE_S):
            await asyncio.gather(*self.asking)
            while await self.pool.fetchval("select count(*) from payout where phase in ('queued', 'processing')"):
                await asyncio.sleep(0.03)

    def go(self, work: Awaitable[Any]) -> None:
        self.asking.add(asyncio.ensure_future(work))

    async def _pay_and_cancel(self) -> None:
        made = await self.client.pay(self.transfer(provider="xendit", amount=STUCK))
        path, key = f"/api/v1/payouts/{made.payout_id}", f"cancel-{made.key}"
        while True:
            _, told = await self.client.ask("GET", path)
            if told["data"]["phase"] == "processing" and told["data"]["cancelable"]:  # at the provider, not in our queue
                status, told = await self.client.ask("POST", f"{path}/cancel", {}, key)
                if status == 200:
                    self.cancelled.append(made.payout_id)
                    return
                assert status == 409, told
            await asyncio.sleep(0.1)

    async def _open_account(self) -> None:
        """A merchant whose unpinned payouts go to Xendit first, then to Pivot, and who has a card."""
        settings = Settings(port=self.port, data_dir=self.data_dir, poll_s=0.03, pool_size=4)
        first = await make_gateway(settings, self.dsn, MASTER_KEY, QUICK)
        await first.start()
        try:
            self.gateways = [first]
            self.merchant_ = await self.merchant(providers=("xendit", "pivot", "plexy"))
            for priority, connection_id in enumerate(self.merchant_.connections.values(), 1):
                await first.pool.execute("update connection set priority = $2 where id = $1", connection_id, priority)
            self._card = await self.merchant_.save_card()
        finally:
            await first.stop()
