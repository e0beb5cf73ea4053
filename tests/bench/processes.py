"""Starting the benchmark's processes, talking to them, measuring what they use, and ending them by their own process id."""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

import orjson
import psutil

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
_START_WITHIN_S = 20.0
_END_WITHIN_S = 15.0


class ChildError(RuntimeError):
    """A process of the benchmark did not do its part; its own output says why."""


class Child:
    """One process: `async with Child("serve_floor.py") as floor`; `facts` is what it said when it was ready."""

    def __init__(self, script: str, *arguments: str, first: dict[str, Any] | None = None) -> None:
        """`first` is told at once, for what should not show in a list of processes."""
        self._first = first
        self._command = [sys.executable, str(HERE / script), *arguments]
        self._process: asyncio.subprocess.Process | None = None
        self.facts: dict[str, Any] = {}

    async def __aenter__(self) -> Self:
        # A session of its own: Ctrl-C reaches only the parent, which ends its children in the right order.
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            start_new_session=True,
            limit=1024 * 1024,
        )
        if self._first is not None:
            self.tell(**self._first)
        try:
            self.facts = await self.hear(_START_WITHIN_S)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _END_WITHIN_S)
        except TimeoutError:
            process.kill()
            await process.wait()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def tell(self, **job: Any) -> None:
        """One line of JSON for the child."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(orjson.dumps(job) + b"\n")

    async def hear(self, within_s: float) -> dict[str, Any]:
        """The next line of JSON that the child says."""
        assert self._process is not None
        assert self._process.stdout is not None
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), within_s)
        except TimeoutError as error:
            raise ChildError(f"{self._command[1]} said nothing for {within_s:.0f} s") from error
        if not line:
            raise ChildError(f"{self._command[1]} ended early")
        return orjson.loads(line)


class Usage:
    """The CPU that processes use between two moments, in cores."""

    def __init__(self, **groups: int) -> None:
        """`groups`: a name, and the process id whose CPU counts under it, its children's too."""
        self._groups = groups
        self._before: dict[str, float] = {}
        self._busy_before = 0.0
        self._started = 0.0
        self.cores: dict[str, float] = {}
        self.others_cores = 0.0  # what is left: processes that are not ours

    def start(self) -> None:
        """The first moment."""
        self._before = {name: _cpu_s(pid) for name, pid in self._groups.items()}
        self._busy_before = _busy_s()
        self._started = time.perf_counter()

    def stop(self) -> None:
        """The second moment."""
        wall_s = time.perf_counter() - self._started
        self.cores = {name: (_cpu_s(pid) - self._before[name]) / wall_s for name, pid in self._groups.items()}
        self.others_cores = max(0.0, (_busy_s() - self._busy_before) / wall_s - sum(self.cores.values()))


def memory_mb(pid: int) -> float:
    """Resident memory."""
    return float(psutil.Process(pid).memory_info().rss) / 1e6


def _cpu_s(pid: int) -> float:
    process = psutil.Process(pid)
    total = 0.0
    for each in (process, *process.children(recursive=True)):
        try:
            times = each.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


def _busy_s() -> float:
    # Time of guests is in user time already.
    idle = ("idle", "iowait", "guest", "guest_nice")
    return sum(value for name, value in psutil.cpu_times()._asdict().items() if name not in idle)
