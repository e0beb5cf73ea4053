"""F1: SIGKILL at every named point, at its first pass or a later one, then a restart: one effect a payout, none lost, books
balanced."""

import signal

import pytest

from tests.kill.judge import judge
from tests.kill.sweep import FULL, KILL_HITS, groups, name_of


@pytest.mark.parametrize("points", groups(), ids=name_of)
async def test_f1_killed_at_a_point(stage, points, rng):
    for name in points:
        for hit in KILL_HITS if FULL else [rng.choice(KILL_HITS)]:
            process = await stage.start(f"{name}:kill:{hit}")
            await stage.reach(lambda p=process: not p.is_alive, f"{name}, hit {hit},")
            assert process.status == -signal.SIGKILL
    await stage.start()
    await stage.settled()
    ended = await judge(stage)
    assert ended["paid"] > ended.total() / 2
