"""After a restore: a database that has forgotten what was sent pays nothing twice, and loses nothing (F15, B25, G20).

Real PostgreSQL, stopped, copied and started again from the older copy; the sandboxes' own ledgers are the judge.
"""

import asyncio
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
from test_books import check_invariants
from world import BANK, MASTER_KEY, QUICK, World, newest_attempt

from gateway import cli, dispatcher, hold_watch, holds, recovery
from gateway.embedded_postgres import EmbeddedPostgres
from gateway.high_water import HighWater, Mark, MarkError, OlderDatabaseError, Position, problem_of
from gateway.hold_watch import HoldWatch
from gateway.ids import attempt_id, attempt_key
from gateway.lookup_rules import Asked, Place, Ruling, is_settled, rule
from gateway.loops import SomeFailedError
from gateway.reading_rules import absence_believed, may_resend
from gateway.recording import Said
from gateway.store.attempts import record_attempts
from gateway.store.database import migrate, open_pool
from gateway.store.holds import last_hold, open_hold, read_position
from gateway.store.lookups import waiting_reasons
from schemas.destination import BankAccount
from schemas.failure import FailureCode
from schemas.order import Order, OwnBalance
from schemas.report import NotFound, NotSent, Progress, Taken, Unclear

MEMORY = Path("/dev/shm")
PAYEE = {
    "bank_code": BANK["bankCode"],
    "bank_name": BANK["bankName"],
    "bank_account_number": BANK["bankAccountNumber"],
    "bank_account_holder": BANK["bankAccountHolder"],
}
NOW = datetime(2026, 1, 1, tzinfo=UTC)
AMOUNT = 200_000_00
LOST = {"provider": "xendit", "amount": AMOUNT + 700, **BANK}
# As the other contracts are quick here: what was on its way when the database went has arrived by now.
SENDS_LAST_S = 0.2


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(recovery, "lease_s", lambda _contract: SENDS_LAST_S)
    monkeypatch.setattr(recovery, "_EVERY_S", 0.05)
    monkeypatch.setattr(recovery, "_AGAIN_AFTER_S", (0.1,))


# --- the drill


class Restorable:
    """A PostgreSQL whose data directory is copied while it is down."""

    def __init__(self, folder):
        self.folder = folder
        self.running = None

    async def start(self, name):
        self.running = EmbeddedPostgres(self.folder / name)
        await self.running.start()
        return self.running.dsn

    async def stop(self):
        if self.running:
            await self.running.stop()

    def copy(self, name, to):
        # With its owners: as root PostgreSQL runs under another account.
        subprocess.run(["cp", "-a", self.folder / name, self.folder / to], check=True)


@pytest.fixture
async def database():
    restorable = Restorable(_open_folder())
    yield restorable
    await restorable.stop()
    shutil.rmtree(restorable.folder, ignore_errors=True)


def _open_folder():
    folder = Path(tempfile.mkdtemp(prefix="gateway-restore-", dir=MEMORY if MEMORY.is_dir() else None))
    folder.chmod(0o755)  # as root PostgreSQL runs under another account, and has to get in
    return folder


@asynccontextmanager
async def running(world, **settings):
    gateway = await world.start_gateway(**settings)
    try:
        yield gateway
    finally:
        world.gateways.remove(gateway)
        await gateway.stop()


async def sent(world):
    return {provider: len(await world.sent(provider)) for provider in ("pivot", "xendit", "plexy")}


async def until(condition, timeout_s=10):
    async with asyncio.timeout(timeout_s):
        while not (found := await condition()):
            await asyncio.sleep(0.02)
    return found


async def looked_up(pool):
    """The hold, once every queued payout has been looked up."""

    async def look():
        hold = await last_hold(pool)
        return hold if hold and hold.listed_at and not hold.to_look_up else None

    return await until(look)


async def release(gateway, *people, accept_unknown=False):
    looking = recovery.Recovery(gateway.pool, gateway.connections, gateway.apply)
    for person in people:
        hold = await holds.release(gateway.pool, looking, person=person, accept_unknown=accept_unknown)
    return hold


async def make_payouts(world, merchant, card):
    """What is queued in the copy, by name."""
    await world.control("POST", "pivot", "scenarios", {"name": "failed", "times": None, "match": {}})
    made = {
        "fails over": await merchant.pay(amount=AMOUNT + 100, **BANK),
        "xendit": await merchant.pay(provider="xendit", amount=AMOUNT, **BANK),
        "never sent": await merchant.pay(connectionId=merchant.connections["later"], amount=AMOUNT + 200, **BANK),
        "plexy": await merchant.pay(amount=5_000_00, currency="KZT", destination={"type": "card", "cardId": card}),
    }
    assert {payout["phase"] for payout in made.values()} == {"queued"}
    return {name: payout["id"] for name, payout in made.items()}


async def test_the_drill(database, tmp_path, monkeypatch):
    """F15: an older copy comes back. Everything that was sent is found, and everything ends paid exactly once."""
    dsn = await database.start("live")
    await asyncio.to_thread(migrate, dsn)
    async with World(dsn, tmp_path) as world:
        async with running(world) as gateway:
            merchant = await world.merchant(providers=("plexy", "pivot", "xendit"))
            merchant.connections["later"] = await world.connect(merchant, "xendit")
            for connection, priority in (("pivot", 1), ("xendit", 2), ("later", 3)):
                await gateway.pool.execute(
                    "update connection set priority = $2 where id = $1", merchant.connections[connection], priority
                )
            card = await merchant.save_card()
            first = await merchant.pay(provider="xendit", **BANK)
            await merchant.until(first["id"], "paid")
        async with running(world, roles="api"):
            made = await make_payouts(world, merchant, card)
        await database.stop()
        database.copy("live", "older")
        database.copy("live", "promoted")
        database.copy("live", "unguarded")

        # What the older copy will not know.
        world.dsn = await database.start("live")
        async with running(world, roles="api") as gateway:  # before anything is sent
            await gateway.pool.execute(
                "update connection set paused_until = now() + interval '1 day', paused_reason = 'later' where id = $1",
                merchant.connections["later"],
            )
        async with running(world):
            for name in ("fails over", "xendit", "plexy"):
                await merchant.until(made[name], "paid")
            lost = await merchant.pay(key="lost", **LOST)
            await merchant.until(lost["id"], "paid")
        before = await sent(world)
        assert before == {"pivot": 0, "xendit": 4, "plexy": 1}
        await database.stop()

        world.dsn = await database.start("older")
        async with running(world) as gateway:
            await on_hold(world, gateway, merchant, made, before)
            await is_made_again(world, merchant, lost)
        await database.stop()

        await is_seen_on_another_timeline(database, world)

        # B25: the same without a hold. The provider that knows no keys pays a second time, or the drill could not see it.
        world.dsn = await database.start("unguarded")
        monkeypatch.setattr(HoldWatch, "begin", begin_without_looking)
        async with running(world):
            await merchant.until(made["plexy"], "paid")
        assert (await sent(world))["plexy"] == before["plexy"] + 1
        await database.stop()


async def is_made_again(world, merchant, lost):
    """A payout that the copy never knew: its merchant repeats the request, and the provider knows its key."""
    before = await sent(world)
    again = await merchant.pay(key="lost", **LOST)
    assert again["id"] != lost["id"]
    assert again["id"][-16:] == lost["id"][-16:]
    await merchant.until(again["id"], "paid")
    assert await sent(world) == before


async def begin_without_looking(self):
    self._high_water.take()
    self._high_water.moved_to(await read_position(self._pool))


async def on_hold(world, gateway, merchant, made, before):
    """The gateway on the older copy: from its start to the release and the end of every payout."""
    pool = gateway.pool
    hold = await looked_up(pool)
    assert "it does not know attempt pa_" in hold.reason or "its log ends" in hold.reason
    assert await sent(world) == before, "nothing is sent while a hold is open"
    async with world.http.get(f"http://127.0.0.1:{gateway.port}/readyz") as ready:
        assert ready.status == 200
    await gateway.gauges.fill()
    assert gateway.metrics.registry.get_sample_value("gateway_recovery_hold") == 1

    # Found where it was, also at the connection that it had gone on to, and read on as what it is.
    for name in ("fails over", "xendit"):
        paid = await merchant.until(made[name], "paid")
        types = [step["type"] for step in await merchant.timeline(made[name])]
        assert types[:2] == ["payout.created", "payout.adopted"], types
        assert paid["connectionId"] == merchant.connections["xendit"]
    assert (hold.total, hold.cleared, hold.found, hold.desk) == (4, 1, 2, 1)

    # Plexy cannot be asked: a person is, and nobody gives its money back meanwhile.
    unknown = await merchant.until(made["plexy"], "needs_review")
    assert "Plexy" in unknown["reviewReason"]
    assert not unknown["cancelable"]
    new = await merchant.pay(provider="xendit", amount=AMOUNT + 300, **BANK)
    await asyncio.sleep(0.2)
    assert (await merchant.payout(new["id"]))["phase"] == "queued"
    assert (await merchant.payout(made["never sent"]))["phase"] == "queued"
    assert await sent(world) == before

    await release(gateway, "Ana", "Budi")
    for payout_id in (new["id"], made["never sent"]):
        await merchant.until(payout_id, "paid")
    await pool.execute("update attempt set last_sent_at = last_sent_at - interval '1 hour'")
    for person in ("Ana", "Budi"):
        body = {"outcome": "paid", "evidence": "Plexy's dashboard", "reason": "their list shows it"}
        path = f"/api/v1/payouts/{made['plexy']}/resolve"
        status, answer = await merchant.call("POST", path, body, headers=await merchant.person(person))
        assert status < 300, answer
    assert (await merchant.payout(made["plexy"]))["phase"] == "paid"
    assert await sent(world) == before | {"xendit": before["xendit"] + 2}, "what was never sent, and the new one"
    for provider in before:
        assert (await world.control("GET", provider, "ledger/summary"))["doublePayments"] == []
    await check_invariants(pool)


async def is_seen_on_another_timeline(database, world):
    """A copy that recovers from an archive goes on along another timeline, as a promoted replica does."""
    cluster = database.folder / "promoted" / "cluster"
    with (cluster / "postgresql.auto.conf").open("a") as settings:
        settings.write("restore_command = 'false'\n")
    (cluster / "recovery.signal").touch()
    dsn = await database.start("promoted")
    pool = await open_pool(dsn, size=2)
    await until(lambda: pool.fetchval("select not pg_is_in_recovery()"))
    position = await read_position(pool)
    await pool.close()
    await database.stop()
    assert position.timeline == 2
    marks = HighWater(Path(world.data_dir) / "gateway" / "high-water.json")
    marks.take()
    marks.close()
    assert "timeline 2, and it was 1" in problem_of(replace(marks.own, lsn=0), position)


# --- noticing


def a_mark(**other):
    return Mark(**{"system": 1, "timeline": 1, "lsn": 100, "at": NOW, "attempt_id": "pa_1", "key": "k"} | other)


def at(**other):
    return Position(**{"system": 1, "timeline": 1, "lsn": 100, "at": NOW, "knows": True} | other)


@pytest.mark.parametrize(
    ("position", "said"),
    [
        (at(), None),
        (at(lsn=101), None),
        (at(lsn=99), "its log ends at 0/63, and had come to 0/64"),
        (at(timeline=2, lsn=500), "timeline 2"),
        (at(system=2, lsn=500), "another PostgreSQL"),
        (at(knows=False, lsn=500), "does not know attempt pa_1"),
    ],
)
def test_an_older_database_is_recognised(position, said):
    problem = problem_of(a_mark(), position)
    assert problem is None if said is None else said in problem


@pytest.mark.parametrize(
    "change",
    [
        lambda mark: mark | {"system": mark["system"] + 1},
        lambda mark: mark | {"attempt_id": "pa_" + "0" * 32, "key": "0" * 32},
    ],
    ids=["system", "attempt"],
)
async def test_a_start_on_another_database_opens_a_hold_once(world, change):
    async with running(world):
        merchant = await world.merchant(providers=("pivot",))
        paid = await merchant.pay(provider="pivot", **BANK)
        await merchant.until(paid["id"], "paid")
    file = Path(world.data_dir) / "gateway" / "high-water.json"
    changed = json.dumps(change(json.loads(file.read_text())))
    for mark in (file, file.with_stem("high-water-2")):  # the second is of a process that does not run any more
        mark.write_text(changed)
    async with running(world) as gateway:
        assert (await last_hold(gateway.pool)).declared_by == "gateway"
        queued = await merchant.pay(provider="pivot", amount=AMOUNT, **BANK)
        await asyncio.sleep(0.4)
        assert (await merchant.payout(queued["id"]))["phase"] == "queued"
        await looked_up(gateway.pool)
        await release(gateway, "Ana", "Budi")
        await merchant.until(queued["id"], "paid")
    async with running(world) as gateway:  # what was looked up once is over
        assert await gateway.pool.fetchval("select count(*) from recovery_hold") == 1


async def test_a_running_process_does_not_claim_on_an_older_database(world):
    """Between two looks of the watch: the claim itself asks, and gives up what it has written."""
    async with running(world) as gateway:
        merchant = await world.merchant(providers=("pivot",))
        first = await merchant.pay(provider="pivot", **BANK)
        await merchant.until(first["id"], "paid")
        assert gateway.high_water.own.key == await gateway.pool.fetchval("select key from attempt")
        assert gateway.high_water.own.attempt_id == attempt_id(first["id"], merchant.connections["pivot"], 1)
        gateway.high_water.own = replace(gateway.high_water.own, key="0" * 32)
        made = await merchant.pay(provider="pivot", amount=AMOUNT, **BANK)
        await asyncio.sleep(0.5)
        assert (await merchant.payout(made["id"]))["phase"] == "queued"
        gateway.hold_watch.wake()
        await until(lambda: last_hold(gateway.pool))
        assert len(await world.sent("pivot")) == 1
        with pytest.raises(OlderDatabaseError):
            gateway.high_water.check(at(), gateway.high_water.own)


async def test_a_mark_that_moves_on_while_a_claim_asks_is_no_older_database(world, monkeypatch):
    """The watch reads a later position than the claim's, and its answer may be there first."""
    async with running(world) as gateway:
        merchant = await world.merchant(providers=("pivot",))
        moved = []

        async def recorded(connection, attempts, mark):
            position = await record_attempts(connection, attempts, mark)
            if mark and not moved:
                moved.append(gateway.high_water.own)
                gateway.high_water.reached(replace(position, lsn=position.lsn + 1))
            return position

        monkeypatch.setattr("gateway.dispatcher.record_attempts", recorded)
        made = await merchant.pay(provider="pivot", **BANK)
        await merchant.until(made["id"], "paid")
        assert moved
        assert await gateway.pool.fetchval("select count(*) from recovery_hold") == 0
        assert (
            gateway.metrics.registry.get_sample_value("gateway_rounds_total", {"loop": "dispatcher", "outcome": "error"}) == 0
        )


async def test_without_a_mark_nobody_can_tell(world):
    async with running(world):
        merchant = await world.merchant(providers=("pivot",))
        await merchant.until((await merchant.pay(provider="pivot", **BANK))["id"], "paid")
    file = Path(world.data_dir) / "gateway" / "high-water.json"
    file.unlink()
    async with running(world) as gateway:
        assert await last_hold(gateway.pool) is None
        assert file.exists()


def test_without_a_file_nothing_starts(tmp_path):
    file = tmp_path / "mark.json"
    file.write_text("{")
    with pytest.raises(MarkError, match="cannot be read"):
        HighWater(file).left_behind()
    with pytest.raises(MarkError, match="GATEWAY_MARK_FILE"):
        HighWater(file / "mark.json").take()


async def test_each_process_of_a_host_has_a_file_of_its_own(world):
    async with running(world) as one, running(world) as other:
        assert one.high_water.file.name == "high-water.json"
        assert other.high_water.file.name == "high-water-2.json"
    marks = HighWater(Path(world.data_dir) / "gateway" / "high-water.json")
    assert len(marks.left_behind()) == 2


def test_the_mark_is_written_quickly(tmp_path):
    marks = HighWater(tmp_path / "high-water.json")
    marks.take()
    took_s = []
    for lsn in range(500):
        began = time.perf_counter()
        marks.sent(at(lsn=lsn), "pa_" + "0" * 32, "0" * 32, 1)
        took_s.append(time.perf_counter() - began)
    marks.close()
    assert statistics.median(took_s) < 0.000_2
    assert json.loads((tmp_path / "high-water.json").read_text())["lsn"] == 499


# --- what the database refuses


async def declare(pool, reason="a test"):
    await holds.declare(pool, person="Ana", reason=reason)


async def test_no_attempt_is_stored_while_a_hold_is_open(world):
    """A process that has not noticed: the database refuses its claims, its repetitions, and a second hold."""
    async with running(world, roles="api") as gateway:
        merchant = await world.merchant(providers=("pivot",))
        made = await merchant.pay(provider="pivot", **BANK)
        await asyncio.sleep(0.25)
        lanes = [_lane(gateway, "pivot")]
        [submission] = await gateway.dispatcher.claim(lanes, limit=1)
        await declare(gateway.pool)
        another = await merchant.pay(provider="pivot", amount=AMOUNT, **BANK)
        await asyncio.sleep(0.25)
        assert await gateway.dispatcher.claim(lanes, limit=1) == []
        attempt = submission.attempts[0].id
        copied = """insert into attempt (account_id, id, payout_id, number, connection_id, provider, key, submission_id, state,
                                         exposure, sent_at, last_sent_at, updated_at, route)
                    select account_id, 'pa_x', $2, 1, connection_id, provider, 'x', submission_id, state, exposure, sent_at,
                           last_sent_at, updated_at, route from attempt where id = $1"""
        with pytest.raises(asyncpg.CheckViolationError, match="nothing is sent before two people"):
            await gateway.pool.execute(copied, attempt, another["id"])
        with pytest.raises(holds.HoldError, match="open already"):
            await declare(gateway.pool)
        await gateway.pool.execute("update attempt set state = 'unconfirmed'")
        resend = "update attempt set sends = sends + 1, adopted_for = (select id from recovery_hold)"
        with pytest.raises(asyncpg.CheckViolationError, match="never sent"):
            await gateway.pool.execute(resend)
        with pytest.raises(asyncpg.RaiseError, match="never changed"):
            await gateway.pool.execute("delete from recovery_hold")
        # After the listing a payout waits for its own look-up, whoever claims it, also once the hold is over.
        await recovery.list_payouts(gateway.pool)
        await gateway.pool.execute("update recovery_hold set released_first_by = 'Ana', released_first_at = now()")
        with pytest.raises(asyncpg.CheckViolationError, match="nobody has looked up"):
            await gateway.pool.execute("update recovery_hold set released_second_by = 'Budi', released_second_at = now()")
        status, answer = await merchant.call("POST", f"/api/v1/payouts/{another['id']}/cancel", {})
        assert (status, answer["error"]["code"]) == (409, "state_conflict"), answer
        assert "may have been sent" in answer["error"]["message"]
        assert (await merchant.payout(made["id"]))["phase"] == "processing"


def _lane(gateway, provider):
    return dispatcher._lane(gateway.connections.contract(provider), 10)


async def test_a_claim_that_is_being_written_is_waited_for(world):
    """The hold is not open before every attempt that does not see it is stored."""
    async with running(world, roles="api") as gateway:
        async with gateway.pool.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            await connection.execute("lock table attempt in row exclusive mode")
            opening = asyncio.create_task(
                open_hold(gateway.pool, hold_id="hold_1", reason="r", declared_by="Ana", last_number=3)
            )
            await asyncio.sleep(0.1)
            assert not opening.done()
            await transaction.commit()
        assert await opening


async def test_one_person_alone_releases_nothing(world):
    async with running(world) as gateway:
        await declare(gateway.pool)
        await looked_up(gateway.pool)
        await release(gateway, "Ana")
        with pytest.raises(holds.HoldError, match="another person"):
            await release(gateway, "ana ")
        with pytest.raises(asyncpg.CheckViolationError, match="two_people"):
            await gateway.pool.execute("update recovery_hold set released_second_by = 'ANA', released_second_at = now()")
        hold = await release(gateway, "Budi")
        assert (hold.released_first_by, hold.released_second_by) == ("Ana", "Budi")
        with pytest.raises(holds.HoldError, match="No recovery hold is open"):
            await release(gateway, "Citra")


async def test_what_gets_no_clear_answer_waits_until_somebody_accepts_that(world, unused_tcp_port):
    """A provider that is down is asked again and again; only people give that up, and then it is on the desk."""
    async with running(world, roles="api"):
        merchant = await world.merchant(providers=("pivot",))
        made = await merchant.pay(provider="pivot", **BANK)
    async with running(world, roles="api") as gateway:
        await declare(gateway.pool)
        await gateway.pool.execute(
            "update connection set settings = jsonb_set(settings, '{base_url}', to_jsonb($1::text))",
            f"http://127.0.0.1:{unused_tcp_port}",
        )
    async with running(world) as gateway:
        asked = "select tries > 2 and detail like '%no clear answer%' from recovery_lookup"
        await until(lambda: gateway.pool.fetchval(asked))
        with pytest.raises(holds.HoldError, match="not looked up yet"):
            await release(gateway, "Ana")
        await release(gateway, "Ana", accept_unknown=True)
        on_desk = await merchant.payout(made["id"])
        assert (on_desk["phase"], on_desk["cancelable"]) == ("needs_review", False)
        stands_in = replace(await newest_attempt(gateway.pool, on_desk), quiet_s=1e9)
        assert not may_resend(QUICK["pivot"].contract, stands_in)
        assert not absence_believed(QUICK["pivot"].contract, stands_in)
        await release(gateway, "Budi")
        # Pivot answers again and does not know it: that says nothing of what it stands in for, so it stays with the people.
        await gateway.pool.execute(
            "update connection set settings = jsonb_set(settings, '{base_url}', to_jsonb($1::text))",
            f"{world.sandbox_url}/pivot",
        )
        await asyncio.sleep(1.0)
        assert (await merchant.payout(made["id"]))["phase"] == "needs_review"
        assert await world.sent("pivot") == []
        await check_invariants(gateway.pool)


LOSE_SECRETS = "update connection set secrets_sealed = '\\x00' where id = $1"
LOSE_SETTINGS = "update connection set settings = '{}' where id = $1"


@pytest.mark.parametrize(("spoil", "rounds_fail"), [(LOSE_SECRETS, False), (LOSE_SETTINGS, True)], ids=["secrets", "settings"])
async def test_one_connection_that_cannot_be_used_keeps_nobody_on_hold(world, spoil, rounds_fail):
    """The other merchants' payouts are looked up; its own wait until somebody accepts that nobody can tell."""
    async with running(world, roles="api") as gateway:
        merchants = [await world.merchant(providers=("xendit",)) for _ in range(2)]
        made = [await merchant.pay(provider="xendit", **BANK) for merchant in merchants for _ in range(2)]
        await gateway.pool.execute(spoil, merchants[0].connections["xendit"])
        await declare(gateway.pool)
    async with running(world) as gateway:
        states = "select array_agg(state order by payout_id) from recovery_lookup where account_id = $1"
        await until(lambda: _are(gateway, states, merchants[1], ["cleared"] * 2))
        tried = "select bool_and(tries > 2 and state = 'waiting') from recovery_lookup where account_id = $1"
        await until(lambda: gateway.pool.fetchval(tried, merchants[0].account_id))
        [(many, waits_for)] = await waiting_reasons(gateway.pool, (await last_hold(gateway.pool)).id, limit=2)
        assert (many, "its secrets cannot be opened" in waits_for) == (2, True)
        failed = gateway.metrics.registry.get_sample_value("gateway_rounds_total", {"loop": "recovery", "outcome": "error"})
        assert bool(failed) == rounds_fail
        with pytest.raises(holds.HoldError, match="2 payouts are not looked up yet"):
            await release(gateway, "Ana")
        await release(gateway, "Ana", accept_unknown=True)
        await release(gateway, "Budi")
        for payout in made[:2]:
            assert (await merchants[0].payout(payout["id"]))["phase"] == "needs_review"
        for payout in made[2:]:
            await merchants[1].until(payout["id"], "paid")
        assert len(await world.sent("xendit")) == 2
        await check_invariants(gateway.pool)


async def _are(gateway, query, merchant, expected):
    return await gateway.pool.fetchval(query, merchant.account_id) == expected


@pytest.mark.parametrize(
    ("spoil", "mend"),
    [
        ("update account set routing = '{\"rules\": 1}' where id = '{0}'", "update account set routing = null"),
        (
            "alter table recovery_lookup add constraint spoilt check (account_id <> '{0}' or state = 'waiting')",
            "alter table recovery_lookup drop constraint spoilt",
        ),
    ],
    ids=["asking", "carrying out"],
)
async def test_an_error_of_ours_about_one_payout_keeps_no_other_on_hold(world, monkeypatch, spoil, mend):
    """It is told, also to whoever would release the hold, and the hold stays until it is put right."""
    monkeypatch.setattr(holds, "_ROUNDS", 5)
    monkeypatch.setattr(holds, "_ROUND_S", 0.05)
    async with running(world, roles="api") as gateway:
        spoilt, other = [await world.merchant(providers=("xendit",)) for _ in range(2)]
        for merchant in (spoilt, other, spoilt, other):
            await merchant.pay(provider="xendit", **BANK)
        await gateway.pool.execute(spoil.replace("{0}", spoilt.account_id))
        gateway.connections.forget_policies()
        await declare(gateway.pool)
        await asyncio.sleep(QUICK["xendit"].contract.visibility_s + SENDS_LAST_S)
        with pytest.raises(SomeFailedError, match="2 of the round failed"):
            await recovery.Recovery(gateway.pool, gateway.connections, gateway.apply).round()
        states = "select array_agg(state) from recovery_lookup where account_id = $1"
        assert await _are(gateway, states, other, ["cleared"] * 2)
        later = "select bool_and(due_at > now() + interval '1 minute') from recovery_lookup where account_id = $1"
        assert await gateway.pool.fetchval(later, spoilt.account_id), "as long as its lease would be"
        for _ in range(2):
            with pytest.raises(holds.HoldError, match="2 payouts are still not looked up"):
                await release(gateway, "Ana", accept_unknown=True)
        [(many, waits_for)] = await waiting_reasons(gateway.pool, (await last_hold(gateway.pool)).id, limit=2)
        assert (many, "our own work on it failed with" in waits_for) == (2, True)
        await gateway.pool.execute(mend)
        gateway.connections.forget_policies()
        hold = await release(gateway, "Ana", "Budi", accept_unknown=True)
        assert (hold.released_second_by, hold.cleared) == ("Budi", 4)
        await check_invariants(gateway.pool)


async def send_unknown_to_us(gateway, payout, connection_id, number):
    """Send an attempt as the database's forgotten future did."""
    connection = await gateway.connections.get(connection_id)
    key = attempt_key(connection.contract.key_format, payout["id"], connection_id, number)
    to = OwnBalance() if payout["destination"]["type"] == "balance" else BankAccount(**PAYEE)
    order = Order(attempt_id(payout["id"], connection_id, number), key, payout["amount"], payout["currency"], to)
    [report] = await connection.connector.submit("0" * 32, [order])
    assert isinstance(report, Taken), report


async def test_a_provider_that_keeps_only_our_attempt_id_finds_it_too(world):
    """Mollie forgets keys after an hour and keeps the attempt's id, which is derived like the key."""
    async with running(world, roles="api") as gateway:
        merchant = await world.merchant(providers=("mollie",))
        made = await merchant.pay(amount=10_00, currency="EUR", destination={"type": "balance"})
        await send_unknown_to_us(gateway, made, merchant.connections["mollie"], 1)
        await declare(gateway.pool)
    async with running(world) as gateway:
        await merchant.until(made["id"], "paid")
        assert (await last_hold(gateway.pool)).found == 1
    assert len(await world.sent("mollie")) == 1


async def test_what_ends_after_the_release_is_looked_up_before_it_goes_on(world):
    """Its known attempt was open when the hold ended, and the database had forgotten that it went on elsewhere and was paid."""
    async with running(world, roles="api") as gateway:
        merchant = await world.merchant(providers=("pivot", "xendit"))
        made = await merchant.pay(provider="pivot", amount=AMOUNT, **BANK)
        await asyncio.sleep(0.25)
        lanes = [_lane(gateway, "pivot"), _lane(gateway, "xendit")]
        [submission] = await gateway.dispatcher.claim(lanes, limit=1)
        await declare(gateway.pool)
        await recovery.list_payouts(gateway.pool)
        hold = await release(gateway, "Ana", "Budi")
        assert (hold.released_second_by, hold.under_way) == ("Budi", 1)
        said = Said(
            account_id=merchant.account_id, attempt_id=submission.attempts[0].id, report=NotSent("refused"), source="test"
        )
        await gateway.apply(said)
        await gateway.pool.execute("update payout set due_at = now()")
        assert await gateway.dispatcher.claim(lanes, limit=1) == []
        await send_unknown_to_us(gateway, made, merchant.connections["pivot"], 2)
    async with running(world) as gateway:
        await merchant.until(made["id"], "paid")
    assert len(await world.sent("pivot")) == 1


async def test_a_found_attempt_that_had_failed_is_followed_by_the_next_number(world):
    """What was found has ended, so the payout goes on: with a number and a key that nobody has used."""
    async with running(world, roles="api") as gateway:
        merchant = await world.merchant(providers=("pivot", "xendit"))
        made = await merchant.pay(amount=AMOUNT, **BANK)
        await world.control("POST", "pivot", "scenarios", {"name": "failed", "times": 1})
        await send_unknown_to_us(gateway, made, merchant.connections["pivot"], 2)
        await declare(gateway.pool)
    async with running(world) as gateway:
        hold = await looked_up(gateway.pool)
        assert hold.found == 1
        await merchant.until(made["id"], "queued")
        await release(gateway, "Ana", "Budi")
        await merchant.until(made["id"], "paid")
        numbers = await gateway.pool.fetch("select number, state, provider from attempt order by number")
        assert [tuple(row) for row in numbers] == [(2, "failed", "pivot"), (3, "paid", "xendit")]
        await check_invariants(gateway.pool)


async def test_money_found_after_it_was_given_back_is_an_incident(world):
    """The known attempt failed for good during the hold, and the database had forgotten that a later one paid."""
    async with running(world, roles="api") as gateway:
        merchant = await world.merchant(providers=("pivot", "xendit"))
        made = await merchant.pay(provider="pivot", amount=AMOUNT, **BANK)
        await asyncio.sleep(0.25)
        [submission] = await gateway.dispatcher.claim([_lane(gateway, "pivot")], limit=1)
        await declare(gateway.pool)
        await recovery.list_payouts(gateway.pool)
        await gateway.apply(
            Said(
                account_id=merchant.account_id,
                attempt_id=submission.attempts[0].id,
                report=Taken(Progress.FAILED, failure_code=FailureCode.INVALID_DESTINATION),
                source="test",
            )
        )
        assert (await merchant.payout(made["id"]))["phase"] == "failed"
        await send_unknown_to_us(gateway, made, merchant.connections["pivot"], 2)
        looking = recovery.Recovery(gateway.pool, gateway.connections, gateway.apply)

        async def found():
            await looking.round()
            return await gateway.pool.fetchval("select detail from incident where kind = 'unknown_payout'")

        assert "it ended as failed, and then" in await until(found)
        assert (await last_hold(gateway.pool)).over == 1


@pytest.fixture
def command(dsn, monkeypatch, capsys):
    """Run a command in this process: (exit status, what it printed)."""
    monkeypatch.setenv("GATEWAY_DATABASE_URL", dsn)
    monkeypatch.setenv("GATEWAY_MASTER_KEY", MASTER_KEY)
    monkeypatch.setattr("gateway.logs.configure", lambda *_args, **_kwargs: None)

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["payout-gateway", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        return ended.value.code, printed.out + printed.err

    return call


def test_the_commands(command):
    def call(*words):
        return command("hold", *words)

    assert "never" in call("status")[1]
    assert call("declare", "--person", "Ana", "--reason", "restored the backup of 03:00")[0] == 0
    shown = call("status")[1]
    for word in ("nothing is sent", "by Ana: restored the backup of 03:00", "nothing yet", "it takes two people"):
        assert word in shown
    assert call("release", "--person", "Ana")[0] == 1
    status, said = call("release", "--person", "Ana", "--accept-unknown")
    assert (status, "second person" in said) == (0, True), said
    status, said = call("release", "--person", "Budi")
    assert (status, "Payouts go out again" in said) == (0, True), said
    assert "released by Ana and Budi" in call("status")[1]


def test_a_connection_is_made_again_under_its_old_id(command):
    """What was made after the backup: keys are derived from the connection's id, so only under that id can it be asked."""
    account_id = command("account", "create", "PT Contoh", "--currency", "IDR")[1].strip()
    old = f"conn_{uuid.uuid4().hex}"
    assert command("connection", "create", account_id, "manual", "--id", old)[1].startswith(old)
    assert command("connection", "create", account_id, "manual", "--id", old)[0] == 0
    another = command("account", "create", "PT Lain", "--currency", "IDR")[1].strip()
    assert "another account's" in command("connection", "create", another, "manual", "--id", old)[1]
    assert "no id" in command("connection", "create", account_id, "manual", "--id", "conn_1")[1]


# --- what answers mean


PIVOT, PLEXY = (Place(f"conn_{name}", name, QUICK[name].contract) for name in ("pivot", "plexy"))
PENDING, PAID = Taken(Progress.PENDING), Taken(Progress.PAID)
FAILED = Taken(Progress.FAILED, failure_code=FailureCode.UNEXPLAINED)
MISSING, SILENT = NotFound("404"), Unclear("timeout")


@pytest.mark.parametrize(
    ("reports", "blind", "accepts", "ruling", "number"),
    [
        ([], (), False, Ruling.CLEAR, None),
        ([(MISSING, True), (MISSING, True)], (), False, Ruling.CLEAR, None),
        ([(MISSING, True), (MISSING, False)], (), False, Ruling.ASK_AGAIN, None),
        ([(MISSING, True), (SILENT, False)], (), False, Ruling.ASK_AGAIN, None),
        ([(MISSING, True), (SILENT, False)], (), True, Ruling.ASK_PERSON, None),
        ([(MISSING, True)], (PLEXY,), False, Ruling.ASK_PERSON, None),
        ([(SILENT, False), (PENDING, True)], (PLEXY,), False, Ruling.TAKE_OVER, 2),
        ([(FAILED, True), (SILENT, False)], (), False, Ruling.ASK_AGAIN, None),
        ([(FAILED, True), (MISSING, True)], (PLEXY,), False, Ruling.ASK_PERSON, None),
        ([(FAILED, True), (MISSING, True)], (), False, Ruling.TAKE_OVER, 1),
        ([(PAID, True), (FAILED, True)], (), False, Ruling.TAKE_OVER, 1),
    ],
)
def test_what_answers_mean(reports, blind, accepts, ruling, number):
    answers = [(Asked(PIVOT, n, f"pa_{n}", f"key_{n}", report), settled) for n, (report, settled) in enumerate(reports, 1)]
    ruled = rule(answers, blind, accepts_unknown=accepts)
    assert (ruled.ruling, ruled.about.number if ruled.about else None) == (ruling, number)


def test_two_that_may_both_have_paid_are_a_persons():
    answers = [(Asked(PIVOT, n, f"pa_{n}", f"key_{n}", PAID), True) for n in (1, 2)]
    ruled = rule(answers, (), accepts_unknown=False)
    assert ruled.about.number == 2
    assert [asked.number for asked in ruled.also] == [1]


def test_not_found_counts_only_where_it_proves_something_and_not_too_early():
    late, early = PIVOT.contract.visibility_s + 1.0, PIVOT.contract.visibility_s + 0.9
    missing = Asked(PIVOT, 1, "pa_1", "key_1", MISSING)
    assert is_settled(missing, quiet_s=late, margin_s=1.0)
    assert not is_settled(missing, quiet_s=early, margin_s=1.0)
    assert not is_settled(replace(missing, place=PLEXY), quiet_s=late, margin_s=1.0)
    assert not is_settled(replace(missing, report=SILENT), quiet_s=late, margin_s=1.0)
    assert is_settled(replace(missing, place=PLEXY, report=PENDING), quiet_s=0.0, margin_s=1.0)


def test_the_watch_looks_every_few_seconds():
    assert timedelta(seconds=hold_watch._EVERY_S) < timedelta(seconds=5)
