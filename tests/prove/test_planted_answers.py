"""Planted bugs of what an answer means, seen at a sandbox that really gives such answers: B3, B4, B6, B7."""

import asyncio
from functools import partial

import asyncpg
import pytest

from gateway import app
from providers.transport import Timeouts, Transport
from tests.flows.world import BANK, World
from tests.prove import checker, money, planted
from tests.prove.checker import Wrong

_QUICK = Timeouts(connect_s=0.3, answer_s=0.3, total_s=0.3)
_MONEY_MOVES_WITHIN_S = 0.2

# What goes wrong with one create, and what the checker must say when the bug is there.
ANSWERS = {
    "B3": ({"kind": "hang", "when": "after", "params": {"ms": 600}}, Wrong.FAILED_BUT_PAID),
    "B4": ({"kind": "status", "when": "after", "params": {"status": 500}}, Wrong.FAILED_BUT_PAID),
    "B6": ({"kind": "wrong_content_type", "when": "before"}, Wrong.PAID_BUT_NOT),
    "B7": ({"kind": "rate_limited", "params": {"s": 1}}, Wrong.FAILED_FOR_PACE),
}


@pytest.mark.parametrize(
    ("bug", "is_there"),
    [pytest.param(bug, there, id=f"{bug} {'red' if there else 'green'}") for bug in ANSWERS for there in (False, True)],
)
async def test_a_bug_is_seen(bug, is_there, dsn, tmp_path, monkeypatch):
    fault, shows = ANSWERS[bug]
    monkeypatch.setattr(app, "Transport", partial(Transport, send_timeouts=_QUICK))
    if is_there:
        planted.BUGS[bug].plant(monkeypatch)
    async with World(dsn, tmp_path) as world:
        await world.start_gateway()
        merchant = await world.merchant(providers=("xendit",))
        await world.control("POST", "xendit", "faults", {"operation": "create_payout", "times": 1, **fault})
        # A webhook would tell the truth before the bug has had its say.
        await world.control("POST", "xendit", "faults", {"operation": "webhook", "kind": "never"})
        made = await merchant.pay(**BANK)
        await merchant.until(made["id"], "paid", "failed", "needs_review")
        await asyncio.sleep(_MONEY_MOVES_WITHIN_S)
        connection = await asyncpg.connect(dsn)
        movements = list(money.of_sandbox("xendit", tmp_path / "xendit.money.jsonl"))
        findings = await checker.check(connection, await checker.facts(connection, movements))
        await connection.close()
    if is_there:
        assert shows in {finding.wrong for finding in findings}, findings
    else:
        assert not findings
        assert len(movements) == 1
