"""What a gateway process of these tests does: the gateway as `payout-gateway serve` runs it, with quick times.

Runs in the child, which a fork server makes: all modules are loaded once, and a start takes a tenth of a second. A child ends
with its parent, however that one ended; one that is stopped, as soon as it goes on.
"""

import asyncio
import os
import signal
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import uvloop

from gateway import logs, running
from gateway.settings import Settings
from tests.kill import quick
from tests.prove import planted

LOG = "gateway.log"


@dataclass(frozen=True, slots=True)
class Job:
    """What a process is told."""

    dsn: str
    master_key: str
    port: int
    folder: str  # its high-water mark, beside those of the others, and its log
    points: str = ""
    roles: str = "api,loops"
    bug: str | None = None
    answer_within_s: float = quick.ANSWER_WITHIN_S


def serve(job: Job, parent: Connection) -> None:
    """Run until SIGTERM, or until the parent is gone."""
    quick.hurry(job.answer_within_s)
    if job.bug:
        planted.plant(job.bug)
    with (Path(job.folder) / LOG).open("ab") as log:
        logs.configure("warning", stream=log)
        uvloop.run(running.until_signal(_serve(job, parent)))


async def _serve(job: Job, parent: Connection) -> int:
    # The parent says nothing: there is something to read only when its end closes.
    asyncio.get_running_loop().add_reader(parent.fileno(), os.kill, os.getpid(), signal.SIGTERM)
    settings = Settings(
        port=job.port, data_dir=Path(job.folder), poll_s=0.03, pool_size=4, roles=job.roles, points=job.points, demo=True
    )
    running.PROVIDERS = quick.contracts(job.answer_within_s)
    async with running.gateway(settings, job.dsn, job.master_key) as gateway:
        parent.send(gateway.port)
        await asyncio.Event().wait()
    return 0
