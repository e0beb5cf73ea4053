"""Reading what was sent: one provider that is slow, or one report that cannot be booked, keeps nobody else waiting."""

import asyncio

import pytest
from world import BANK

from gateway import reconciler


class Held:
    """Reads through one connection's connector that wait until they are let go."""

    def __init__(self, gateway, connection_id, monkeypatch):
        self.waiting = 0
        self.most = 0
        self.go = asyncio.Event()
        usable, get = gateway.connections.usable, gateway.connections.get

        async def find(connection, lookups):
            self.waiting += 1
            self.most = max(self.most, self.waiting)
            try:
                await self.go.wait()
            finally:
                self.waiting -= 1
            return await type(connection.connector).find(connection.connector, lookups)

        def held(read):
            async def reading(asked_id):
                connection = await read(asked_id)
                if asked_id == connection_id and connection is not None:
                    monkeypatch.setattr(connection.connector, "find", lambda lookups: find(connection, lookups), raising=False)
                return connection

            return reading

        monkeypatch.setattr(gateway.connections, "usable", held(usable))
        monkeypatch.setattr(gateway.connections, "get", held(get))


@pytest.fixture
async def two(world, monkeypatch):
    """Two merchants at one provider; reads through the first one's connection are held."""
    gateway = await world.start_gateway()
    slow, other = [await world.merchant(providers=("xendit",)) for _ in range(2)]
    held = Held(gateway, slow.connections["xendit"], monkeypatch)
    yield gateway, slow, other, held
    held.go.set()


async def test_a_connection_that_is_slow_to_be_read_keeps_no_other_unread(two):
    gateway, slow, other, held = two
    await gateway.inbox.close()  # no notice helps
    waits = await slow.pay(provider="xendit", **BANK)
    async with asyncio.timeout(5):
        while not held.waiting:
            await asyncio.sleep(0.02)
    paid = await other.pay(provider="xendit", **BANK)
    await other.until(paid["id"], "paid", timeout_s=5)
    assert (await slow.payout(waits["id"]))["phase"] == "processing"
    held.go.set()
    await slow.until(waits["id"], "paid")


async def test_one_process_reads_a_connection_once_at_a_time_however_long_that_takes(two):
    """What is due again meanwhile is left to whoever is reading already."""
    gateway, slow, _, held = two
    made = await slow.pay(provider="xendit", **BANK)
    async with asyncio.timeout(5):
        while not held.waiting:
            await asyncio.sleep(0.02)
    for _ in range(20):
        await gateway.pool.execute("update attempt set check_at = now() where exposure = 'open' and state <> 'sending'")
        await gateway.pool.execute("update notice set due_at = now() where state = 'new'")
        await asyncio.sleep(0.05)
    assert held.most <= 2, "one read of the reconciler, one of the inbox"
    held.go.set()
    await slow.until(made["id"], "paid")


async def test_a_read_that_takes_longer_than_its_lease_is_given_up(two, monkeypatch):
    gateway, slow, _, held = two
    await gateway.inbox.close()
    monkeypatch.setattr(reconciler, "_LEASE_S", 0.4)
    made = await slow.pay(provider="xendit", **BANK)
    async with asyncio.timeout(10):
        while not held.waiting:
            await asyncio.sleep(0.02)
        while held.waiting:
            await asyncio.sleep(0.02)
    held.go.set()
    await slow.until(made["id"], "paid")


@pytest.mark.parametrize(("by", "step"), [("inbox", "_match"), ("reconciler", "_resend")])
async def test_a_timeout_of_the_database_is_a_failed_round_and_no_slow_provider(world, monkeypatch, by, step):
    gateway = await world.start_gateway()
    merchant = await world.merchant(providers=("pivot",))
    loop, rounds = getattr(gateway, by), []

    async def timed_out(*_given):
        raise TimeoutError

    monkeypatch.setattr(loop, step, timed_out)
    monkeypatch.setattr(loop, "on_round", lambda _name, outcome: rounds.append(outcome))
    made = await merchant.pay(provider="pivot", **BANK)
    await merchant.until(made["id"], "paid")  # the other loop knows
    async with asyncio.timeout(5):
        while "error" not in rounds:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("by", ["reconciler", "inbox"])
async def test_what_cannot_be_booked_of_one_payout_keeps_no_other_from_being_booked(world, by):
    """The database refuses one change: those that were to be written with it are written, whoever brought the news."""
    gateway = await world.start_gateway()
    merchants = [await world.merchant(providers=("xendit",)) for _ in range(2)]
    await gateway.reconciler.close()
    await gateway.inbox.close()
    made = [(merchant, await merchant.pay(provider="xendit", **BANK)) for merchant in merchants for _ in range(3)]
    async with asyncio.timeout(10):
        while await gateway.pool.fetchval("select count(*) from notice where state = 'new'") < len(made):
            await asyncio.sleep(0.02)
    refused = made[0][1]["id"]
    await gateway.pool.execute(
        f"""create function refuse_paid() returns trigger language plpgsql as $$ begin
                raise exception 'a guard of this test' using errcode = 'check_violation'; end $$;
            create trigger refuse_paid before update on payout for each row
                when (old.id = '{refused}' and new.phase = 'paid') execute function refuse_paid()"""
    )
    outcomes = []
    loop = getattr(gateway, by)
    loop.on_round = lambda _name, outcome: outcomes.append(outcome)
    loop._closing = False
    loop.start()
    await gateway.pool.execute("update attempt set check_at = now()")
    for merchant, payout in made[1:]:
        await merchant.until(payout["id"], "paid")
    assert (await made[0][0].payout(refused))["phase"] == "processing"
    async with asyncio.timeout(5):
        while "error" not in outcomes:
            await asyncio.sleep(0.02)
    if by == "inbox":
        async with asyncio.timeout(5):
            while await gateway.pool.fetchval("select count(*) from notice where state = 'new'") > 1:
                await asyncio.sleep(0.02)
    await gateway.pool.execute("drop trigger refuse_paid on payout")
