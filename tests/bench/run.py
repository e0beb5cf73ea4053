"""`make bench`: the floor, creates, and create to paid, in one table and one run. A benchmark, not a test: it exits with 0.

Ratios of one run on one machine are what it shows; absolute figures belong to the machine and to what else ran on it.
Everything that it starts is ended by its own process id, also on Ctrl-C.
"""

import argparse
import asyncio
import contextlib
import signal
import sys
import tempfile
from pathlib import Path

import uvloop

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

import measure_create  # noqa: E402 - the two folders above are not packages
import measure_end_to_end  # noqa: E402
from results import Row, machine, memory_row, show  # noqa: E402
from stage import Stage  # noqa: E402

ONLY = ("create", "end-to-end")


async def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the gateway on this machine.")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measured run of creates; end to end takes four")
    parser.add_argument("--rounds", type=int, default=5, help="how often floor and creates are measured in turn")
    parser.add_argument("--only", choices=ONLY)
    parser.add_argument("--folder", type=Path, help="where databases and logs go (kept); a temporary folder without it")
    asked = parser.parse_args()
    this = asyncio.current_task()
    assert this is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, this.cancel)
    rows: list[Row] = []
    notes: list[str] = []
    with contextlib.ExitStack() as folders:
        folder = asked.folder or Path(folders.enter_context(tempfile.TemporaryDirectory(prefix="payout-bench-")))
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o711)  # as root, PostgreSQL runs under another account and passes through
        async with Stage(folder) as stage:
            if asked.only in (None, "create"):
                more, said = await measure_create.measure(stage, seconds=asked.seconds, rounds=asked.rounds)
                rows, notes = rows + more, notes + said
            if asked.only in (None, "end-to-end"):
                more, said = await measure_end_to_end.measure(stage, seconds=asked.seconds * 4, rounds=(asked.rounds + 1) // 2)
                rows, notes = rows + more, notes + said
            title = f"Payout gateway on {machine(stage.postgres_version)}"
    rows.append(memory_row(rows))
    show(rows, notes, title)


if __name__ == "__main__":
    with contextlib.suppress(asyncio.CancelledError, KeyboardInterrupt):
        uvloop.run(main())
