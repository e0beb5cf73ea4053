"""The one JSON loader: takes whatever ordinary programs write, refuses every trap, and never raises anything else."""

import contextlib
import json
import time
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.strict_json import MAX_DEPTH, MAX_DIGITS, StrictJsonError, load, load_object
from tests.api.test_bad_input import TRAPS

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
SCALARS = st.none() | st.booleans() | st.integers(-(10 ** (MAX_DIGITS - 2)), 10 ** (MAX_DIGITS - 1)) | TEXTS
FRACTIONS = st.floats(min_value=-1e30, max_value=1e30).filter(lambda number: number == 0 or abs(number) > 1e-30)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=20)
# Pieces that JSON is made of, and pieces that it is not: put together at random they reach far into a parser.
PARTS = [
    *(b'{}[]:,"\\ \n\t'[n : n + 1] for n in range(11)),
    *(b"1", b"-0", b"1e5", b".5", b"1E999999999999999999999", b"9" * 50, b"true", b"null", b"NaN", b"-Infinity"),
    *(b'"a"', b'"a":1', b'"\\ud800"', b'"\\u0000"', b'\\"', b"[" * 40, b'{"a":' * 20),
    *(b"\xff", b"\xef\xbb\xbf", b"\x00", "é✓".encode()),
]
PIECES = st.lists(st.sampled_from(PARTS), max_size=30).map(b"".join)


@given(VALUES, st.booleans(), st.sampled_from([None, 1]))
@settings(deadline=None)
def test_takes_what_json_dumps_writes(value, ascii_only, indent):
    assert load(json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()) == value


@given(FRACTIONS)
@settings(deadline=None)
def test_a_fraction_is_an_exact_decimal_and_never_a_float(number):
    value = load(json.dumps(number).encode())
    assert isinstance(value, Decimal)
    assert value == Decimal(repr(number))


@given(st.binary() | PIECES)
@settings(deadline=None, max_examples=600)
def test_raises_nothing_but_its_own_error(body):
    with contextlib.suppress(StrictJsonError):
        value = load(body)
        # What it takes, everybody else reads in the same way.
        assert json.loads(body, parse_float=Decimal) == value


@given(VALUES.map(lambda value: json.dumps(value).encode()), st.data())
@settings(deadline=None, max_examples=300)
def test_one_wrong_byte(body, data):
    place = data.draw(st.integers(0, len(body) - 1))
    with contextlib.suppress(StrictJsonError):
        load(body[:place] + data.draw(st.binary(max_size=2)) + body[place + 1 :])


@pytest.mark.parametrize("body", TRAPS.values(), ids=TRAPS)
def test_every_trap(body):
    started = time.process_time()
    with pytest.raises(StrictJsonError):
        load_object(body)
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    "body",
    [
        b"[" * MAX_DEPTH + b"]" * MAX_DEPTH,
        b"[" + b"[]," * 1000 + b"[]]",
        b'["' + b"[" * 1000 + b'"]',  # brackets in a text are no levels
        b'["\\"' + b"{" * 1000 + b'"]',
        b"9" * MAX_DIGITS,
        b"-" + b"9" * (MAX_DIGITS - 1),
        b"1e40",
        b'"\\ud83d\\ude00"',  # a whole pair
        '"é✓\U0001f600\u202e"'.encode(),
        b' {"a" : [ 1 , 2 ] }\r\n',
    ],
)
def test_just_inside_the_limits(body):
    assert load(body) == json.loads(body, parse_float=Decimal)


@pytest.mark.parametrize("body", [b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), b"9" * (MAX_DIGITS + 1), b"1e41", b"1e-41"])
def test_just_outside_the_limits(body):
    with pytest.raises(StrictJsonError):
        load(body)


def test_the_error_never_quotes_the_body():
    for body in (
        b'{"secret": 4111111111111111',
        b'{"a":"4111111111111111\x00"}',
        b'{"4111111111111111":1,"4111111111111111":2}',
    ):
        with pytest.raises(StrictJsonError) as caught:
            load(body)
        assert "4111" not in str(caught.value)
        assert len(str(caught.value)) < 200
