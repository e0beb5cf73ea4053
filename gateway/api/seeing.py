"""Seeing: health, readiness, metrics, the API's description and a page for it, and the providers' contracts."""

import asyncio
import html

import orjson
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from gateway.api import views
from gateway.api.auth import PAYOUT_READ
from gateway.api.body import read_body
from gateway.api.envelope import ApiError, ok
from gateway.api.error_codes import ERROR_CODES
from gateway.api.openapi import DESCRIPTION, describe
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
_STYLE = """
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent); }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 62rem; margin: 2.5rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.7rem; margin-bottom: .2rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .4rem; }
code, pre { font: .88em/1.5 ui-monospace, monospace; }
pre { padding: .8rem 1rem; border: 1px solid var(--line); border-radius: .5rem; overflow-x: auto; }
details { border-top: 1px solid var(--line); padding: .55rem 0; } summary { cursor: pointer; }
summary b { display: inline-block; min-width: 4.2rem; font: 600 .82em ui-monospace, monospace; }
summary span { opacity: .75; margin-left: .6rem; } table { border-collapse: collapse; width: 100%; margin: .6rem 0; }
td, th { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); }
th { font-weight: 600; } td:nth-child(1) { white-space: nowrap; }
"""


def _kind(schema: dict[str, object]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    for several in ("anyOf", "oneOf"):
        options = schema.get(several)
        if isinstance(options, list):
            return " or ".join(_kind(option) for option in options)
    items = schema.get("items")
    if schema.get("type") == "array" and isinstance(items, dict):
        return f"list of {_kind(items)}"
    return str(schema.get("type", "any"))


def _fields(schema: dict[str, object]) -> str:
    properties = schema.get("properties")
    if not isinstance(properties, dict) or not properties:
        return ""
    required = schema.get("required", [])
    rows = "".join(
        f"<tr><td><code>{html.escape(name)}</code></td><td>{html.escape(_kind(field))}</td>"
        f"<td>{'required' if isinstance(required, list) and name in required else 'optional'}</td>"
        f"<td>{html.escape(str(field.get('description', '')))}</td></tr>"
        for name, field in properties.items()
    )
    return f"<table><tr><th>Field</th><th>Type</th><th></th><th></th></tr>{rows}</table>"


def _operation(method: str, path: str, operation: dict[str, object], schemas: dict[str, dict[str, object]]) -> str:
    body = operation.get("x-request")
    fields = _fields(schemas[str(body)]) if body else ""
    answer = operation.get("x-answer")
    return (
        f"<details><summary><b>{method.upper()}</b> <code>{html.escape(path)}</code>"
        f"<span>{html.escape(str(operation.get('summary', '')))}</span></summary>"
        f"{fields}{f'<p>Answers <code>{html.escape(str(answer))}</code>.</p>' if answer else ''}</details>"
    )


def _page() -> str:
    described = describe()
    schemas = described["components"]["schemas"]
    operations = "".join(
        _operation(method, path, operation, schemas)
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    )
    answers = "".join(
        f"<details><summary><code>{name}</code></summary>{_fields(schema)}</details>"
        for name, schema in schemas.items()
        if name.endswith(("Answer", "Step", "Balance", "Body", "Meta")) and "[" not in name
    )
    codes = "".join(f"<tr><td><code>{code}</code></td><td>{html.escape(when)}</td></tr>" for code, when in ERROR_CODES.items())
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>Payout gateway API</title><style>{_STYLE}</style><h1>Payout gateway API</h1><p>{html.escape(DESCRIPTION)}</p>"
        f"<p>The same for machines: <a href=/openapi.json>/openapi.json</a></p>"
        f"<h2>Operations</h2>{operations}<h2>Answers</h2>{answers}<h2>Error codes</h2><table>{codes}</table></html>"
    )


async def docs(_request: web.Request) -> web.Response:
    """`GET /docs`: the API for a person, from the same description."""
    return web.Response(text=_page(), content_type="text/html", headers=_PAGE_HEADERS)
