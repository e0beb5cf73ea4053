"""F2, I15 for the reconciler: a repetition that was decided long ago must not leave once its attempt has been ended.

By chance the fault world finds it once in many runs: it needs a wait at the very end of the replay window.
"""

import asyncio
import copy
from dataclasses import replace

from gateway import reconciler
from gateway.one_each import OneEach
from tests.flows.world import BANK, QUICK, World

_CLOSING_SOON = {"replay_window_s": 0.8, "visibility_s": 0.3, "batch_linger_s": 0.0}


async def test_a_repetition_that_waited_past_its_lease_does_not_leave(dsn, tmp_path, monkeypatch):
    quick = {n: replace(p, contract=replace(p.contract, **_CLOSING_SOON)) for n, p in QUICK.items()}
    async with World(dsn, tmp_path) as world:
        gateway = await world.start_gateway(quick)
        merchant = await world.merchant(providers=("pivot",))
        await gateway.reconciler.close()
        await world.control(
            "POST", "pivot", "faults", {"operation": "create_payout", "kind": "drop", "when": "before", "times": 1}
        )
        made = await merchant.pay(provider="pivot", **BANK)
        async with asyncio.timeout(5):
            while await gateway.pool.fetchval("select state from attempt") != "unconfirmed":
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)  # the first send is surely over

        slow, other = copy.copy(gateway.reconciler), copy.copy(gateway.reconciler)  # as of two processes
        slow._checking, other._checking = OneEach(slow), OneEach(other)
        awake, mark_resent = asyncio.Event(), reconciler.mark_resent

        async def paused(*given, **named):
            await awake.wait()
            return await mark_resent(*given, **named)

        monkeypatch.setattr(reconciler, "mark_resent", paused)
        await gateway.pool.execute("update attempt set check_at = now()")
        sleeping = asyncio.create_task(slow.round())
        await asyncio.sleep(0.6)  # meanwhile the replay window ends
        monkeypatch.setattr(reconciler, "mark_resent", mark_resent)
        async with asyncio.timeout(10):
            while (await merchant.payout(made["id"]))["phase"] != "paid":
                await gateway.pool.execute("update attempt set check_at = now() where exposure = 'open'")  # its lease ends
                await other.round()
                await asyncio.sleep(0.05)
        await sleeping
        awake.set()
        await slow._checking.finish()
        assert len(await world.sent("pivot")) == 1, await merchant.timeline(made["id"])
