"""What all tests share: one real PostgreSQL per worker, a fresh migrated database per test, and a printed seed."""

import asyncio
import itertools
import os
import random
import sys

import asyncpg
import pytest

from gateway import logs
from gateway.embedded_postgres import EmbeddedPostgres
from gateway.store.database import migrate

_numbers = itertools.count(1)


class _CapturedOutput:
    """Log lines go where pytest captures them at that moment: a failing test shows what the gateway said."""

    def write(self, line: bytes) -> None:
        sys.stderr.write(line.decode())

    def flush(self) -> None:
        sys.stderr.flush()


def pytest_configure(config):
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
    server = EmbeddedPostgres(tmp_path_factory.mktemp("pg"))
    asyncio.run(server.start())
    asyncio.run(_run(server.dsn, "create database template_gateway"))
    migrate(server.dsn_of("template_gateway"))
    yield server
    asyncio.run(server.stop())


async def _run(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture
def dsn(postgres) -> str:
    """A migrated database of this test's own."""
    name = f"test_{next(_numbers)}"
    asyncio.run(_run(postgres.dsn, f"create database {name} template template_gateway strategy file_copy"))
    yield postgres.dsn_of(name)
    asyncio.run(_run(postgres.dsn, f"drop database {name} with (force)"))
