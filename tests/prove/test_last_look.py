"""Seed 1 of the fault world: money came back, its webhook was lost, and the last look at a paid payout was not answered."""

import asyncio

from gateway import reconciler
from schemas.report import Progress, Unclear
from tests.prove.scene import Scene


async def test_a_last_look_without_an_answer_is_repeated(dsn, tmp_path, monkeypatch):
    async with asyncio.timeout(20), Scene(dsn, tmp_path, ("keyed",), return_window_s=1_000.0, watch_after_s=()) as scene:
        await scene.pay()
        await scene.dispatch()
        await scene.settle()
        scene.truth.effects[0].progress = Progress.RETURNED
        with monkeypatch.context() as patch:
            patch.setattr(reconciler, "read_back", _silent)
            await scene.time_passes(1_000.0)
            await scene.reconcile()
        for _ in range(5):
            await scene.time_passes(1_000.0)
            await scene.reconcile()
        assert not await scene.findings()


async def _silent(_connection, attempts):
    return [Unclear("HTTP 503")] * len(attempts)
