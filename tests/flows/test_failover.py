"""Failover over real sockets: the next provider only after proof, and the sandboxes' own ledgers as the judge."""

import asyncio
import uuid
from dataclasses import replace

import pytest
from test_books import check_invariants
from world import BANK, QUICK

from gateway.recording import Said
from gateway.store.accounts import pause_connection
from schemas.report import Progress, Taken

# Pivot is preferred, Xendit stands behind it; both know this bank.
PAYEE = BANK


@pytest.fixture
async def two(world):
    """(gateway, merchant) with Pivot first and Xendit second, both able to pay rupiah to a bank account."""
    gateway = await world.start_gateway()
    merchant = await world.merchant(providers=("pivot", "xendit"))
    await prefer(gateway, merchant, "pivot", 1)
    return gateway, merchant


async def prefer(gateway, merchant, provider, priority):
    await gateway.pool.execute("update connection set priority = $2 where id = $1", merchant.connections[provider], priority)
    gateway.connections._by_account.clear()


async def point_elsewhere(gateway, merchant, provider, base_url):
    await gateway.pool.execute(
        "update connection set settings = jsonb_set(settings, '{base_url}', to_jsonb($2::text)) where id = $1",
        merchant.connections[provider], base_url,
    )  # fmt: skip
    gateway.connections._by_id.clear()


async def scenario(world, provider, name):
    await world.control("POST", provider, "scenarios", {"name": name, "times": None})


async def sent(world):
    return {provider: len(await world.sent(provider)) for provider in ("pivot", "xendit")}


async def types(merchant, payout_id):
    return [step["type"] for step in await merchant.timeline(payout_id)]


async def pay(merchant, **fields):
    return await merchant.pay(**PAYEE | {"amount": 150_000_00} | fields)


async def test_not_sent_goes_on_at_once(world, two, unused_tcp_port):
    gateway, merchant = two
    await point_elsewhere(gateway, merchant, "pivot", f"http://127.0.0.1:{unused_tcp_port}")
    made = await pay(merchant)
    assert made["connectionId"] == merchant.connections["pivot"]
    paid = await merchant.until(made["id"], "paid")
    assert (paid["connectionId"], paid["provider"], paid["method"]) == (
        merchant.connections["xendit"],
        "xendit",
        "xendit_disbursement",
    )
    assert await sent(world) == {"pivot": 0, "xendit": 1}
    steps = await merchant.timeline(made["id"])
    moved = next(step for step in steps if step["type"] == "payout.failed_over")
    assert "nothing was sent" in moved["reason"]
    assert "safe since nothing left for the provider" in moved["reason"]
    assert moved["evidenceHash"]
    sendings = [step["route"] for step in steps if step["type"] == "payout.sending"]
    assert [route["ordered"][0] for route in sendings] == [merchant.connections["pivot"]] * 2
    await check_invariants(gateway.pool)


@pytest.mark.parametrize("name", ["refused", "failed"])
async def test_refused_or_finally_failed_goes_on(world, two, name):
    gateway, merchant = two
    await scenario(world, "pivot", name)
    made = await pay(merchant)
    paid = await merchant.until(made["id"], "paid", timeout_s=15)
    assert (paid["provider"], paid["failureCode"]) == ("xendit", None)
    assert await sent(world) == {"pivot": 0, "xendit": 1}
    assert "payout.failed_over" in await types(merchant, made["id"])
    await check_invariants(gateway.pool)


async def test_what_is_wrong_with_the_recipient_is_wrong_everywhere(world, two):
    _, merchant = two
    made = await pay(merchant, bankAccountNumber="999966660003")
    failed = await merchant.until(made["id"], "failed")
    assert failed["failureCode"] == "invalid_destination"
    assert "payout.failed_over" not in await types(merchant, made["id"])
    assert await sent(world) == {"pivot": 0, "xendit": 0}


@pytest.mark.parametrize("name", ["answer_lost_but_paid", "error_but_paid", "answer_half_but_paid"])
async def test_f26_never_while_nobody_knows(world, two, name):
    """B5: A took the money and its answer was lost. B is never asked, and the read finds it."""
    gateway, merchant = two
    await scenario(world, "pivot", name)
    made = await pay(merchant)
    paid = await merchant.until(made["id"], "paid", timeout_s=15)
    assert paid["provider"] == "pivot"
    assert await sent(world) == {"pivot": 1, "xendit": 0}
    await check_invariants(gateway.pool)


async def test_a_payout_that_names_its_provider_stays_there(world, two):
    _, merchant = two
    await scenario(world, "pivot", "refused")
    made = await pay(merchant, provider="pivot")
    failed = await merchant.until(made["id"], "failed")
    assert "no other connection can carry it" in (await merchant.timeline(made["id"]))[-1]["reason"]
    assert failed["provider"] == "pivot"
    assert await sent(world) == {"pivot": 0, "xendit": 0}


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        ({"enabled": False}, "switched off"),
        ({"maxAttempts": 1}, "limit of 1 attempts"),
        ({"providers": ["pivot"]}, "no other connection"),
    ],
)
async def test_the_account_can_limit_it(world, two, limits, why):
    _, merchant = two
    status, answer = await merchant.call("PUT", "/api/v1/routing", {"failover": limits})
    assert status == 200, answer
    await scenario(world, "pivot", "refused")
    made = await pay(merchant)
    failed = await merchant.until(made["id"], "failed")
    assert why in (await merchant.timeline(made["id"]))[-1]["reason"]
    assert failed["failureCode"]
    assert await sent(world) == {"pivot": 0, "xendit": 0}


async def test_two_that_are_both_down_are_not_asked_in_a_circle(world, two, unused_tcp_port):
    gateway, merchant = two
    for provider in ("pivot", "xendit"):
        await point_elsewhere(gateway, merchant, provider, f"http://127.0.0.1:{unused_tcp_port}")
    made = await pay(merchant)
    await asyncio.sleep(1.5)
    assert await gateway.pool.fetchval("select count(*) from attempt") <= 4
    assert (await merchant.payout(made["id"]))["phase"] in ("queued", "processing")
    for provider in ("pivot", "xendit"):
        await point_elsewhere(gateway, merchant, provider, f"{world.sandbox_url}/{provider}")
    await merchant.until(made["id"], "paid", timeout_s=20)
    assert sum((await sent(world)).values()) == 1


async def late_paid(gateway, world, merchant):
    """A payout that failed at Pivot, was paid through Xendit, and that Pivot then calls paid after all."""
    await scenario(world, "pivot", "failed")
    made = await pay(merchant)
    await merchant.until(made["id"], "paid", timeout_s=15)
    first = await gateway.pool.fetchrow("select account_id, id from attempt where payout_id = $1 and number = 1", made["id"])
    said = Said(account_id=first["account_id"], attempt_id=first["id"], report=Taken(Progress.PAID), source="reconciler")
    await gateway.apply(said)
    return made, said


async def test_f27_paid_after_its_failure_was_believed(world, two):
    gateway, merchant = two
    start = await merchant.balance()
    made, said = await late_paid(gateway, world, merchant)
    await gateway.apply(said)  # told again: booked once
    payout = await merchant.payout(made["id"])
    assert (payout["phase"], payout["provider"]) == ("paid", "xendit")
    assert "receivable" in payout["reviewReason"]
    incidents = await gateway.pool.fetch("select kind, payout_id, amount_minor from incident")
    assert [tuple(i) for i in incidents] == [("paid_late", made["id"], 150_000_00)]
    assert await gateway.pool.fetchval("select receivable from balance where currency = 'IDR'") == 150_000_00
    after = await merchant.balance()
    assert after["available"] == start["available"] - 150_000_00, "the merchant pays once"
    assert (await types(merchant, made["id"])).count("payout.paid_late") == 1
    paused = await gateway.pool.fetchval("select paused_reason from connection where id = $1", merchant.connections["pivot"])
    assert "send nothing more" in paused
    # What refuses our credentials meanwhile asks for a minute: the shorter pause must not end the longer one.
    owner = await gateway.pool.fetchval("select account_id from incident")
    await pause_connection(gateway.pool, owner, merchant.connections["pivot"], for_s=0.0, reason="a refusal")
    frozen = "select paused_reason from connection where id = $1 and paused_until > now() + interval '1 year'"
    assert await gateway.pool.fetchval(frozen, merchant.connections["pivot"]) == paused
    await check_invariants(gateway.pool)


async def test_paid_after_all_before_the_next_is_sent_is_simply_paid(world, two, unused_tcp_port):
    """A's failure was wrong, and B was not asked yet: no second payment, and no person."""
    gateway, merchant = two
    await scenario(world, "pivot", "failed")
    await gateway.pool.execute(
        "update connection set paused_until = 'infinity', paused_reason = 'test' where id = $1", merchant.connections["xendit"]
    )
    made = await pay(merchant)
    async with asyncio.timeout(10):
        while "payout.failed_over" not in await types(merchant, made["id"]):
            await asyncio.sleep(0.05)
    first = await gateway.pool.fetchrow("select account_id, id from attempt")
    await gateway.apply(
        Said(account_id=first["account_id"], attempt_id=first["id"], report=Taken(Progress.PAID), source="notice:x")
    )
    payout = await merchant.payout(made["id"])
    assert (payout["phase"], payout["provider"], payout["connectionId"]) == ("paid", "pivot", merchant.connections["pivot"])
    assert await gateway.pool.fetchval("select count(*) from incident") == 0
    await check_invariants(gateway.pool)


async def test_what_waits_at_a_paused_connection_is_moved(world, two):
    gateway, merchant = two
    await gateway.pool.execute(
        "update connection set paused_until = 'infinity', paused_reason = 'test' where id = $1", merchant.connections["pivot"]
    )
    made = [await pay(merchant) for _ in range(3)]
    for payout in made:
        paid = await merchant.until(payout["id"], "paid")
        assert paid["provider"] == "xendit"
    assert await sent(world) == {"pivot": 0, "xendit": 3}


async def test_what_waits_behind_an_open_circuit_is_moved(world, two, unused_tcp_port):
    gateway, merchant = two
    await point_elsewhere(gateway, merchant, "pivot", f"http://127.0.0.1:{unused_tcp_port}")
    made = [await pay(merchant, metadata={"n": uuid.uuid4().hex}) for _ in range(12)]
    for payout in made:
        await merchant.until(payout["id"], "paid", timeout_s=15)
    assert await sent(world) == {"pivot": 0, "xendit": 12}
    await check_invariants(gateway.pool)


STUCK_SOON = {
    name: replace(provider, contract=replace(provider.contract, pending_alarm_s=0.5)) for name, provider in QUICK.items()
}
HELD = PAYEE | {"bankAccountNumber": "131313"}  # Xendit's sheet: stays ACCEPTED


@pytest.fixture
async def stuck_first(world):
    """(gateway, merchant) with Xendit first, which can cancel, and Pivot second; patience ends soon."""
    gateway = await world.start_gateway(STUCK_SOON)
    merchant = await world.merchant(providers=("pivot", "xendit"))
    await prefer(gateway, merchant, "xendit", 1)
    return gateway, merchant


async def test_what_is_stuck_is_cancelled_there_and_goes_on(world, stuck_first):
    gateway, merchant = stuck_first
    made = await merchant.pay(**HELD)
    paid = await merchant.until(made["id"], "paid", timeout_s=15)
    assert (paid["provider"], paid["cancelRequested"]) == ("pivot", False)
    assert await sent(world) == {"pivot": 1, "xendit": 0}
    steps = await merchant.timeline(made["id"])
    assert [s["type"] for s in steps][2:6] == [
        "payout.pending", "payout.move_requested", "payout.failed_over", "payout.sending",
    ]  # fmt: skip
    assert "confirmed to a read that it was cancelled" in steps[4]["reason"]
    await check_invariants(gateway.pool)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_an_error_of_that_cancel_says_nothing(world, stuck_first, when):
    """I18: too late or lost, the payout goes on where it is until a read says that it is cancelled."""
    gateway, merchant = stuck_first
    await world.control("POST", "xendit", "faults", {"operation": "cancel_payout", "kind": "status", "when": when,
                                                     "params": {"status": 500}})  # fmt: skip
    made = await merchant.pay(**HELD)
    if when == "after":
        await merchant.until(made["id"], "paid", timeout_s=15)
        assert await sent(world) == {"pivot": 1, "xendit": 0}
    else:
        on_desk = await merchant.until(made["id"], "needs_review", timeout_s=15)
        assert on_desk["provider"] == "xendit"
        assert await sent(world) == {"pivot": 0, "xendit": 0}
    await check_invariants(gateway.pool)


async def test_a_merchant_who_cancels_meanwhile_is_obeyed(world, stuck_first):
    gateway, merchant = stuck_first
    await world.control("POST", "xendit", "faults", {"operation": "cancel_payout", "kind": "status", "when": "before",
                                                     "params": {"status": 500}})  # fmt: skip
    made = await merchant.pay(**HELD)
    async with asyncio.timeout(10):
        while "payout.move_requested" not in await types(merchant, made["id"]):
            await asyncio.sleep(0.02)
    status, answer = await merchant.call("POST", f"/api/v1/payouts/{made['id']}/cancel", {})
    assert (status, answer["data"]["cancelRequested"]) == (200, True), answer
    await world.control("DELETE", "xendit", "faults")
    await merchant.until(made["id"], "cancelled", timeout_s=15)
    assert await sent(world) == {"pivot": 0, "xendit": 0}
    await check_invariants(gateway.pool)
