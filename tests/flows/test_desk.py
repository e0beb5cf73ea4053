"""The desk over real sockets: an answer that was lost for good, and every way in which people can end that.

The sandbox's own ledger of money really sent is what they look at, and the judge.
"""

import asyncio
from dataclasses import replace

import pytest
from test_books import check_invariants
from test_stuck import NO_FUNDS_ACCOUNT, alarming
from test_unclear import spoil
from world import BANK, QUICK, newest_attempt

from gateway.recording import Said
from schemas.report import Progress, Taken

AMOUNT = 5_000_00
# Plexy knows no key of ours: what became of a lost answer is never asked again, and only people can find out.
PLEXY = QUICK["plexy"]
# Patient with its answers: on a busy machine a second one would get lost by itself.
ASKS_SOON = QUICK | {"plexy": replace(PLEXY, contract=replace(PLEXY.contract, review_after_s=0.3, submit_timeout_s=5.0))}


@pytest.fixture
async def merchant(world):
    await world.start_gateway(ASKS_SOON)
    return await world.merchant(providers=("plexy",))


async def lose(world, merchant, when):
    """A payout on the desk, whose answer was lost before or after Plexy had sent the money."""
    card = await merchant.save_card()
    await spoil(world, "plexy", "create_payout", "drop", when, {})
    made = await merchant.pay(amount=AMOUNT, currency="KZT", destination={"type": "card", "cardId": card})
    return await merchant.until(made["id"], "needs_review")


async def let_time_pass(world):
    """Past the lease of the last send: until then it may still be on its way."""
    await world.gateways[0].pool.execute("update attempt set last_sent_at = last_sent_at - interval '1 hour'")


async def say(merchant, payout, outcome, who, reason="their list says so"):
    body = {"outcome": outcome, "evidence": "Plexy's dashboard, export of today", "reason": reason}
    return await merchant.call("POST", f"/api/v1/payouts/{payout['id']}/resolve", body, headers=await merchant.person(who))


async def decide(world, merchant, payout, outcome):
    """Both people say it; the payout as the second one sees it."""
    await let_time_pass(world)
    status, answer = await say(merchant, payout, outcome, "Ana")
    assert (status, answer["data"]["phase"]) == (202, "needs_review"), answer
    status, answer = await say(merchant, payout, outcome, "Budi")
    assert status == 200, answer
    return answer["data"]


async def check_history(world, merchant, payout):
    """The chain holds link by link up to the head, and every closed exposure has its evidence."""
    pool = world.gateways[0].pool
    # In one statement: a tracking number may still come in and add a step.
    events = await pool.fetch(
        """select (select head from payout p where p.id = $2) as head, hash,
                  event_hash(coalesce(lag(hash) over (order by seq), ''), account_id, payout_id, seq, id, type, phase,
                  status, attempt_id, source, reason, words, evidence, report_digest, created_at) as again
             from event where account_id = $1 and payout_id = $2 order by seq""",
        merchant.account_id, payout["id"],
    )  # fmt: skip
    assert [row["hash"] for row in events] == [row["again"] for row in events]
    assert events[-1]["head"] == events[-1]["hash"]
    await check_invariants(pool)


async def test_paid(world, merchant):
    start = (await merchant.balance("KZT"))["available"]
    payout = await lose(world, merchant, "after")
    assert len(await world.sent("plexy")) == 1
    paid = await decide(world, merchant, payout, "paid")
    assert (paid["phase"], paid["reviewReason"], paid["resolution"]) == ("paid", None, None)
    assert paid["finalAt"] is not None
    balance = await merchant.balance("KZT")
    assert (balance["available"], balance["locked"]) == (start - AMOUNT, 0)
    assert len(await world.sent("plexy")) == 1
    await check_history(world, merchant, payout)


async def test_failed(world, merchant):
    start = (await merchant.balance("KZT"))["available"]
    payout = await lose(world, merchant, "before")
    failed = await decide(world, merchant, payout, "failed")
    assert (failed["phase"], failed["failureCode"]) == ("failed", "marked_failed_by_operator")
    assert failed["failureReason"] == "their list says so"
    balance = await merchant.balance("KZT")
    assert (balance["available"], balance["locked"]) == (start, 0)
    await asyncio.sleep(0.3)
    assert await world.sent("plexy") == []
    await check_history(world, merchant, payout)


async def test_returned(world, merchant):
    start = (await merchant.balance("KZT"))["available"]
    payout = await lose(world, merchant, "after")
    returned = await decide(world, merchant, payout, "returned")
    assert (returned["phase"], returned["failureCode"]) == ("returned", "returned")
    balance = await merchant.balance("KZT")
    assert (balance["available"], balance["locked"]) == (start, 0)
    assert len(await world.sent("plexy")) == 1
    await check_history(world, merchant, payout)


async def test_not_sent_goes_out_again_and_is_paid_exactly_once(world, merchant):
    start = (await merchant.balance("KZT"))["available"]
    payout = await lose(world, merchant, "before")
    again = await decide(world, merchant, payout, "not_sent")
    assert again["phase"] in {"queued", "processing", "paid"}
    await merchant.until(payout["id"], "paid")
    assert len(await world.sent("plexy")) == 1
    counted = (await world.control("GET", "plexy", "requests"))["operations"]
    assert counted["create_payout"] == 2
    balance = await merchant.balance("KZT")
    assert (balance["available"], balance["locked"]) == (start - AMOUNT, 0)
    steps = await merchant.timeline(payout["id"])
    assert len({step["attemptId"] for step in steps if step["type"] == "payout.sending"}) == 2
    await check_history(world, merchant, payout)


async def test_not_sent_goes_on_through_the_next_connection(world):
    gateway = await world.start_gateway(alarming("pivot"))
    merchant = await world.merchant(providers=("pivot", "xendit"))
    await gateway.pool.execute("update connection set priority = 1 where provider = 'pivot'")
    made = await merchant.pay(**BANK | {"bankAccountNumber": NO_FUNDS_ACCOUNT})
    payout = await merchant.until(made["id"], "needs_review")
    assert payout["provider"] == "pivot"
    moved = await decide(world, merchant, payout, "not_sent")
    assert moved["provider"] == "xendit"
    await merchant.until(made["id"], "paid")
    assert (len(await world.sent("pivot")), len(await world.sent("xendit"))) == (0, 1)
    [step] = [step for step in await merchant.timeline(made["id"]) if step["type"] == "payout.failed_over"]
    for word in ("Ana", "Budi", "Xendit", "safe since nothing left"):
        assert word in step["reason"]
    await check_history(world, merchant, payout)


async def test_the_timeline_shows_both_people(world, merchant):
    payout = await lose(world, merchant, "before")
    await decide(world, merchant, payout, "not_sent")
    await merchant.until(payout["id"], "paid")
    steps = await merchant.timeline(payout["id"])
    kinds = [step["type"] for step in steps]
    at = kinds.index("payout.resolution_proposed")
    assert kinds[at - 1 : at + 3] == ["payout.needs_review", "payout.resolution_proposed", "payout.requeued", "payout.sending"]
    first, second = steps[at], steps[at + 1]
    assert first["phase"] == "needs_review"
    for word in ("Ana", "not_sent", "their list says so"):
        assert word in first["reason"]
    for word in ("Ana", "Budi", "never had it", "their list says so"):
        assert word in second["reason"]
    for step in (first, second):
        assert step["evidence"] == "Plexy's dashboard, export of today"
        assert step["source"].startswith("key:")
    assert first["source"] != second["source"]
    assert second["evidenceHash"] is not None


async def test_what_may_still_be_on_its_way_is_not_resolved(world, merchant):
    payout = await lose(world, merchant, "after")
    for outcome in ("paid", "failed", "returned", "not_sent"):
        status, answer = await say(merchant, payout, outcome, "Ana")
        assert (status, answer["error"]["code"]) == (409, "state_conflict")
        assert "on its way" in answer["error"]["message"]
    assert (await merchant.balance("KZT"))["locked"] == AMOUNT


async def test_a_fact_between_the_two_people_wins(world, merchant):
    """The provider speaks after the proposal: what the second person would confirm is not so any more."""
    payout = await lose(world, merchant, "after")
    await let_time_pass(world)
    assert (await say(merchant, payout, "not_sent", "Ana"))[0] == 202
    gateway = world.gateways[0]
    attempt = await newest_attempt(gateway.pool, payout)
    paid = Taken(Progress.PAID)
    await gateway.apply(Said(account_id=merchant.account_id, attempt_id=attempt.id, report=paid, source="poll"))
    status, answer = await say(merchant, payout, "not_sent", "Budi")
    assert (status, answer["error"]["code"]) == (409, "state_conflict")
    assert "paid" in answer["error"]["message"]
    assert (await merchant.payout(payout["id"]))["resolution"] is None
    assert await gateway.pool.fetchval("select state from decision") == "void"
    await asyncio.sleep(0.3)
    assert len(await world.sent("plexy")) == 1
    await check_history(world, merchant, payout)


async def test_what_people_closed_and_then_paid_is_seen(world, merchant):
    """People can be wrong: the attempt they called failed is still known, and its money is not lost from the books."""
    payout = await lose(world, merchant, "after")
    await decide(world, merchant, payout, "failed")
    gateway = world.gateways[0]
    attempt = await newest_attempt(gateway.pool, payout)
    await gateway.apply(
        Said(account_id=merchant.account_id, attempt_id=attempt.id, report=Taken(Progress.PAID), source="statement")
    )
    late = await merchant.payout(payout["id"])
    assert (late["phase"], bool(late["reviewReason"])) == ("failed", True)
    assert await gateway.pool.fetchval("select amount_minor from incident where closed_at is null") == AMOUNT
    assert await gateway.pool.fetchval("select receivable from balance where currency = 'KZT'") == AMOUNT
