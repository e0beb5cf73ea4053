"""Many single reads at a time, a few of them at once: a slow provider must not hold up a whole round."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from schemas.order import Lookup
from schemas.report import Report

AT_ONCE = 8


async def each(find_one: Callable[[Lookup], Awaitable[Report]], lookups: Sequence[Lookup]) -> list[Report]:
    """One report per lookup, in order."""
    places = asyncio.Semaphore(AT_ONCE)

    async def in_turn(lookup: Lookup) -> Report:
        async with places:
            return await find_one(lookup)

    return await asyncio.gather(*(in_turn(lookup) for lookup in lookups))
