"""The seed as a person gives it: by flag or by environment, said at the start, and the same faults with the same seed.

Whole runs, with payouts and webhooks, are compared in `test_repeats`; here it is about processes and how they are told.
"""

import asyncio
import os
import re
from pathlib import Path

import aiohttp

from providers.sandbox.server import SANDBOXES
from tests.forked import Forked
from tests.sandboxes.desks import DESKS

ORDERS = 24
CLI = ("gateway.cli", "sandbox")
PLAIN = ("providers.sandbox",)


async def run(data_dir: Path, module: tuple[str, ...], *flags: str, **settings: str) -> tuple[list[int], str]:
    """(the answer to each order, what the process said of its seed) of a process of its own."""
    process = Forked(
        *(*module, "--port", "0", "--data-dir", str(data_dir), *flags),
        env={name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")} | settings,
        errors_to_output=True,
    )
    said = ""
    try:
        async with asyncio.timeout(30):
            while not (listens := re.search(r"(?:^http://|listen on )127\.0\.0\.1:(\d+)", said, re.MULTILINE)):
                line = await asyncio.to_thread(process.stdout.readline)
                assert line, said
                said += line
            met = await orders(f"http://127.0.0.1:{listens[1]}")
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 10)
        process.end()
    return met, next(line for line in said.splitlines() if "same requests" in line)


async def orders(base: str) -> list[int]:
    """Creates of a stranger, who is refused where no fault comes first."""
    met = []
    async with aiohttp.ClientSession(base) as session:
        for name in SANDBOXES:
            fault = {"operation": "create_payout", "kind": "status", "params": {"status": 503}, "probability": 0.5}
            async with session.post(f"/_sandbox/{name}/faults", json=fault) as made:
                assert made.status == 200
            for _ in range(ORDERS):
                async with session.post(f"/{name}{DESKS[name].create_path}", json={}) as answer:
                    met.append(answer.status)
    return met


async def test_the_same_seed_gives_the_same_faults_and_another_one_others(tmp_path: Path) -> None:
    by_flag, by_setting, plain, other, unsaid = await asyncio.gather(
        run(tmp_path / "flag", CLI, "--seed", "7"),
        run(tmp_path / "setting", CLI, GATEWAY_SANDBOX_SEED="7"),
        run(tmp_path / "plain", PLAIN, "--seed", "7"),
        run(tmp_path / "other", CLI, "--seed", "8", GATEWAY_SANDBOX_SEED="7"),  # a flag wins
        run(tmp_path / "unsaid", CLI),
    )
    assert by_flag[0] == by_setting[0] == plain[0]
    assert len({tuple(met) for met, _ in (by_flag, other, unsaid)}) == 3
    for number, name in enumerate(SANDBOXES):
        met = by_flag[0][number * ORDERS : (number + 1) * ORDERS]
        assert 503 in met, name
        assert len(set(met)) > 1, name
    assert [
        said.lower().partition("seed ")[2].partition(":")[0] for _, said in (by_flag, by_setting, plain, other, unsaid)
    ] == [*("7", "7", "7", "8", "0")]
