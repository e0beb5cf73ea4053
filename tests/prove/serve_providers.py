"""The providers' process: one sandbox for each desk (see `desks`), each on its own port with its own money file.

Started again on the same folder and the same ports it goes on where it was killed, as a provider does.
"""

import asyncio
from pathlib import Path

import uvloop

from providers.sandbox.server import serve
from tests.prove import parent
from tests.prove.desks import DESKS, SPEED


async def main(folder: str, seed: int, scale: float, ports: dict[str, int]) -> None:
    """`ports`: by desk; 0 = any."""
    bound: dict[str, int] = {}
    listening = asyncio.Event()

    def on_ready(desk: str, port: int) -> None:
        bound[desk] = port
        if len(bound) == len(DESKS):
            listening.set()

    serving = [
        asyncio.create_task(
            serve(
                "127.0.0.1",
                ports[desk.name],
                Path(folder) / desk.name,
                speed=SPEED / scale,
                seed=seed + number,
                providers=[desk.provider],
                on_ready=lambda port, name=desk.name: on_ready(name, port),
            )
        )
        for number, desk in enumerate(DESKS)
    ]
    waiting = asyncio.create_task(listening.wait())
    await asyncio.wait([*serving, waiting], return_when=asyncio.FIRST_COMPLETED)
    for task in serving:
        if task.done():
            task.result()
    await waiting
    parent.ready(ports=bound)
    await parent.until_told_to_stop()
    for task in serving:
        task.cancel()
    await asyncio.gather(*serving, return_exceptions=True)


if __name__ == "__main__":
    uvloop.run(main(**parent.job()))
