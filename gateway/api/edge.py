"""Around every request: an id, the envelope for whatever goes wrong, one log line and one measurement.

Logs routes and codes, never paths with ids that are not ours, bodies, headers or queries.
"""

import time

import asyncpg
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.api.envelope import ACCOUNT_ID, PAYOUT_ID, REQUEST_ID, ApiError, fail
from gateway.gather import TooMuchWaitingError
from gateway.ids import new_id
from gateway.metrics import Metrics
from schemas import ids

_log = structlog.get_logger("gateway.api")

# What aiohttp itself refuses, in our words.
_HTTP_CODES: dict[int, tuple[str, str]] = {
    404: ("not_found", "There is no such path."),
    405: ("method_not_allowed", "This path does not take that method."),
    413: ("body_too_large", "The body is larger than this API takes. Nothing was done."),
    417: ("request_refused", "This API knows no Expect header but 100-continue. Nothing was done."),
}
# OSError: no route, no socket, refused, reset, timed out. Handlers do no other input or output than the database's.
_UNAVAILABLE = (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, TooMuchWaitingError, OSError,
                asyncpg.InsufficientResourcesError, asyncpg.OperatorInterventionError)  # fmt: skip


def _route(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource else "unknown"


def _in_our_words(error: web.HTTPException) -> ApiError:
    code, message = _HTTP_CODES.get(error.status, ("request_refused", error.reason))
    allow = error.headers.get("Allow")
    return ApiError(error.status, code, message, headers={"Allow": allow} if allow else None)


def _refusal(request: web.Request, error: Exception) -> ApiError:
    if isinstance(error, ApiError):
        return error
    if isinstance(error, web.HTTPException):
        return _in_our_words(error)
    if isinstance(error, _UNAVAILABLE):
        _log.exception("request.unavailable", requestId=request[REQUEST_ID])
        # Honest about what is not known: the write may have reached the database before the connection broke.
        text = "The database did not answer. Repeat the request with the same Idempotency-Key: that can never pay twice."
        return ApiError(503, "service_unavailable", text, headers={"Retry-After": "1"})
    _log.exception("request.failed", requestId=request[REQUEST_ID])
    text = "Something went wrong on our side. Repeat the request with the same Idempotency-Key: that can never pay twice."
    return ApiError(500, "internal_error", text)


async def edge(request: web.Request, *, handler: Handler, metrics: Metrics) -> web.StreamResponse:
    """Give the request an id, answer in the envelope, measure and log."""
    started = time.perf_counter()
    request_id = new_id(ids.REQUEST)
    request[REQUEST_ID] = request_id
    said: dict[str, str] = {}
    response: web.StreamResponse
    try:
        response = await handler(request)
    except Exception as error:
        refusal = _refusal(request, error)
        said["code"] = refusal.code
        response = fail(request, refusal)
    took_s = time.perf_counter() - started
    response.headers["X-Request-Id"] = request_id
    response.headers["Server"] = "payout-gateway"  # aiohttp would tell the versions of Python and its own
    route = _route(request)
    if ACCOUNT_ID in request:
        said["account"] = request[ACCOUNT_ID]
    if PAYOUT_ID in request:
        said["payout"] = request[PAYOUT_ID]
    # A method that HTTP does not know would be a label that whoever asks can invent.
    method = request.method if request.method in {"GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS"} else "other"
    metrics.requests_of(method, route, str(response.status)).observe(took_s)
    _log.info(
        "request",
        requestId=request_id,
        method=method,
        route=route,
        status=response.status,
        ms=round(took_s * 1000, 2),
        **said,
    )
    return response
