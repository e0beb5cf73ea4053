"""The envelope around every answer, and the error that becomes one. Knows nothing of payouts."""

from datetime import UTC, datetime
from typing import Any

import orjson
from aiohttp import web

from gateway.api.whole import WholeAnswer

REQUEST_ID: web.RequestKey[str] = web.RequestKey("request_id", str)
# For the log line: whose request it was, once that is proven, and what it was about.
ACCOUNT_ID: web.RequestKey[str] = web.RequestKey("account_id", str)
PAYOUT_ID: web.RequestKey[str] = web.RequestKey("payout_id", str)

# HTTP wants one in every 401, also where a provider's notice proves itself in another way.
_CHALLENGE = "Bearer, Plugipay-HMAC-SHA256"


class ApiError(Exception):
    """A refusal that a merchant reads: a stable `code` for programs, a sentence for people, and the `field` it is about."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        field: str | None = None,
        details: list[dict[str, Any]] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.field = field
        self.details = details
        self.headers = headers or {}


def iso(moment: datetime | None) -> str | None:
    """An aware UTC time as '2026-01-01T00:00:00.000Z'."""
    if moment is None:
        return None
    text = orjson.dumps(moment)  # "2026-01-01T00:00:00.123456+00:00", in a quarter of the time that datetime itself needs
    return f"{text[1:24].decode()}Z" if moment.microsecond else f"{text[1:20].decode()}.000Z"


def _respond(status: int, body: dict[str, Any], headers: dict[str, str] | None) -> web.Response:
    return WholeAnswer(status, orjson.dumps(body), {"Content-Type": "application/json", **(headers or {})})


def _meta(request: web.BaseRequest) -> dict[str, Any]:
    return {"requestId": request[REQUEST_ID], "timestamp": iso(datetime.now(UTC))}


def ok(
    request: web.BaseRequest, data: Any, *, status: int = 200, replayed: bool = False, meta: dict[str, Any] | None = None
) -> web.Response:
    """An answer with data. `replayed` marks the answer to a repeated request."""
    about = _meta(request)
    if meta:
        about.update(meta)
    if replayed:
        about["idempotentReplayed"] = True
    headers = {"Idempotent-Replayed": "true"} if replayed else None
    return _respond(status, {"data": data, "error": None, "meta": about}, headers)


def page(request: web.BaseRequest, rows: list[Any], *, limit: int, cursor: str | None) -> web.Response:
    """A list: its cursor where Plugipay's clients read it, and where its documents show it."""
    has_more = cursor is not None
    meta = {
        "cursor": cursor,
        "hasMore": has_more,
        "page": {"limit": limit, "hasMore": has_more, "nextCursor": cursor},
    }
    return ok(request, rows, meta=meta)


def fail(request: web.BaseRequest, error: ApiError) -> web.Response:
    """An answer without data."""
    body: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.field is not None:
        body["field"] = error.field
    if error.details is not None:
        body["details"] = error.details
    headers = {"WWW-Authenticate": _CHALLENGE, **error.headers} if error.status == 401 else error.headers
    return _respond(error.status, {"data": None, "error": body, "meta": _meta(request)}, headers)
