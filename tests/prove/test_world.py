"""The fault world at its smallest, so that every change meets it: kills, a pause, a crash, faults, and the checker's word."""

import os

from tests.prove import verdict
from tests.prove.nemesis import Temper
from tests.prove.plan import Plan
from tests.prove.policies import OURS

_SCALE = 0.4
_TEMPER = Temper(
    kill_s=1.8, pause_s=2.5, longest_pause_s=1.5, crash_s=4.0, cut_s=2.0, deaf_s=2.5, die_s=None, spell_s=1.0, brownouts=()
)


async def test_nothing_is_paid_twice_lost_or_called_wrong():
    """F1 F2 F7 F9 F18 F19 F25 F31 F33 F34 at once, by the seed of the test run."""
    plan = Plan(
        seed=int(os.environ["TEST_SEED"]), payouts=100, policy=OURS, gateways=2, faults_at_least_s=3.0, converge_s=30.0,
        quiet_s=1.5, scale=_SCALE, temper=_TEMPER,
    )  # fmt: skip
    seen = await verdict.reach(plan, in_memory=True)
    assert not seen.findings, (plan.seed, seen.findings, seen.timelines)
    assert seen.ran.converged_s is not None, (plan.seed, seen.figures)
    assert seen.ran.made == plan.payouts
    assert seen.strokes["kill"] >= 1
    assert sum(seen.hits.values()) > 0
