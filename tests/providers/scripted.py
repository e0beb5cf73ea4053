"""A provider that plays a script on a real socket: per route a list of replies, of which the last one repeats.

It knows no provider. A reply is a `Reply`, or a coroutine that misbehaves with the connection (the `*_answer`s below).
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import web
from multidict import CIMultiDictProxy


@dataclass(frozen=True)
class Reply:
    status: int = 200
    body: Any = b""  # bytes as they are, anything else as JSON
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})

    @property
    def raw(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()

    async def __call__(self, _request: web.Request) -> web.StreamResponse:
        return web.Response(status=self.status, body=self.raw, headers=self.headers)


Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Seen:
    method: str
    path: str
    query: str
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body, parse_float=Decimal)


class Scripted:
    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.base_url = ""
        self._routes: list[tuple[str, re.Pattern[str], list[Answering]]] = []
        self._runner: web.AppRunner | None = None
        self._arrival = asyncio.Event()

    def on(self, method: str, path: str, *answers: Answering) -> None:
        """Newer routes win. `path` is a regular expression for the whole path and query."""
        self._routes.insert(0, (method, re.compile(path), list(answers)))

    def calls(self, method: str, path: str) -> list[Seen]:
        full = re.compile(path)
        return [seen for seen in self.seen if seen.method == method and full.fullmatch(seen.path + seen.query)]

    async def until(self, method: str, path: str) -> None:
        """Wait for a request to have arrived."""
        while not self.calls(method, path):
            self._arrival.clear()
            await self._arrival.wait()

    async def start(self) -> None:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{rest:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.01, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.base_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        query = f"?{request.raw_path.partition('?')[2]}" if "?" in request.raw_path else ""
        path = request.raw_path.partition("?")[0]
        self.seen.append(Seen(request.method, path, query, request.headers, await request.read()))
        self._arrival.set()
        for method, pattern, answers in self._routes:
            if method == request.method and pattern.fullmatch(path + query):
                answer = answers.pop(0) if len(answers) > 1 else answers[0]
                return await answer(request)
        return web.Response(status=599, text=f"no script for {request.method} {path}{query}")


def _transport(request: web.Request) -> asyncio.Transport:
    assert isinstance(request.transport, asyncio.Transport)
    return request.transport


async def dropped_answer(request: web.Request) -> web.StreamResponse:
    """The request arrived; the connection is cut without a byte of an answer."""
    _transport(request).abort()
    return web.Response()


async def hanging_answer(_request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(30)
    return web.Response()


async def half_answer(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"code": "00", "da')
    _transport(request).close()
    return response


async def dripping_answer(request: web.Request) -> web.StreamResponse:
    """A byte at a time, each before any read timeout."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    for _ in range(600):
        await asyncio.sleep(0.05)
        try:
            await response.write(b" ")
        except ConnectionError:
            break
    return response


def faults(named: Iterable[str], *more: str) -> list[Any]:
    """The names of misbehaving answers as parameters: those that end only with our patience ask for a short one."""
    return [pytest.param(name, marks=pytest.mark.hasty) if name in {"hang", "drip"} else name for name in (*named, *more)]


async def oversized_answer(request: web.Request) -> web.StreamResponse:
    """Eight megabytes without a length."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    chunk = b" " * (1024 * 1024)
    try:
        for _ in range(8):
            await response.write(chunk)
    except ConnectionError:
        pass
    return response


async def bomb_answer(request: web.Request) -> web.StreamResponse:
    """A small packed body that becomes a large one."""
    response = web.Response(body=b'{"a": "' + b"a" * 8_000_000 + b'"}', headers={"Content-Type": "application/json"})
    response.enable_compression(web.ContentCoding.gzip)
    return response


def echoing(status: int, **more: Any) -> Answering:
    """An error that quotes back everything it was sent: headers and body, in every field that errors have."""

    async def answer(request: web.Request) -> web.StreamResponse:
        body = (await request.read()).decode()
        said = " | ".join([*(f"{name}: {value}" for name, value in request.headers.items()), body])
        fields = dict.fromkeys(("message", "detail", "title", "field", "description", "reason"), said)
        error = {"type": "API_ERROR", "details": [{"field": said, "message": said}]}
        return web.json_response({**fields, "error": error, **more}, status=status)

    return answer
