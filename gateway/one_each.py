"""One task for each connection at a time: a provider that is slow must not keep waiting what belongs to others.

A task that fails is a failed round of its loop, and logged; it ends no other. Claims nothing.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import structlog

from gateway.loops import Loop

_log = structlog.get_logger(__name__)
_OF_LEASE = 0.9  # what began in time may be answered and booked in the rest


def in_time(claimed_at: float, lease_s: float) -> float:
    """Until when to go on with what was claimed then; both by the monotonic clock, in seconds."""
    return claimed_at + lease_s * _OF_LEASE


def _nothing() -> None:
    pass


class OneEach:
    """What a loop has under way, by connection."""

    def __init__(self, loop: Loop, *, then: Callable[[], None] = _nothing) -> None:
        """`then` is called whenever a task has ended, however."""
        self._loop = loop
        self._then = then
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def busy(self) -> Iterable[str]:
        """The connections that have a task now; nothing may be begun for them."""
        return self._tasks

    def begin(self, connection_id: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do it beside everything else."""
        task = self._tasks[connection_id] = asyncio.create_task(work)
        task.add_done_callback(lambda ended: self._over(connection_id, ended))
        return task

    async def finish(self) -> None:
        """Wait for what is under way."""
        if self._tasks:
            await asyncio.wait(self._tasks.values())

    def _over(self, connection_id: str, task: asyncio.Task[None]) -> None:
        del self._tasks[connection_id]
        if not task.cancelled() and (error := task.exception()):
            self._loop.on_round(self._loop.name, "error")
            _log.error("loop.one_failed", loop=self._loop.name, connection=connection_id, exc_info=error)
        self._then()
