"""The last moment at which a send may begin, checked where it counts: between the open connection and its first byte.

Whoever sends holds a lease, and another process takes over when it ends. A token, a free connection, a handshake, a process
that was stopped: all of them take time after the decision to send. So the moment travels with the send and is compared here
last of all, on the monotonic clock, which goes on while a process stands still. It bounds no answer, and no read.
"""

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar

import aiohttp
from aiohttp.abc import AbstractStreamWriter

_leave_by: ContextVar[float] = ContextVar("leave_by", default=math.inf)


class TooLateError(RuntimeError):
    """The last moment is over. Nothing of the request has left."""


@contextlib.contextmanager
def leave_by(moment: float) -> Iterator[None]:
    """No send that is made inside puts out its first byte after this moment of `time.monotonic`."""
    before = _leave_by.set(moment)
    try:
        yield
    finally:
        _leave_by.reset(before)


class LastMomentBody(aiohttp.BytesPayload):
    """A request's body that refuses to be written too late. aiohttp holds the headers back until the body is there."""

    def __init__(self, body: bytes, on_leaving: Callable[[], None]) -> None:
        """`on_leaving` is called before the moment is compared. Made where the send is made: it takes the moment along."""
        super().__init__(body)
        self._moment = _leave_by.get()
        self._on_leaving = on_leaving

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """What aiohttp calls to put the request on the wire."""
        self._on_leaving()
        if time.monotonic() > self._moment:
            raise TooLateError
        await super().write_with_length(writer, content_length)
