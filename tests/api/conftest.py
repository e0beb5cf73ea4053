"""One running world for each test module, a merchant of its own for each test.

A world of its own for each test would cost more than the test.
"""

import contextlib
import itertools
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from tests.flows.world import World

_numbers = itertools.count(1)


def pytest_collection_modifyitems(items):
    """A world lives in one event loop, so all async tests of a module share theirs."""
    for item in items:
        if Path(__file__).parent in item.path.parents and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="module"), append=False)


@contextlib.asynccontextmanager
async def new_world(postgres, folder):
    """A world over a migrated database of its own, without a gateway yet. The database goes when its server goes."""
    name = f"api_{next(_numbers)}"
    admin = await asyncpg.connect(postgres.dsn)
    try:
        await admin.execute(f"create database {name} template template_gateway strategy file_copy")
    finally:
        await admin.close()
    async with World(postgres.dsn_of(name), folder) as world:
        yield world


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(postgres, tmp_path_factory):
    """The module's world, with one gateway."""
    async with new_world(postgres, tmp_path_factory.mktemp("world")) as running:
        await running.start_gateway()
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def own_world(postgres, tmp_path):
    """A world that a test may break, without a gateway yet."""
    async with new_world(postgres, tmp_path) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def shop(world):
    """A merchant with a connection at every provider."""
    return await world.merchant()
