"""The run's own PostgreSQL: started, crashed in the middle of its work, started again, and looked into.

The gateways never hear of it from here; they find their connections broken, as in production.
"""

import asyncio
import os
import signal
from pathlib import Path
from typing import Self

import asyncpg

from gateway.embedded_postgres import EmbeddedPostgres
from gateway.store.database import migrate

_GATEWAYS = "payout-gateway"  # their application_name


class MovedError(Exception):
    """PostgreSQL came back at another address: its folder's path is too long for a socket, so it got a temporary one."""


class Database:
    """One PostgreSQL with one migrated database."""

    def __init__(self, folder: Path) -> None:
        self._server = EmbeddedPostgres(folder)
        self.dsn = ""

    async def __aenter__(self) -> Self:
        await self._server.start()
        self.dsn = self._server.dsn
        await asyncio.to_thread(migrate, self.dsn)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop()

    async def crash(self, down_s: float) -> None:
        """End it at once, as a power switch would for the process; start it again after so long, with recovery."""
        pid = self._server.pid
        assert pid is not None
        os.kill(pid, signal.SIGQUIT)
        while self._server.pid is not None:
            await asyncio.sleep(0.01)
        await asyncio.sleep(down_s)
        await self._server.stop()
        await self._server.start()
        if self._server.dsn != self.dsn:
            raise MovedError("the gateways cannot follow; give the run a shorter folder")

    async def cut(self, many: int) -> None:
        """End some of the gateways' sessions, wherever they are in their work."""
        connection = await self.connect()
        try:
            await connection.execute(
                """select pg_terminate_backend(pid) from (select pid from pg_stat_activity
                    where application_name = $1 order by random() limit $2) some""",
                _GATEWAYS, many,
            )  # fmt: skip
        finally:
            await connection.close()

    async def connect(self) -> asyncpg.Connection:
        """A session of the harness's own."""
        return await asyncpg.connect(self.dsn, server_settings={"application_name": "prove"}, timeout=10)
