"""The problems that Plexy answers with: the five codes of section 6, with the HTTP statuses of X-9.

Never decides which problem a request has.
"""

from dataclasses import dataclass

from aiohttp import web

from providers.sandbox.base import reply


@dataclass(frozen=True, slots=True)
class Problem:
    """One line of section 6; the HTTP status is X-9."""

    http: int
    message: str
    type: str = "apiError"


PROBLEMS = {
    1: Problem(503, "service unavailable"),
    2: Problem(500, "something went wrong"),
    3: Problem(400, "invalid request params"),
    4: Problem(404, "not found"),
    5: Problem(422, "unprocessable entity", "validationError"),
}
CODE_BY_STATUS = {400: 3, 404: 4, 422: 5, 503: 1}


def problem(code: int, message: str | None = None, *, http: int | None = None) -> web.Response:
    what = PROBLEMS[code]
    body = {"code": code, "message": message or what.message, "source": "keys", "type": what.type}
    return reply(body, http or what.http)
