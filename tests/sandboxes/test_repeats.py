"""A fixed seed repeats a run exactly: the same requests in the same order meet the same faults."""

from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from providers.sandbox.faults import Fault, FaultPlan
from tests.sandboxes.desk import Desk, amount_told
from tests.sandboxes.desks import DESKS

FAULTS = (
    {"operation": "create_payout", "kind": "drop", "when": "after", "probability": 0.3},
    {"operation": "create_payout", "kind": "status", "params": {"status": 503}, "probability": 0.3},
    {"operation": "*", "kind": "slow", "params": {"ms": 1}, "probability": 0.1},
    {"operation": "webhook", "kind": "twice", "probability": 0.5},
    {"operation": "webhook", "kind": "invented_status", "probability": 0.5},
    {"operation": "*", "kind": "not_found_for", "params": {"ms": 60_000}, "probability": 0.5},
)
ORDERS = 24


async def _run(desk: Desk) -> tuple[list[Any], list[bool], Counter[Any]]:
    """What the client met with each order, which payouts lists and reads hid, and how each webhook went wrong."""
    for fault in FAULTS:
        await desk.control("POST", "faults", dict(fault))
    desk.world.receiver.hooks.clear()
    met: list[Any] = []
    for n in range(ORDERS):
        try:
            met.append((await desk.pay(20_000 + n, key=f"order{n:011d}")).status)
        except aiohttp.ClientError:
            met.append("cut")
    made = sum(status != 503 for status in met)

    async def all_told() -> bool:
        log = await desk.control("GET", "deliveries")
        return len(await desk.kinds()) == made and log["waiting"] == 0 and log["counts"]["accepted"] >= made * desk.events

    await desk.world.until(all_told)
    hidden = [
        not await desk.shows(f"order{n:011d}", 20_000 + n)
        for n, status in enumerate(met)
        if status != 503  # those were never made
    ]
    told = Counter((desk.told(hook)[0], amount_told(hook)) for hook in desk.world.receiver.hooks)
    return met, hidden, told


async def _one_run(world: Any, name: str, data_dir: Path, seed: int) -> Any:
    await world.stop()
    world.data_dir = data_dir
    await world.start(seed=seed)
    return await _run(await DESKS[name](world).open())


@pytest.mark.parametrize("name", DESKS)
async def test_same_seed_and_same_requests_same_faults(world: Any, tmp_path: Path, name: str) -> None:
    first = await _one_run(world, name, tmp_path / "a", 7)
    assert await _one_run(world, name, tmp_path / "b", 7) == first
    assert await _one_run(world, name, tmp_path / "c", 8) != first
    met, hidden, told = first
    assert len(set(map(str, met))) == 3
    assert len(set(hidden)) == 2
    assert len(set(told.values())) > 1


async def test_a_running_sandbox_can_be_given_a_seed(world: Any, tmp_path: Path) -> None:
    first = await _one_run(world, "xendit", tmp_path / "a", 7)
    await world.stop()
    world.data_dir = tmp_path / "b"
    await world.start(seed=1)
    desk = await DESKS["xendit"](world).open()
    await desk.control("POST", "seed", {"seed": 7})
    assert await _run(desk) == first
    assert (await desk.control("GET", "faults"))["seed"] == "7/xendit"


def test_chance_depends_on_the_seed_and_the_fault_alone() -> None:
    def draw(seed: str, others: int = 0) -> list[bool]:
        plan = FaultPlan(seed)
        plan.add(Fault(operation="create_payout", kind="drop", probability=0.5))
        for _ in range(others):
            plan.add(Fault(operation="webhook", kind="twice", probability=0.5))
        drawn = []
        for n in range(64):
            drawn.append(plan.for_request("create_payout", "before", "") is not None)
            for _ in range(others):
                plan.for_webhook("", f"p{n}")
        return drawn

    assert draw("1/pivot") == draw("1/pivot") == draw("1/pivot", others=3) != draw("2/pivot")
    assert 10 < sum(draw("1/pivot")) < 54
