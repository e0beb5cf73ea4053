"""Loops: no error of a round ends one, and whatever else ends one is counted, and begins again."""

import asyncio

import pytest

from gateway import loops
from gateway.loops import Loop

SOON_S = 2.0


class Odd(Loop):
    """A loop whose first rounds do what they are told to."""

    name = "odd"

    def __init__(self, *first):
        super().__init__(poll_s=0.01)
        self.first = list(first)
        self.outcomes = []
        self.on_round = lambda name, outcome: self.outcomes.append((name, outcome))

    async def round(self):
        if self.first:
            await self.first.pop(0)()
        return False


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(loops, "_PAUSE_AFTER_ERROR_S", 0.05)


async def _until_ok(loop, errors):
    async with asyncio.timeout(SOON_S):
        while loop.outcomes[-1:] != [("odd", "ok")]:
            await asyncio.sleep(0.01)
    assert loop.outcomes[: errors + 1] == [("odd", "error")] * errors + [("odd", "ok")]
    await asyncio.wait_for(loop.close(), SOON_S)


async def fails():
    raise ConnectionError("the database is gone")


async def meets_what_was_cancelled():
    nothing = asyncio.get_running_loop().create_future()
    nothing.cancel()
    await nothing


async def ends_itself():
    asyncio.current_task().cancel()
    await asyncio.sleep(0)


@pytest.mark.parametrize("what", [fails, meets_what_was_cancelled, ends_itself])
async def test_whatever_ends_a_round_is_counted_and_the_loop_goes_on(what):
    loop = Odd(what, what)
    loop.start()
    await _until_ok(loop, errors=2)


async def test_a_loop_that_cannot_even_say_that_its_round_failed_begins_again():
    loop = Odd(fails)
    told = loop.on_round
    loop.on_round = lambda name, outcome: setattr(loop, "on_round", told) or told(*[])  # raises, and only once
    loop.start()
    await _until_ok(loop, errors=1)


async def test_a_loop_that_is_closed_while_it_pauses_does_not_begin_again():
    loop = Odd(ends_itself)
    loop.start()
    async with asyncio.timeout(SOON_S):
        while not loop.outcomes:
            await asyncio.sleep(0.005)
    await asyncio.wait_for(loop.close(), SOON_S)
    await asyncio.sleep(0.2)
    assert loop.outcomes == [("odd", "error")]


async def test_a_close_finishes_the_round_and_cuts_off_one_that_only_reads():
    done = []

    async def slow():
        await asyncio.sleep(0.1)
        done.append(True)

    for only_reads in (False, True):
        loop = Odd(slow)
        loop.only_reads = only_reads
        loop.start()
        await asyncio.sleep(0.01)
        await asyncio.wait_for(loop.close(), SOON_S)
        assert done == [True], "the first one finished, the second did not"
        assert ("odd", "error") not in loop.outcomes
