"""What the loops have in common: work while there is work, then wait to be woken or for the next poll.

A failing round is logged and tried again after a pause; it never ends the loop, and never hides. Only `close` ends a loop: one
that ends otherwise is as loud as a failing round, and begins again.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator

import structlog

_log = structlog.get_logger(__name__)
_PAUSE_AFTER_ERROR_S = 1.0
# What arrives meanwhile joins the next round: a payout hardly waits, and a busy gateway asks the database far less often.
_PAUSE_BETWEEN_ROUNDS_S = 0.02


class Loop:
    """One of the gateway's loops. Subclasses say what a round is."""

    name = "loop"
    only_reads = False  # then a stop may cut a round off: it leaves nothing half done

    def __init__(self, *, poll_s: float) -> None:
        self._poll_s = poll_s
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self.on_round: Callable[[str, str], None] = lambda _name, _outcome: None

    async def round(self) -> bool:
        """Do one round; whether there may be more to do at once."""
        raise NotImplementedError

    def wake(self) -> None:
        """Something is there: do not wait for the next poll."""
        self._woken.set()

    def start(self) -> None:
        """Begin to work in a task of its own."""
        self._task = asyncio.create_task(self._run(), name=self.name)
        self._task.add_done_callback(self._ended)

    async def close(self) -> None:
        """Finish the running round, unless it only reads, and stop."""
        self._closing = True
        self.wake()
        if self._task:
            if self.only_reads:
                self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if self._closing:
            return
        asyncio.get_running_loop().call_later(_PAUSE_AFTER_ERROR_S, self._begin_again)
        self.on_round(self.name, "error")
        try:
            task.result()
        except BaseException:  # above all a CancelledError out of a round: something that the round waited for was cancelled
            _log.critical("loop.ended", loop=self.name, exc_info=True)

    def _begin_again(self) -> None:
        if not self._closing:
            self.start()

    async def _run(self) -> None:
        while not self._closing:
            self._woken.clear()
            try:
                more = await self.round()
                self.on_round(self.name, "ok")
            except Exception:
                self.on_round(self.name, "error")
                _log.exception("loop.round_failed", loop=self.name)
                await asyncio.sleep(_PAUSE_AFTER_ERROR_S)
                continue
            if not more:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), self._poll_s)
            await asyncio.sleep(_PAUSE_BETWEEN_ROUNDS_S)


class SomeFailedError(RuntimeError):
    """Some of a round's work failed. Each error was logged where it was met, and the rest was done."""


class Failures:
    """What failed in a round that is about many: no error keeps the others waiting, and none lets the round count as good."""

    def __init__(self, loop: str) -> None:
        self._loop = loop
        self._many = 0

    @contextlib.contextmanager
    def caught(self, **ids: str) -> Iterator[None]:
        """Log what is raised inside, with the ids of what it was about, and go on after it."""
        try:
            yield
        except Exception:
            self._many += 1
            _log.exception("loop.one_failed", loop=self._loop, **ids)

    def end(self) -> None:
        """All else is done: raise `SomeFailedError` if anything was caught."""
        if self._many:
            raise SomeFailedError(f"{self._many} of the round failed, each with its own line in the log; the rest was done")
