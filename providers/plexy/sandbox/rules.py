"""What Plexy lets a request say: its body with exact numbers, its card fields, its page, its amount.

Looks at one request alone, and refuses in Plexy's words. Never looks at what the sandbox keeps, and changes nothing.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from providers.plexy.sandbox.answers import problem
from providers.plexy.sandbox.facts import AMOUNT, CARD_FIELDS, CURRENCY
from providers.sandbox.base import Refused


def json_object(raw: bytes) -> dict[str, Any]:
    """Numbers stay exact: an amount is a JSON number here."""
    try:
        body = json.loads(raw, parse_float=Decimal)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Refused(problem(3))
    return body


def card_number(card: Any) -> str:
    if not isinstance(card, dict) or not all(isinstance(card.get(name), str) and card[name] for name in CARD_FIELDS):
        raise Refused(problem(3))
    try:
        return base64.b64decode(card["encryptedCardNumber"], validate=True).decode().replace(" ", "")
    except (binascii.Error, UnicodeDecodeError):
        return ""


def paging(query: Mapping[str, str], name: str, default: int, most: int) -> int:
    text = query.get(name, str(default))
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise Refused(problem(3))
    return int(text)


def amount_of(body: dict[str, Any], minimum: float) -> Decimal:
    amount = body.get("amount")
    if isinstance(amount, bool) or not isinstance(amount, int | Decimal) or not isinstance(body.get("tokenId"), str):
        raise Refused(problem(3))
    if body.get("currency", CURRENCY) != CURRENCY or not AMOUNT.fullmatch(str(amount)):
        raise Refused(problem(3))
    if amount < Decimal(str(minimum)):
        raise Refused(problem(5, "the amount is below the minimum"))
    return Decimal(amount)
