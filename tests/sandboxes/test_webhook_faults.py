"""Webhooks that go wrong on order: never, twice, late, out of order, too early, forged, with words nobody knows."""

import asyncio
import time
from typing import Any

import pytest

from tests.sandboxes.shop import Shop


@pytest.fixture
async def shop(world: Any) -> Shop:
    return await Shop(world).open()


async def test_webhook_never(shop: Shop, world: Any) -> None:
    await world.fault("pivot", "webhook", "never", times=1)
    await shop.create("quiet")
    await shop.create("loud")
    await world.hooks(1)
    await asyncio.sleep(0.03)
    assert [hook.json["data"]["payouts"]["referenceId"] for hook in world.receiver.hooks] == ["loud"]
    assert sorted(await shop.paid()) == ["loud", "quiet"]


async def test_webhook_twice(shop: Shop, world: Any) -> None:
    await world.fault("pivot", "webhook", "twice", match={"contains": "two"})
    await shop.create("two")
    first, second = await world.hooks(2)
    assert first.raw == second.raw


async def test_webhook_late(shop: Shop, world: Any) -> None:
    await world.fault("pivot", "webhook", "late", params={"ms": 80})
    begin = time.monotonic()
    await shop.create("p")
    await world.hooks(1)
    assert time.monotonic() - begin > 0.08


async def test_webhook_before_the_answer(shop: Shop, world: Any) -> None:
    await world.settings("pivot", doneAfterMs=60_000)
    await world.fault("pivot", "webhook", "before_answer", times=1)
    answer = await shop.create("p")
    assert answer.json["data"]["status"] == "IN_PROGRESS"
    assert [hook.json["event"] for hook in world.receiver.hooks] == ["PAYOUT.SUCCESS"]
    assert await shop.paid() == ["p"]


async def test_webhook_out_of_order(shop: Shop, world: Any) -> None:
    await world.fault("pivot", "webhook", "out_of_order", params={"ms": 5000}, times=1)
    await shop.create("p")
    await shop.until_paid("p")
    await world.control("pivot", "POST", "payouts/p/advance", {"to": "FAILED"})
    assert [hook.json["event"] for hook in await world.hooks(2)] == ["PAYOUT.FAILED", "PAYOUT.SUCCESS"]
    await world.fault("pivot", "webhook", "out_of_order", params={"ms": 50})
    world.receiver.hooks.clear()
    await shop.create("alone")
    await world.hooks(1)  # nothing follows: it comes when its time is over


async def test_webhook_with_a_wrong_echo(shop: Shop, world: Any) -> None:
    await world.fault("pivot", "webhook", "wrong_echo", params={"field": "reference"})
    await shop.create("p")
    (hook,) = await world.hooks(1)
    assert hook.json["data"]["payouts"]["referenceId"] not in ("p", None)
    assert hook.headers["X-API-Key"] == shop.key


async def test_webhook_forged_and_then_the_real_one(shop: Shop, world: Any) -> None:
    await world.fault("pivot", "webhook", "forged", params={"extra": True})
    await shop.create("p")
    first, second = await world.hooks(2)
    assert [hook.headers["X-API-Key"] == shop.key for hook in (first, second)] == [False, True]


async def test_webhook_forged_is_sent_once_with_a_wrong_proof(shop: Shop, world: Any) -> None:
    world.receiver.statuses = [500]
    await world.fault("pivot", "webhook", "forged")
    await shop.create("p")
    (hook,) = await world.hooks(1)
    assert hook.headers["X-API-Key"] != shop.key

    async def given_up() -> bool:
        return bool((await world.control("pivot", "GET", "deliveries"))["waiting"] == 0)

    await world.until(given_up)
    assert len(world.receiver.hooks) == 1


async def test_webhook_with_an_invented_status(shop: Shop, world: Any) -> None:
    await world.fault("pivot", "webhook", "invented_status")
    await shop.create("p")
    (hook,) = await world.hooks(1)
    assert hook.json["event"] == "PAYOUT.LEVITATING"
    assert hook.headers["X-API-Key"] == shop.key
