"""What a child process hears from its parent, and tells it. It ends with its parent, however that one ended."""

import asyncio
import signal
import sys
from typing import Any

import orjson


def job() -> dict[str, Any]:
    """The first line of standard input. Unbuffered: what follows belongs to the loop."""
    return orjson.loads(sys.stdin.buffer.raw.readline())


def ready(**facts: Any) -> None:
    """Tell the parent that the work can begin."""
    sys.stdout.buffer.write(orjson.dumps(facts) + b"\n")
    sys.stdout.buffer.flush()


async def until_told_to_stop() -> None:
    """SIGTERM, or the end of the parent."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, told.set)
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    waits = [asyncio.create_task(told.wait()), asyncio.create_task(reader.read())]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
