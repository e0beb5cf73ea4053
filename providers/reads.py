"""Many single reads at a time, a few of them at once: a slow provider must not hold up a whole round."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

from schemas.order import Lookup
from schemas.report import Report

AT_ONCE = 8

Found = TypeVar("Found")


async def each(find_one: Callable[[Lookup], Awaitable[Report]], lookups: Sequence[Lookup]) -> list[Report]:
    """One report per lookup, in order."""
    return await a_few_at_once([partial(find_one, lookup) for lookup in lookups])


async def a_few_at_once(reads: Sequence[Callable[[], Awaitable[Found]]]) -> list[Found]:
    """What each of them finds, in order."""
    places = asyncio.Semaphore(AT_ONCE)

    async def in_turn(read: Callable[[], Awaitable[Found]]) -> Found:
        async with places:
            return await read()

    return await asyncio.gather(*(in_turn(read) for read in reads))
