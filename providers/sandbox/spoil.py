"""How an answer goes wrong on the wire: cut, held back, halved, replaced, redirected.

Works on what the client sees and never touches what the provider did: whether money moved was settled before, by the
fault's `when`.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import web

_LOOK_S = 0.05
_FOREVER_MS = 24 * 3600 * 1000
_HTML = "<!doctype html><title>Sandbox</title><p>The sandbox shows a page where the client expects JSON."
_NOWHERE = "http://127.0.0.1:9/elsewhere"  # port 9 (discard): a client that follows finds nobody

Spoiler = Callable[[web.Request, web.Response | None, dict[str, Any]], Awaitable[web.StreamResponse | None]]


async def _drop(request: web.Request, _answer: web.Response | None, _params: dict[str, Any]) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)  # never leaves: the connection is gone


async def wait(request: web.Request, ms: float) -> None:
    """Hold the request for so long, or until the client or the server goes away."""
    until = time.monotonic() + ms / 1000
    while (left := until - time.monotonic()) > 0:
        transport = request.transport
        if transport is None or transport.is_closing() or request.app.get(CLOSING, _OPEN).is_set():
            return
        await asyncio.sleep(min(left, _LOOK_S))


async def _hang(request: web.Request, answer: web.Response | None, params: dict[str, Any]) -> web.StreamResponse:
    await wait(request, params.get("ms", _FOREVER_MS))
    return await _drop(request, answer, params)


async def _slow(request: web.Request, answer: web.Response | None, params: dict[str, Any]) -> web.StreamResponse | None:
    await wait(request, params.get("ms", 1000))
    return answer


async def _half_body(request: web.Request, answer: web.Response | None, params: dict[str, Any]) -> web.StreamResponse:
    whole = answer.body if answer is not None and isinstance(answer.body, bytes) else b'{"status":"all went well"}'
    status = params.get("status", 200 if answer is None else answer.status)
    half = web.StreamResponse(status=status, headers={"Content-Type": "application/json"})
    half.content_length = len(whole)
    await half.prepare(request)
    await half.write(whole[: len(whole) // 2])
    if request.transport is not None:
        request.transport.close()  # flushes what was written, then ends in the middle of the body
    return half


async def _wrong_content_type(
    _request: web.Request, _answer: web.Response | None, params: dict[str, Any]
) -> web.StreamResponse:
    return web.Response(status=params.get("status", 200), text=_HTML, content_type="text/html")


async def _status(_request: web.Request, _answer: web.Response | None, params: dict[str, Any]) -> web.StreamResponse:
    """Only for a status with `params.body`; without one the provider's own body for that status is used."""
    return web.Response(
        status=params.get("status", 500),
        body=orjson.dumps(params.get("body")),
        headers={"Content-Type": "application/json", **params.get("headers", {})},
    )


async def _redirect(_request: web.Request, _answer: web.Response | None, params: dict[str, Any]) -> web.StreamResponse:
    return web.Response(status=params.get("status", 307), headers={"Location": params.get("location", _NOWHERE)})


CLOSING = web.AppKey("closing", asyncio.Event)
_OPEN = asyncio.Event()

SPOILERS: dict[str, Spoiler] = {
    "drop": _drop,
    "hang": _hang,
    "half_body": _half_body,
    "wrong_content_type": _wrong_content_type,
    "status": _status,
    "slow": _slow,
    "redirect": _redirect,
}

CUTS_CONNECTION = frozenset({"drop", "hang"})
