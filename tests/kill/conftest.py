"""A stage for each test: on the PostgreSQL that all tests share, or on one of its own that may be crashed."""

import pytest

from tests.kill.stage import Stage
from tests.prove.database import Database


@pytest.fixture
async def stage(dsn, tmp_path):
    async with Stage(dsn, tmp_path) as ready:
        yield ready


@pytest.fixture
async def own_stage(tmp_path):
    """(stage, its PostgreSQL)."""
    async with Database(tmp_path / "pg") as server, Stage(server.dsn, tmp_path) as ready:
        yield ready, server
