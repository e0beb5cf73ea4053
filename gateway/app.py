"""The composition root: the one place where the parts of a gateway process are made and put together.

Tests swap parts here and nowhere else.
"""

import asyncio
import contextlib
import gc
import socket
import time
from collections.abc import Mapping, Sequence
from functools import partial

import structlog
from aiohttp import web

from gateway.api.auth import Auth
from gateway.api.body import BODY_LIMIT_BYTES
from gateway.api.frames import Runner
from gateway.api.parts import PARTS, Parts
from gateway.api.routes import add_routes
from gateway.apply import Apply
from gateway.balance_reader import BalanceReader
from gateway.card_expiry import CardExpiry
from gateway.card_saver import CardSaver
from gateway.connections import Connections
from gateway.desk import Desk
from gateway.destination_checker import DestinationChecker
from gateway.dispatcher import Dispatcher
from gateway.gather import Gather
from gateway.gauges import Gauges
from gateway.high_water import HighWater
from gateway.hold_watch import HoldWatch
from gateway.inbox import Inbox
from gateway.invariants import Invariants
from gateway.learned import Learned
from gateway.lookback import LookBack
from gateway.loops import Loop
from gateway.master_key_proof import prove_master_key
from gateway.metrics import Metrics
from gateway.onward import OnwardRoutes
from gateway.points import point, switch_on
from gateway.reconciler import Reconciler
from gateway.recovery import Recovery
from gateway.rerouter import Rerouter
from gateway.sealing import Seal
from gateway.settings import Role, Settings
from gateway.store.accounts import find_key
from gateway.store.cards import get_cards
from gateway.store.database import Pool, open_pool
from gateway.store.invariants import rules
from gateway.store.notices import add_notices
from gateway.store.payouts import create_payouts
from gateway.version import installed_version
from providers.base import Provider
from providers.transport import Transport

_log = structlog.get_logger(__name__)

DEMO_KEY_ID = "ak_test_demo"
DEMO_SECRET = "sk_test_demo"  # noqa: S105 - published on purpose; refused outside demo mode
DEMO_BEARER = "pk_test_demo"

_SHUTDOWN_S = 10.0
_LAST_REQUESTS_S = 3.0  # of the seven seconds that a stop may take: for requests whose bodies are still coming
_KEEPALIVE_S = 15.0
_CREATES_TOGETHER = 16  # a commit for fewer costs more than it saves in waiting
_LAG_EVERY_S = 0.25
_REROUTE_EVERY_S = 0.5
_CHECK_EVERY_S = 0.2  # few connections check before they pay, and the question itself takes longer


class DemoKeysError(RuntimeError):
    """The database holds the published demo keys. Anyone could pay with them, so outside demo mode nothing is started."""


class Gateway:
    """One gateway process: its parts, its loops, its HTTP server."""

    def __init__(self, settings: Settings, pool: Pool, seal: Seal, providers: Mapping[str, Provider]) -> None:
        """Put the parts together; nothing runs before `start`."""
        self.settings = settings
        self.pool = pool
        self.seal = seal
        self.metrics = Metrics()
        self.transport = Transport(
            on_call=self._on_call, on_unknown_word=self._on_unknown_word, on_leaving=partial(point, "leaving")
        )
        self.connections = Connections(pool, seal, providers, self.transport)
        onward = OnwardRoutes(pool, self.connections)
        learned = Learned()
        self.apply = Apply(pool, self.connections.contract, self.metrics, self._wake_dispatcher, onward, learned)
        self.high_water = HighWater(settings.mark_path)
        self.hold_watch = HoldWatch(pool, self.high_water)
        self.dispatcher = Dispatcher(
            pool,
            self.connections,
            self.apply,
            seal,
            learned,
            poll_s=settings.poll_s,
            high_water=self.high_water if Role.LOOPS in settings.roles else None,
        )
        self.rerouter = Rerouter(
            pool, self.connections, self.apply, self.dispatcher.gates, learned, poll_s=max(settings.poll_s, _REROUTE_EVERY_S)
        )
        self.inbox = Inbox(pool, self.connections, self.apply, seal, self.metrics, poll_s=settings.poll_s)
        self.reconciler = Reconciler(pool, self.connections, self.apply, seal, poll_s=settings.poll_s)
        self.checker = DestinationChecker(
            pool, self.connections, self.apply, seal, self._wake_dispatcher, poll_s=max(settings.poll_s, _CHECK_EVERY_S)
        )
        self.balance_reader = BalanceReader(pool, self.connections)
        self.lookback = LookBack(pool, self.connections, self.metrics)
        self.invariants = Invariants(pool, self.metrics, every_s=settings.invariants_every_s)
        self.gauges = Gauges(pool, self.metrics, self.dispatcher.gates, self.connections.contracts())
        self.card_saver = CardSaver(pool, self.connections)
        self._creates = Gather(partial(create_payouts, pool), share_from=_CREATES_TOGETHER)
        # One at a time: nobody waits for these as a merchant waits for a create, and the next has more to carry.
        self._notices = Gather(partial(add_notices, pool), in_flight=1)
        self._cards = Gather(partial(get_cards, pool), in_flight=1)
        loops: list[Loop] = [self.dispatcher, self.inbox, self.reconciler, self.checker, self.balance_reader]
        loops += [self.rerouter, self.lookback, self.invariants, self.hold_watch, Recovery(pool, self.connections, self.apply)]
        loops += [CardExpiry(pool)]
        self._loops = [*(loops if Role.LOOPS in settings.roles else ()), self.gauges]
        self._watchers: list[asyncio.Task[None]] = []
        self._runner: web.AppRunner | None = None
        self._stopping = False
        self.port = 0

    async def start(self, listening: Sequence[socket.socket] = ()) -> None:
        """Start the loops, then the server: on `listening`, or where the settings say. `port` is the one it really has."""
        await self._refuse_demo_keys()
        await prove_master_key(self.pool, self.seal)
        if Role.LOOPS in self.settings.roles:
            await self.hold_watch.begin()
        self.metrics.start_at_zero(
            loops=[loop.name for loop in self._loops],
            rules=[rule.name for rule in rules()] if Role.LOOPS in self.settings.roles else [],
            providers=[contract.provider for contract in self.connections.contracts()],
        )
        for loop in self._loops:
            loop.on_round = self._on_round
            loop.start()
        self._watchers = [asyncio.create_task(self._watch_lag())]
        if Role.API in self.settings.roles:
            await self._serve(listening)
        _relieve_collector()
        _log.info("gateway.started", version=installed_version(), port=self.port, roles=sorted(self.settings.roles))

    async def stop(self) -> None:
        """Take nothing new, finish what runs, leave everything else to the next process."""
        self._stopping = True
        # The loops first: while a slow client's request is waited for, nothing more must be claimed that is then cut off.
        closing = asyncio.gather(*(loop.close() for loop in self._loops), return_exceptions=True)
        await asyncio.sleep(0)
        if self._runner:
            await self._runner.cleanup()
        await closing
        self.high_water.close()
        await self.card_saver.close()
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        for gather in (self._creates, self._notices, self.apply):
            await gather.drain()
        await self.transport.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.pool.close(), _SHUTDOWN_S)
        _log.info("gateway.stopped")

    async def _serve(self, listening: Sequence[socket.socket] = ()) -> None:
        app = web.Application(client_max_size=BODY_LIMIT_BYTES)
        app[PARTS] = Parts(
            pool=self.pool,
            seal=self.seal,
            auth=Auth(self.pool, self.seal),
            connections=self.connections,
            apply=self.apply,
            desk=Desk(self.pool, self.apply, self.connections.contract),
            dispatcher=self.dispatcher,
            card_saver=self.card_saver,
            metrics=self.metrics,
            creates=self._creates,
            notices=self._notices,
            cards=self._cards,
            wake_inbox=self.inbox.wake,
            is_ready=lambda: not self._stopping,
        )
        add_routes(app)
        # A client that goes away does not cancel its handler: what it asked for is written or not, never half.
        self._runner = Runner(
            app,
            access_log=None,
            keepalive_timeout=_KEEPALIVE_S,
            shutdown_timeout=_LAST_REQUESTS_S,
            handler_cancellation=False,
            auto_decompress=False,  # signatures cover the bytes that came, and `read_body` refuses compressed ones
        )
        await self._runner.setup()
        sites: list[web.BaseSite] = [web.SockSite(self._runner, one) for one in listening]
        for site in sites or [web.TCPSite(self._runner, self.settings.host, self.settings.port)]:
            await site.start()
        self.port = self._runner.addresses[0][1]

    async def _refuse_demo_keys(self) -> None:
        if self.settings.demo:
            return
        for lookup in (DEMO_KEY_ID, self.seal.lookup_of(DEMO_BEARER)):
            if await find_key(self.pool, lookup):
                raise DemoKeysError("this database holds the published demo keys; revoke them or use another database")

    def _wake_dispatcher(self) -> None:
        self.dispatcher.wake()

    def _on_call(self, provider: str, operation: str, outcome: str, seconds: float) -> None:
        self.metrics.provider_calls.labels(provider, operation, outcome).observe(seconds)

    def _on_unknown_word(self, provider: str, table: str, word: str) -> None:
        self.metrics.unknown_words.labels(provider, table).inc()
        _log.error("provider.unknown_word", provider=provider, table=table, reason=word)

    def _on_round(self, loop: str, outcome: str) -> None:
        self.metrics.rounds.labels(loop, outcome).inc()

    async def _watch_lag(self) -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(_LAG_EVERY_S)
            self.metrics.loop_lag_s.set(max(0.0, time.perf_counter() - before - _LAG_EVERY_S))


def _relieve_collector() -> None:
    """Leave what lives as long as the process out of every garbage collection, and collect the rest less often.

    Requests make few cycles, and looking for them after every 700 objects costs a tenth of the throughput.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 50)


async def make_gateway(settings: Settings, dsn: str, master_key: str, providers: Mapping[str, Provider]) -> Gateway:
    """A gateway over a migrated database, ready to start."""
    if settings.points:
        switch_on(settings.points)
    pool = await open_pool(dsn, size=settings.pool_size)
    return Gateway(settings, pool, Seal(master_key), providers)
