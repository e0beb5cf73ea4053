"""What the benchmark's own processes have in common: they say on one line that they are ready, and end with their parent.

A child ends on SIGTERM and when its standard input closes, so that nothing is left running however the parent ended.
"""

import asyncio
import signal
import sys

import orjson


def say(**facts: object) -> None:
    """One line of JSON for the parent."""
    sys.stdout.buffer.write(orjson.dumps(facts) + b"\n")
    sys.stdout.buffer.flush()


async def lines_from_parent() -> asyncio.StreamReader:
    """What the parent writes; at its end it is at EOF."""
    reader = asyncio.StreamReader(limit=1024 * 1024)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


async def until_told_to_stop() -> None:
    """Wait for SIGTERM or for the end of the parent."""
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    reader = await lines_from_parent()
    waits = [asyncio.create_task(told.wait()), asyncio.create_task(reader.read())]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
