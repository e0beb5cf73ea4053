"""The books: reserve, settle, release, return; never below zero; and the database refuses what does not balance."""

import asyncio

import asyncpg
import pytest
from world import BANK

from gateway.store.invariants import check_rule, rules

INVARIANTS = {rule.name: rule.query for rule in rules()}


async def check_invariants(pool):
    """Every rule that the running gateway watches too: `gateway/store/invariants.sql`."""
    for rule in rules():
        finding = await check_rule(pool, rule, timeout_s=30)
        assert not finding.many, (rule.name, rule.meaning, finding.offenders)


async def test_exactly_what_is_there_can_be_reserved(world):
    """F43: 400 concurrent reservations of 10 on a balance of 1,000: exactly 100."""
    gateway = await world.start_gateway(roles="api")
    merchant = await world.merchant(providers=("manual",), credit=1_000)
    answers = await asyncio.gather(
        *(
            merchant.call("POST", "/api/v1/payouts", {"amount": 10, "currency": "IDR", "provider": "manual", **BANK})
            for _ in range(400)
        )
    )
    statuses = [status for status, _ in answers]
    assert (statuses.count(201), statuses.count(422)) == (100, 300)
    assert {a["error"]["code"] for s, a in answers if s == 422} == {"insufficient_balance"}
    assert (await merchant.balance())["available"] == 0
    await check_invariants(gateway.pool)


async def test_a_refused_large_payout_leaves_room_for_small_ones(world):
    gateway = await world.start_gateway(roles="api")
    merchant = await world.merchant(providers=("manual",), credit=1_000)
    amounts = [900, 200, 50, 60, 49]
    answers = await asyncio.gather(
        *(
            merchant.call("POST", "/api/v1/payouts", {"amount": a, "currency": "IDR", "provider": "manual", **BANK})
            for a in amounts
        )
    )
    taken = sum(a for a, (status, _) in zip(amounts, answers, strict=True) if status == 201)
    left = (await merchant.balance())["available"]
    assert taken + left == 1_000
    assert all(a > left for a, (status, _) in zip(amounts, answers, strict=True) if status == 422)
    await check_invariants(gateway.pool)


async def test_the_books_follow_a_manual_payout(world, shop):
    async def mark(what, body):
        status, answer = await shop.call("POST", f"/api/v1/payouts/{made['id']}/{what}", body)
        assert status == 200, answer
        return answer["data"]

    start = (await shop.balance())["available"]
    made = await shop.pay(provider="manual", **BANK)
    assert await shop.balance() | {"balances": 0} == {
        "available": start - 150_000_00, "locked": 150_000_00, "ledgerBalance": start, "currency": "IDR", "balances": 0,
    }  # fmt: skip
    await mark("mark-in-transit", {"reference": "W1"})
    paid = await mark("mark-paid", {})
    assert paid["finalAt"] is not None
    balance = await shop.balance()
    assert (balance["available"], balance["locked"], balance["ledgerBalance"]) == (start - 150_000_00, 0, start - 150_000_00)
    await check_invariants(world.gateways[0].pool)
    returned = await mark("mark-returned", {"reason": "account closed"})
    assert (returned["status"], returned["failureReason"], returned["failureCode"]) == (
        "returned",
        "account closed",
        "returned",
    )
    assert (await shop.balance())["available"] == start
    await check_invariants(world.gateways[0].pool)
    _, listed = await shop.call("GET", f"/api/v1/ledger/entries?payoutId={made['id']}")
    assert [e["kind"] for e in listed["data"]] == ["return", "return", "settle", "settle", "reserve", "reserve"]


async def test_failed_releases(world, shop):
    start = (await shop.balance())["available"]
    made = await shop.pay(provider="pivot", **BANK | {"bankAccountNumber": "999966660003"})
    failed = await shop.until(made["id"], "failed")
    assert failed["failureCode"] == "invalid_destination"
    assert failed["failureReason"] == "Invalid account"
    assert (await shop.balance())["available"] == start
    assert await world.sent("pivot") == []
    await check_invariants(world.gateways[0].pool)


async def test_credits_are_booked_once_per_reference(shop):
    start = (await shop.balance())["available"]
    body = {"amount": 500, "currency": "IDR", "reference": "STMT-7"}
    first = await shop.call("POST", "/api/v1/ledger/credits", body)
    again = await shop.call("POST", "/api/v1/ledger/credits", body)
    other = await shop.call("POST", "/api/v1/ledger/credits", {**body, "amount": 501})
    assert (first[0], again[0], other[0]) == (201, 201, 409)
    assert first[1]["data"] == again[1]["data"]
    assert (await shop.balance())["available"] == start + 500


@pytest.mark.parametrize(
    ("statement", "complaint"),
    [
        (
            """insert into ledger_entry (account_id, tx_id, line, kind, book, currency, debit, credit, posted_at)
               values ('a', 't', 1, 'credit', 'funding', 'IDR', 5, 0, now()),
                      ('a', 't', 2, 'credit', 'available', 'IDR', 0, 4, now())""",
            "does not balance",
        ),
        ("update ledger_entry set debit = debit + 1", "history"),
        ("delete from ledger_entry", "history"),
        ("update event set reason = 'other'", "history"),
        ("delete from event", "history"),
        ("update request_key set payout_id = 'po_other'", "history"),
        ("update balance set available = -1", "check constraint"),
        ("update attempt set exposure = 'closed'", "check constraint"),
    ],
)
async def test_the_database_refuses_what_must_not_be(world, shop, statement, complaint):
    """Also when the code is wrong."""
    await shop.pay(provider="manual", **BANK)
    pool = world.gateways[0].pool
    async with asyncio.timeout(5):
        while not await pool.fetchval("select count(*) from attempt"):
            await asyncio.sleep(0.02)
    with pytest.raises(asyncpg.PostgresError, match=complaint):
        await pool.execute(statement)


async def test_the_database_allows_one_exposure_a_payout(world, shop):
    await shop.pay(provider="manual", **BANK)
    pool = world.gateways[0].pool
    async with asyncio.timeout(5):
        while not await pool.fetchval("select count(*) from attempt"):
            await asyncio.sleep(0.02)
    with pytest.raises(asyncpg.UniqueViolationError, match="attempt_one_exposure"):
        await pool.execute(
            """insert into attempt select account_id, id || 'x', payout_id, number + 1, connection_id, provider, key || 'x',
               submission_id, state, exposure, scheduled_slot, provider_ref, submission_ref, check_at, checks, sends, sent_at,
               last_sent_at, updated_at, cancel_asked_at, moves_on, destination_ref, route from attempt"""
        )
