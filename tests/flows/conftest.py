import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from world import World


@pytest.fixture
async def world(dsn, tmp_path):
    async with World(dsn, tmp_path) as running:
        yield running


@pytest.fixture
async def shop(world):
    """A running gateway and a merchant with a connection at every provider."""
    await world.start_gateway()
    return await world.merchant()
