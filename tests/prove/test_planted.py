"""Each planted bug is seen, and without it the same scene is clean: a harness that has never seen red proves nothing."""

import asyncio
from urllib.parse import urlsplit

import asyncpg
import pytest

from tests.prove import planted
from tests.prove.scenarios import SCENARIOS
from tests.prove.scene import Scene


def _with_and_without(bugs):
    return [pytest.param(bug, there, id=f"{bug} {'red' if there else 'green'}") for bug in bugs for there in (False, True)]


@pytest.mark.parametrize(("bug", "is_there"), _with_and_without(SCENARIOS))
async def test_a_bug_is_seen(bug, is_there, postgres, dsn, tmp_path, monkeypatch):
    scenario = SCENARIOS[bug]
    if is_there:
        await _plant(bug, dsn, monkeypatch)

    async def copy():
        name = f"{_name_of(dsn)}_copy"
        await _run(postgres.dsn, f"create database {name} template {_name_of(dsn)}")
        return postgres.dsn_of(name)

    async with asyncio.timeout(20), Scene(dsn, tmp_path, scenario.through, **scenario.contract) as scene:
        await scenario.play(scene, copy)
        findings = await scene.findings()
    if is_there:
        assert scenario.shows in {finding.wrong for finding in findings}, findings
    else:
        assert not findings


async def _plant(bug, dsn, monkeypatch):
    planted.BUGS[bug].plant(monkeypatch)
    connection = await asyncpg.connect(dsn)
    await planted.change(bug, connection)
    await connection.close()


async def _run(dsn, statement):
    connection = await asyncpg.connect(dsn)
    await connection.execute(statement)
    await connection.close()


def _name_of(dsn):
    return urlsplit(dsn).path.removeprefix("/")
