"""The command line: what it sets up, what it refuses, and how its processes start and stop."""

import asyncio
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from importlib.metadata import version

import pytest

from gateway import cli, running
from gateway.app import DEMO_BEARER, DEMO_KEY_ID, DEMO_SECRET, Gateway
from gateway.onboarding import create_account, create_bearer_key, create_signing_key
from gateway.sealing import Seal, new_master_key
from gateway.settings import Settings
from gateway.store import accounts, ledger
from gateway.store.database import open_pool
from tests.forked import Forked

MASTER_KEY = new_master_key()
STOPS_WITHIN_S = 10
NOBODY = "acct_0123456789abcdef0123456789abcdef"


@pytest.fixture(autouse=True)
def no_settings_of_ours(monkeypatch):
    for name in [name for name in os.environ if name.startswith("GATEWAY_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def command(dsn, monkeypatch, capsys):
    """Run a command in this process: (exit status, standard output, standard error)."""
    monkeypatch.setenv("GATEWAY_DATABASE_URL", dsn)
    monkeypatch.setenv("GATEWAY_MASTER_KEY", MASTER_KEY)
    monkeypatch.setattr("gateway.logs.configure", lambda *_args, **_kwargs: None)  # pytest's own stays

    def call(*words, stdin=b""):
        monkeypatch.setattr(sys, "argv", ["payout-gateway", *words])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        return ended.value.code, printed.out, printed.err

    return call


def start(*words, **settings):
    """A command as a process of its own."""
    return Forked("gateway.cli", *words, env=os.environ | settings)


def fails(*words, **settings):
    """The one line that a process ends with, which must end with status 1."""
    with start(*words, **settings) as process:
        out, err = process.communicate(timeout=30)
    assert process.returncode == 1, (out, err)
    assert "Traceback" not in err
    [line] = err.splitlines()
    return line


# --- setting up


def test_an_account_is_set_up_and_no_secret_is_printed_twice(command):
    status, out, _ = command("account", "create", "PT Contoh", "--currency", "IDR")
    assert status == 0
    account_id = out.strip()
    assert command("account", "list")[1] == f"{account_id}  IDR  PT Contoh\n"

    credit = ("account", "credit", account_id, "--amount", "1000000.00", "--currency", "IDR", "--reference", "WIRE-1")
    assert re.match(r"Booked IDR 1,000,000\.00 as ltx_", command(*credit)[1])
    assert command(*credit)[1].startswith("Already booked before, and not again: IDR 1,000,000.00 as ltx_")

    _, bearer, _ = command("key", "create", account_id)
    _, pair, _ = command("key", "create", account_id, "--kind", "signing", "--scope", "plugipay:payout:read")
    key = re.search(r"^key: (pk_live_\S+)$", bearer, re.MULTILINE)[1]
    secret = re.search(r"^secret: (sk_live_\S+)$", pair, re.MULTILINE)[1]
    listed = command("key", "list", account_id)[1]
    assert listed.count("active") == 2
    assert key not in listed
    assert secret not in listed

    assert re.search(r"^(key_\w+)  bearer   active   \1  ", listed, re.MULTILINE), "nobody named: somebody of its own"
    assert command("key", "create", account_id, "--person", "Ana  Putri")[0] == 0
    assert "  active   Ana Putri  plugipay:" in command("key", "list", account_id)[1]

    key_id = re.search(r"^id: (key_\S+)$", bearer, re.MULTILINE)[1]
    assert command("key", "revoke", account_id, key_id)[1] == f"Revoked {key_id}\n"
    status, _, err = command("key", "revoke", account_id, key_id)
    assert (status, "no active key" in err) == (1, True)


def test_a_connection_takes_its_secrets_from_standard_input_or_a_file(command, tmp_path):
    account_id = command("account", "create", "PT Contoh", "--currency", "IDR")[1].strip()
    create = ("connection", "create", account_id)
    secrets = {"client_id": "merchant", "client_secret": "very-secret", "callback_key": "also-secret"}

    pivot = (*create, "pivot", "--setting", "base_url=http://127.0.0.1:1/pivot", "--setting", "batch_atomic=false")
    status, out, _ = command(*pivot, "--currency", "IDR", "--secrets-file", "-", stdin=json.dumps(secrets).encode())
    assert status == 0
    connection_id, path = out.split()
    assert path == f"/webhooks/pivot/{connection_id}"

    file = tmp_path / "secrets.json"
    file.write_text('{"api_key": "plexy-secret"}')
    plexy = (*create, "plexy", "--setting", "base_url=http://127.0.0.1:1/plexy", "--secrets-file", str(file))
    assert command(*plexy, "--setting", "amount_scale=2", "--name", "Cards")[0] == 0
    assert command(*create, "manual", "--priority", "900")[0] == 0

    listed = command("connection", "list", account_id)[1]
    assert [line.split()[1] for line in listed.splitlines()] == ["pivot", "plexy", "manual"]
    assert "secret" not in listed


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        ({}, "http://127.0.0.1:8090/mollie"),
        ({"GATEWAY_SANDBOX_HOST": "::1", "GATEWAY_SANDBOX_PORT": "9"}, "http://[::1]:9/mollie"),
        ({"GATEWAY_SANDBOX_URL": "https://sandbox.test/", "GATEWAY_SANDBOX_PORT": "9"}, "https://sandbox.test/mollie"),
    ],
)
def test_a_connection_to_the_sandbox_is_made_only_when_it_is_asked_for(command, dsn, monkeypatch, settings, where):
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    account_id = command("account", "create", "PT Contoh", "--currency", "EUR")[1].strip()
    mollie = ("connection", "create", account_id, "mollie", "--setting", "balance_id=bal_1", "--secrets-file", "-")
    secrets = b'{"api_key": "test_key"}'
    assert "base_url" in command(*mollie, stdin=secrets)[2]
    assert "give one" in command(*mollie, "--sandbox", "--setting", "base_url=http://127.0.0.1:1", stdin=secrets)[2]
    assert "no sandbox" in command("connection", "create", account_id, "manual", "--sandbox")[2]
    status, _, err = command(*mollie, "--sandbox", stdin=secrets)
    assert status == 0, err

    async def look(pool):
        return await accounts.connections_of(pool, account_id)

    (connection,) = asyncio.run(with_pool(dsn, look))
    assert connection.settings["base_url"] == where


def test_another_master_key_seals_nothing_in_this_database(command, monkeypatch):
    account_id = command("account", "create", "PT Contoh", "--currency", "IDR")[1].strip()
    assert command("key", "create", account_id)[0] == 0
    monkeypatch.setenv("GATEWAY_MASTER_KEY", new_master_key())
    for words in (
        ("key", "create", account_id),
        ("key", "create", account_id, "--kind", "signing"),
        ("connection", "create", account_id, "manual"),
        ("hold", "release", "--person", "Ana", "--accept-unknown"),
        ("lookback", "run", f"conn_{account_id.removeprefix('acct_')}"),
        ("serve", "--port", "0"),
    ):
        status, out, err = command(*words)
        assert (status, out) == (1, "")
        assert "another one than this database was set up with" in err
    assert len(command("key", "list", account_id)[1].splitlines()) == 1


def test_what_cannot_be_set_up_is_refused_in_one_line(command):
    account_id = command("account", "create", "PT Contoh", "--currency", "IDR")[1].strip()
    pivot = ("connection", "create", account_id, "pivot", "--setting", "base_url=http://127.0.0.1:1")
    for words, stdin, expected in (
        (("account", "create", "X", "--currency", "XXX"), b"", "XXX is not an ISO 4217 currency"),
        (("account", "create", " ", "--currency", "IDR"), b"", "an account has a name"),
        (("account", "credit", NOBODY, "--amount", "1", "--currency", "IDR", "--reference", "a"), b"", "there is no account"),
        (
            ("account", "credit", account_id, "--amount", "-1", "--currency", "IDR", "--reference", "a"),
            b"",
            "Nothing was booked",
        ),
        (
            ("account", "credit", account_id, "--amount", "0", "--currency", "IDR", "--reference", "a"),
            b"",
            "Nothing was booked",
        ),
        (("key", "create", NOBODY), b"", "there is no account"),
        (("key", "create", account_id, "--scope", "everything"), b"", "no such scope: everything"),
        (("key", "create", account_id, "--person", " "), b"", "a person is named by"),
        (("connection", "create", account_id, "paypal"), b"", "there is no provider paypal"),
        (pivot, b"", "Wrong secrets (--secrets-file)"),
        ((*pivot, "--secrets-file", "-"), b'{"client_id": 1', "not a JSON object"),
        ((*pivot, "--secrets-file", "-"), b'{"client_id": "a", "client_secret": "hush hush"}', "without spaces"),
        ((*pivot, "--setting", "colour=red"), b"", "Wrong settings (--setting)"),
        ((*pivot, "--setting", "no-equals"), b"", "name=value"),
        ((*pivot, "--secrets-file", "/nonexistent/file"), b"", "cannot be read"),
    ):
        status, out, err = command(*words, stdin=stdin)
        assert (status, out) == (1, ""), (words, out, err)
        assert expected in err, (words, err)
        assert len(err.splitlines()) == 1, err
        assert "hush" not in err
    assert command("connection", "list", account_id)[1] == ""


@pytest.mark.parametrize("nobody", [NOBODY, "acct_x", ""])
@pytest.mark.parametrize("kind", ["key", "connection", "incident"])
def test_a_list_of_an_account_that_is_not_there_says_so(command, kind, nobody):
    assert command(kind, "list", nobody) == (1, "", f"payout-gateway: there is no account {nobody}\n")


UNPRINTABLE = ("PT\nContoh", "PT\x1b[2JContoh", "PT\u202eContoh", " \n ", "", "n" * 5000)


@pytest.mark.parametrize("name", UNPRINTABLE)
def test_names_and_persons_are_one_line_that_can_be_shown(command, name):
    account_id = command("account", "create", "PT Contoh", "--currency", "IDR")[1].strip()
    for words in (
        ("account", "create", name, "--currency", "IDR"),
        ("key", "create", account_id, "--person", name),
        ("hold", "declare", "--person", name, "--reason", "restored"),
        ("hold", "declare", "--person", "Ana", "--reason", name),
    ):
        status, out, err = command(*words)
        assert (status, out, len(err.splitlines())) == (1, "", 1), (words, out, err)
        assert "printable characters" in err
    if name:  # none given means the provider's name
        status, _, err = command("connection", "create", account_id, "manual", "--name", name)
        assert (status, "printable characters" in err) == (1, True)
    assert command("hold", "declare", "--person", "Ana", "--reason", "restored")[0] == 0
    for words in (
        ("hold", "release", "--person", name),
        ("incident", "close", NOBODY, "--person", name, "--as", "explained", "--reason", "x"),
    ):
        status, _, err = command(*words)
        assert (status, "printable characters" in err) == (1, True), err
    assert command("account", "list")[1] == f"{account_id}  IDR  PT Contoh\n"


def test_blanks_around_a_name_are_not_kept(command):
    account_id = command("account", "create", "  PT Contoh\n", "--currency", "IDR")[1].strip()
    assert command("account", "list")[1] == f"{account_id}  IDR  PT Contoh\n"


def test_numbers_out_of_range_are_refused_in_one_sentence(command):
    account_id = command("account", "create", "PT Contoh", "--currency", "IDR")[1].strip()
    manual = ("connection", "create", account_id, "manual", "--priority")
    credit = ("account", "credit", account_id, "--currency", "IDR", "--reference", "a", "--amount")
    for words, expected in (
        *(((*manual, far), "a priority is between") for far in ("99999999999999", "-99999999999999", "1000001", "9" * 4000)),
        *(((*credit, far), "Nothing was booked") for far in ("9" * 40, "1e9", "1e999999999", "NaN", "Infinity", "9" * 5000)),
        *((("serve", "--port", far), "GATEWAY_PORT: ") for far in ("65536", "-1", "9" * 4000)),
        *((("sandbox", "--port", far), "GATEWAY_SANDBOX_PORT: ") for far in ("65536", "-1")),
        *((("demo", "--sandbox-port", far), "GATEWAY_SANDBOX_PORT: ") for far in ("65536", "-1")),
        *((("sandbox", "--speed", far), "GATEWAY_SANDBOX_SPEED: ") for far in ("0", "-1", "1e10", "inf", "nan")),
    ):
        status, out, err = command(*words)
        assert (status, out, len(err.splitlines())) == (1, "", 1), (words, err)
        assert expected in err, (words, err)
    assert command(*manual, "-1000000")[0] == 0


@pytest.fixture
def sandboxes(tmp_path):
    """(address, a call to their control surface) of sandboxes in a process of their own: commands block this one."""
    with start("sandbox", GATEWAY_SANDBOX_PORT="0", GATEWAY_DATA_DIR=str(tmp_path / "data")) as process:
        url = process.stdout.readline().strip()

        def control(method, path, body):
            request = urllib.request.Request(f"{url}/_sandbox/{path}", json.dumps(body).encode(), method=method)
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.load(answer)

        yield url, control
        process.terminate()
        process.communicate(timeout=STOPS_WITHIN_S)


def test_channels_are_listed_and_those_that_we_do_not_know_are_marked(command, sandboxes):
    url, control = sandboxes
    account_id = command("account", "create", "PT Contoh", "--currency", "IDR")[1].strip()
    secrets = json.dumps({"api_key": control("POST", "xendit/merchants", {})["apiKey"]}).encode()
    create = ("connection", "create", account_id, "xendit", "--setting", f"base_url={url}/xendit", "--secrets-file", "-")
    connection_id = command(*create, stdin=secrets)[1].split()[0]

    *channels, total = command("connection", "channels", connection_id)[1].splitlines()
    bca = next(line for line in channels if line.startswith("ID_BCA "))
    assert re.split(" {2,}", bca) == ["ID_BCA", "BCA", "IDR", "10,000.00 to 50,000,000,000.00 by 1.00", "Bca"]
    gcash = next(line for line in channels if line.startswith("PH_GCASH "))
    assert re.split(" {2,}", gcash)[1:4] == ["PH_GCASH", "PHP", "1.00 to 500,000.00 by 0.01"]
    assert total == f"{len(channels)} channels, 0 of them not in our table"

    control("PATCH", "xendit/settings", {"extraChannels": ["ID_NEW"]})
    status, out, _ = command("connection", "channels", connection_id)
    assert status == 0
    assert re.search("^ID_NEW +NOT IN OUR TABLE +IDR", out, re.MULTILINE)
    assert "1 of them not in our table" in out

    fault = {"operation": "list_channels", "kind": "status", "params": {"status": 401}, "times": None}
    control("POST", "xendit/faults", fault)
    status, out, err = command("connection", "channels", connection_id)
    assert (status, out) == (1, "")
    assert "HTTP 401 instead of what was asked for (INVALID_API_KEY" in err
    assert len(err.splitlines()) == 1


def test_channels_of_a_provider_that_lists_none_and_of_nobody(command):
    account_id = command("account", "create", "PT Contoh", "--currency", "IDR")[1].strip()
    connection_id = command("connection", "create", account_id, "manual")[1].split()[0]
    status, out, err = command("connection", "channels", connection_id)
    assert (status, out, err.splitlines()) == (
        1, "", ["payout-gateway: not offered: manual connections have no list of banks"],
    )  # fmt: skip
    status, _, err = command("connection", "channels", "conn_0123456789abcdef0123456789abcdef")
    assert (status, "there is no connection" in err) == (1, True)


# --- refusing to start


def test_a_port_in_use_is_said_in_one_line(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        data = {"GATEWAY_DATA_DIR": str(tmp_path / "data"), "GATEWAY_MASTER_KEY": MASTER_KEY}
        serve = fails("serve", GATEWAY_PORT=port, **data)
        assert f"Port {port} on 127.0.0.1 is in use" in serve
        assert "set GATEWAY_PORT" in serve
        assert "set GATEWAY_SANDBOX_PORT" in fails("sandbox", GATEWAY_SANDBOX_PORT=port, **data)
        demo = ("demo", "--once")
        assert "set GATEWAY_PORT" in fails(*demo, GATEWAY_PORT=port, GATEWAY_SANDBOX_PORT="0", **data)
        assert "set GATEWAY_SANDBOX_PORT" in fails(*demo, GATEWAY_PORT="0", GATEWAY_SANDBOX_PORT=port, **data)
    assert not (tmp_path / "data").exists(), "nothing was started, so nothing was made"


def test_wrong_settings_are_named_and_not_shown(command, monkeypatch):
    monkeypatch.delenv("GATEWAY_MASTER_KEY")
    _, _, err = command("serve")
    assert "GATEWAY_MASTER_KEY is not set" in err
    assert "payout-gateway master-key" in err
    for name, value, expected in (
        ("GATEWAY_MASTER_KEY", "hunter2", "GATEWAY_MASTER_KEY must be 32 bytes"),
        ("GATEWAY_PORT", "hunter2", "GATEWAY_PORT: "),
        ("GATEWAY_DATABASE_URL", "hunter2", "GATEWAY_DATABASE_URL is not the address of a PostgreSQL"),
        ("GATEWAY_DATABASE_URL", "postgresql://x:hunter2@127.0.0.1:1/x", "does not let us in"),
    ):
        with monkeypatch.context() as patch:
            patch.setenv("GATEWAY_MASTER_KEY", MASTER_KEY)
            patch.setenv(name, value)
            status, _, err = command("serve", *(("--port", "0") if name != "GATEWAY_PORT" else ()))
        assert (status, len(err.splitlines())) == (1, 1), err
        assert expected in err
        assert "hunter2" not in err


@pytest.mark.parametrize("demo", [{}, {"GATEWAY_DEMO": "1"}])
@pytest.mark.parametrize(
    "words",
    [
        ("verify",),
        ("migrate",),
        ("hold", "declare", "--person", "Ana", "--reason", "restored"),
        ("hold", "status"),
        ("hold", "release", "--person", "Ana"),
        ("account", "list"),
        ("account", "create", "PT Contoh", "--currency", "IDR"),
        ("key", "create", NOBODY),
        ("connection", "channels", NOBODY),
        ("incident", "list"),
        ("lookback", "run", NOBODY),
    ],
)
def test_only_what_serves_makes_a_database(command, monkeypatch, tmp_path, words, demo):
    """An empty one would hold every rule, and a hold that is declared in it would stop nobody."""
    monkeypatch.delenv("GATEWAY_DATABASE_URL")
    monkeypatch.setenv("GATEWAY_DATA_DIR", str(tmp_path / "data"))
    for name, value in demo.items():
        monkeypatch.setenv(name, value)
        monkeypatch.delenv("GATEWAY_MASTER_KEY")
    status, out, err = command(*words)
    assert (status, out, len(err.splitlines())) == (1, "", 1), (out, err)
    assert "There is no database to work on: GATEWAY_DATABASE_URL is not set" in err
    assert not (tmp_path / "data").exists()


def test_the_demo_listens_on_loopback_only(command, monkeypatch):
    monkeypatch.setenv("GATEWAY_HOST", "0.0.0.0")
    status, _, err = command("demo", "--once")
    assert (status, "loopback only" in err) == (1, True)


async def with_pool(dsn, work):
    pool = await open_pool(dsn, size=2)
    try:
        return await work(pool)
    finally:
        await pool.close()


@pytest.mark.parametrize("kind", ["bearer", "signing"])
def test_a_database_with_the_published_keys_is_refused_outside_demo_mode(command, dsn, kind):
    async def set_up(pool):
        account_id = await create_account(pool, "Demo merchant", "IDR")
        if kind == "bearer":
            await create_bearer_key(pool, Seal(MASTER_KEY), account_id, key=DEMO_BEARER)
        else:
            await create_signing_key(pool, Seal(MASTER_KEY), account_id, key_id=DEMO_KEY_ID, secret=DEMO_SECRET)

    asyncio.run(with_pool(dsn, set_up))
    status, _, err = command("serve", "--port", "0")
    assert status == 1
    assert "published demo keys" in err


def test_the_demo_refuses_a_database_with_other_accounts(command, dsn, tmp_path, monkeypatch):
    account_id = command("account", "create", "A real merchant", "--currency", "EUR")[1].strip()
    data = {"GATEWAY_DATA_DIR": str(tmp_path / "data"), "GATEWAY_PORT": "0", "GATEWAY_SANDBOX_PORT": "0"}
    assert "published keys beside them" in fails("demo", "--once", **data)

    async def look(pool):
        return (
            await accounts.list_keys(pool, account_id),
            await accounts.list_accounts(pool),
            await ledger.balances(pool, account_id),
        )

    assert asyncio.run(with_pool(dsn, look)) == ([], [(account_id, "A real merchant", "EUR")], [])


# --- starting and stopping


def test_serve_runs_its_own_postgres_lets_commands_in_and_stops_in_time(tmp_path):
    data = {"GATEWAY_DATA_DIR": str(tmp_path / "data"), "GATEWAY_MASTER_KEY": MASTER_KEY}
    with start("serve", "--port", "0", **data) as process:
        for line in process.stdout:
            if (said_at_start := json.loads(line))["event"] == "gateway.started":
                break
        with start("account", "create", "PT Contoh", "--currency", "IDR", **data) as other:
            out, said = other.communicate(timeout=30)
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        _, err = process.communicate(timeout=30)
        assert time.monotonic() - began < STOPS_WITHIN_S
    assert process.returncode == 0, err
    assert err == ""
    assert said_at_start["version"] == version("payout-gateway")
    assert out.startswith("acct_"), said
    which = f"GATEWAY_DATABASE_URL is not set: this is about the embedded database in {tmp_path / 'data' / 'postgres'}.\n"
    assert said == which
    with start("account", "list", **data) as alone:
        listed, err = alone.communicate(timeout=30)
    assert (listed, err) == (f"{out.strip()}  IDR  PT Contoh\n", which), "it starts the database that is there"
    listed = subprocess.run(["ps", "-A", "-ww", "-o", "pid=,command="], capture_output=True, text=True, check=True).stdout
    assert str(tmp_path) not in listed
    assert not (tmp_path / "data" / "postgres" / "address").exists()


async def test_a_provider_that_keeps_us_waiting_does_not_keep_us_from_stopping(dsn, monkeypatch, tmp_path):
    stop = Gateway.stop

    async def stop_never(self):
        await stop(self)
        await asyncio.sleep(60)

    monkeypatch.setattr(Gateway, "stop", stop_never)
    monkeypatch.setattr(running, "_STOP_GATEWAY_WITHIN_S", 0.3)
    async with asyncio.timeout(10):
        async with running.gateway(Settings(port=0, data_dir=tmp_path), dsn, MASTER_KEY):
            pass


def test_the_version_is_that_of_the_installed_package(command):
    assert command("--version") == (0, f"{version('payout-gateway')}\n", "")


def test_a_fresh_master_key_is_one(command):
    _, out, _ = command("master-key")
    Seal(out.strip())
