"""The wrong echo: a body that tells another amount, currency or reference than was asked for.

Changes what is told and nothing else. The true value stays in the sandbox's tables and in its money file.
"""

from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

WRONG_CURRENCY = "XTS"  # the code that ISO 4217 keeps for tests
SOMEBODY_ELSE = "somebody-elses-reference"

Names = Mapping[str, frozenset[str]]  # amount, currency, reference -> the keys that a provider uses for it


def misquote(body: Any, names: Names, field: str) -> Any:
    """The same body, wrong in one field wherever that field occurs."""
    keys = names[field]
    if isinstance(body, dict):
        return {key: _wrong(value, field) if key in keys else misquote(value, names, field) for key, value in body.items()}
    if isinstance(body, list):
        return [misquote(item, names, field) for item in body]
    return body


def _wrong(value: Any, field: str) -> Any:
    if field == "currency":
        return WRONG_CURRENCY
    if field == "reference":
        return SOMEBODY_ELSE
    if isinstance(value, str):  # "10.00" becomes "11.00"
        whole, point, rest = value.partition(".")
        return f"{int(whole) + 1}{point}{rest}"
    return value + 1 if isinstance(value, int | float) else value


def misquoted_answer(answer: web.Response, names: Names, field: str) -> web.Response:
    if not isinstance(answer.body, bytes):
        return answer
    try:
        body = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return answer
    headers = {name: value for name, value in answer.headers.items() if name != "Content-Length"}
    return web.Response(status=answer.status, body=orjson.dumps(misquote(body, names, field)), headers=headers)
