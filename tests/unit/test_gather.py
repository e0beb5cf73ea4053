"""Gathered writes: every caller is answered, also the one who asks while the last worker is leaving."""

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from gateway.gather import Gather, TooMuchWaitingError

SOON_S = 2.0


def _doubling(sizes: list[int]) -> Callable[[list[int]], Awaitable[list[int]]]:
    async def flush(items: list[int]) -> list[int]:
        sizes.append(len(items))
        await asyncio.sleep(0)
        return [2 * item for item in items]

    return flush


@pytest.mark.parametrize("in_flight", [1, 2, 3])
async def test_whoever_asks_again_as_soon_as_it_is_answered_is_answered_again(in_flight: int) -> None:
    """The worker has found nothing more to do by then, and its task is not over yet: there is a turn of the loop in between."""
    gather = Gather(_doubling([]), in_flight=in_flight)

    async def ask_in_a_row(first: int) -> list[int]:
        return [await gather.submit(first + number) for number in range(20)]

    asked = [asyncio.create_task(ask_in_a_row(100 * caller)) for caller in range(in_flight)]
    answers = await asyncio.wait_for(asyncio.gather(*asked), SOON_S)
    assert answers == [[2 * (100 * caller + number) for number in range(20)] for caller in range(in_flight)]
    assert len(gather) == 0
    await asyncio.wait_for(gather.drain(), SOON_S)


async def test_what_is_asked_for_in_one_burst_is_written_together() -> None:
    sizes: list[int] = []
    gather = Gather(_doubling(sizes), in_flight=1, max_items=64)
    assert await asyncio.gather(*(gather.submit(n) for n in range(100))) == [2 * n for n in range(100)]
    assert sizes == [64, 36]


async def test_a_flush_that_fails_tells_those_that_it_carried_and_nobody_else() -> None:
    async def flush(items: list[int]) -> list[int]:
        if 3 in items:
            raise ConnectionError("the database is gone")
        return items

    gather = Gather(flush, in_flight=1, max_items=2)
    answers = await asyncio.gather(*(gather.submit(n) for n in range(6)), return_exceptions=True)
    assert [a if isinstance(a, int) else type(a) for a in answers] == [0, 1, ConnectionError, ConnectionError, 4, 5]
    assert await asyncio.wait_for(gather.submit(7), SOON_S) == 7


async def test_an_error_that_one_item_causes_meets_that_item_alone() -> None:
    flushes: list[list[int]] = []

    async def flush(items: list[int]) -> list[int]:
        flushes.append(items)
        if 70 in items:
            raise asyncpg.CheckViolationError("a rule of the books")
        return items

    gather = Gather(flush, in_flight=1)
    answers = await asyncio.gather(*(gather.submit(n) for n in range(100)), return_exceptions=True)
    assert isinstance(answers.pop(70), asyncpg.CheckViolationError)
    assert answers == [n for n in range(100) if n != 70]
    assert len(flushes) < 20, "halves of halves, not one by one"


async def test_a_caller_that_goes_away_takes_nothing_back() -> None:
    written: list[int] = []

    async def flush(items: list[int]) -> list[int]:
        await asyncio.sleep(0.01)
        written.extend(items)
        return items

    gather = Gather(flush, in_flight=1)
    gone = asyncio.create_task(gather.submit(1))
    stays = asyncio.create_task(gather.submit(2))
    await asyncio.sleep(0)
    gone.cancel()
    assert await asyncio.wait_for(stays, SOON_S) == 2
    assert written == [1, 2]


async def test_a_full_queue_says_so_and_takes_nothing() -> None:
    release = asyncio.Event()

    async def flush(items: list[int]) -> list[int]:
        await release.wait()
        return items

    gather = Gather(flush, in_flight=1, max_items=1, max_waiting=2)
    first = asyncio.create_task(gather.submit(1))
    await asyncio.sleep(0.01)
    others = [asyncio.create_task(gather.submit(n)) for n in (2, 3)]
    await asyncio.sleep(0)
    with pytest.raises(TooMuchWaitingError):
        await gather.submit(4)
    release.set()
    assert await asyncio.wait_for(asyncio.gather(first, *others), SOON_S) == [1, 2, 3]
