"""Xendit's amounts as they come: JSON numbers in major units, to exact minor units and never through a float."""

from decimal import Decimal

from schemas.money import InexpressibleAmountError, to_minor


def minor_of(value: object, currency: object) -> int | None:
    """Minor units of a number that Xendit sent; None when it is no exact amount in that currency."""
    if not isinstance(value, int | Decimal) or not isinstance(currency, str):
        return None
    try:
        return to_minor(value, currency)
    except InexpressibleAmountError:
        return None
