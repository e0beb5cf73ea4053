"""One child process and what may happen to it: started, killed, stopped, continued, ended. By its own process id, always.

It knows nothing of what the child does. A child hears its job on standard input and says on its output that it is ready.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson

import gateway

_ROOT = Path(gateway.__file__).resolve().parents[1]  # children run the very code that this process would
_READY_WITHIN_S = 30.0
_END_WITHIN_S = 20.0


class EndedError(RuntimeError):
    """The child ended before it was ready."""


class Child:
    """A Python module as a process of its own."""

    def __init__(self, module: str, errors: Path) -> None:
        """`errors`: the file that its standard error goes to."""
        self._module = module
        self._errors = errors
        self._process: asyncio.subprocess.Process | None = None
        self._is_stopped = False

    async def start(self, **job: Any) -> dict[str, Any]:
        """Start it with this job; returns what it said when it was ready."""
        with self._errors.open("ab") as errors:
            process = self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", self._module,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, cwd=_ROOT,
                env={**os.environ, "PYTHONPATH": str(_ROOT)},
                start_new_session=True,  # Ctrl-C reaches only the parent, which ends its children in the right order
            )  # fmt: skip
        self._is_stopped = False
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(orjson.dumps(job) + b"\n")
        try:
            line = await asyncio.wait_for(process.stdout.readline(), _READY_WITHIN_S)
        except BaseException:
            await self.kill()
            raise
        if not line:
            await process.wait()
            raise EndedError(f"{self._module} ended with status {process.returncode} before it was ready")
        return orjson.loads(line)

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self.is_running else None

    async def wait(self) -> None:
        """Until it has ended, however."""
        if self._process:
            await self._process.wait()

    def stop(self) -> None:
        """SIGSTOP: it keeps everything, and does nothing."""
        self._signal(signal.SIGSTOP)
        self._is_stopped = True

    def cont(self) -> None:
        """SIGCONT: it goes on as if no time had passed."""
        if self._is_stopped:
            self._signal(signal.SIGCONT)
            self._is_stopped = False

    async def kill(self) -> None:
        """SIGKILL: nothing of it runs any more when this returns."""
        self._signal(signal.SIGKILL)
        await self.wait()

    async def end(self) -> None:
        """SIGTERM, and SIGKILL when that does not help."""
        self.cont()
        self._signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.wait(), _END_WITHIN_S)
        except TimeoutError:
            await self.kill()

    def _signal(self, number: signal.Signals) -> None:
        if self._process and self.is_running:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)
