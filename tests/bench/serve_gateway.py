"""A gateway process as it is deployed: under uvloop, one JSON log line per request to a file, all of its checks on.

The first line of its standard input is JSON: dsn, master_key, roles, log_file. Secrets are in it, so it is no argument.
"""

import sys
from pathlib import Path
from typing import Any

import orjson
import uvloop
from child import say, until_told_to_stop

from gateway import logs
from gateway.app import make_gateway
from gateway.log_lines import HeldLines
from gateway.settings import Settings
from providers.registry import PROVIDERS


async def main(asked: dict[str, Any]) -> None:
    settings = Settings(port=0, roles=asked["roles"], data_dir=Path(asked["log_file"]).with_suffix(""))
    gateway = await make_gateway(settings, asked["dsn"], asked["master_key"], PROVIDERS)
    await gateway.start()
    say(port=gateway.port)
    await until_told_to_stop()
    await gateway.stop()


if __name__ == "__main__":
    given = orjson.loads(sys.stdin.buffer.raw.readline())  # unbuffered: what follows is read by the loop
    with Path(given["log_file"]).open("ab") as log:
        held = HeldLines(log)  # as on standard output, which is taken here
        logs.configure("info", stream=held)
        uvloop.run(main(given))
        held.let_go()
