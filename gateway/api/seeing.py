"""Seeing: health, readiness, metrics, the API's description and a page for it, and the providers' contracts."""

import asyncio

import orjson
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from gateway.api import views
from gateway.api.auth import PAYOUT_READ
from gateway.api.body import read_body
from gateway.api.docs_page import page
from gateway.api.envelope import ApiError, ok
from gateway.api.openapi import describe
from gateway.api.parts import parts_of
from gateway.store.provider_balances import balances_of

_READY_WITHIN_S = 1.0


async def healthz(request: web.Request) -> web.Response:
    """`GET /healthz`: the process lives."""
    return ok(request, {"status": "ok"})


async def readyz(request: web.Request) -> web.Response:
    """`GET /readyz`: it can take requests now; 503 while starting, stopping, or without its database."""
    parts = parts_of(request)
    try:
        async with asyncio.timeout(_READY_WITHIN_S):
            await parts.pool.fetchval("select 1")
    except Exception as error:
        raise ApiError(503, "service_unavailable", "The database does not answer.", headers={"Retry-After": "1"}) from error
    if not parts.is_ready():
        raise ApiError(503, "service_unavailable", "This process is stopping.", headers={"Retry-After": "1"})
    return ok(request, {"status": "ready"})


async def metrics(request: web.Request) -> web.Response:
    """`GET /metrics`, for Prometheus."""
    body = generate_latest(parts_of(request).metrics.registry)
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})


async def openapi(_request: web.Request) -> web.Response:
    """`GET /openapi.json`, generated from the schemas."""
    return web.Response(body=orjson.dumps(describe()), content_type="application/json")


async def providers(request: web.Request) -> web.Response:
    """`GET /api/v1/providers`: every provider's contract, and the caller's connections at it."""
    parts = parts_of(request)
    caller = await parts.auth.caller(request, PAYOUT_READ, await read_body(request))
    candidates = await parts.connections.candidates(caller.account_id)
    balances = await balances_of(parts.pool, caller.account_id)
    return ok(
        request,
        [
            views.provider(
                contract, [views.connection(c, balances) for c in candidates if c.contract.provider == contract.provider]
            )
            for contract in parts.connections.contracts()
        ],
    )


_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


async def docs(_request: web.Request) -> web.Response:
    """`GET /docs`: the API for a person, from the same description."""
    return web.Response(text=page(), content_type="text/html", headers=_PAGE_HEADERS)
