"""The sandboxes of the demo, as a process of their own: started here, ended here by its id, and never outliving us.

The process gets no setting of the gateway and none of its secrets: it plays the outside world.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.running import StartError
from gateway.settings import Settings

_READY_WITHIN_S = 30.0
_STOP_WITHIN_S = 5.0
_LOG_TAIL_CHARS = 600
_FASTER = 20.0  # than in real life: the waits that the demo does not choose itself, such as those between webhook attempts


class Sandboxes:
    """The running process."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log

    async def ready(self) -> str:
        """Their address, once they answer. Raises `StartError` with the end of their log when they do not start."""
        if self._process.stdout is None:
            raise RuntimeError("the sandboxes were started without a pipe to read their address from")
        try:
            async with asyncio.timeout(_READY_WITHIN_S):
                line = await self._process.stdout.readline()
        except TimeoutError:
            line = b""
        url = line.decode().strip()
        if not url.startswith("http://"):
            tail = self._log.read_text(errors="replace")[-_LOG_TAIL_CHARS:].strip()
            raise StartError(f"The sandboxes did not start; the end of {self._log} says: {tail}")
        return url

    async def ended(self) -> None:
        """Return once the process is gone, which nobody asked for while somebody waits here."""
        await self._process.wait()

    async def stop(self) -> None:
        """End the process and wait until it is gone."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        if self._process.returncode is None:
            self._process.terminate()
        try:
            async with asyncio.timeout(_STOP_WITHIN_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


@asynccontextmanager
async def run_sandboxes(settings: Settings, log: Path) -> AsyncIterator[Sandboxes]:
    """Start the process; whoever needs its address waits for `ready`, so that other things start meanwhile."""
    command = [
        *(sys.executable, "-m", "gateway.cli", "sandbox", "--until-stdin-closes"),
        *("--host", settings.sandbox_host, "--port", str(settings.sandbox_port)),
        *("--data-dir", str(settings.data_dir), "--speed", str(settings.sandbox_speed * _FASTER)),
        *("--seed", str(settings.sandbox_seed)),
    ]
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,  # closes when we die, however we die
            stdout=asyncio.subprocess.PIPE,
            stderr=output,
            env={name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")},
            start_new_session=True,  # Ctrl-C in the terminal must reach the gateway first
        )
    sandboxes = Sandboxes(process, log)
    try:
        yield sandboxes
    finally:
        await sandboxes.stop()
