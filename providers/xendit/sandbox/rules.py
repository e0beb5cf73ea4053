"""What Xendit lets a create say (section 4.1): its texts, its channel and account, its amount, its extras.

Looks at one request alone, and raises `Problem` with Xendit's code. Never looks at what the sandbox keeps, and changes
nothing.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from providers.xendit.sandbox.channels import Channel
from providers.xendit.sandbox.facts import (
    ACCOUNT_TYPES,
    DECIMALS,
    MAX_EMAILS,
    MAX_METADATA,
    MAX_METADATA_KEY,
    MAX_METADATA_VALUE,
)

INVALID = "API_VALIDATION_ERROR"
_AMOUNT = re.compile(r"[0-9]{1,18}(?:\.([0-9]{1,18}))?")


class Problem(Exception):  # noqa: N818 - an answer in the making, not a mistake in the program
    """A refusal without its final shape: how errors are worded is a setting of the whole sandbox."""

    def __init__(self, code: str, message: str | None = None, path: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.message = message
        self.path = path


def json_object(raw: bytes) -> dict[str, Any]:
    """Numbers stay exact: an amount is a JSON number here."""
    try:
        body = json.loads(raw, parse_float=Decimal)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Problem(INVALID, "the body is not a JSON object")
    return body


def text_field(body: Mapping[str, Any], name: str, most: int, path: str = "") -> str:
    value = body.get(name)
    if not isinstance(value, str) or not 1 <= len(value) <= most:
        raise Problem(INVALID, f"{name} must be a text of 1 to {most} characters", path or name)
    return value


def account_of(body: Mapping[str, Any], channel: Channel) -> dict[str, Any]:
    properties = body.get("channel_properties")
    if not isinstance(properties, dict):
        raise Problem(INVALID, "channel_properties is missing", "channel_properties")
    text_field(properties, "account_number", 100, "channel_properties.account_number")
    if properties.get("account_holder_name") is not None:  # section 4.1: nullable in the SDK
        text_field(properties, "account_holder_name", 100, "channel_properties.account_holder_name")
    kind = properties.get("account_type")
    allowed = ACCOUNT_TYPES.get(channel.code) or ACCOUNT_TYPES.get(channel.currency) or frozenset()
    if kind is not None and kind not in allowed:
        raise Problem(INVALID, "account_type is not known for this channel", "channel_properties.account_type")
    return properties


def amount_of(body: Mapping[str, Any], channel: Channel) -> Decimal:
    value = body.get("amount")
    found = _AMOUNT.fullmatch(str(value)) if isinstance(value, int | Decimal) and not isinstance(value, bool) else None
    if found is None:
        raise Problem(INVALID, "amount must be a plain number that is not negative", "amount")
    if len((found[1] or "").rstrip("0")) > DECIMALS[channel.currency]:
        raise Problem(INVALID, "amount has too many decimals", "amount")
    amount = Decimal(found[0])
    if amount < channel.minimum:
        raise Problem("MINIMUM_TRANSFER_LIMIT_ERROR")
    if amount > channel.maximum:
        raise Problem("MAXIMUM_TRANSFER_LIMIT_ERROR")
    if amount % channel.increment:
        raise Problem("AMOUNT_INCREMENT_NOT_SUPPORTED")
    return amount


def extras_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """What is only echoed."""
    if body.get("description") is not None:
        text_field(body, "description", 100)
    notice = body.get("receipt_notification")
    if notice is not None:
        lists = notice.values() if isinstance(notice, dict) else [None]
        if not all(isinstance(emails, list) and len(emails) <= MAX_EMAILS for emails in lists):
            raise Problem(INVALID, f"at most {MAX_EMAILS} addresses each", "receipt_notification")
    metadata = body.get("metadata")
    if metadata is not None and not _is_metadata(metadata):
        raise Problem(INVALID, "metadata is too large", "metadata")
    return {name: body[name] for name in ("description", "receipt_notification", "metadata") if body.get(name) is not None}


def _is_metadata(metadata: Any) -> bool:
    return (
        isinstance(metadata, dict)
        and len(metadata) <= MAX_METADATA
        and all(len(key) <= MAX_METADATA_KEY and len(str(value)) <= MAX_METADATA_VALUE for key, value in metadata.items())
    )


@dataclass(frozen=True, slots=True)
class Page:
    limit: int
    after: str | None
    before: str | None


def page_of(query: Mapping[str, str], default: int, most: int) -> Page:
    text = query.get("limit", str(default))
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise Problem(INVALID, f"limit must be a number from 1 to {most}", "limit")
    return Page(int(text), query.get("after_id"), query.get("before_id"))


def plain_number(amount: Decimal) -> str:
    """The number as JSON writes it: no exponent, no zeros that say nothing."""
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


@dataclass(frozen=True, slots=True)
class Order:
    """A create that says nothing wrong."""

    reference: str
    channel: Channel
    account: dict[str, Any]
    amount: Decimal
    extras: dict[str, Any]

    @property
    def amount_minor(self) -> int:
        return int(self.amount.scaleb(DECIMALS[self.channel.currency]))
