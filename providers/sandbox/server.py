"""The sandboxes as one server: provider `x` under `/x`, its control surface under `/_sandbox/x` (see `control`).

Adding a provider is one line in `SANDBOXES`. Listens where it is told to and talks to nobody but the registered
webhook addresses.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from providers.mollie.sandbox import MollieSandbox
from providers.pivot.sandbox import PivotSandbox
from providers.plexy.sandbox import PlexySandbox
from providers.sandbox import control
from providers.sandbox.base import Route, Sandbox, reply
from providers.sandbox.listener import LISTENER, Listener, unreachable
from providers.sandbox.spoil import CLOSING
from providers.xendit.sandbox import XenditSandbox

SANDBOXES: dict[str, type[Sandbox[Any]]] = {
    "plexy": PlexySandbox,
    "mollie": MollieSandbox,
    "pivot": PivotSandbox,
    "xendit": XenditSandbox,
}

RUNNING = web.AppKey("running", dict)

_README = Path(__file__).with_name("README.md")
_MAX_BODY_BYTES = 8 * 1024 * 1024  # a Pivot batch has up to 1,000 rows

log = logging.getLogger(__name__)


def build_app(
    data_dir: Path, *, speed: float = 1.0, seed: int = 0, providers: Collection[str] | None = None
) -> web.Application:
    """All sandboxes on one application. `speed` divides every realistic delay; `seed` makes faults repeatable."""
    app = web.Application(client_max_size=_MAX_BODY_BYTES)
    running = {
        name: SANDBOXES[name](data_dir, speed=speed, seed=seed) for name in SANDBOXES if providers is None or name in providers
    }
    app[RUNNING] = running
    app[CLOSING] = asyncio.Event()
    for name, sandbox in running.items():
        for route in sandbox.routes():
            app.router.add_route(route.method, f"/{name}{route.path}", _handler(sandbox, route))
        lost = Route("*", "", "unknown_route", _not_found(sandbox))
        app.router.add_route("*", f"/{name}/{{path:.*}}", _handler(sandbox, lost))
        control.mount(app, sandbox)
    app.router.add_get("/_sandbox", _overview)
    app.router.add_get("/_sandbox/docs", _docs)
    app.router.add_post("/_sandbox/unreachable", unreachable)
    app.cleanup_ctx.append(_life)
    app.on_shutdown.append(_close)
    return app


async def serve(
    host: str,
    port: int,
    data_dir: Path,
    *,
    speed: float = 1.0,
    seed: int = 0,
    providers: Collection[str] | None = None,
    on_ready: Callable[[int], None] | None = None,
) -> None:
    """Run until cancelled. `on_ready` gets the port really bound (useful with port 0)."""
    app = build_app(data_dir, speed=speed, seed=seed, providers=providers)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=2.0)
    listener = app[LISTENER] = Listener(runner, host, port)
    await runner.setup()
    try:
        bound_port = await listener.start()
        log.info("sandboxes listen on %s:%d", host, bound_port)
        if on_ready is not None:
            on_ready(bound_port)
        await asyncio.Event().wait()
    finally:
        await listener.stop()
        await runner.cleanup()


def _handler(sandbox: Sandbox[Any], route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        return await sandbox.serve(route, request)

    return handle


def _not_found(sandbox: Sandbox[Any]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(_request: web.Request) -> web.Response:
        return sandbox.error_answer(404)

    return handle


async def _overview(request: web.Request) -> web.Response:
    running = request.app[RUNNING]
    return reply({"providers": sorted(running), "docs": "/_sandbox/docs"})


async def _docs(_request: web.Request) -> web.Response:
    if not _README.exists():
        return reply({"error": "this installation came without the README of the sandboxes"}, 404)
    return web.Response(text=_README.read_text(encoding="utf-8"), content_type="text/markdown")


async def _life(app: web.Application) -> AsyncIterator[None]:
    # limit=0: the couriers bound themselves, and one merchant's slow receiver must not hold up another provider.
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), auto_decompress=False)
    for sandbox in app[RUNNING].values():
        await sandbox.start(session)
    yield
    for sandbox in app[RUNNING].values():
        await sandbox.stop()
    await session.close()


async def _close(app: web.Application) -> None:
    app[CLOSING].set()
