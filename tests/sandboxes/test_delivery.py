"""Delivery of webhooks: what becomes due always finds somebody who delivers it."""

import asyncio
from typing import Any

import pytest

from providers.sandbox import webhooks
from providers.sandbox.server import RUNNING
from providers.sandbox.webhooks import Courier
from tests.sandboxes.desks import DESKS


async def test_what_becomes_due_while_the_last_worker_leaves_is_delivered(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker has found nothing more to do by then, and its task is not over yet: there is a turn of the loop in between."""
    desk = await DESKS["xendit"](world).open()
    courier = world.server.app[RUNNING]["xendit"].courier
    due: list[str] = []
    with monkeypatch.context() as patched:
        patched.setattr(Courier, "_due", lambda _courier, delivery_id: due.append(delivery_id))
        await desk.pay(20_000)
        await desk.pay(30_000)
        await world.until(lambda: len(due) == 2)
    monkeypatch.setattr(webhooks, "_AT_ONCE", 1)
    settle = Courier._settle
    first, second = due

    def and_then_the_next(courier: Courier, *outcome: Any) -> None:
        settle(courier, *outcome)
        if first in due:
            due.remove(first)
            asyncio.get_running_loop().call_soon(courier._due, second)

    monkeypatch.setattr(Courier, "_settle", and_then_the_next)
    courier._due(first)
    await world.hooks(2)
