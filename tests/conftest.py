"""What all tests share: one real PostgreSQL per worker, a fresh migrated database per test, and a printed seed."""

import asyncio
import atexit
import itertools
import os
import random
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from unittest import mock

import asyncpg
import hypothesis.core
import psutil
import pytest

from gateway import embedded_postgres, logs
from gateway.embedded_postgres import EmbeddedPostgres
from gateway.store.database import migrate

_numbers = itertools.count(1)
MEMORY = Path("/dev/shm")
IN_MEMORY = "gateway-tests-of-"


class _CapturedOutput:
    """Log lines go where pytest captures them at that moment: a failing test shows what the gateway said."""

    def write(self, line: bytes) -> None:
        sys.stderr.write(line.decode())

    def flush(self) -> None:
        sys.stderr.flush()


def pytest_configure(config):
    # No deadline: on a busy machine it would fail tests for being slow. One seed for everything, printed and repeatable.
    hypothesis.settings.register_profile("gateway", deadline=None, database=None, print_blob=True)
    hypothesis.settings.load_profile("gateway")
    hypothesis.core.global_force_seed = _seed()
    # A shell ignores Ctrl-C for what it starts in the background, and everything that we start would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    logs.configure(os.environ.get("TEST_LOG", "warning"), stream=_CapturedOutput())


def pytest_report_header(config):
    return f"seed: {_seed()} (repeat with TEST_SEED={_seed()})"


def _seed() -> int:
    os.environ.setdefault("TEST_SEED", str(random.randrange(2**32)))
    return int(os.environ["TEST_SEED"])


@pytest.fixture
def rng() -> random.Random:
    return random.Random(_seed())


@pytest.fixture(scope="session")
def postgres(tmp_path_factory):
    server = EmbeddedPostgres(_quick_folder(tmp_path_factory))
    # Each of hundreds of databases would be looked through every minute, by a process started for it.
    with mock.patch.object(embedded_postgres, "_SETTINGS", (*embedded_postgres._SETTINGS, "autovacuum=off")):
        asyncio.run(server.start())
    asyncio.run(_run(server.dsn, "create database template_gateway"))
    migrate(server.dsn_of("template_gateway"))
    yield server
    asyncio.run(server.stop())


def _quick_folder(tmp_path_factory) -> Path:
    """In memory where there is room: hundreds of databases are made, and their files would only wait for the disk."""
    for left in MEMORY.glob(f"{IN_MEMORY}*-*"):  # by a run that was killed, gigabytes of them
        if not psutil.pid_exists(int(left.name.removeprefix(IN_MEMORY).partition("-")[0])):
            shutil.rmtree(left, ignore_errors=True)
    if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 4 * 2**30:
        folder = Path(tempfile.mkdtemp(prefix=f"{IN_MEMORY}{os.getpid()}-", dir=MEMORY))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        return folder / "pg"
    return tmp_path_factory.mktemp("pg")


async def _run(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture
def dsn(postgres, tmp_path, monkeypatch) -> str:
    """A migrated database of this test's own; gateways of it keep their files in the test's folder."""
    monkeypatch.setenv("GATEWAY_DATA_DIR", str(tmp_path / "gateway"))
    name = f"test_{next(_numbers)}"
    asyncio.run(_run(postgres.dsn, f"create database {name} template template_gateway strategy file_copy"))
    return postgres.dsn_of(name)  # never dropped: the whole server goes when the tests are over
