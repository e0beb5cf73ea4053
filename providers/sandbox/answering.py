"""What a provider's handlers are made of: a route, an answer in JSON, a refusal, and the mistake of a control call.

Only shapes, shared by all sandboxes. Never decides anything.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

JSON = "application/json"

Handler = Callable[[web.Request], Awaitable[web.Response]]


class Refused(Exception):  # noqa: N818 - the provider's answer on its way out, not a mistake in the program
    """Ends a handler with the provider's own error answer."""

    def __init__(self, answer: web.Response) -> None:
        super().__init__(answer.status)
        self.answer = answer


class ControlError(Exception):
    """The control surface was asked for something that cannot be; the text says what."""


@dataclass(frozen=True, slots=True)
class Route:
    """One operation of a provider. `operation_of` tells apart operations that share a path."""

    method: str
    path: str
    operation: str
    handler: Handler
    operation_of: Callable[[web.Request], str] | None = None
    operations: tuple[str, ...] = ()


def reply(body: Any, status: int = 200, content_type: str = JSON, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(body), headers={"Content-Type": content_type, **(headers or {})})
