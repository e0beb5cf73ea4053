"""What is remembered for a moment: how many queries it saves, and what makes it go."""

import asyncio

from gateway.recall import Recall


class Shelf:
    """Things by key; counts what is asked for."""

    def __init__(self, **things):
        self.things = things
        self.asked = []

    async def read(self, key):
        self.asked.append(key)
        await asyncio.sleep(0)
        return self.things.get(key)


async def test_what_many_ask_for_at_once_is_read_once():
    shelf = Shelf(a=1)
    recall = Recall(shelf.read, for_s=60)
    assert await asyncio.gather(*(recall.get("a") for _ in range(50))) == [1] * 50
    assert await recall.get("a") == 1
    assert shelf.asked == ["a"]


async def test_what_is_not_there_is_asked_for_once_too():
    shelf = Shelf()
    recall = Recall(shelf.read, for_s=60)
    assert [await recall.get("a") for _ in range(50)] == [None] * 50
    assert shelf.asked == ["a"]


async def test_however_many_invented_keys_are_asked_for_what_is_there_stays():
    shelf = Shelf(a=1)
    recall = Recall(shelf.read, for_s=60, at_most=10)
    await recall.get("a")
    for number in range(100):
        await recall.get(f"invented {number}")
    assert await recall.get("a") == 1
    assert shelf.asked.count("a") == 1
    assert await recall.get("invented 99") is None
    assert await recall.get("invented 0") is None
    assert (shelf.asked.count("invented 99"), shelf.asked.count("invented 0")) == (1, 2), "those asked for last are remembered"


async def test_only_what_was_read_longest_ago_goes():
    shelf = Shelf(**{str(n): n for n in range(12)})
    recall = Recall(shelf.read, for_s=0, at_most=10)
    for number in range(10):
        await recall.get(str(number))
    await recall.get("0")  # read anew, and so the newest again
    await recall.get("10")
    await recall.get("11")
    assert [recall.last(str(number)) for number in range(12)] == [0, None, None, *range(3, 12)]


async def test_what_appears_and_what_goes_is_seen_after_its_time():
    shelf = Shelf()
    recall = Recall(shelf.read, for_s=0)
    assert await recall.get("a") is None
    shelf.things["a"] = 1
    assert (await recall.get("a"), recall.last("a")) == (1, 1)
    del shelf.things["a"]
    assert (await recall.get("a"), recall.last("a")) == (None, None)
