"""The command line for what went wrong: `verify`, `incident`, `connection resume` and `lookback run`."""

import asyncio
import json
import re
from dataclasses import replace

import asyncpg
import pytest
from test_cli import command, no_settings_of_ours, sandboxes  # noqa: F401 - fixtures

from gateway.store.invariants import rules
from providers.registry import PROVIDERS


@pytest.fixture
def sql(dsn):
    """Run statements on the database of the commands; the last one's value."""

    async def work(*statements):
        connection = await asyncpg.connect(dsn)
        try:
            for statement in statements[:-1]:
                await connection.execute(statement)
            return await connection.fetchval(statements[-1])
        finally:
            await connection.close()

    return lambda *statements: asyncio.run(work(*statements))


@pytest.fixture
def late(command, sql):  # noqa: F811
    """(incident id, connection id) of a late payment whose money is booked as receivable."""
    account = command("account", "create", "PT Contoh", "--currency", "IDR")[1].strip()
    connection = command("connection", "create", account, "manual")[1].split()[0]
    sql(
        f"insert into balance (account_id, currency, receivable) values ('{account}', 'IDR', 15000000)",
        f"""insert into incident (account_id, id, kind, subject, connection_id, amount_minor, currency, detail)
            values ('{account}', 'inc_1', 'paid_late', 'pa_1', '{connection}', 15000000, 'IDR',
                    'paid although it had failed')""",
        "update connection set paused_until = 'infinity', paused_reason = 'attempt pa_1 paid late'",
        "select 1",
    )
    return "inc_1", connection


def test_verify_says_of_each_rule_whether_it_holds(command, sql):  # noqa: F811
    status, out, _ = command("verify")
    assert status == 0
    assert re.findall(r"^ +ok  (\S+) .* ms  \S.*$", out, re.MULTILINE) == [rule.name for rule in rules()]
    assert out.endswith(f"{len(rules())} of {len(rules())} rules hold\n")
    sql("insert into request_key values ('acct_x', 'k', '', 'po_gone')", "select 1")
    status, out, _ = command("verify")
    assert status == 1
    assert re.search(r"^ +1  I4_nothing_lost .*\n +po_gone  acct_x$", out, re.MULTILINE)
    assert out.endswith(f"{len(rules()) - 1} of {len(rules())} rules hold\n")


def test_a_late_payment_is_listed_shown_and_closed(command, sql, late):  # noqa: F811
    incident, connection = late
    assert re.fullmatch(r"inc_1  \d{4}-\d\d-\d\d \d\d:\d\d  paid_late +IDR 150,000\.00  pa_1\n", command("incident", "list")[1])
    assert "paid although it had failed" in command("incident", "show", incident)[1]
    status, _, err = command("incident", "show", "inc_2")
    assert (status, "there is no incident inc_2; `incident list --all` shows them all" in err) == (1, True)
    assert "changed" not in err, "it was only looked for"

    status, _, err = command("connection", "resume", connection)
    assert (status, incident in err) == (1, True)
    close = ("incident", "close", incident, "--person", "Ana", "--reason", "letter of 3 March", "--as")
    status, _, err = command(*close, "explained")
    assert (status, "ends as recovered or written_off" in err) == (1, True)
    status, out, _ = command(*close, "written_off")
    assert status == 0
    assert re.search(r"^because +letter of 3 March$", out, re.MULTILINE)
    status, _, err = command(*close, "recovered")
    assert (status, "closed before" in err) == (1, True)
    assert sql("select receivable from balance") == 0
    assert sql("select count(*) from ledger_entry where kind = 'write_off'") == 2
    assert command("incident", "list")[1] == ""
    assert "closed as written_off" in command("incident", "list", "--all")[1]

    assert command("connection", "resume", connection)[0] == 0
    assert sql("select paused_until from connection") is None


def test_a_look_back_prints_what_it_found(command, sql, sandboxes, monkeypatch):  # noqa: F811
    mollie = PROVIDERS["mollie"]
    quick = {**PROVIDERS, "mollie": replace(mollie, contract=replace(mollie.contract, visibility_s=0.0))}
    monkeypatch.setattr("gateway.cli_lookback.PROVIDERS", quick)
    url, control = sandboxes
    balances = [{"id": "bal_1", "currency": "EUR", "available": "1000.00"}]
    made = control("POST", "mollie/merchants", {"balances": balances})
    account = command("account", "create", "Contoh B.V.", "--currency", "EUR")[1].strip()
    create = (
        "connection",
        "create",
        account,
        "mollie",
        "--setting",
        f"base_url={url}/mollie",
        "--setting",
        "balance_id=bal_1",
    )
    secrets = json.dumps({"api_key": made["apiKey"]}).encode()
    connection = command(*create, "--secrets-file", "-", stdin=secrets)[1].split()[0]

    status, out, err = command("lookback", "run", connection)
    assert (status, out) == (1, "")
    assert re.search(r"nothing was compared: nothing .* is old enough .*; try again in (9|10) min$", err, re.MULTILINE)
    assert control("GET", "mollie/requests", None)["operations"].get("list_payouts", 0) == 0
    monkeypatch.setattr("gateway.lookback.SETTLED_S", 0.0)
    sql("update connection set created_at = created_at - interval '1 minute'", "select 1")

    status, out, err = command("lookback", "run", connection)
    assert (status, err) == (0, "")
    assert out.startswith("0 on the list from ")
    assert out.endswith("0 differences, 0 of them new; 0 attempts are read again\n")

    theirs = control("POST", "mollie/payouts", {"balanceId": "bal_1", "amount": "7.00", "description": "x"})["id"]
    out = command("lookback", "run", connection)[1]
    assert re.search(rf"^unknown_payout +{theirs}  Mollie .* never made it\.", out, re.MULTILINE)
    assert out.endswith("1 differences, 1 of them new; 0 attempts are read again\n")
    assert "1 differences, 0 of them new" in command("lookback", "run", connection)[1]
    assert re.search(rf"unknown_payout +EUR 7\.00  {theirs}$", command("incident", "list", account)[1], re.MULTILINE)

    control("POST", "mollie/scripts", {"operation": "list_payouts", "steps": ["status 500"], "repeat": True})
    status, out, err = command("lookback", "run", connection)
    assert (status, out, "nothing was compared" in err) == (1, "", True)
    status, _, err = command("lookback", "run", "conn_gone")
    assert (status, "no connection conn_gone" in err) == (1, True)
