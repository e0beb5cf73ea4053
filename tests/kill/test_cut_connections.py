"""F8 and F9: the connection to PostgreSQL is cut after a commit took effect and before its answer, or before the commit."""

import asyncio

import pytest

from tests.kill.judge import judge
from tests.kill.postgres_proxy import Cut, PostgresProxy

# What is cut: a text of the statement whose commit it is.
STATEMENTS = {
    "creates": "create_payouts(",
    "claims": "COMMIT",
    "applied reports": "from record_changes(",
    "reports that change nothing": "select record_reports(",
    "repetitions": "set sends = a.sends + 1",
    "notices": "insert into notice",
    "read notices": "update notice n set state",
}
_AT_ONCE = 3  # of each


@pytest.mark.parametrize("after", [True, False], ids=["F8 after the commit", "F9 before the commit"])
async def test_connections_cut_around_commits(stage, after):
    async with PostgresProxy(*stage.socket) as proxy:
        await stage.start(dsn=stage.dsn_through(proxy.port))
        proxy.cuts = [Cut(text, after=after, times=_AT_ONCE) for text in STATEMENTS.values()]
        for _ in range(4):
            await stage.load()
            await asyncio.sleep(0.3)
        await stage.settled()
        await judge(stage)
        missed = {name for (name, _), cut in zip(STATEMENTS.items(), proxy.cuts, strict=True) if not cut.done}
        assert not missed, f"never cut: {missed}"
        assert stage.client.met["503"] > 0, "whoever asked meanwhile was told to repeat it"
