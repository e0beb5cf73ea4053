"""`python -m providers.sandbox`: the sandboxes as a process of their own, until Ctrl-C. Nothing else."""

import argparse
import asyncio
import contextlib
import logging
from pathlib import Path

from providers.sandbox.server import serve

log = logging.getLogger(__name__)


def main() -> None:
    parser = argparse.ArgumentParser(description="Run the provider sandboxes.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8090)
    parser.add_argument("--data-dir", type=Path, default=Path("data/sandbox"))
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    log.info("seed %d: the same seed and the same requests meet the same faults", options.seed)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(options.host, options.port, options.data_dir, speed=options.speed, seed=options.seed))


if __name__ == "__main__":
    main()
