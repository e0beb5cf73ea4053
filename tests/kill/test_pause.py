"""F2: SIGSTOP at named points for longer than any lease while another process goes on, then SIGCONT: no second effect.

Also longer than "not found" takes to be believed: by then a payout may have gone on elsewhere, with another key.
"""

import asyncio
import signal

import pytest

from gateway.points import POINTS
from tests.kill import quick
from tests.kill.judge import effects_of, judge, tell
from tests.kill.sweep import FULL, PAUSE_HITS, groups, name_of

# Points of the edge: no lease is held there, and whoever asked comes again elsewhere.
_EDGE = {"create_asked", "create_committed", "notice_proven", "notice_stored", "cancel_wanted", "cancel_on_disk"}
_NOTICED = {name for name in POINTS if name.startswith("notices")}
_LEASE_OVER_S = quick.LONGEST_LEASE_S + 0.3
_ZOMBIES_ACT_S = 0.5


async def paused(stage, name, hit=1, **more):
    """A process that has stopped itself there, with whatever it had claimed."""
    zombie = await stage.start(f"{name}:pause:{hit}", **more)
    await stage.reach(lambda: zombie.is_paused, f"{name}, hit {hit},")
    return zombie


async def wake(stage, zombies):
    for zombie in zombies:
        zombie.signal(signal.SIGCONT)
    await stage.settled()
    await asyncio.sleep(_ZOMBIES_ACT_S)


@pytest.mark.parametrize("points", groups(name for name in POINTS if name not in _EDGE), ids=name_of)
async def test_f2_paused_until_others_went_on(stage, points):
    # The first process has the port that providers know, and notices come to no other.
    in_order = sorted(points, key=lambda name: name not in _NOTICED)
    zombies = [await paused(stage, name, hit) for hit in PAUSE_HITS for name in in_order if hit == 1 or name not in _NOTICED]
    await stage.start()
    await asyncio.sleep(_LEASE_OVER_S)
    await wake(stage, zombies)
    await judge(stage)


async def test_f2_paused_until_it_went_elsewhere(stage):
    """Others come when the key may not be repeated any more: they find nothing there, and the payout gets another key."""
    zombies = [await paused(stage, name) for name in ("claim_committed", "before_send", "leaving", "after_resend_marked")]
    await go_on_elsewhere(stage)
    await wake(stage, zombies)
    await judge(stage)


async def go_on_elsewhere(stage):
    """A process that starts late, and the time it needs to believe that there is nothing."""
    await asyncio.sleep(quick.REPLAY_WINDOW_S)
    await stage.start()
    await asyncio.sleep(_LEASE_OVER_S)


_NOTHING_LEFT_YET = ("claim_committed", "before_send", "leaving")
_ELSEWHERE = ("claim_locked", "claim_written", "after_send", "before_apply") if FULL else ("claim_locked", "after_send")


async def test_f2_i15_a_provider_without_idempotency(stage):
    """Plexy: nobody takes over, and whoever wakes up after its lease sends nothing. A person decides."""
    zombies, held = [], set()
    for name in (*_NOTHING_LEFT_YET, *_ELSEWHERE):
        zombie = await stage.start(f"{name}:pause:1")
        for _ in range(3):
            stage.go(stage.pay_card())
        await stage.until(lambda z=zombie: z.is_paused, f"{name} was never reached")
        zombies.append(zombie)
        if name in _NOTHING_LEFT_YET:
            sending = await stage.pool.fetch("select payout_id from attempt where state = 'sending'")
            held |= {row["payout_id"] for row in sending}
    assert len(held) >= len(_NOTHING_LEFT_YET)
    await stage.start()
    await asyncio.sleep(_LEASE_OVER_S)
    await wake(stage, zombies)
    await judge(stage)
    effects = await effects_of(stage)
    late = [await tell(stage, payout_id, effects[payout_id]) for payout_id in held if effects[payout_id]]
    assert not late, "\n".join(late)
    phases = await stage.pool.fetch("select distinct phase from payout where id = any ($1)", list(held))
    assert [row["phase"] for row in phases] == ["needs_review"]
