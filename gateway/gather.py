"""Group commit: what many callers ask for at the same moment is written by one statement in one transaction.

A few flushes run side by side, so that the next is being prepared while PostgreSQL works on the last.
Never drops an item: each caller gets its own answer or the error of the flush that carried it. An error that one item may have
caused is traced to it, so that the others are written without it: what is flushed must be safe to flush again.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

import asyncpg

Item = TypeVar("Item")
Answer = TypeVar("Answer")


# What one item can bring upon all that are written with it: a rule of the database that it breaks, or code that cannot take it.
# Not what is wrong with the database or the way to it, nor a deadlock: that meets every item alike.
ONE_TO_BLAME = (
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.DataError,
    asyncpg.RaiseError,
    LookupError,
    ValueError,
    TypeError,
    RuntimeError,
)


class TooMuchWaitingError(RuntimeError):
    """The queue is full. Nothing was written; try again shortly."""


class Gather(Generic[Item, Answer]):
    """Gathers items into flushes. `flush` gets up to `max_items` and answers one result per item, in order."""

    def __init__(
        self,
        flush: Callable[[list[Item]], Awaitable[list[Answer]]],
        *,
        max_items: int = 256,
        in_flight: int = 2,
        max_waiting: int = 10_000,
        share_from: int | None = None,
    ) -> None:
        """`share_from`: of more items than this a flush takes only its share; None: always all that wait."""
        self._flush = flush
        self._max_items = max_items
        self._in_flight = in_flight
        self._max_waiting = max_waiting
        self._share_from = share_from
        self._waiting: deque[tuple[Item, asyncio.Future[Answer]]] = deque()
        self._running: set[asyncio.Task[None]] = set()
        # Not the size of `_running`: a task leaves that some callbacks after it has looked for work for the last time, and
        # whatever is submitted in between would wait for a worker that has gone.
        self._workers = 0
        self._in_flushes = 0

    def __len__(self) -> int:
        """How many items wait for a flush."""
        return len(self._waiting)

    async def submit(self, item: Item) -> Answer:
        """Write `item` with whatever else is waiting. Raises `TooMuchWaitingError`, or what the flush raised.

        A caller that goes away does not undo anything: the write happens, its answer is dropped.
        """
        if len(self._waiting) >= self._max_waiting:
            raise TooMuchWaitingError(f"{len(self._waiting)} requests are waiting for the database. Nothing was written.")
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        if self._workers < self._in_flight:
            self._workers += 1
            task = asyncio.create_task(self._work())
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return await answer

    async def _work(self) -> None:
        try:
            # One turn of the loop first: all requests of the same burst join this flush.
            await asyncio.sleep(0)
            while self._waiting:
                await self._flush_once()
        finally:
            self._workers -= 1

    async def _flush_once(self) -> None:
        batch = [self._waiting.popleft() for _ in range(self._next_size())]
        self._in_flushes += len(batch)
        try:
            await self._answer(batch)
        finally:
            self._in_flushes -= len(batch)

    async def _answer(self, batch: Sequence[tuple[Item, asyncio.Future[Answer]]]) -> None:
        try:
            answers = await self._flush([item for item, _ in batch])
        except ONE_TO_BLAME as error:
            if len(batch) == 1:
                _fail(batch, error)
                return
            # Halves of halves, until whoever is to blame stands alone: nothing of a flush that raised this was written.
            middle = len(batch) // 2
            await self._answer(batch[:middle])
            await self._answer(batch[middle:])
        except Exception as error:
            _fail(batch, error)
        else:
            for (_, answer), value in zip(batch, answers, strict=True):
                if not answer.done():
                    answer.set_result(value)

    def _next_size(self) -> int:
        size = min(len(self._waiting), self._max_items)
        if self._share_from is None:
            return size
        # With everything in PostgreSQL at once nothing is left for this process to do meanwhile. So there is a share for each
        # flush, and one that is being answered or asked for here.
        share = (len(self._waiting) + self._in_flushes) // (self._in_flight + 1)
        return min(size, max(share, self._share_from))

    async def drain(self) -> None:
        """Wait until everything that was submitted is written."""
        while self._running:
            await asyncio.gather(*self._running, return_exceptions=True)


def _fail(batch: Sequence[tuple[Any, asyncio.Future[Any]]], error: Exception) -> None:
    for _, answer in batch:
        if not answer.done():
            answer.set_exception(error)
