"""Claims: nobody waits for the trouble of others, and what is claimed goes out whatever happens after it."""

import asyncio
from dataclasses import replace

import asyncpg
import pytest
from world import BANK, QUICK

from gateway.ids import attempt_key

A_CARD = {"amount": 5_000_00, "currency": "KZT"}


async def started_again(gateway):
    """The dispatcher works by itself again, after it was closed so that a test could prepare what it meets."""
    gateway.dispatcher._closing = False
    gateway.dispatcher.start()


async def test_a_payout_that_the_database_refuses_stops_no_other(world):
    """Its attempt's key is there already: the claim as a whole is refused, and each is then claimed alone."""
    gateway = await world.start_gateway()
    one, other = [await world.merchant(providers=("xendit",)) for _ in range(2)]
    old = await one.pay(provider="xendit", **BANK)
    await one.until(old["id"], "paid")
    await one.until((await one.pay(provider="xendit", **BANK))["id"], "paid")  # the last that went out is not tampered with
    await gateway.dispatcher.close()
    refused = await one.pay(provider="xendit", **BANK)
    key = attempt_key(QUICK["xendit"].contract.key_format, refused["id"], one.connections["xendit"], 1)
    await gateway.pool.execute("alter table attempt disable trigger user")
    await gateway.pool.execute("update attempt set key = $1 where payout_id = $2", key, old["id"])
    await gateway.pool.execute("alter table attempt enable trigger user")
    others = [await other.pay(provider="xendit", **BANK) for _ in range(3)]
    outcomes = []
    gateway.dispatcher.on_round = lambda _name, outcome: outcomes.append(outcome)
    await started_again(gateway)
    for payout in others:
        await other.until(payout["id"], "paid")
    assert outcomes.count("error") == 1, "it is set aside, and somebody is told"
    assert (await one.payout(refused["id"]))["phase"] == "queued"
    assert len(await world.sent("xendit")) == 2 + len(others)
    key = attempt_key(QUICK["xendit"].contract.key_format, old["id"], one.connections["xendit"], 1)
    await gateway.pool.execute("alter table attempt disable trigger user")  # the rules of the books hold again
    await gateway.pool.execute("update attempt set key = $1 where payout_id = $2", key, old["id"])
    await gateway.pool.execute("alter table attempt enable trigger user")


async def test_what_was_claimed_first_goes_out_though_the_next_claim_fails(world, monkeypatch):
    gateway = await world.start_gateway()
    merchant = await world.merchant(providers=("xendit", "pivot"))
    await gateway.dispatcher.close()
    made = [await merchant.pay(provider="xendit", **BANK) for _ in range(3)]
    claim = gateway.dispatcher.claim

    async def fails_for_batches(lanes, *, limit):
        if any(lane.per_send > 1 for lane in lanes):
            raise asyncpg.ConnectionDoesNotExistError("the server was restarted between the two claims")
        return await claim(lanes, limit=limit)

    monkeypatch.setattr(gateway.dispatcher, "claim", fails_for_batches)
    with pytest.raises(asyncpg.ConnectionDoesNotExistError):
        await gateway.dispatcher.round()
    for payout in made:
        await merchant.until(payout["id"], "paid")


async def test_a_slow_provider_leaves_places_to_others(world, monkeypatch):
    """Three merchants' connections at one provider hold all the places that one provider may have, and no more."""
    gateway = await world.start_gateway()
    slow = [await world.merchant(providers=("xendit",)) for _ in range(3)]
    other = await world.merchant(providers=("mollie",))
    connection = await gateway.connections.get(slow[0].connections["xendit"])
    submit = type(connection.connector).submit
    answers = asyncio.Event()

    async def answers_late(self, submission_id, orders):
        await answers.wait()
        return await submit(self, submission_id, orders)

    monkeypatch.setattr(type(connection.connector), "submit", answers_late)
    made = [(one, await asyncio.gather(*(one.pay(provider="xendit", **BANK) for _ in range(60)))) for one in slow]
    async with asyncio.timeout(10):
        while gateway.dispatcher.gates.under_way()["xendit"] < 120:
            await asyncio.sleep(0.02)
    paid = await other.pay(amount=250_00, currency="EUR", destination={"type": "balance"}, provider="mollie")
    await other.until(paid["id"], "paid")
    counted = await gateway.pool.fetch("select count(*) as many from attempt where state = 'sending' group by connection_id")
    assert gateway.dispatcher.gates.under_way()["xendit"] == 120
    assert max(record["many"] for record in counted) == 50
    answers.set()
    for one, payouts in made:
        for payout in payouts:
            await one.until(payout["id"], "paid", timeout_s=20)
    assert len(await world.sent("xendit")) == 180


async def test_payouts_that_go_alone_keep_the_pace_too(world):
    """After a batch that was refused without naming the row at fault, each goes in a request of its own."""
    pivot = QUICK["pivot"]
    gateway = await world.start_gateway({**QUICK, "pivot": replace(pivot, contract=replace(pivot.contract, rate_per_s=5.0))})
    shop = await world.merchant(providers=("pivot",))
    await gateway.dispatcher.close()
    for _ in range(3):
        await asyncio.gather(*(shop.pay(provider="pivot", **BANK) for _ in range(10)))
    await gateway.pool.execute("update payout set send_alone = true, due_at = now() where phase = 'queued'")
    await started_again(gateway)
    await asyncio.sleep(1.0)
    requests = (await world.control("GET", "pivot", "requests"))["operations"]["create_payout"]
    assert 5 <= requests <= 12, "a second's worth at once, and a second's worth since"
    await gateway.pool.execute("update payout set send_alone = false where phase = 'queued'")
    async with asyncio.timeout(15):
        while await gateway.pool.fetchval("select count(*) from payout where phase <> 'paid'"):
            await asyncio.sleep(0.05)


async def test_a_circuit_is_tried_again_after_a_try_that_never_asked_the_provider(world, monkeypatch):
    gateway = await world.start_gateway()
    merchant = await world.merchant(providers=("plexy",))
    destination = {"type": "card", "cardId": await merchant.save_card()}
    await world.control("POST", "plexy", "faults", {"operation": "create_payout", "kind": "drop", "when": "before"})
    async with asyncio.timeout(10):
        while gateway.dispatcher.gates.open_circuits() != ["plexy"]:
            await merchant.pay(**A_CARD, destination=destination)
            await asyncio.sleep(0.05)
    await world.control("DELETE", "plexy", "faults")
    usable = gateway.connections.usable
    failed = []

    async def fails_once(connection_id):
        if not failed:
            failed.append(connection_id)
            raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")
        return await usable(connection_id)

    monkeypatch.setattr(gateway.connections, "usable", fails_once)
    made = await merchant.pay(**A_CARD, destination=destination)
    await merchant.until(made["id"], "paid", timeout_s=20)
    assert failed == [merchant.connections["plexy"]]
