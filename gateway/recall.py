"""Remembering for a moment what was read from the database, and reading once what many ask for at the same time.

Never remembers an error, and never longer than it was told to: by then what was revoked or paused is seen. What is not there
(None) is remembered as long, so that asking for it again and again costs one query and not many, but in a place of its own:
whoever asks for invented keys, which takes no proof, makes us forget other invented keys and nothing else.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Recall(Generic[Key, Value]):
    """Values by key, each for `for_s` seconds from when its reading began. At most so many; what was read longest ago goes."""

    def __init__(self, read: Callable[[Key], Awaitable[Value]], *, for_s: float, at_most: int = 10_000) -> None:
        self._read = read
        self._for_s = for_s
        self._at_most = at_most
        self._known: OrderedDict[Key, tuple[float, Value]] = OrderedDict()
        self._missing: OrderedDict[Key, tuple[float, Value]] = OrderedDict()
        self._reading: dict[Key, asyncio.Task[Value]] = {}

    async def get(self, key: Key) -> Value:
        """The value: remembered, or read now together with all others who ask for it. Raises what reading raised."""
        known = self._known.get(key) or self._missing.get(key)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        reading = self._reading.get(key)
        if reading is None:
            reading = self._reading[key] = asyncio.create_task(self._read_anew(key))
            reading.add_done_callback(lambda done: done.cancelled() or done.exception())  # even if nobody waits any more
        # A caller that goes away must not end the reading for the others.
        return await asyncio.shield(reading)

    def last(self, key: Key) -> Value | None:
        """What was read last, however old; None when it was not there."""
        known = self._known.get(key)
        return known[1] if known else None

    def clear(self) -> None:
        """Forget everything."""
        self._known.clear()
        self._missing.clear()

    async def _read_anew(self, key: Key) -> Value:
        until = time.monotonic() + self._for_s
        try:
            value = await self._read(key)
        finally:
            del self._reading[key]
        for place in (self._known, self._missing):
            place.pop(key, None)
        place = self._missing if value is None else self._known
        place[key] = (until, value)
        if len(place) > self._at_most:
            place.popitem(last=False)
        return value
