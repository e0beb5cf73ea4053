"""Planted bug B19: a commit that does not wait for the disk is seen when PostgreSQL crashes in the next moment."""

import shutil

import pytest

from tests.prove import planted
from tests.prove.checker import Wrong
from tests.prove.database import Database
from tests.prove.scene import Scene
from tests.prove.verdict import fresh_folder

_MANY = 10


@pytest.fixture
def folder():
    made = fresh_folder(in_memory=True)
    yield made
    shutil.rmtree(made)


@pytest.mark.parametrize("is_there", [pytest.param(False, id="B19 green"), pytest.param(True, id="B19 red")])
async def test_a_bug_is_seen(is_there, folder, monkeypatch):
    """F10: what was answered with 201 is there after a crash."""
    if is_there:
        planted.BUGS["B19"].plant(monkeypatch)
    async with Database(folder / "pg") as database, Scene(database.dsn, folder) as scene:
        for _ in range(_MANY):  # PostgreSQL writes every 200 ms all the same: the last ones it has surely not written
            assert await scene.pay()
        await database.crash(0.0)
        await scene.leave()
        await scene.come_back()
        await scene.settle()
        found = {finding.wrong for finding in await scene.findings()}
    assert found == ({Wrong.LOST} if is_there else set())
