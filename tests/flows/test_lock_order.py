"""Writers of many rows at once wait for each other and never deadlock, whatever the order of what they are given.

A deadlock costs no money: PostgreSQL breaks it, and what was given up is read again when its lease is over. It costs minutes.
"""

import asyncio

import pytest
from world import BANK

from gateway.dispatcher import _lane
from gateway.recording import Said
from gateway.store.attempts import claim_due, mark_resent
from gateway.store.changes import Change, StoredReport, record_changes, record_reports
from gateway.store.lookbacks import DueLookBack, read_soon
from schemas.report import Unclear

PAYOUTS = 60
ROUNDS = 30
LATER_S = 0.0005  # each round the second writer begins a little later, so that in some of them both are half done


@pytest.fixture
async def unconfirmed(world):
    """(gateway, its attempts): many payouts of one account of which nobody knows whether they arrived."""
    gateway = await world.start_gateway(roles="api")
    merchant = await world.merchant(providers=("xendit",))
    for _ in range(PAYOUTS):
        await merchant.pay(provider="xendit", **BANK)
    lane = _lane(gateway.connections.contract("xendit"), PAYOUTS)
    while submissions := await gateway.dispatcher.claim([lane], limit=PAYOUTS):
        for attempt in (attempt for submission in submissions for attempt in submission.attempts):
            said = Said(account_id=merchant.account_id, attempt_id=attempt.id, report=Unclear("a test"), source="test")
            await gateway.apply(said)
    await gateway.pool.execute("update attempt set check_at = now()")
    attempts = await claim_due(gateway.pool, lease_s=0.0, limit=PAYOUTS)
    assert len(attempts) == PAYOUTS
    return gateway, sorted(attempts, key=lambda a: a.id)


async def _meanwhile(gateway, attempts, round_number, other):
    """Write a change of every payout, and do something else with their attempts at the same time."""

    async def later():
        await asyncio.sleep(round_number * LATER_S)
        await other

    written, _ = await asyncio.gather(record_changes(gateway.pool, _notes(attempts, round_number)), later())
    assert len(written) == PAYOUTS


def _notes(attempts, round_number):
    """Changes that move nothing, so that they can be written again and again."""
    return [
        Change(
            account_id=a.account_id, payout_id=a.payout_id, expected_seq=a.seq + round_number, phase=a.phase, status="pending",
            event_id=f"evt_{a.id}_{round_number}", event_type="payout.note", source="test", reason="a note", attempt_id=a.id,
            attempt_state=a.state, exposure=a.exposure, check_in_s=60.0,
        )
        for a in attempts
    ]  # fmt: skip


async def test_reports_that_change_nothing_and_changes(unconfirmed):
    gateway, attempts = unconfirmed
    stored = [
        StoredReport(account_id=a.account_id, attempt_id=a.id, source="test", kind="Unclear", detail={}, check_in_s=60.0)
        for a in reversed(attempts)
    ]
    for number in range(ROUNDS):
        await _meanwhile(gateway, attempts, number, record_reports(gateway.pool, stored))
    assert await gateway.pool.fetchval("select count(*) from report where not changed") >= PAYOUTS * ROUNDS


async def test_sending_again_and_changes(unconfirmed):
    gateway, attempts = unconfirmed
    backwards = attempts[::-1]
    for number in range(ROUNDS):
        again = mark_resent(gateway.pool, backwards, submission_id="su_1", lease_s=60.0, within_s=60.0)
        await _meanwhile(gateway, attempts, number, again)


async def test_reading_soon_after_a_look_back_and_changes(unconfirmed):
    gateway, attempts = unconfirmed
    where = {"account_id": attempts[0].account_id, "connection_id": attempts[0].connection_id, "provider": "xendit"}
    due = DueLookBack(**where, since=attempts[0].sent_at, now=attempts[0].sent_at)
    named, backwards = [a.id for a in attempts], attempts[::-1]
    for number in range(ROUNDS):
        await _meanwhile(gateway, backwards, number, read_soon(gateway.pool, due, named, lease_s=0.0))
