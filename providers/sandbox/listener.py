"""The listening socket of the sandboxes, and how it goes deaf for a while: connections are refused, nothing is received.

Only the one fault that concerns no request. All providers share the socket, so all of them are out of reach.
"""

import asyncio
from typing import Any

from aiohttp import web
from pydantic import BaseModel, Field

from providers.sandbox.answering import reply

_ANSWER_FIRST_S = 0.05  # the call that asks for it is still to be answered


class Deaf(BaseModel, extra="forbid"):
    ms: float = Field(gt=0, le=3_600_000)


class Listener:
    def __init__(self, runner: web.AppRunner, host: str, port: int) -> None:
        self._runner = runner
        self._host = host
        self._port = port
        self._site: web.TCPSite | None = None
        self._resting: asyncio.Task[None] | None = None

    async def start(self) -> int:
        """Listen; answers the port really bound, and keeps to it from then on."""
        self._site = web.TCPSite(self._runner, self._host, self._port, reuse_address=True)
        await self._site.start()
        self._port = self._runner.addresses[0][1]
        return self._port

    async def stop(self) -> None:
        if self._resting is not None:
            self._resting.cancel()
            await asyncio.wait([self._resting])

    def rest(self, ms: float) -> None:
        if self._resting is None or self._resting.done():
            self._resting = asyncio.create_task(self._rest(ms))

    async def _rest(self, ms: float) -> None:
        await asyncio.sleep(_ANSWER_FIRST_S)
        if self._site is not None:
            await self._site.stop()
        for connection in list(self._runner.server.connections if self._runner.server else []):
            connection.force_close()  # a kept connection would still be heard
        await asyncio.sleep(ms / 1000)
        await self.start()


LISTENER = web.AppKey("listener", Listener)


async def unreachable(request: web.Request) -> web.Response:
    """POST /_sandbox/unreachable {ms}"""
    listener: Any = request.app.get(LISTENER)
    if listener is None:
        return reply({"error": "only sandboxes that run as a process of their own can go deaf"}, 400)
    try:
        order = Deaf.model_validate_json(await request.read())
    except ValueError:
        return reply({"error": "the body must be {ms}, a number above 0"}, 400)
    listener.rest(order.ms)
    return reply({"unreachableMs": order.ms})
