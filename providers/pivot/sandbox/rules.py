"""What Pivot lets a request say (sections 4 and 9): its body, its texts, its request id, its channel, its amount.

Looks at one request alone, and refuses in Pivot's words. Never looks at what the sandbox keeps, and changes nothing.
"""

from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

from providers.pivot.sandbox.answers import problem
from providers.pivot.sandbox.facts import CHANNELS, DESCRIPTION, REQUEST_ID, WHOLE_RUPIAH
from providers.sandbox.base import Refused

CHECKED_TEXTS: tuple[tuple[str, int], ...] = (("accountNumber", 60), ("accountName", 60))


def json_object(raw: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        raise Refused(problem("format_invalid"))
    return body


def text_field(body: dict[str, Any], field: str, limit: int) -> str:
    value = body.get(field)
    if value is None or value == "":
        raise Refused(problem("field_required", field))
    if not isinstance(value, str) or len(value) > limit:
        raise Refused(problem("field_format_invalid", field))
    return value


def paging(query: Mapping[str, str], name: str, default: int, most: int | None) -> int:
    text = query.get(name, str(default))
    if not text.isdecimal() or int(text) < 1 or (most is not None and int(text) > most):
        raise Refused(problem("field_format_invalid", name))
    return int(text)


def request_id_of(request: web.Request) -> str:
    value = request.headers.get("X-REQUEST-ID", "")
    if not value:
        raise Refused(problem("field_required", "X-REQUEST-ID"))
    if not REQUEST_ID.fullmatch(value):
        raise Refused(problem("field_format_invalid", "X-REQUEST-ID"))
    return value


def channel_of(body: dict[str, Any]) -> tuple[str, str, str]:
    channel = text_field(body, "channelCode", 30)
    information = body.get("channelInformation")
    if not isinstance(information, dict):
        raise Refused(problem("field_required", "channelInformation"))
    account, name = (text_field(information, field, limit) for field, limit in CHECKED_TEXTS)
    if channel not in CHANNELS:
        raise Refused(problem("unsupported_channel_code", "channelCode"))
    return channel, account, name


def description_of(row: dict[str, Any], *, loose: bool) -> str:
    """Section 4, CONFLICT: the rule says letters and digits, the samples have spaces."""
    description = row.get("description") or ""
    if description and not (isinstance(description, str) and (loose or DESCRIPTION.fullmatch(description))):
        raise Refused(problem("field_format_invalid", "description"))
    return str(description)


def amount_of(amount: Any, minimum: int, maximum: int | None) -> dict[str, str]:
    if not isinstance(amount, dict):
        raise Refused(problem("field_required", "amount"))
    value = amount.get("value")
    if value is None:
        raise Refused(problem("field_required", "amount.value"))
    if not isinstance(value, str) or not WHOLE_RUPIAH.fullmatch(value):
        raise Refused(problem("field_format_invalid", "amount.value"))  # a JSON number too (section 4)
    if amount.get("currency") != "IDR":
        raise Refused(problem("field_format_invalid", "amount.currency"))
    if int(value) < minimum:
        raise Refused(problem("amount_below_limit", "amount.value"))
    if maximum is not None and int(value) > maximum:
        raise Refused(problem("amount_above_limit", "amount.value"))
    return {"currency": "IDR", "value": value}
