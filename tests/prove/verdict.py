"""One run from its plan to its verdict: the world, the checker, the figures.

Deletes the run's folder unless told to keep it.
"""

import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.prove import checker, figures, history, money
from tests.prove.checker import Finding
from tests.prove.figures import Figures
from tests.prove.plan import Plan
from tests.prove.world import Ran, World


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a run has shown."""

    plan: Plan
    ran: Ran
    findings: Sequence[Finding]
    figures: Figures
    came_back_unseen: int
    strokes: Counter[str]
    hits: Counter[str]
    kinds: Sequence[str]
    timelines: dict[str, list[str]]  # of the payouts that something is wrong with
    folder: Path | None
    took_s: float

    @property
    def is_green(self) -> bool:
        return not self.findings and self.ran.converged_s is not None


_SHOWN = 5


_MEMORY = Path("/dev/shm")


def fresh_folder(*, in_memory: bool = False) -> Path:
    """A folder for a run, with a short name: PostgreSQL's socket is in it."""
    folder = Path(tempfile.mkdtemp(prefix="prove-", dir=_MEMORY if in_memory and _MEMORY.is_dir() else None))
    folder.chmod(0o755)  # as root, PostgreSQL runs under another account, which has to pass through
    return folder


async def reach(plan: Plan, *, keep: bool = False, in_memory: bool = False) -> Verdict:
    """Run the plan in a temporary folder of its own. `in_memory`: for small runs, which would only wait for the disk."""
    started, folder = time.monotonic(), fresh_folder(in_memory=in_memory)
    try:
        async with World(plan, folder) as world:
            ran = await world.run()
            connection = await world.database.connect()
            try:
                found = await checker.facts(connection, money.of_run(folder), history.read(world.history_file))
                findings = await checker.check(connection, found)
                ids = list(dict.fromkeys(f.payout_id for f in findings if f.payout_id))[:_SHOWN]
                return Verdict(
                    plan=plan,
                    ran=ran,
                    findings=findings,
                    figures=await figures.read(connection),
                    came_back_unseen=checker.came_back_unseen(found),
                    strokes=world.nemesis.strokes,
                    hits=world.nemesis.hits,
                    kinds=world.nemesis.kinds,
                    timelines={payout_id: await figures.timeline(connection, payout_id) for payout_id in ids},
                    folder=folder if keep else None,
                    took_s=time.monotonic() - started,
                )
            finally:
                await connection.close()
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def commit() -> str:
    """The commit of the working tree, marked when something is changed in it."""
    here = Path(__file__).parent
    said = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=here, capture_output=True, text=True, check=False)
    return said.stdout.strip() or "unknown"
