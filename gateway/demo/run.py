"""The demo from its first line to its last: start everything, send one payout of each shape, keep serving, stop everything.

It listens on loopback only, with published keys. It keeps its data, so that a second start goes on where this one ended.
"""

import contextlib
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import BinaryIO

import aiohttp
import orjson
from rich.console import Console

from gateway import logs
from gateway.app import DEMO_BEARER, DEMO_KEY_ID, DEMO_SECRET
from gateway.demo.merchant import Merchant
from gateway.demo.samples import make_samples, money, send_all
from gateway.demo.sandboxes import Sandboxes, run_sandboxes
from gateway.demo.screen import Screen
from gateway.demo.setup import BANK, Places, fund, set_up
from gateway.running import (
    alone_in,
    check_port,
    database,
    gateway,
    make_folder,
    master_key,
    small_pool,
    take_port,
    until_signal,
)
from gateway.sealing import Seal
from gateway.settings import Settings, address

_LOG_MAX_BYTES = 16 * 1024 * 1024
_PLAIN_WIDTH = 160  # a pipe has no width of its own: nothing may be folded or cut there


async def run_demo(settings: Settings, *, once: bool) -> int:
    """Run the demo until Ctrl-C, or `once` until the four payouts are final; the exit status."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _PLAIN_WIDTH
    screen = Screen(console)
    demo = _Demo(settings, screen, once=once)
    status = await until_signal(demo.run(), stopped_status=130 if once else 0, on_signal=lambda: screen.note("stopping ..."))
    screen.note(f"Stopped {demo.parts}. The data stays in {settings.data_dir}; the next start goes on with it.")
    return status


class _Demo:
    """One run of the demo."""

    def __init__(self, settings: Settings, screen: Screen, *, once: bool) -> None:
        self._settings = settings
        self._screen = screen
        self._once = once
        self._logs = settings.data_dir / "logs"

    @property
    def parts(self) -> str:
        """What runs, for a person."""
        return "the gateway and the sandboxes" if self._settings.database_url else "the gateway, the sandboxes and PostgreSQL"

    async def run(self) -> int:
        """Everything, in order; what was started is stopped however this ends."""
        settings, screen = self._settings, self._screen
        async with AsyncExitStack() as stack:
            # Taken before anything else: the sandboxes are told where to send webhooks before the gateway serves there.
            listening = take_port(settings.host, settings.port, "GATEWAY_PORT")
            for one in listening:
                stack.enter_context(one)
            check_port(settings.sandbox_host, settings.sandbox_port, "GATEWAY_SANDBOX_PORT")
            stack.enter_context(alone_in(settings.data_dir))
            key = master_key(settings)
            make_folder(self._logs)
            screen.title("Payout gateway: one payout through every kind of provider")
            log_file = stack.enter_context(_open_log(self._logs / "gateway.log"))
            logs.configure(settings.log_level, stream=log_file)
            starting = await stack.enter_async_context(run_sandboxes(settings, self._logs / "sandbox.log"))
            with screen.busy("PostgreSQL and the sandboxes are starting; the first time takes a few seconds"):
                dsn = await stack.enter_async_context(database(settings))
                sandbox_url = await starting.ready()
            where = "the one of GATEWAY_DATABASE_URL" if settings.database_url else str(settings.data_dir / "postgres")
            screen.done(f"PostgreSQL: {where}")
            screen.done(f"Provider sandboxes: {sandbox_url}")
            session = await stack.enter_async_context(aiohttp.ClientSession())
            places = Places(address(settings.host, listening[0].getsockname()[1]), sandbox_url)
            async with small_pool(dsn) as pool:
                await set_up(pool, Seal(key), session, places, speed=settings.sandbox_speed)
            await stack.enter_async_context(gateway(settings, dsn, key, listening))
            screen.done(f"Gateway: {places.gateway_url}")
            all_paid = await self._pay(Merchant(session, places.gateway_url, DEMO_BEARER))
            if self._once:
                return 0 if all_paid else 1
            self._invite(places)
            return await self._keep_serving(starting)

    async def _pay(self, merchant: Merchant) -> bool:
        screen = self._screen
        await fund(merchant)
        screen.done(f"Demo account with {', '.join(available for available, _, _ in await _books(merchant))}")
        if still_open := await _count_open(merchant):
            screen.note(f"{still_open} payout(s) from before are still open and go on beside the new ones")
        screen.console.print()
        samples = make_samples()
        with screen.watching(samples):
            await send_all(samples, merchant, screen, speed=self._settings.sandbox_speed)
        screen.summary(samples, await _books(merchant))
        paid = sum(sample.is_paid for sample in samples)
        screen.console.print()
        say = screen.done if paid == len(samples) else screen.failed
        say(f"{paid} of {len(samples)} payouts are paid")
        return paid == len(samples)

    def _invite(self, places: Places) -> None:
        body = orjson.dumps({"amount": 150_000_00, "currency": "IDR", **BANK}).decode()
        command = (
            f"curl -sS {places.gateway_url}/api/v1/payouts -H 'Authorization: Bearer {DEMO_BEARER}' "
            f"-H \"Idempotency-Key: demo-$(date +%s)\" -H 'Content-Type: application/json' -d '{body}'"
        )
        rows = [
            ("API", f"{places.gateway_url}/api/v1/payouts"),
            ("Documentation", f"{places.gateway_url}/docs"),
            ("Metrics", f"{places.gateway_url}/metrics"),
            ("Bearer key", DEMO_BEARER),
            ("Signing key", f"{DEMO_KEY_ID} / {DEMO_SECRET}"),
            ("Sandboxes", f"{places.sandbox_url}/_sandbox"),
            ("Logs", str(self._logs)),
        ]
        self._screen.panel(rows, command)
        self._screen.note("Ctrl-C stops everything.")

    async def _keep_serving(self, sandboxes: Sandboxes) -> int:
        await sandboxes.ended()
        self._screen.failed(f"The sandboxes ended by themselves; see {self._logs / 'sandbox.log'}.")
        return 1


async def _books(merchant: Merchant) -> list[tuple[str, str, str]]:
    """Each currency's (available, in transit, ledger balance) for a person, the default currency first."""
    answer = await merchant.call("GET", "/api/v1/payouts/balance")
    balances = sorted(answer["balances"], key=lambda balance: (balance["currency"] != answer["currency"], balance["currency"]))
    return [
        (money(b["available"], b["currency"]), money(b["locked"], b["currency"]), money(b["ledgerBalance"], b["currency"]))
        for b in balances
    ]


async def _count_open(merchant: Merchant) -> int:
    found = 0
    for phase in ("queued", "processing", "needs_review"):
        found += len(await merchant.call("GET", f"/api/v1/payouts?phase={phase}&limit=100"))
    return found


@contextlib.contextmanager
def _open_log(path: Path) -> Iterator[BinaryIO]:
    if path.exists() and path.stat().st_size > _LOG_MAX_BYTES:
        path.rename(path.with_name(f"{path.name}.1"))
    with path.open("ab") as file:
        yield file
