"""The bodies that Xendit answers with: the payout object, the problems of section 7, channels.

Shows what is there. Never changes a payout, and never decides which problem a request has.
"""

from typing import Any

import orjson
from aiohttp import web

from providers.sandbox.base import reply
from providers.sandbox.clock import iso_millis
from providers.xendit.sandbox.channels import Channel
from providers.xendit.sandbox.facts import ARRIVES_AFTER_MS
from providers.xendit.sandbox.records import Payout

# Section 7: error_code -> (HTTP, text). The texts are ours.
PROBLEMS: dict[str, tuple[int, str]] = {
    "API_VALIDATION_ERROR": (400, "The request is not valid."),
    "CHANNEL_CODE_NOT_SUPPORTED": (400, "The channel_code is not supported."),
    "CHANNEL_CODE_NOT_SUPPORTED_ERROR": (400, "The channel_code is not supported."),
    "MINIMUM_TRANSFER_LIMIT_ERROR": (400, "The amount is below the channel's limit."),
    "MAXIMUM_TRANSFER_LIMIT_ERROR": (400, "The amount is above the channel's limit."),
    "AMOUNT_INCREMENT_NOT_SUPPORTED": (400, "The amount is not a multiple of the channel's increment."),
    "DUPLICATE_ERROR": (409, "A payout with this idempotency key already exists (duplicate)."),
    "DUPLICATE_PAYOUT_ERROR": (409, "A payout with this idempotency key already exists (duplicate)."),
    "INVALID_API_KEY": (401, "The API key is not valid."),
    "REQUEST_FORBIDDEN_ERROR": (403, "The API key may not do this."),
    "DATA_NOT_FOUND": (404, "There is no such payout."),
    "RATE_LIMIT_EXCEEDED": (429, "Too many requests."),
    "SERVER_ERROR": (500, "Something went wrong on the server."),
}
CODE_BY_STATUS = {
    400: "API_VALIDATION_ERROR",
    401: "INVALID_API_KEY",
    403: "REQUEST_FORBIDDEN_ERROR",
    429: "RATE_LIMIT_EXCEEDED",
}


def problem(
    code: str, message: str | None = None, *, http: int | None = None, text_field: str = "message", path: str = ""
) -> web.Response:
    status, text = PROBLEMS.get(code, (400, code))
    body: dict[str, Any] = {"error_code": code, text_field: message or text}
    if path:
        body["errors"] = [{"path": path, "message": message or text}]
    return reply(body, http or status)


def payout_view(payout: Payout) -> dict[str, Any]:
    """Section 4.2. `failure_code` only where there is one, at the top level."""
    view: dict[str, Any] = {
        "id": payout.id,
        "amount": orjson.Fragment(payout.amount),
        "channel_code": payout.channel,
        "currency": payout.currency,
        "reference_id": payout.reference,
        "status": payout.status,
        "created": iso_millis(payout.created_ms),
        "updated": iso_millis(payout.updated_ms),
        "estimated_arrival_time": iso_millis(payout.created_ms + ARRIVES_AFTER_MS),
        "business_id": payout.business,
        "channel_properties": payout.account,
        **payout.extras,
    }
    if payout.failure:
        view["failure_code"] = payout.failure
    return view


def channel_view(channel: Channel) -> dict[str, Any]:
    return {
        "channel_code": channel.code,
        "channel_category": channel.category,
        "currency": channel.currency,
        "channel_name": channel.name,
        "amount_limits": {
            "minimum": orjson.Fragment(format(channel.minimum, "f")),
            "maximum": orjson.Fragment(format(channel.maximum, "f")),
            "minimum_increment": orjson.Fragment(format(channel.increment, "f")),
        },
    }
