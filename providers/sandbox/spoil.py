"""How an answer goes wrong on the wire: cut, held back, halved, dripped, bloated, replaced, redirected.

Works on what the client sees and never touches what the provider did: whether money moved was settled before, by the
step's `when`.
"""

import asyncio
import contextlib
import functools
import time
import zlib
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from typing import Any

import orjson
from aiohttp import web

_LOOK_S = 0.05
_FOREVER_MS = 24 * 3600 * 1000
_MEGABYTE = 1024 * 1024
_CHUNK = b"0" * 65536
_HTML = "<!doctype html><title>Sandbox</title><p>The sandbox shows a page where the client expects JSON."
_NOWHERE = "http://127.0.0.1:9/elsewhere"  # port 9 (discard): a client that follows finds nobody
_JSON = {"Content-Type": "application/json"}
_LIE = b'{"status":"all went well"}'

Spoiler = Callable[[web.Request, web.Response | None, dict[str, Any]], Awaitable[web.StreamResponse | None]]


async def _drop(request: web.Request, _answer: web.Response | None, _params: dict[str, Any]) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)  # never leaves: the connection is gone


async def wait(request: web.Request, ms: float) -> bool:
    """Hold the request for so long, or until the client or the server goes away. False: somebody went away."""
    until = time.monotonic() + ms / 1000
    while (left := until - time.monotonic()) > 0:
        if _is_over(request):
            return False
        await asyncio.sleep(min(left, _LOOK_S))
    return not _is_over(request)


def _is_over(request: web.Request) -> bool:
    transport = request.transport
    return transport is None or transport.is_closing() or request.app.get(CLOSING, _OPEN).is_set()


async def _hang(request: web.Request, answer: web.Response | None, params: dict[str, Any]) -> web.StreamResponse:
    await wait(request, params.get("ms", _FOREVER_MS))
    return await _drop(request, answer, params)


async def _slow(request: web.Request, answer: web.Response | None, params: dict[str, Any]) -> web.StreamResponse | None:
    await wait(request, params.get("ms", 1000))
    return answer


async def _half_body(request: web.Request, answer: web.Response | None, params: dict[str, Any]) -> web.StreamResponse:
    whole = _body_of(answer)
    half = _begin(params.get("status", _status_of(answer)), len(whole))
    await half.prepare(request)
    await half.write(whole[: len(whole) // 2])
    if request.transport is not None:
        request.transport.close()  # flushes what was written, then ends in the middle of the body
    return half


async def _drip(request: web.Request, answer: web.Response | None, params: dict[str, Any]) -> web.StreamResponse:
    whole, size = _body_of(answer), max(1, int(params.get("bytes", 1)))
    dripping = _begin(_status_of(answer), len(whole))
    with contextlib.suppress(ConnectionError):  # the client may lose patience
        await dripping.prepare(request)
        for start in range(0, len(whole), size):
            if not await wait(request, params.get("ms", 100)):
                break
            await dripping.write(whole[start : start + size])
    return dripping


async def _oversized(request: web.Request, answer: web.Response | None, params: dict[str, Any]) -> web.StreamResponse:
    large = web.StreamResponse(status=params.get("status", _status_of(answer)), headers=_JSON)
    with contextlib.suppress(ConnectionError):
        await large.prepare(request)
        await large.write(b'{"padding":"')
        for _ in range(int(params.get("mb", 16) * _MEGABYTE / len(_CHUNK))):
            if _is_over(request):
                break
            await large.write(_CHUNK)
        await large.write(b'"}')
    return large


async def _gzip_bomb(_request: web.Request, answer: web.Response | None, params: dict[str, Any]) -> web.StreamResponse:
    headers = {**_JSON, "Content-Encoding": "gzip"}
    return web.Response(status=params.get("status", _status_of(answer)), body=_bomb(params.get("mb", 64)), headers=headers)


@functools.cache
def _bomb(mb: float) -> bytes:
    packer = zlib.compressobj(level=1, wbits=31)  # 31: with a gzip header
    parts = [packer.compress(b'{"padding":"')]
    parts += [packer.compress(_CHUNK) for _ in range(int(mb * _MEGABYTE / len(_CHUNK)))]
    return b"".join([*parts, packer.compress(b'"}'), packer.flush()])


async def _wrong_content_type(
    _request: web.Request, _answer: web.Response | None, params: dict[str, Any]
) -> web.StreamResponse:
    return web.Response(status=params.get("status", 200), text=_HTML, content_type="text/html")


async def _status(_request: web.Request, _answer: web.Response | None, params: dict[str, Any]) -> web.StreamResponse:
    """Only for a status with `params.body`; without one the provider's own body for that status is used."""
    return web.Response(
        status=params.get("status", 500),
        body=orjson.dumps(params.get("body")),
        headers={**_JSON, **params.get("headers", {})},
    )


async def _redirect(_request: web.Request, _answer: web.Response | None, params: dict[str, Any]) -> web.StreamResponse:
    return web.Response(status=params.get("status", 307), headers={"Location": params.get("location", _NOWHERE)})


def _begin(status: int, length: int) -> web.StreamResponse:
    begun = web.StreamResponse(status=status, headers=_JSON)
    begun.content_length = length
    return begun


def _body_of(answer: web.Response | None) -> bytes:
    return answer.body if answer is not None and isinstance(answer.body, bytes) else _LIE


def _status_of(answer: web.Response | None) -> int:
    return 200 if answer is None else answer.status


def retry_after(form: str, seconds: float) -> dict[str, str]:
    """The header Retry-After in one of its two forms, or not at all."""
    if form == "none":
        return {}
    text = str(max(0, round(seconds))) if form == "seconds" else formatdate(time.time() + seconds, usegmt=True)
    return {"Retry-After": text}


CLOSING = web.AppKey("closing", asyncio.Event)
_OPEN = asyncio.Event()

SPOILERS: dict[str, Spoiler] = {
    "drop": _drop,
    "hang": _hang,
    "half_body": _half_body,
    "wrong_content_type": _wrong_content_type,
    "status": _status,
    "slow": _slow,
    "drip": _drip,
    "gzip_bomb": _gzip_bomb,
    "oversized": _oversized,
    "redirect": _redirect,
}

CUTS_CONNECTION = frozenset({"drop", "hang"})
