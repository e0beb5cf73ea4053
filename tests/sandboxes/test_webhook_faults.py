"""Every fault of webhooks, at every provider: what the receiver gets, and that the money is what it would have been.

Never, twice, late, out of order, before the answer, forged, misquoted, with words that nobody knows.
"""

import asyncio
import time
from typing import Any

import pytest

from providers.sandbox.steps import KINDS
from tests.sandboxes.desk import Desk, amount_told
from tests.sandboxes.desks import DESKS


@pytest.fixture(params=DESKS)
async def desk(world: Any, request: pytest.FixtureRequest) -> Desk:
    return await DESKS[request.param](world).open()


async def given_up(desk: Desk) -> None:
    async def nothing_waits() -> bool:
        return bool((await desk.control("GET", "deliveries"))["waiting"] == 0)

    await desk.world.until(nothing_waits)


def test_here_is_a_test_of_every_kind() -> None:
    kinds = {name for name, kind in KINDS.items() if "webhook" in kind.touches}
    tested = {name.removeprefix("test_webhook_") for name in globals() if name.startswith("test_webhook_")}
    assert tested == kinds | {"forged_and_then_the_real_one"}


async def test_webhook_never(desk: Desk) -> None:
    await desk.fault("webhook", "never", times=desk.events)
    await desk.pay(20_000)
    await desk.until_kinds("sent")
    await desk.pay(30_000)
    await desk.world.hooks(desk.events)
    await desk.until_kinds("sent", "sent")
    await given_up(desk)
    amounts = {amount_told(hook) for hook in desk.world.receiver.hooks}
    assert len(desk.world.receiver.hooks) == desk.events
    assert amounts <= {300.0, 30_000.0}


async def test_webhook_twice(desk: Desk) -> None:
    await desk.fault("webhook", "twice")
    await desk.pay()
    bodies = [hook.raw for hook in await desk.world.hooks(2 * desk.events)]
    assert all(bodies.count(body) == 2 for body in bodies)
    assert all(desk.proved(hook) for hook in desk.world.receiver.hooks)
    await desk.until_kinds("sent")


async def test_webhook_late(desk: Desk) -> None:
    await desk.fault("webhook", "late", params={"ms": 150})
    begin = time.monotonic()
    await desk.pay()
    await desk.until_kinds("sent")
    assert desk.world.receiver.hooks == []
    await desk.world.hooks(1)
    assert time.monotonic() - begin > 0.15


async def test_webhook_out_of_order(desk: Desk) -> None:
    await desk.settings(returnedAfterMs=30)
    await desk.fault("webhook", "out_of_order")
    await desk.pay(headers={"X-Sandbox-Scenario": "paid_then_returned"})
    wanted = desk.out_of_order
    assert [desk.told(hook)[1] for hook in await desk.world.hooks(len(wanted))] == wanted
    await desk.until_kinds("sent", "returned")
    desk.world.receiver.hooks.clear()
    await desk.control("DELETE", "faults")
    await desk.fault("webhook", "out_of_order", params={"ms": 40})
    await desk.pay()
    last = [desk.told(hook)[1] for hook in await desk.world.hooks(desk.events)]
    assert desk.paid in last  # nothing follows: it comes when its time is over


async def test_webhook_before_answer(desk: Desk) -> None:
    await desk.settings(**desk.held_back)
    await desk.fault("webhook", "before_answer", times=1)
    answer = await desk.pay()
    assert desk.begun.encode() in answer.raw
    assert await desk.kinds() == ["sent"]
    assert desk.paid in [desk.told(hook)[1] for hook in desk.world.receiver.hooks]
    assert len(desk.world.receiver.hooks) == desk.events


async def test_webhook_forged_and_then_the_real_one(desk: Desk) -> None:
    await desk.fault("webhook", "forged", params={"extra": True})
    await desk.pay()
    hooks = await desk.world.hooks(2 * desk.events)
    for body in {hook.raw for hook in hooks}:
        assert [desk.proved(hook) for hook in hooks if hook.raw == body] == [False, True]
    await desk.until_kinds("sent")


async def test_webhook_forged(desk: Desk) -> None:
    """Alone: sent once with a wrong proof, and not again although it is refused."""
    desk.world.receiver.statuses = [500] * desk.events
    await desk.fault("webhook", "forged")
    await desk.pay()
    await desk.until_kinds("sent")
    hooks = await desk.world.hooks(desk.events)
    await given_up(desk)
    await asyncio.sleep(0.02)
    assert [desk.proved(hook) for hook in hooks] == [False] * desk.events


async def test_webhook_invented_status(desk: Desk) -> None:
    await desk.fault("webhook", "invented_status")
    payout = desk.id_of(await desk.pay())
    hooks = await desk.world.hooks(desk.events)
    assert all("levitating" in " ".join(desk.told(hook)).lower() for hook in hooks)
    assert all(desk.proved(hook) for hook in hooks)
    await desk.until_status(payout, desk.paid)
    await desk.until_kinds("sent")


@pytest.mark.parametrize("field", ["amount", "currency", "reference"])
async def test_webhook_wrong_echo(desk: Desk, field: str) -> None:
    await desk.fault("webhook", "wrong_echo", params={"field": field})
    await desk.pay(20_000)
    hooks = await desk.world.hooks(desk.events)
    assert all(desk.proved(hook) for hook in hooks)
    told = {
        "amount": [amount_told(hook) in (201.0, 20_001.0) for hook in hooks],
        "currency": [b'"XTS"' in hook.raw for hook in hooks],
        "reference": [b'"somebody-elses-reference"' in hook.raw for hook in hooks],
    }
    assert told.pop(field) == [True] * len(hooks)
    assert not any(wrong for others in told.values() for wrong in others)
    await desk.until_kinds("sent")
    (line,) = await desk.world.money(desk.name)
    assert float(line["amount"]) in (200.0, 20_000.0)
    assert line["currency"] != "XTS"
