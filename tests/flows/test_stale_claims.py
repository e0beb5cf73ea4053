"""A process that stood still between two steps of reading an attempt back: what it knew is too old to act on (I15)."""

import asyncio
from dataclasses import replace

import pytest
from world import BANK, QUICK

from gateway.dispatcher import _lane
from gateway.recording import Said
from gateway.store.attempts import claim_due, mark_resent
from schemas.report import NotFound, Unclear

# A provider whose key protects nothing, but whose reads are authoritative half a second after the send.
FORGETFUL = {**QUICK, "xendit": replace(QUICK["xendit"], contract=replace(QUICK["xendit"].contract, replay_window_s=0.0))}


@pytest.fixture
async def unconfirmed(world):
    """(gateway, attempt id) of a payout of which nobody knows whether it arrived; no loop touches it."""
    gateway = await world.start_gateway(roles="api", providers=FORGETFUL)
    merchant = await world.merchant(providers=("xendit",))
    await merchant.pay(provider="xendit", **BANK)
    [submission] = await gateway.dispatcher.claim([_lane(gateway.connections.contract("xendit"), 10)], limit=10)
    [attempt] = submission.attempts
    await gateway.apply(_said(merchant, attempt.id, Unclear("a test")))
    return gateway, merchant, attempt.id


def _said(merchant, attempt_id, report, quiet_s=None):
    return Said(account_id=merchant.account_id, attempt_id=attempt_id, report=report, source="test", quiet_s=quiet_s)


async def test_only_the_newest_claim_may_repeat_a_send(unconfirmed):
    gateway, _, attempt_id = unconfirmed
    claims = []
    for _ in range(2):
        await gateway.pool.execute("update attempt set check_at = now()")
        claims.append(await claim_due(gateway.pool, lease_s=0.0, limit=10))
    resending = {"submission_id": "su_1", "lease_s": 1.0}
    assert await mark_resent(gateway.pool, claims[0], **resending, within_s=60.0) == set(), "somebody else has it now"
    assert await mark_resent(gateway.pool, claims[1], **resending, within_s=0.0) == set(), "its key may be forgotten by now"
    assert await gateway.pool.fetchval("select sends from attempt") == 1
    assert await mark_resent(gateway.pool, claims[1], **resending, within_s=60.0) == {attempt_id}
    assert await gateway.pool.fetchval("select sends from attempt") == 2


async def test_not_found_that_was_read_too_early_stays_too_early(unconfirmed):
    """Asked 0.1 s after the send, told after the visibility time: the effect may have come in between."""
    gateway, merchant, attempt_id = unconfirmed
    await asyncio.sleep(0.6)
    assert await gateway.apply(_said(merchant, attempt_id, NotFound("not there"), quiet_s=0.1)) is None
    assert await gateway.pool.fetchval("select state from attempt") == "unconfirmed"
    decision = await gateway.apply(_said(merchant, attempt_id, NotFound("not there"), quiet_s=0.6))
    assert decision is not None
    assert await gateway.pool.fetchval("select state from attempt") == "not_sent"
