"""The sandboxes on a real socket, a client that speaks to them, and a small receiver for their webhooks."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from multidict import CIMultiDictProxy

from providers.sandbox.server import build_app


@dataclass
class Answer:
    status: int
    headers: CIMultiDictProxy[str]
    raw: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.raw)


@dataclass
class Hook:
    headers: CIMultiDictProxy[str]
    raw: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.raw)


@dataclass
class Receiver:
    """A merchant's webhook address. `statuses` are answered one after the other, then 200."""

    url: str = ""
    hooks: list[Hook] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        self.hooks.append(Hook(request.headers, await request.read()))
        return web.Response(status=self.statuses.pop(0) if self.statuses else 200)


async def until(condition: Callable[[], Any], timeout_s: float = 4.0) -> Any:
    """Wait until `condition()` (a value, or something to await) is true; answer what it gave."""
    end = time.monotonic() + timeout_s
    while True:
        value = condition()
        if asyncio.iscoroutine(value):
            value = await value
        if value:
            return value
        assert time.monotonic() < end, "waited in vain"
        await asyncio.sleep(0.005)


@dataclass
class World:
    data_dir: Path
    receiver: Receiver
    server: TestServer | None = None
    session: aiohttp.ClientSession | None = None

    async def start(self, speed: float = 200.0, seed: int = 0) -> None:
        self.server = TestServer(build_app(self.data_dir, speed=speed, seed=seed))
        await self.server.start_server()
        # A connection per request: a kept one would blur what a fault does.
        self.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True))

    async def stop(self) -> None:
        assert self.session is not None
        assert self.server is not None
        await self.session.close()
        await self.server.close()

    async def restart(self, speed: float = 200.0) -> None:
        await self.stop()
        await self.start(speed)

    async def call(self, method: str, path: str, **options: Any) -> Answer:
        assert self.session is not None
        assert self.server is not None
        timeout = aiohttp.ClientTimeout(total=options.pop("timeout_s", 5))
        url = path if path.startswith("http") else self.server.make_url(path)
        options.setdefault("allow_redirects", False)
        async with self.session.request(method, url, timeout=timeout, **options) as answer:
            return Answer(answer.status, answer.headers, await answer.read())

    async def control(self, provider: str, method: str, path: str, body: Any = None) -> Any:
        answer = await self.call(method, f"/_sandbox/{provider}/{path}", json=body)
        assert answer.status == 200, answer.raw
        return answer.json

    async def money(self, provider: str) -> Any:
        return (await self.control(provider, "GET", "ledger"))["lines"]

    async def fault(self, provider: str, operation: str, kind: str, **more: Any) -> Any:
        return (await self.control(provider, "POST", "faults", {"operation": operation, "kind": kind, **more}))["id"]

    async def settings(self, provider: str, **values: Any) -> None:
        await self.control(provider, "PATCH", "settings", values)

    async def hooks(self, count: int) -> list[Hook]:
        await until(lambda: len(self.receiver.hooks) >= count)
        return self.receiver.hooks

    until = staticmethod(until)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiver.take)
    server = TestServer(app)
    await server.start_server()
    receiver.url = str(server.make_url("/hook"))
    yield receiver
    await server.close()


@pytest.fixture
async def world(tmp_path: Path, receiver: Receiver) -> AsyncIterator[World]:
    world = World(tmp_path, receiver)
    await world.start()
    yield world
    await world.stop()
