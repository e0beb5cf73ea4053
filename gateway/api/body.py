"""Reading a request: body, query and idempotency key, strictly, with an error that names the field."""

import asyncio
import hashlib
from typing import Any, TypeVar

import orjson
from aiohttp import web
from pydantic import ValidationError

from gateway.api.envelope import ApiError
from gateway.api.operations import QUERY_OF
from schemas.money import CURRENCY_EXPONENT
from schemas.requests import Request
from schemas.strict_json import StrictJsonError, load_object

BODY_LIMIT_BYTES = 64 * 1024
_BODY_DEADLINE_S = 10.0
_KEY_LIMIT = 255
_JSON = "application/json"

Model = TypeVar("Model", bound=Request)

_TYPE = "must be an object whose type is bank_account, card or balance"
# What pydantic's error types mean in our words, after the field's name; anything else keeps pydantic's own sentence.
_MESSAGES = {
    "missing": "is required",
    "extra_forbidden": "is not a known field",
    "int_type": "must be an integer number of minor units, not text, a fraction or a boolean",
    "string_type": "must be text",
    "dict_type": "must be an object",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "string_too_short": "must not be empty",
    "string_too_long": "must not be longer than {max_length}",
    "too_long": "must not have more than {max_length} entries",
    "too_short": "must not be empty",
    "string_pattern_mismatch": "is malformed: it must match {pattern}",
    "enum": "must be one of {expected}",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "model_type": "must be an object",
    "model_attributes_type": _TYPE,
    "union_tag_not_found": _TYPE,
    "union_tag_invalid": _TYPE,
}
_PROBLEMS_SHOWN = 20
_LOADED: web.RequestKey[dict[str, Any]] = web.RequestKey("loaded", dict)
_NAME_SHOWN = 100
_NOT_FLAT = frozenset({type(None), dict})  # the types of values that `_given` looks into


async def read_body(request: web.Request) -> bytes:
    """The raw body, at most `BODY_LIMIT_BYTES` of it and not for ever."""
    headers = request.headers
    if any(coding.lower() != "identity" for coding in headers.getall("Content-Encoding", ())):
        raise ApiError(415, "unsupported_media_type", "Send the body as it is, not compressed.", field="Content-Encoding")
    if headers.get("Transfer-Encoding", "chunked").lower() != "chunked":
        raise ApiError(400, "bad_request", "Send the body as it is or chunked. Nothing was done.", field="Transfer-Encoding")
    if (request.content_length or 0) > BODY_LIMIT_BYTES:  # at once, and not after waiting for it
        raise web.HTTPRequestEntityTooLarge(BODY_LIMIT_BYTES, request.content_length or 0)
    if request.content.is_eof():  # it has all arrived with the head, as nearly always: nothing to wait for
        body = request.content.read_nowait()
        if len(body) > BODY_LIMIT_BYTES:
            raise web.HTTPRequestEntityTooLarge(BODY_LIMIT_BYTES, len(body))
        return body
    try:
        async with asyncio.timeout(_BODY_DEADLINE_S):
            return await request.read()
    except ConnectionError as error:  # nobody reads this answer; the log has it as what it is
        raise ApiError(400, "body_incomplete", "The connection ended before the body did. Nothing was done.") from error
    except TimeoutError as error:
        raise ApiError(408, "request_timeout", "The body took too long to arrive. Nothing was done.") from error


def _field(loc: tuple[int | str, ...]) -> str:
    """Where in the body a problem is, as a merchant writes it: without the tag of a union and pydantic's mark of a key."""
    if loc[0] == "destination":
        loc = loc[:1] + loc[2:]
    if loc[-1] == "[key]":
        loc = loc[:-2]
    return ".".join(str(part) for part in loc)[:_NAME_SHOWN]


def _refusal(error: ValidationError) -> ApiError:
    problems = []
    for problem in error.errors(include_url=False, include_input=False)[:_PROBLEMS_SHOWN]:
        context = problem.get("ctx", {})
        field = _field(problem["loc"]) if problem["loc"] else context["field"]  # a clash of fields names one itself
        known = _MESSAGES.get(problem["type"])
        message = known.format_map(context) if known else problem["msg"].removeprefix("Value error, ")
        if "[key]" in problem["loc"]:
            message = f"has a key that {message}"
        problems.append({"field": field, "message": message})
    first = problems[0]
    text = f"{first['field']} {first['message']}"
    return ApiError(400, "validation_error", text, field=first["field"], details=problems)


def parse(model: type[Model], request: web.Request, body: bytes) -> Model:
    """The body as a model. No body counts as an empty object where the model allows it, and is refused elsewhere."""
    if body:
        content_type = request.headers.get("Content-Type", "")
        if content_type != _JSON and content_type.partition(";")[0].strip().lower() != _JSON:
            raise ApiError(415, "unsupported_media_type", "Send the body as application/json.", field="Content-Type")
    try:
        data = load_object(body) if body else {}
    except StrictJsonError as error:
        raise ApiError(400, "invalid_json", f"The body cannot be read: {error}.") from error
    request[_LOADED] = data
    try:
        parsed = model.model_validate(data)
    except ValidationError as error:
        raise _refusal(error) from error
    if not body and not model.may_be_left_out:  # after the fields, since naming one that is missing says more
        raise ApiError(400, "validation_error", "The request has no body, so nothing was done. Send a JSON object.")
    return parsed


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    """Without fields that are null: they say the same as fields that are not there."""
    if _NOT_FLAT.isdisjoint(map(type, fields.values())):
        return fields
    return {name: _given(value) if isinstance(value, dict) else value for name, value in fields.items() if value is not None}


def fingerprint(request: web.Request) -> bytes:
    """What makes two requests the same: the operation and what was asked, whatever the spelling of the JSON.

    Taken from what `parse` loaded: models are strict and change nothing, so it is the same as theirs and costs less.
    """
    content = orjson.dumps(_given(request[_LOADED]), option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(f"{request.method} {request.path}\n".encode() + content).digest()


def idempotency_key(request: web.Request) -> str:
    """The one `Idempotency-Key` that every write needs."""
    values = request.headers.getall("Idempotency-Key", [])
    if len(values) != 1 or not values[0] or len(values[0]) > _KEY_LIMIT or not values[0].isascii():
        raise ApiError(
            400,
            "validation_error",
            f"Send exactly one Idempotency-Key of 1 to {_KEY_LIMIT} ASCII characters; use a new one for each new payout.",
            field="Idempotency-Key",
        )
    return values[0]


def query(request: web.Request) -> dict[str, str]:
    """The query, each parameter at most once and none that the table of operations does not know here."""
    resource = request.match_info.route.resource
    method = "GET" if request.method == "HEAD" else request.method
    known = QUERY_OF[method, resource.canonical] if resource else ()
    given: dict[str, str] = {}
    for name, value in request.query.items():
        if name not in known:
            shown = name[:_NAME_SHOWN]
            raise ApiError(400, "validation_error", f"{shown} is not a known parameter", field=shown)
        if name in given:
            raise ApiError(400, "validation_error", f"{name} is given twice", field=name)
        if not value.isprintable():  # no stored text has control characters, and PostgreSQL dies of NUL
            raise ApiError(400, "validation_error", f"{name} must not contain control characters", field=name)
        given[name] = value
    return given


def currency_of(given: dict[str, str]) -> str | None:
    """The `currency` that a list is narrowed to."""
    currency = given.get("currency")
    if currency is not None and currency not in CURRENCY_EXPONENT:
        raise ApiError(400, "validation_error", "currency must be an ISO 4217 currency", field="currency")
    return currency


def limit_of(given: dict[str, Any], *, default: int = 50, at_most: int = 100) -> int:
    """The `limit` of a list."""
    text = given.get("limit")
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= at_most):
        raise ApiError(400, "validation_error", f"limit must be a whole number from 1 to {at_most}", field="limit")
    return int(text)
