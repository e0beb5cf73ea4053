"""The one loader for all JSON that comes in, from merchants and from providers.

Refuses what naive readers accept or die of: duplicate keys, NaN and Infinity, huge integers, deep nesting, lone
surrogates, NUL, UTF-16 and byte order marks. Numbers with a point become Decimal, never float.
"""

import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

import orjson

MAX_DEPTH = 32
MAX_DIGITS = 40

# A text that never ends is one token too: looking for it anew from each of its quotes would take quadratic time.
_TOKENS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)


_PLAIN = frozenset({str, int, bool, type(None)})


class StrictJsonError(ValueError):
    """The bytes are not JSON that we accept. The message is safe to show: it never quotes the content."""


def _constant(name: str) -> NoReturn:
    raise StrictJsonError(f"{name} is not a JSON number")


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise StrictJsonError(f"a number has more than {MAX_DIGITS} digits")
    return int(text)


def _decimal(text: str) -> Decimal:
    if len(text) > MAX_DIGITS:
        raise StrictJsonError(f"a number has more than {MAX_DIGITS} digits")
    try:
        value = Decimal(text)
    except InvalidOperation as error:  # an exponent that not even Decimal can hold
        raise StrictJsonError("a number has too large an exponent") from error
    if not -MAX_DIGITS <= value.adjusted() <= MAX_DIGITS:
        raise StrictJsonError("a number has too large an exponent")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise StrictJsonError("an object has the same key twice")
    return result


_DECODER = json.JSONDecoder(
    parse_constant=_constant, parse_int=_integer, parse_float=_decimal, object_pairs_hook=_object, strict=True
)


def _check_depth(body: bytes) -> None:
    depth = 0
    for match in _TOKENS.finditer(body):
        token = match.group()
        if token in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise StrictJsonError(f"nested deeper than {MAX_DEPTH} levels")
        elif token in b"]}":
            depth -= 1


def _check_text(value: Any) -> None:
    if isinstance(value, str):
        if "\x00" in value or (not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value)):
            raise StrictJsonError("a text contains NUL or half of a surrogate pair")
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_text(key)
            _check_text(item)
    elif isinstance(value, list):
        for item in value:
            _check_text(item)


def _load_plain(body: bytes) -> dict[str, Any] | None:
    """A flat object in which no trap can hide, read fast; None for everything else, which then goes the slow way.

    As many colons as fields: no key came twice and no text holds a colon. No backslash: no NUL and no surrogate. No float:
    orjson would make one of an integer that is longer than 64 bits.
    """
    if b"\\" in body or b"[" in body or body.count(b"{") != 1:
        return None
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    is_flat = isinstance(value, dict) and _PLAIN.issuperset(map(type, value.values()))
    return value if is_flat and len(value) == body.count(b":") else None


def load(body: bytes) -> Any:
    """The value in `body`. Raises `StrictJsonError` with a sentence that a person understands."""
    plain = _load_plain(body)
    if plain is not None:
        return plain
    # Fewer brackets than levels cannot nest too deep: the scan is only for large bodies.
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH:
        _check_depth(body)
    try:
        value = _DECODER.decode(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise StrictJsonError("the body is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise StrictJsonError(f"not valid JSON: {error.msg} at character {error.pos}") from error
    if b"\\u" in body:  # only an escape can smuggle in NUL or a surrogate past the UTF-8 decoder
        _check_text(value)
    return value


def load_object(body: bytes) -> dict[str, Any]:
    """Like `load`, and the value must be an object."""
    value = load(body)
    if not isinstance(value, dict):
        raise StrictJsonError("the body must be a JSON object")
    return value
