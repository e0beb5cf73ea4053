"""Account numbers in words of others are covered however they are written, and no text takes long to look through."""

import time

import pytest
from hypothesis import given
from hypothesis import settings as given_settings

from providers.account_numbers import cover_numbers
from providers.words import quote
from tests.numbers_of_others import WORDS, written_numbers


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("account 1234 - 5678 - 90 is closed", "account *** is closed"),
        ("4111 - 1111 - 1111 - 1111", "***"),
        ("4111/1111/1111/1111", "***"),
        ("4111  1111  1111  1111", "***"),
        ("4111:1111:1111:1111", "***"),
        ("12,345,678,901", "***"),
        ("1_2_3_4_5_6_7_8", "***"),
        ("4111\u20111111\u00a01111\u20091111", "***"),
        ("\uff14\uff11\uff11\uff11 \uff11\uff11\uff11\uff11", "***"),
        ("\u0664\u0661\u0661\u0661\u0661\u0661", "***"),
        ("GB29 NWBK 6016 1331 9268 19 is closed", "*** is closed"),
        ("gb29 nwbk 6016 1331 9268 19 is closed", "*** is closed"),
        ("GB29-NWBK-601613-31926819", "***"),
        ("MT84 MALT 0110 0001 2345 MTLC AST0 01S is closed", "*** is closed"),
        ("ES91 2100 0418 4502 0005 1332 this bank", "*** this bank"),
        ("Rp 12,500 of Rp50 juta on 24 May", "Rp 12,500 of Rp50 juta on 24 May"),
    ],
)
def test_examples(text: str, shown: str) -> None:
    assert cover_numbers(text) == shown == quote(text)


@given_settings(deadline=None)
@given(number=written_numbers(), before=WORDS, after=WORDS)
def test_no_six_digits_survive_whatever_stands_between_them(number: str, before: str, after: str) -> None:
    shown = quote(f"{before}{number}{after}") or ""
    assert sum(c.isdecimal() for c in shown) < 6


@pytest.mark.parametrize(
    "again", ["a", "1a", "1 1 1 1 1 a ", "1    ", "0-", "_", "AB12 ", "AB12 CDEF1", "ab12cdef1", "AB12 C1D1E", "\u0661\u2011a"]
)
def test_a_long_text_takes_no_longer_than_its_length(again: str) -> None:
    started = time.process_time()
    cover_numbers((again * 100_000)[:100_000])
    assert time.process_time() - started < 5, "it takes some hundredths of a second, and minutes where time grows as its square"
