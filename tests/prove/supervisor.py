"""The service manager of the fault world: starts what died, after a moment, on the same port, until it is told to stop.

Does no harm itself. A process that cannot start (its database is down) is tried again.
"""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.prove.processes import Child, EndedError

_RESTART_AFTER_S = 0.2


class Service:
    """One process that is to run always."""

    def __init__(self, name: str, module: str, folder: Path, job: Callable[[], dict[str, Any]]) -> None:
        """`job` is asked before every start."""
        self.name = name
        self.child = Child(module, folder / f"{name}.stderr")
        self._job = job
        self._keeping: asyncio.Task[None] | None = None
        self._up = asyncio.Event()
        self.starts = 0
        self.facts: dict[str, Any] = {}

    async def start(self) -> dict[str, Any]:
        """Start it, and keep it running from then on; returns what it said when it was first ready."""
        self.facts = await self.child.start(**self._job())
        self.starts += 1
        self._up.set()
        self._keeping = asyncio.create_task(self._keep())
        return self.facts

    async def up(self) -> None:
        """Until it is ready."""
        await self._up.wait()

    @property
    def is_up(self) -> bool:
        return self._up.is_set() and self.child.is_running

    async def end(self) -> None:
        """Stop keeping it, and end it in good order."""
        if self._keeping:
            self._keeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeping
        await self.child.end()

    async def _keep(self) -> None:
        while True:
            await self.child.wait()
            self._up.clear()
            await asyncio.sleep(_RESTART_AFTER_S)
            with contextlib.suppress(EndedError, TimeoutError):
                self.facts = await self.child.start(**self._job())
                self.starts += 1
                self._up.set()
