"""Money to the wire and back: exact for every exponent up to the largest amount, and blind to everything that is not exact."""

from decimal import Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.money import (
    CURRENCY_EXPONENT,
    MAX_AMOUNT_MINOR,
    InexpressibleAmountError,
    to_decimal,
    to_decimal_text,
    to_minor,
    to_whole_units,
)

EXPONENTS = {"JPY": 0, "EUR": 2, "IDR": 2, "KWD": 3, "CLF": 4}
CURRENCIES = st.sampled_from(sorted(EXPONENTS))
AMOUNTS = st.integers(0, MAX_AMOUNT_MINOR)


def test_the_exponents():
    assert EXPONENTS.items() <= CURRENCY_EXPONENT.items()
    assert set(CURRENCY_EXPONENT.values()) == {0, 2, 3, 4}
    assert all(len(code) == 3 and code.isascii() and code.isupper() for code in CURRENCY_EXPONENT)


@given(AMOUNTS, CURRENCIES)
@example(0, "CLF")
@example(1, "CLF")
@example(MAX_AMOUNT_MINOR, "JPY")
@example(MAX_AMOUNT_MINOR, "EUR")
@example(MAX_AMOUNT_MINOR, "KWD")
@example(MAX_AMOUNT_MINOR, "CLF")
@settings(deadline=None, max_examples=300)
def test_there_and_back(amount, currency):
    text = to_decimal_text(amount, currency)
    assert to_minor(text, currency) == to_minor(to_decimal(amount, currency), currency) == amount
    assert text.isascii()
    assert text.replace(".", "", 1).isdigit()
    assert len(text.partition(".")[2]) == EXPONENTS[currency]


@given(AMOUNTS, CURRENCIES)
@settings(deadline=None, max_examples=300)
def test_whole_units_are_exact_or_refused(amount, currency):
    step = 10 ** EXPONENTS[currency]
    assert to_whole_units(amount // step * step, currency) == amount // step
    if amount % step:
        with pytest.raises(InexpressibleAmountError):
            to_whole_units(amount, currency)


@pytest.mark.parametrize(
    ("value", "currency", "minor"),
    [("10.00", "EUR", 1000), ("10", "EUR", 1000), ("10.5", "EUR", 1050), (10, "EUR", 1000), (Decimal("10.50"), "EUR", 1050),
     ("10", "JPY", 10), ("10.000", "JPY", 10), ("1.234", "KWD", 1234), ("1.2345", "CLF", 12345), ("007", "EUR", 700),
     ("150000.00", "IDR", 15000000),
     ("90071992547409.91", "EUR", MAX_AMOUNT_MINOR), ("1" + "." + "0" * 90, "EUR", 100)],
)  # fmt: skip
def test_what_providers_write(value, currency, minor):
    assert to_minor(value, currency) == minor


NO_AMOUNTS = [
    *(1.0, 0.1, float("nan"), float("inf"), True, False, None, b"10", [10], {"value": 10}, ...),
    *(
        "",
        " ",
        ".",
        "..",
        "1..2",
        "1.2.3",
        "1,5",
        "1 000",
        "1_000",
        "+1",
        "-1",
        "-0",
        "1e2",
        "1E2",
        "1e-2",
        "0x10",
        "1/2",
        "ten",
    ),
    *(
        "NaN",
        "nan",
        "Infinity",
        "inf",
        "-inf",
        "sNaN",
        " 10",
        "10 ",
        "10\n",
        "\x0010",
        "١٢٣",
        "1\uff12",
        "²",
        "½",
        "€10",
        "10 EUR",
    ),
    *("10.001", "0.001", "10.00000000000000000000000000000000000000001", "0." + "0" * 200 + "1"),
    *("90071992547409.92", "9" * 100, "9" * 5000, 2**63, 10**400, MAX_AMOUNT_MINOR),
    *(Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"), Decimal("-Infinity"), Decimal("0.001"), Decimal("1e30")),
    *(Decimal("1e999999"), Decimal("1e-999999"), Decimal("1.000000000000000000000000000000000001"), Decimal("9" * 5000)),
]


@pytest.mark.parametrize("value", NO_AMOUNTS, ids=lambda value: repr(value)[:30])
def test_what_is_no_exact_amount_of_euros(value):
    with pytest.raises(InexpressibleAmountError):
        to_minor(value, "EUR")


@pytest.mark.parametrize("currency", ["XXX", "eur", "", "EURO", None])
def test_unknown_currencies(currency):
    with pytest.raises(InexpressibleAmountError):
        to_minor("10.00", currency)


@given(
    st.text() | st.decimals() | st.integers() | st.floats() | st.booleans() | st.from_regex(r"[0-9.eE+_-]{1,12}"), CURRENCIES
)
@settings(deadline=None, max_examples=500)
def test_exact_or_refused_whatever_comes(value, currency):
    """The oracle is whole-number arithmetic on the digits, which no decimal context can round."""
    try:
        minor = to_minor(value, currency)
    except InexpressibleAmountError:
        return
    assert type(minor) is int
    assert abs(minor) <= MAX_AMOUNT_MINOR
    assert type(value) is not bool
    assert not isinstance(value, float)
    sign, digits, exponent = Decimal(value).as_tuple()
    shift = exponent + EXPONENTS[currency]
    number = int("".join(map(str, digits))) * (-1 if sign else 1)
    assert minor * 10 ** max(0, -shift) == number * 10 ** max(0, shift)
