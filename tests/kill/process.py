"""One gateway process seen from its parent: started, killed, stopped, continued, ended. By its own process id, always."""

import asyncio
import os
import signal
import time
from pathlib import Path

import psutil

from tests.forked import CONTEXT
from tests.kill.serve import LOG, Job, serve

_LOOK_S = 0.005
_READY_WITHIN_S = 20.0
_ENDED_WITHIN_S = 12.0


class EndedError(RuntimeError):
    """The process ended before it was ready."""


class GatewayProcess:
    """A gateway in a process of its own."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.port = job.port
        self._end, theirs = CONTEXT.Pipe()
        self._process = CONTEXT.Process(target=serve, args=(job, theirs), daemon=True)
        self._process.start()
        theirs.close()

    async def ready(self) -> "GatewayProcess":
        """Wait until it serves."""
        until = time.monotonic() + _READY_WITHIN_S
        while not self._end.poll():
            if not self.is_alive or time.monotonic() > until:
                raise EndedError(f"status {self._process.exitcode}: {self._log()}")
            await asyncio.sleep(_LOOK_S)
        try:
            self.port = self._end.recv()
        except EOFError:
            raise EndedError(f"ended while starting: {self._log()}") from None
        return self

    def _log(self) -> str:
        return (Path(self.job.folder) / LOG).read_text()[-2000:]

    @property
    def is_alive(self) -> bool:
        return self._process.is_alive()

    @property
    def is_paused(self) -> bool:
        """Whether it is stopped, by a point or from here."""
        try:
            return psutil.Process(self._process.pid).status() == psutil.STATUS_STOPPED
        except psutil.NoSuchProcess:
            return False

    @property
    def status(self) -> int | None:
        """Its exit status; of a signal negative."""
        return self._process.exitcode

    def signal(self, number: signal.Signals) -> None:
        if self.is_alive:
            os.kill(self._process.pid, number)

    async def ended(self, within_s: float = _ENDED_WITHIN_S) -> float:
        """Wait for its end; returns how many seconds that took."""
        started = time.monotonic()
        while self.is_alive:
            if time.monotonic() - started > within_s:
                raise TimeoutError(f"the process did not end within {within_s:.0f} s")
            await asyncio.sleep(_LOOK_S)
        return time.monotonic() - started

    async def kill(self) -> None:
        self.signal(signal.SIGKILL)
        await self.ended()

    async def stop(self) -> None:
        """SIGTERM, also to one that is stopped, and its end; SIGKILL where that does not help."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            await self.ended()
        except TimeoutError:
            await self.kill()
        self._end.close()
        self._process.close()
