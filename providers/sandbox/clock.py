"""Time in the sandboxes: wall-clock stamps in the spellings of the providers, and one timer for all that is due later.

Never sleeps and never starts a task: a thousand waiting payouts cost a thousand entries in one heap. What is due is
kept in the journal by its owner, so a restart builds the heap again.
"""

import asyncio
import heapq
import itertools
import logging
import os
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

_SLICE = 256  # entries handled before other work gets its turn

log = logging.getLogger(__name__)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def iso_seconds(at_ms: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_ms // 1000))


def iso_offset(at_ms: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(at_ms // 1000))


def iso_millis(at_ms: int) -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(at_ms // 1000))}.{at_ms % 1000:03d}Z"


def iso_micros(at_us: int) -> str:
    seconds, micros = divmod(at_us, 1_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{micros:06d}Z"


def iso_nanos(at_ns: int) -> str:
    seconds, nanos = divmod(at_ns, 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{nanos:09d}Z"


def next_business_day_ms(at_ms: int, hour: int) -> int:
    """That hour (UTC) of the first Monday to Friday after the day of `at_ms`; holidays are not known."""
    day = datetime.fromtimestamp(at_ms / 1000, UTC).replace(hour=hour, minute=0, second=0, microsecond=0)
    day += timedelta(days=1)
    while day.weekday() > 4:
        day += timedelta(days=1)
    return int(day.timestamp() * 1000)


def uuid7() -> str:
    """A UUID that sorts by time, the kind that Plexy's sample transaction id looks like."""
    value = now_ms() << 80 | int.from_bytes(os.urandom(10))
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))


class Schedule:
    """A heap of (when, what) and a single loop timer for its head.

    An entry is a reminder, not a promise: its owner checks whether the thing is still due. So nothing is ever
    taken out of the heap when plans change.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Callable[[str], object], str]] = []
        self._order = itertools.count()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._armed_for_ms = 0

    def add(self, due_ms: int, callback: Callable[[str], object], key: str) -> None:
        heapq.heappush(self._heap, (due_ms, next(self._order), callback, key))
        if self._loop is not None and (self._timer is None or due_ms < self._armed_for_ms):
            self._arm()

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._arm()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop = None

    def clear(self) -> None:
        self._heap.clear()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._loop is not None and self._heap:
            self._armed_for_ms = self._heap[0][0]
            # One more millisecond: a timer that fires a shade early would find nothing due.
            wait_s = max(0.0, (self._armed_for_ms + 1 - time.time_ns() / 1_000_000) / 1000)
            self._timer = self._loop.call_later(min(wait_s, 3600.0), self._run)

    def _run(self) -> None:
        self._timer = None
        now = now_ms()
        for _ in range(_SLICE):
            if not self._heap or self._heap[0][0] > now:
                break
            _, _, callback, key = heapq.heappop(self._heap)
            try:
                callback(key)
            except Exception:  # one broken payout must not stop the clock of all others
                log.exception("a scheduled step of the sandbox failed; it will not be tried again before a restart")
        self._arm()
