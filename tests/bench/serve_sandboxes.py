"""All provider sandboxes in a process of their own, as `providers.sandbox.server` serves them. Argument: the data folder."""

import asyncio
import sys
from pathlib import Path

import uvloop
from child import say, until_told_to_stop

from providers.sandbox.server import serve


async def main() -> None:
    serving = asyncio.create_task(serve("127.0.0.1", 0, Path(sys.argv[1]), seed=1, on_ready=lambda port: say(port=port)))
    await until_told_to_stop()
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


if __name__ == "__main__":
    uvloop.run(main())
