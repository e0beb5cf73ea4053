"""Amounts on Plexy's wire: JSON numbers, written from the integer minor units and read without any float (X-6)."""

from decimal import Decimal

from schemas.money import CURRENCY_EXPONENT, MAX_AMOUNT_MINOR, InexpressibleAmountError, to_decimal_text, to_minor

CURRENCY = "KZT"


def to_number(amount_minor: int, scale: int) -> str:
    """The JSON number: 100_00 -> "100", 100_50 -> "100.50" in tenge (scale 0); "10000" and "10050" in tiyn (scale 2)."""
    if scale == CURRENCY_EXPONENT[CURRENCY]:
        return str(amount_minor)
    return to_decimal_text(amount_minor, CURRENCY).removesuffix(".00")


def from_number(value: object, scale: int) -> int | None:
    """Minor units of a number that they sent; None when it is no exact amount."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or (isinstance(value, Decimal) and value.is_nan()):
        return None
    if scale == CURRENCY_EXPONENT[CURRENCY]:
        return _integer(value)
    try:
        return to_minor(value, CURRENCY)
    except InexpressibleAmountError:
        return None


def _integer(value: int | Decimal) -> int | None:
    if not -MAX_AMOUNT_MINOR <= value <= MAX_AMOUNT_MINOR or value != int(value):
        return None
    return int(value)
