"""The live invariants: a world that keeps all rules, and for each rule somebody with all rights who breaks exactly that one."""

import asyncio
import time
from types import SimpleNamespace

import asyncpg
import pytest
from test_books import check_invariants
from world import BANK, QUICK

from gateway.invariants import Invariants
from gateway.metrics import Metrics
from gateway.recording import Said
from gateway.store import database
from gateway.store import invariants as store
from gateway.store.invariants import NAMED_AT_MOST, check_rule, rules
from schemas.report import Progress, Taken

PAID, FAILED, UNDER_WAY, QUEUED, LATE = "paid", "failed", "under_way", "queued", "late"


# Who owns the tables can switch off every guard of theirs.
WITHOUT_GUARDS = """do $$ declare t record; begin
    for t in select conrelid::regclass as name, conname from pg_constraint
              where contype = 'f' and connamespace = 'public'::regnamespace loop
        execute format('alter table %s drop constraint %I', t.name, t.conname);
    end loop;
    for t in select oid::regclass as name from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace loop
        execute format('alter table %s disable trigger user', t.name);
    end loop;
end $$"""


async def paid_late(world, gateway, merchant):
    """A payout that fails at Pivot, is paid by Xendit, and then by Pivot after all."""
    await gateway.pool.execute("update connection set priority = 1 where id = $1", merchant.connections["pivot"])
    gateway.connections._by_account.clear()
    await world.control("POST", "pivot", "scenarios", {"name": "failed", "times": 1})
    made = await merchant.pay(**BANK)
    await merchant.until(made["id"], "paid")
    first = await gateway.pool.fetchrow("select account_id, id from attempt where payout_id = $1 and number = 1", made["id"])
    await gateway.apply(
        Said(account_id=first["account_id"], attempt_id=first["id"], report=Taken(Progress.PAID), source="reconciler")
    )
    return made


@pytest.fixture
async def tampered(world):
    """(session, ids of a payout in each place): a database whose triggers and foreign keys are all switched off."""
    gateway = await world.start_gateway()
    merchant = await world.merchant(providers=("pivot", "xendit", "manual"))
    made = {
        PAID: await merchant.pay(provider="pivot", **BANK),
        FAILED: await merchant.pay(provider="pivot", **BANK | {"bankAccountNumber": "999966660003"}),
        UNDER_WAY: await merchant.pay(provider="manual", merchantReference="A-1", **BANK),
    }
    await merchant.until(made[PAID]["id"], "paid")
    await merchant.until(made[FAILED]["id"], "failed")
    made[LATE] = await paid_late(world, gateway, merchant)
    await merchant.until(made[UNDER_WAY]["id"], "processing")
    await asyncio.gather(*(loop.close() for loop in gateway._loops))
    await gateway.apply.drain()
    made[QUEUED] = await merchant.pay(provider="xendit", merchantReference="A-2", **BANK)
    await check_invariants(gateway.pool)

    session = await asyncpg.connect(world.dsn)
    await session.execute(WITHOUT_GUARDS)
    yield session, {name: payout["id"] for name, payout in made.items()} | {"account": merchant.account_id}
    await session.close()


COPY_OF_ATTEMPT = """
    create temp table another as select * from attempt where payout_id = '{paid}' and number = 1;
    update another set id = id || 'x', key = {key}, number = {number}, {more};
    insert into attempt select * from another; drop table another"""


def another_attempt(*, key="key || 'x'", number=2, more="checks = 0"):
    """One more attempt of the paid payout, like its first."""
    return COPY_OF_ATTEMPT.replace("{key}", key).replace("{number}", str(number)).replace("{more}", more)


# The rule or rules that must fire, and how they are broken. Who breaks two at once breaks two: no rule hides behind another.
BREAKS = {
    "I2_request_keys": """alter table request_key drop constraint request_key_pkey;
        insert into request_key select * from request_key where payout_id = '{paid}'""",
    "I2_merchant_references": """drop index payout_merchant_reference;
        update payout set merchant_reference = 'A-1' where id = '{queued}'""",
    "I4_nothing_lost": "insert into request_key values ('{account}', 'k', '', 'po_gone')",
    "I4_asked_for": "delete from request_key where payout_id = '{paid}'",
    "I6_balanced": """insert into ledger_entry
            (account_id, tx_id, line, kind, book, currency, debit, credit, payout_id, posted_at)
        values ('{account}', 't', 1, 'write_off', 'loss', 'IDR', 15000000, 0, '{late}', now())""",
    "I6_booked": """insert into ledger_entry
            (account_id, tx_id, line, kind, book, currency, debit, credit, payout_id, posted_at)
        values ('{account}', 't', 1, 'settle', 'loss', 'IDR', 15000000, 0, '{queued}', now()),
               ('{account}', 't', 2, 'settle', 'loss', 'IDR', 0, 15000000, '{queued}', now())""",
    "I6_named": "delete from ledger_credit where reference = 'start EUR'",
    "I7_below_zero": """alter table balance drop constraint balance_available_check;
        insert into balance (account_id, currency, available) values ('{account}', 'SEK', -5);
        insert into ledger_credit values ('{account}', 'x', '', 't');
        insert into ledger_entry (account_id, tx_id, line, kind, book, currency, debit, credit, posted_at)
        values ('{account}', 't', 1, 'credit', 'available', 'SEK', 5, 0, now()),
               ('{account}', 't', 2, 'credit', 'funding', 'SEK', 0, 5, now())""",
    "I7_reserved I8_entries I8_sources": "update balance set in_transit = in_transit + 1 where currency = 'IDR'",
    "I3_paid_out I8_entries I8_sources": "update balance set paid_out = paid_out + 1 where currency = 'IDR'",
    "I8_entries I8_sources": "update balance set available = available + 1 where currency = 'EUR'",
    "I8_sources I6_named": """update balance set available = available + 5 where currency = 'EUR';
        insert into ledger_entry (account_id, tx_id, line, kind, book, currency, debit, credit, posted_at)
        values ('{account}', 't', 1, 'recover', 'funding', 'EUR', 5, 0, now()),
               ('{account}', 't', 2, 'recover', 'available', 'EUR', 0, 5, now())""",
    "I8_entries I8_receivable": "update balance set receivable = receivable + 1 where currency = 'IDR'",
    "I5_evidence": """with r as (
            insert into report (account_id, attempt_id, source, kind, detail, changed, created_at, digest)
            select account_id, id, 'x', 'Unclear', '{{}}', true, now(),
                   report_digest(account_id, id, 'x', 'Unclear', '{{}}', now())
              from attempt where payout_id = '{failed}' returning *
        ) update attempt a set evidence_id = r.id from r where r.attempt_id = a.id""",
    "I5_decisions": """insert into report (account_id, attempt_id, source, kind, detail, changed, created_at, digest)
        select account_id, id, 'x', 'Decision', '{{"decision": "dec_x", "outcome": "paid"}}', false, now(),
               report_digest(account_id, id, 'x', 'Decision', '{{"decision": "dec_x", "outcome": "paid"}}', now())
          from attempt where payout_id = '{paid}'""",
    "I10_sending I24_without_gap I31_chain": "delete from event where payout_id = '{paid}' and type = 'payout.sending'",
    "I11_one_exposure I10_sending I11_newest I12_after_proof I16_paid": "drop index attempt_one_exposure;" + another_attempt(),
    "I11_newest": "update payout set attempt_id = null where id = '{failed}'",
    "I12_after_proof": """update attempt a set evidence_id = (select max(r.id) from report r where r.attempt_id = a.id)
        where payout_id = '{late}' and number = 1""",
    "I12_released": "update attempt set state = 'pending', exposure = 'open' where payout_id = '{failed}'",
    "I13_keys": """drop index attempt_key; update attempt set key = (select key from attempt where payout_id = '{paid}')
        where payout_id = '{failed}'""",
    "I16_paid": """update attempt a set state = 'returned', exposure = 'closed',
            evidence_id = (select max(r.id) from report r where r.attempt_id = a.id and r.changed)
        where payout_id = '{paid}'""",
    "I16_words": """alter table attempt drop constraint attempt_check1;
        update attempt set exposure = 'open' where payout_id = '{paid}'""",
    "I17_paid_late": "update attempt set paid_late_at = null where payout_id = '{late}'",
    # Somebody who knows how the chain is made, and leaves one number out.
    "I24_without_gap": """update event e set seq = seq + 1, hash = event_hash(
            (select b.hash from event b where b.payout_id = e.payout_id and b.seq = e.seq - 1), account_id, payout_id, seq + 1,
            id, type, phase, status, attempt_id, source, reason, words, evidence, report_digest, created_at)
        where payout_id = '{paid}' and seq = (select seq from payout where id = '{paid}');
        update payout p set seq = seq + 1, head = (select hash from event where payout_id = p.id order by seq desc limit 1)
        where id = '{paid}'""",
    "I24_last_event I31_chain": "update event set phase = 'failed' where payout_id = '{paid}' and phase = 'paid'",
    "I24_last_event": """delete from event where payout_id = '{paid}'
        and seq = (select seq from payout where id = '{paid}')""",
    "I31_chain": "update event set reason = reason || '.' where payout_id = '{paid}' and seq = 2",
    "I31_reports": """update report set detail = detail || '{{"amount_minor": 1}}'
        where id = (select evidence_id from attempt where payout_id = '{failed}')""",
    "I31_kept": "delete from report where attempt_id in (select id from attempt where payout_id = '{paid}')",
    "I33_passing": """with r as (
            insert into report (account_id, attempt_id, source, kind, detail, changed, created_at, digest)
            select account_id, id, 'x', 'NotSent', '{{}}', true, now(),
                   report_digest(account_id, id, 'x', 'NotSent', '{{}}', now())
              from attempt where payout_id = '{under_way}' returning *
        ) update attempt a set state = 'not_sent', exposure = 'closed', evidence_id = r.id from r where r.attempt_id = a.id""",
    "I33_passing I24_last_event": "update payout set phase = 'needs_review' where id = '{under_way}'",
    "I33_next_look": "update attempt set check_at = null where payout_id = '{paid}'",
    "I33_overdue": "update attempt set check_at = now() - interval '16 minutes' where payout_id = '{paid}'",
    "I33_queue_place": "update payout set connection_id = 'conn_gone' where id = '{queued}'",
}


def test_every_rule_is_broken_here():
    assert {name for names in BREAKS for name in names.split()} == {rule.name for rule in rules()}


async def test_exactly_the_rule_that_is_broken_fires(tampered):
    """F47 among them: a byte of an event, an event in the middle, the last one, and a report."""
    session, names = tampered
    wrong = {}
    for expected, statements in BREAKS.items():
        undone = session.transaction()
        await undone.start()
        for statement in filter(str.strip, statements.split(";")):
            await session.execute(statement.format(**names))
        found = {rule.name for rule in rules() if await session.fetch(rule.query)}
        await undone.rollback()
        if found != set(expected.split()):
            wrong[expected] = found
    assert not wrong
    assert not [rule.name for rule in rules() if await session.fetch(rule.query)]


async def test_the_loop_tells_how_many_and_which(world, monkeypatch):
    gateway = await world.start_gateway()
    merchant = await world.merchant(providers=("manual",))
    made = [await merchant.pay(provider="manual", **BANK) for _ in range(NAMED_AT_MOST + 5)]
    told = []
    monkeypatch.setattr("gateway.invariants._log", SimpleNamespace(error=lambda event, **fields: told.append((event, fields))))
    sample = gateway.metrics.registry.get_sample_value

    await gateway.invariants.round()
    assert sample("gateway_invariants_checked_timestamp_seconds") > time.time() - 60
    assert {sample("gateway_invariant_violations", {"rule": rule.name}) for rule in rules()} == {0}
    assert not told

    ids = [payout["id"] for payout in made]
    await gateway.pool.execute("delete from request_key where payout_id = any ($1)", ids)
    await gateway.invariants.round()
    assert sample("gateway_invariant_violations", {"rule": "I4_asked_for"}) == 0, "it is not due again yet"
    gateway.invariants._due_at.clear()
    await gateway.invariants.round()
    assert sample("gateway_invariant_violations", {"rule": "I4_asked_for"}) == len(ids)
    [(event, fields)] = told
    assert (event, fields["rule"], fields["many"]) == ("invariant.violated", "I4_asked_for", len(ids))
    assert len(fields["ids"]) == NAMED_AT_MOST
    assert set(fields["ids"]) <= set(ids)
    assert fields["accounts"] == [merchant.account_id]


async def test_one_process_checks_at_a_time(world):
    gateway = await world.start_gateway()
    sample = gateway.metrics.registry.get_sample_value
    gateway.metrics.invariant_violations.labels("I6_balanced").set(3)  # what it saw when it was its turn
    async with gateway.pool.acquire() as connection, connection.transaction():
        await connection.fetchval("select pg_advisory_xact_lock($1)", store._ALONE)
        await gateway.invariants.round()
    assert sample("gateway_invariant_violations", {"rule": "I6_balanced"}) is None
    assert sample("gateway_invariants_checked_timestamp_seconds") == 0
    await gateway.invariants.round()
    assert sample("gateway_invariant_violations", {"rule": "I6_balanced"}) == 0


async def test_a_rule_that_cannot_be_checked_is_a_failure_and_not_a_zero(world, monkeypatch):
    gateway = await world.start_gateway()
    sample = gateway.metrics.registry.get_sample_value
    slow = store.Rule("slow", "nobody knows", "select pg_sleep(5)::text as id, '' as account_id")
    fine = store.Rule("fine", "nothing wrong", "select '' as id, '' as account_id where false")
    monkeypatch.setattr("gateway.invariants.rules", lambda: (slow, fine))
    monkeypatch.setattr("gateway.invariants.TIMEOUT_S", 0.2)
    await gateway.invariants.round()
    assert sample("gateway_invariant_failures_total", {"rule": "slow"}) == 1
    assert sample("gateway_invariant_violations", {"rule": "slow"}) is None
    assert sample("gateway_invariant_violations", {"rule": "fine"}) == 0
    assert sample("gateway_invariants_checked_timestamp_seconds") == 0


async def test_a_check_that_takes_long_does_not_hold_up_a_stop(world, monkeypatch):
    gateway = await world.start_gateway(roles="api")
    slow = store.Rule("slow", "nobody knows", "select pg_sleep(60)::text as id, '' as account_id")
    monkeypatch.setattr("gateway.invariants.rules", lambda: (slow,))
    watch = Invariants(gateway.pool, Metrics(), every_s=0.01)
    watch.start()
    await asyncio.sleep(0.3)
    async with asyncio.timeout(3):
        await watch.close()


async def test_a_check_may_take_longer_than_any_other_transaction(dsn, monkeypatch):
    monkeypatch.setattr(database, "_TRANSACTION_S", 0.2)
    pool = await database.open_pool(dsn, size=1)
    slow = store.Rule("slow", "it holds", "select '' as id, '' as account_id from pg_sleep(0.5) where false")
    assert await check_rule(pool, slow, timeout_s=5) == store.Finding(0, [])
    with pytest.raises(asyncpg.PostgresConnectionError):
        await pool.execute("select pg_sleep(0.5)")
    await pool.close()


async def test_a_rule_only_reads(world):
    gateway = await world.start_gateway()
    await world.merchant(providers=())
    greedy = store.Rule("greedy", "", "select id, id as account_id from account order by (select nextval('report_id_seq'))")
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await check_rule(gateway.pool, greedy, timeout_s=5)


def test_the_providers_that_nobody_reads_are_those_of_the_rule():
    """The one name of a provider in the rules; a second provider that a person moves has to be added there."""
    marked = {name for name, provider in QUICK.items() if provider.contract.operator_marks}
    [rule] = [rule for rule in rules() if rule.name == "I33_next_look"]
    assert marked == {"manual"}
    assert "<> 'manual'" in rule.query


async def test_what_waits_for_a_person_is_measured(world):
    gateway = await world.start_gateway()
    merchant = await world.merchant(providers=("pivot", "xendit"))
    sample = gateway.metrics.registry.get_sample_value
    await gateway.gauges.fill()
    assert (sample("gateway_reviews_open"), sample("gateway_incidents_open", {"kind": "paid_late"})) == (0, 0)
    await paid_late(world, gateway, merchant)
    await gateway.gauges.fill()
    assert (sample("gateway_reviews_open"), sample("gateway_incidents_open", {"kind": "paid_late"})) == (1, 1)
    assert 0 < sample("gateway_review_age_seconds") < 60
    assert 0 < sample("gateway_incident_age_seconds", {"kind": "paid_late"}) < 60
    assert sample("gateway_incidents_open", {"kind": "missing_payout"}) == 0
