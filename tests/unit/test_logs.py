"""The net under the log lines: what is covered in words of others, and what of ours stays readable."""

import time

import pytest
from hypothesis import given
from hypothesis import settings as given_settings

from gateway.logs import redact
from tests.numbers_of_others import WORDS, written_numbers


def logged(text):
    fields = {"event": "payout.needs_review", "reason": text}
    redact(fields)
    return fields["reason"]


@given_settings(deadline=None)
@given(number=written_numbers(), before=WORDS, after=WORDS)
def test_no_six_digits_of_anybody_survive(number, before, after):
    assert sum(c.isdecimal() for c in logged(f"{before} {number} {after}")) < 6


@pytest.mark.parametrize(
    "ours",
    [
        "req_01a22b307e4970dfac105402d563330a",
        "pa_0192837465ab12345678901234567890",
        "12345678-1234-4234-8234-1234567890ab",
        "123456781234423482341234567890ab",
        "2026-11-30T05:56:20Z",
        "2026-11-30T05:56:20.123456+00:00",
    ],
)
def test_ids_and_moments_of_ours_stay(ours):
    text = f"attempt 2 of {ours}, and 4111 - 1111 - 1111 - 1111"
    assert logged(text) == f"attempt 2 of {ours}, and ***"


def test_a_number_inside_a_key_leaves_no_rest_of_the_key():
    assert logged("sk_live_abc123456-def was refused") == "*** was refused"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_a_bearer_key_is_covered_however_its_scheme_is_written(scheme):
    assert logged(f"Authorization: {scheme} abcdef-ghijkl") == "Authorization: ***"


def test_fields_that_carry_no_words_of_others_are_not_looked_at():
    fields = {"event": "request", "requestId": "req_12345678", "ms": 1234567.89, "route": "/api/v1/12345678"}
    before = dict(fields)
    redact(fields)
    assert fields == before


@pytest.mark.parametrize("again", ["a", "0-", "1 1 1 1 1 a ", "20", "test_", "AB12 CDEF1", "deadbeef-", "Bearer "])
def test_a_long_text_takes_no_longer_than_its_length(again):
    started = time.process_time()
    logged((again * 100_000)[:100_000])
    assert time.process_time() - started < 5, "it takes some hundredths of a second, and minutes where time grows as its square"
