"""Several gateway processes on one database: real processes, killed with SIGKILL, and nothing lost or paid twice."""

import asyncio
import os

from test_books import check_invariants
from world import BANK, MASTER_KEY

from gateway.connections import Connections
from gateway.dispatcher import Dispatcher
from gateway.learned import Learned
from tests.forked import Forked
from tests.ports import free_port


class Process:
    """`payout-gateway serve` as an operating system process."""

    def __init__(self, world, port):
        self.world = world
        self.port = port
        self.process = None

    async def start(self):
        self.process = Forked(
            "gateway.cli", "serve",
            env={
                **os.environ,
                "GATEWAY_PORT": str(self.port),
                "GATEWAY_DATABASE_URL": self.world.dsn,
                "GATEWAY_MASTER_KEY": MASTER_KEY,
                "GATEWAY_LOG_LEVEL": "error",
            },
        )  # fmt: skip
        async with asyncio.timeout(20):
            while True:
                try:
                    async with self.world.http.get(f"http://127.0.0.1:{self.port}/readyz") as answer:
                        if answer.status == 200:
                            return self
                except OSError:
                    assert self.process.returncode is None, "the process ended"
                await asyncio.sleep(0.05)

    async def kill(self):
        await asyncio.to_thread(self.process.end)

    async def stop(self):
        if self.process.returncode is None:
            self.process.terminate()
            await asyncio.to_thread(self.process.wait, 15)
        self.process.end()


async def let_time_pass(pool):
    """Ten minutes go by for what the killed process left behind: leases end, and its sends are surely over."""
    while True:
        await asyncio.sleep(1)
        await pool.execute(
            """update attempt set check_at = now(), last_sent_at = now() - interval '10 minutes', updated_at = now()
                where state in ('sending', 'unconfirmed') and updated_at < now() - interval '2 seconds'"""
        )


async def test_two_processes_one_killed(world):
    """Two processes share the work; one is killed in the middle. All payouts end paid, each exactly once."""
    setup = await world.start_gateway(roles="api")
    ports = [free_port(), free_port()]
    first = await Process(world, ports[0]).start()
    second = await Process(world, ports[1]).start()
    try:
        merchant = await world.merchant(providers=("pivot",))
        # A payout may be caught between claim and answer: its lease has to run out before others may ask about it.
        made = []
        for number in range(60):
            made.append(await merchant.pay(provider="pivot", amount=(number + 1) * 100_00_00, **BANK))
            if number == 30:
                await first.kill()
        passing = asyncio.create_task(let_time_pass(setup.pool))
        for payout in made:
            end = await merchant.until(payout["id"], "paid", "failed", "needs_review", timeout_s=40)
            assert end["phase"] == "paid", await merchant.timeline(payout["id"])
        lines = await world.sent("pivot")
        assert sorted(int(line["amount"]) for line in lines) == sorted(p["amount"] // 100 for p in made)
        passing.cancel()
        await check_invariants(setup.pool)
    finally:
        await first.stop()
        await second.stop()


async def test_a_connection_that_cannot_be_opened_stops_no_process_from_starting(world):
    """Only one of them is there: the master key is proven by what was sealed to prove it."""
    await world.start_gateway()
    merchant = await world.merchant(providers=("pivot",))
    await merchant.lose_secrets("pivot")
    await world.start_gateway()


async def test_two_processes_share_the_queue(world):
    """Both processes send, and no payout is sent by both: the sandbox counts."""
    await world.start_gateway()
    await world.start_gateway()
    merchant = await world.merchant(providers=("pivot",))
    made = await asyncio.gather(*(merchant.pay(provider="pivot", gateway=i % 2, **BANK) for i in range(100)))
    for payout in made:
        await merchant.until(payout["id"], "paid", timeout_s=20)
    assert len(await world.sent("pivot")) == 100
    assert (await world.control("GET", "pivot", "ledger/summary"))["doublePayments"] == []
    await check_invariants(world.gateways[0].pool)


async def test_a_process_that_died_after_its_claim_is_taken_over(world):
    """The claim is committed, nothing was sent, the process is gone: after the lease the same attempt goes on."""
    gateway = await world.start_gateway(roles="api")
    merchant = await world.merchant(providers=("pivot",))
    made = await merchant.pay(provider="pivot", **BANK)
    await asyncio.sleep(0.3)  # the linger
    dead = Dispatcher(gateway.pool, gateway.connections, gateway.apply, gateway.seal, Learned(), poll_s=1)
    contract = gateway.connections.contract("pivot")
    from gateway.dispatcher import _lane

    [submission] = await dead.claim([_lane(contract, 10)], limit=10)
    key = submission.attempts[0].key
    assert (await merchant.payout(made["id"]))["phase"] == "processing"
    await gateway.pool.execute("update attempt set check_at = now()")
    await world.start_gateway()
    await merchant.until(made["id"], "paid", timeout_s=20)
    [line] = await world.sent("pivot")
    assert line["ourRef"] == key, "the same attempt, with the same key"
    assert await gateway.pool.fetchval("select count(*) from attempt") == 1


async def test_a_plexy_claim_that_died_is_never_sent_again(world):
    """Without a key nobody can know: the payout keeps its money reserved and waits for evidence or a person."""
    gateway = await world.start_gateway()
    merchant = await world.merchant(providers=("plexy",))
    card = await merchant.save_card()
    for loop in (gateway.dispatcher, gateway.reconciler):
        await loop.close()
    made = await merchant.pay(amount=5_000_00, currency="KZT", destination={"type": "card", "cardId": card})
    from gateway.dispatcher import _lane

    dead = Dispatcher(gateway.pool, gateway.connections, gateway.apply, gateway.seal, Learned(), poll_s=1)
    [_] = await dead.claim([_lane(gateway.connections.contract("plexy"), 10)], limit=10)
    await gateway.pool.execute("update attempt set check_at = now()")
    await world.start_gateway()
    await asyncio.sleep(1.0)
    assert (await merchant.payout(made["id"]))["phase"] == "processing"
    assert await gateway.pool.fetchval("select state from attempt") == "unconfirmed"
    assert await world.sent("plexy") == []
    assert (await world.control("GET", "plexy", "requests"))["operations"].get("create_payout", 0) == 0
    assert isinstance(gateway.connections, Connections)


async def test_a_worker_whose_lease_is_running_out_does_not_send(world, monkeypatch):
    """I15: paused between claim and send for longer than the margin, it hands the payout back instead of sending."""
    gateway = await world.start_gateway(roles="api")
    merchant = await world.merchant(providers=("pivot",))
    made = await merchant.pay(provider="pivot", **BANK)
    await asyncio.sleep(0.3)
    from gateway import dispatcher as module

    slow = Dispatcher(gateway.pool, gateway.connections, gateway.apply, gateway.seal, Learned(), poll_s=1)
    [submission] = await slow.claim([module._lane(gateway.connections.contract("pivot"), 10)], limit=10)
    real = module.time.monotonic
    monkeypatch.setattr(module.time, "monotonic", lambda: real() + 61)
    await slow._send(submission)
    monkeypatch.undo()
    assert await world.sent("pivot") == []
    assert (await merchant.timeline(made["id"]))[-1]["type"] == "payout.requeued"


async def test_mollie_takes_one_at_a_time(world):
    """One scheduled payout per balance: the second waits in the queue, and is not refused."""
    await world.start_gateway()
    await world.start_gateway()
    merchant = await world.merchant(providers=("mollie",))
    made = await asyncio.gather(
        *(merchant.pay(amount=1_00 + i, currency="EUR", destination={"type": "balance"}, gateway=i % 2) for i in range(6))
    )
    for payout in made:
        end = await merchant.until(payout["id"], "paid", "failed", timeout_s=30)
        assert end["phase"] == "paid", await merchant.timeline(payout["id"])
        assert len({s["attemptId"] for s in await merchant.timeline(payout["id"]) if s["attemptId"]}) == 1
    assert len(await world.sent("mollie")) == 6
