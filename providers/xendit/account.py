"""What a Xendit key shows besides its payouts: its balance, and the channels that it pays to. Pure.

Nothing here says whether a payout can be made: the balance moves, and a channel may be closed for the night.
"""

from typing import Any

from providers.words import quote, reference
from providers.xendit.amounts import minor_of
from providers.xendit.channels import bank_code_of
from schemas.checks import Channel, ProviderBalance
from schemas.money import CURRENCY_EXPONENT
from schemas.report import Unclear

MAX_NAME = 100


def balance_of(body: dict[str, Any], currency: str) -> list[ProviderBalance] | Unclear:
    """`{"balance": number}`, which names no currency: it is in the one that was asked for."""
    amount_minor = minor_of(body.get("balance"), currency)
    if amount_minor is None:
        return Unclear("the answer has no readable balance")
    return [ProviderBalance(currency=currency, amount_minor=amount_minor)]


def channels_of(rows: list[Any]) -> list[Channel] | Unclear:
    """Every row of the list, or Unclear: a list with a gap would look like a channel that is gone."""
    channels = [_channel(row) for row in rows]
    known = [channel for channel in channels if channel is not None]
    return known if len(known) == len(channels) else Unclear("the list of channels has a row that cannot be read")


def _channel(row: Any) -> Channel | None:
    code = reference(row.get("channel_code")) if isinstance(row, dict) else None
    currency = row.get("currency") if isinstance(row, dict) else None
    if code is None or not isinstance(currency, str) or currency not in CURRENCY_EXPONENT:
        return None
    limits = row.get("amount_limits")
    limits = limits if isinstance(limits, dict) else {}
    return Channel(
        code=code,
        currency=currency,
        bank_code=bank_code_of(code, currency),
        name=quote(row.get("channel_name"), limit=MAX_NAME) or "",
        category=quote(row.get("channel_category"), limit=MAX_NAME) or "",
        min_minor=minor_of(limits.get("minimum"), currency),
        max_minor=minor_of(limits.get("maximum"), currency),
        step_minor=minor_of(limits.get("minimum_increment"), currency),
    )
