"""`python -m tests.prove.run`: one run of the fault world, or the comparison of policies. Exits with 1 on any violation."""

import argparse
import asyncio
import signal
import sys

from rich.console import Console

from tests.prove import report
from tests.prove.plan import Plan
from tests.prove.planted import BUGS
from tests.prove.policies import OURS, POLICIES
from tests.prove.verdict import commit, reach

_WIDTH = 150  # where nobody says how wide the terminal is


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--payouts", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--gateways", type=int, default=3)
    parser.add_argument("--per-s", type=float, default=150.0, help="creates a second, at most")
    parser.add_argument("--faults-s", type=float, default=45.0, help="keep faults on for so long at least")
    parser.add_argument("--policy", choices=sorted(POLICIES), default=OURS)
    parser.add_argument("--bug", choices=sorted(BUGS), help="plant this bug: the verdict must be RED")
    parser.add_argument("--compare", action="store_true", help="every policy, one after the other")
    parser.add_argument("--markdown", action="store_true", help="and the comparison once more, for the README")
    parser.add_argument("--keep", action="store_true", help="keep the run's folder: money files, logs, histories")
    return parser.parse_args()


def _plan(asked: argparse.Namespace, policy: str) -> Plan:
    return Plan(
        seed=asked.seed,
        payouts=asked.payouts,
        policy=policy,
        bug=asked.bug,
        gateways=asked.gateways,
        per_s=asked.per_s,
        faults_at_least_s=asked.faults_s,
    )


async def main() -> int:
    """Run what was asked for; the exit status."""
    asked, console = _asked(), Console(width=None if sys.stdout.isatty() else _WIDTH)
    if asked.compare:
        return await _compare(asked, console)
    verdict = await reach(_plan(asked, asked.policy), keep=asked.keep)
    report.show(console, verdict, commit())
    return 0 if verdict.is_green else 1


async def _compare(asked: argparse.Namespace, console: Console) -> int:
    """All policies, one after the other; 0 when ours did no harm and each of the others did some."""
    verdicts = []
    for policy in POLICIES:
        verdicts.append(await reach(_plan(asked, policy)))
        console.print(f"{policy}: {len(verdicts[-1].findings)} findings, {verdicts[-1].took_s:.0f} s")
        if policy == OURS and not verdicts[-1].is_green:
            report.show(console, verdicts[-1], commit())
    report.compare(console, verdicts, commit())
    if asked.markdown:
        console.print(report.compare_in_markdown(verdicts, commit()), markup=False, highlight=False, soft_wrap=True)
    # A world in which a bad policy does no harm has not tried hard enough.
    return 0 if all(report.is_safe(v) is (v.plan.policy == OURS) for v in verdicts) else 1


async def _main_that_ends_well() -> int:
    """SIGTERM ends a run like Ctrl-C: everything that it started is ended first."""
    running = asyncio.current_task()
    assert running is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    return await main()


if __name__ == "__main__":
    sys.exit(asyncio.run(_main_that_ends_well()))
