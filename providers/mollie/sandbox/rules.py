"""What Mollie lets a request say: a JSON object as its body, a page of a list, an amount that the balance can pay.

Refuses in Mollie's words. Never looks at other payouts, and changes nothing.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from providers.mollie.sandbox.amounts import minor_of
from providers.mollie.sandbox.answers import problem
from providers.mollie.sandbox.facts import LIST_DEFAULT, LIST_MAX
from providers.mollie.sandbox.records import Balance
from providers.sandbox.base import Refused


def json_object(raw: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        raise Refused(problem(400, "The request body is not a JSON object."))
    return body


def list_limit(query: Mapping[str, str]) -> int:
    text = query.get("limit", str(LIST_DEFAULT))
    if not text.isdecimal() or not 1 <= int(text) <= LIST_MAX:
        raise Refused(problem(400, "The limit must be between 1 and 250.", "limit"))
    return int(text)


def wanted_minor(amount: Any, balance: Balance) -> int:
    """How much: what was asked, or everything but the reserve (section 4); checked against the balance (M-13)."""
    if amount is None:
        minor: int | None = max(0, balance.available_minor - balance.reserve_minor)
    else:
        minor = minor_of(amount.get("value")) if isinstance(amount, dict) else None
        if minor is None or not minor or set(amount) != {"currency", "value"}:
            raise Refused(problem(422, "The amount is not a currency and a positive value with two decimals.", "amount"))
        if amount["currency"] != balance.currency:
            raise Refused(problem(422, "The amount is not in the currency of the balance.", "amount"))  # M-12
    if not minor or minor > balance.available_minor:
        raise Refused(problem(422, "The balance has insufficient funds.", "amount"))
    return minor
