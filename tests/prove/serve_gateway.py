"""One gateway process of the fault world: put together by the composition root, with quick times, and nothing else changed
unless a policy of others or a planted bug is named.

Its job holds secrets, so it comes on standard input and is no argument. Never restarts itself: that is the supervisor's work.
"""

from dataclasses import dataclass
from pathlib import Path

import uvloop

from gateway import logs
from gateway.app import make_gateway
from gateway.settings import Settings
from tests.prove import parent, planted, policies, quick


@dataclass(frozen=True, slots=True)
class Job:
    """What this process is told."""

    dsn: str
    master_key: str
    port: int
    log_file: str
    policy: str
    bug: str | None
    scale: float


async def main(job: Job) -> None:
    quick.hurry(job.scale)
    policies.adopt(job.policy)
    if job.bug:
        planted.plant(job.bug)
    settings = Settings(port=job.port, data_dir=Path(job.log_file).parent, poll_s=0.05, pool_size=8)
    gateway = await make_gateway(settings, job.dsn, job.master_key, quick.contracts(job.scale))
    await gateway.start()
    parent.ready(port=gateway.port)
    await parent.until_told_to_stop()
    await gateway.stop()


if __name__ == "__main__":
    given = Job(**parent.job())
    with Path(given.log_file).open("ab") as log:
        logs.configure("warning", stream=log)
        uvloop.run(main(given))
