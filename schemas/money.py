"""Money: integer minor units by ISO 4217, and the exact codecs to what providers put on the wire.

Never a float, never a rounding: an amount that a wire form cannot hold exactly raises `InexpressibleAmountError`.
"""

from decimal import Context, Decimal, DecimalException, Inexact, InvalidOperation, Overflow

# 2**53 - 1: every JSON reader on the way keeps it exact, and the sum of 1,000 of them still fits PostgreSQL's bigint.
MAX_AMOUNT_MINOR = 2**53 - 1

# ISO 4217 exponents. Two decimals unless listed here as none, three or four.
_NO_DECIMALS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_TWO_DECIMALS = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC "
    "CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES "
    "KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR "
    "NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT "
    "TOP TRY TTD TWD TZS UAH USD UYU UZS VES WST XCD YER ZAR ZMW"
)
_THREE_DECIMALS = "BHD IQD JOD KWD LYD OMR TND"
_FOUR_DECIMALS = "CLF UYW"

CURRENCY_EXPONENT: dict[str, int] = {
    code: exponent
    for exponent, codes in ((0, _NO_DECIMALS), (2, _TWO_DECIMALS), (3, _THREE_DECIMALS), (4, _FOUR_DECIMALS))
    for code in codes.split()
}

# Shifts the point and refuses whatever would have to be rounded for it: the default context rounds to 28 digits in silence.
_EXACT = Context(prec=100, traps=[Inexact, InvalidOperation, Overflow])


class InexpressibleAmountError(ValueError):
    """The amount has no exact form on this wire. Nothing was sent; use an amount in the provider's own step."""


def to_decimal(amount_minor: int, currency: str) -> Decimal:
    """150_000_00 IDR -> Decimal('150000.00'). Exact for every amount up to `MAX_AMOUNT_MINOR`."""
    return Decimal(amount_minor).scaleb(-CURRENCY_EXPONENT[currency])


def to_decimal_text(amount_minor: int, currency: str) -> str:
    """10_00 EUR -> '10.00'; 10 JPY -> '10'; 1_234 KWD -> '1.234'."""
    return f"{to_decimal(amount_minor, currency):f}"


def to_whole_units(amount_minor: int, currency: str) -> int:
    """150_000_00 IDR -> 150000. Raises `InexpressibleAmountError` when a fraction would be lost."""
    whole, rest = divmod(amount_minor, int(10 ** CURRENCY_EXPONENT[currency]))
    if rest:
        raise InexpressibleAmountError(f"{to_decimal_text(amount_minor, currency)} {currency} is not a whole amount")
    return whole


def to_minor(value: str | int | Decimal, currency: str) -> int:
    """'10.00' EUR -> 1000. Reads what providers send; raises `InexpressibleAmountError` on anything but an exact amount.

    Accepts ASCII decimal text, int or Decimal; no float, exponent form, sign, underscore or non-ASCII digit.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
        raise InexpressibleAmountError(f"an amount must be text, an integer or a decimal, not {type(value).__name__}")
    if isinstance(value, str) and not (value.isascii() and value.replace(".", "", 1).isdigit()):
        raise InexpressibleAmountError("an amount in text must be digits with at most one point")
    try:
        scaled = _EXACT.scaleb(Decimal(value), CURRENCY_EXPONENT[currency])
    except (DecimalException, KeyError) as error:
        raise InexpressibleAmountError(f"unreadable amount in {currency!r}") from error
    if not scaled.is_finite() or scaled != scaled.to_integral_value() or abs(scaled) > MAX_AMOUNT_MINOR:
        raise InexpressibleAmountError(f"the amount is not an exact number of minor units of {currency}")
    return int(scaled)
