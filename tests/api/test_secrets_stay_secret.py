"""Canaries: values that must stay secret go through everything, with every failure forced, and are looked for everywhere."""

import asyncio
import base64
import dataclasses
import io
import json
import logging
import sys
import uuid

import pytest
import pytest_asyncio
import structlog

from gateway import logs
from gateway.api.auth import Caller
from gateway.api.operations import OPERATIONS
from gateway.card_saver import SaveJob
from gateway.sealing import MasterKeyError, Seal, card_place, connection_place, key_place, new_master_key
from gateway.settings import Role, Settings
from gateway.store import accounts
from gateway.store.notices import NewNotice
from schemas.destination import BankAccount
from schemas.notice import CardSavedFact
from schemas.order import CardToken, Order
from schemas.requests import CreatePayout, SaveCard, UpdateBankAccount
from tests.api.asking import PAYOUTS, ask, at_rest, secrets_of, sign
from tests.flows.world import BANK, MASTER_KEY, TEST_CARD, Merchant

ACCOUNT_NUMBER = "8812345678901234"
DASHED_NUMBER = "77-4411-9922-X"
HOLDER = "Kanarienvogel Mustermann"
ENCRYPTED = base64.b64encode(b"canary " * 30).decode()
CARD_FIELDS = {
    "encryptedCardNumber": base64.b64encode(TEST_CARD.encode()).decode(),  # the sandbox's own "encryption"
    "encryptedExpiryMonth": "month" + ENCRYPTED,
    "encryptedExpiryYear": "year" + ENCRYPTED,
    "encryptedCvv": "cvv" + ENCRYPTED,
    "encryptedCardholderName": "holder" + ENCRYPTED,
}
BANK_DETAILS = {**BANK, "bankAccountNumber": ACCOUNT_NUMBER, "bankAccountHolder": HOLDER}
TO_BANK = {"amount": 150_000_00, "currency": "IDR", **BANK_DETAILS}
TO_BALANCE = {"amount": 10_00, "currency": "EUR", "destination": {"type": "balance"}, "provider": "mollie"}
# Whose bank account it is: stands in the payout and in the default, in clear, and nowhere else.
PERSONAL = {"account number": ACCOUNT_NUMBER, "dashed number": DASHED_NUMBER, "holder": HOLDER}
PERSONAL_PLACES = {
    ("payout", "bank_account_number"),
    ("payout", "bank_account_holder"),
    ("account", "bank_account"),
}


class Buffer(io.BytesIO):
    """Where the log lines go."""

    @property
    def lines(self):
        return [json.loads(line) for line in self.getvalue().splitlines()]


@pytest.fixture(scope="module")
def log():
    """The gateway's log at debug level, from all its modules."""
    before, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    buffer = Buffer()
    with pytest.MonkeyPatch.context() as patch:
        logs.configure("debug", stream=buffer)
        for name, module in list(sys.modules.items()):
            if name.startswith(("gateway.", "providers.")) and hasattr(module, "_log"):
                patch.setattr(module, "_log", structlog.get_logger())  # those in use remember where they wrote to
        yield buffer
    structlog.configure(**before)
    root.handlers[:], root.level = handlers, level


async def save_card(shop, fields=CARD_FIELDS):
    card = (await ask(shop, "POST", "/api/v1/cards", {"cardFields": fields})).data["id"]
    await at_rest(shop.world.gateways[0].pool)
    return (await ask(shop, "GET", f"/api/v1/cards/{card}")).data


async def token_of(shop, card_id) -> str:
    """The provider's token of a saved card."""
    gateway = shop.world.gateways[0]
    sealed = await gateway.pool.fetchval("select token_sealed from card where id = $1", card_id)
    return gateway.seal.open(sealed, card_place(shop.account_id, card_id)).decode()


async def secrets_in(shop) -> dict[str, str]:
    """Every secret of a merchant, by what it is."""
    found = {"bearer key": shop.bearer, "signing secret": shop.signing_secret, "card number": TEST_CARD, **CARD_FIELDS}
    for provider, connection in shop.connections.items():
        for name, value in (await secrets_of(shop.world, connection)).items():
            found |= {f"{provider} {name} {one[:3]}": one for one in (value if isinstance(value, list) else [value])}
    return found


async def places_of(pool, canaries):
    """Where in the database a canary lies in clear: (what, table, column)."""
    found = set()
    for (table,) in await pool.fetch("select tablename from pg_tables where schemaname = 'public'"):
        for row in await pool.fetch(f'select * from "{table}"'):
            for column, value in row.items():
                stored = value if isinstance(value, bytes) else str(value).encode()
                found |= {(name, table, column) for name, canary in canaries.items() if canary.encode() in stored}
    return found


@dataclasses.dataclass
class Flow:
    """What a merchant went through."""

    shop: Merchant
    secrets: dict[str, str]
    errors: list[dict]
    card_id: str


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def flow(log, world):
    """A merchant who went through everything there is, with good and bad ends, and the errors they saw."""
    shop = await world.merchant()
    secrets, errors = await secrets_in(shop), []

    async def call(*args, **kwargs):
        answer = await ask(shop, *args, **kwargs)
        if answer.error:
            errors.append(answer.envelope)
        return answer

    await call("PATCH", f"{PAYOUTS}/bank-account", {**BANK_DETAILS, "bankAccountNumber": DASHED_NUMBER})
    card = await save_card(shop)
    assert card["state"] == "active", card
    secrets["card token"] = token = await token_of(shop, card["id"])
    to_card = {"amount": 500_00, "currency": "KZT", "destination": {"type": "card", "cardId": card["id"]}}

    # Everything goes well.
    for body in (TO_BANK, to_card, TO_BALANCE):
        await shop.until((await call("POST", PAYOUTS, body)).data["id"], "paid")
    by_hand = f"{PAYOUTS}/{(await call('POST', PAYOUTS, {'amount': 1_00, 'currency': 'IDR', 'provider': 'manual'})).data['id']}"
    assert (await call("POST", f"{by_hand}/mark-failed", {"failureReason": "closed"})).status == 200

    # Each provider refuses, and puts what it was sent into its words.
    own = {p: " ".join(v for k, v in secrets.items() if k.startswith(p)) for p in ("pivot", "plexy", "mollie")}
    for provider, operation, body, words in (
        ("pivot", "create_payout", TO_BANK, f"no such account {ACCOUNT_NUMBER} for {own['pivot']}"),
        ("plexy", "create_payout", to_card, f"token {token} unknown, key {own['plexy']}, card {TEST_CARD}"),
        ("mollie", "create_payout", TO_BALANCE, f"key {own['mollie']} refused"),
        ("plexy", "save_card", None, f"cvv {CARD_FIELDS['encryptedCvv']} and number 4111 1111 1111 1111 and {TEST_CARD}"),
    ):
        answer = {"code": 3, "message": words, "status": 422, "title": "Unprocessable", "detail": words, "error_message": words}
        fault = {"operation": operation, "kind": "status", "when": "before", "params": {"status": 422, "body": answer}}
        fault = await world.control("POST", provider, "faults", fault)
        if body:
            await call("POST", PAYOUTS, body)
            await at_rest(world.gateways[0].pool)
        else:
            refused = await save_card(shop)
            assert refused["state"] == "failed", refused
        assert [f["hits"] for f in (await world.control("GET", provider, "faults"))["faults"]] != [0]
        await world.control("DELETE", provider, "faults")

    # Requests go wrong in every way that carries something.
    for changes in (
        *({"amount": 0}, {"bankName": ""}, {"x": 1}, {"currency": "XXX"}, {"provider": "plexy"}, {"bankCode": "?"}),
        *({"bankAccountNumber": f"#{ACCOUNT_NUMBER}"}, {"bankAccountHolder": f"{HOLDER}\n"}, {"amount": 10**15}),
    ):
        await call("POST", PAYOUTS, {**TO_BANK, **changes})
    await call("POST", PAYOUTS, raw=json.dumps(TO_BANK).encode()[:-1])
    await call("POST", PAYOUTS, raw=json.dumps({**TO_BANK, "note": "\ud800"}).encode())
    await call("POST", "/api/v1/cards", {"cardFields": {**CARD_FIELDS, "number": 4111111111111111}})
    await call("POST", "/api/v1/cards", {"cardFields": CARD_FIELDS, "connectionId": "conn_" + "0" * 32})
    for secret in (shop.bearer[:-1], shop.signing_secret):
        await call("GET", PAYOUTS, headers={"Authorization": f"Bearer {secret}"})
    await call("GET", PAYOUTS, headers=sign(shop, "GET", PAYOUTS, secret=shop.bearer))
    hook, words = f"/webhooks/pivot/{shop.connections['pivot']}", json.dumps(list((secrets | PERSONAL).values())).encode()
    await call("POST", hook, raw=words, headers={"X-API-Key": shop.bearer})
    assert len(errors) == 17, [e["error"] for e in errors]
    # A notice that is proven and cannot be read.
    key = (await secrets_of(world, shop.connections["pivot"]))["callback_key"]
    assert (await call("POST", hook, raw=b'["' + ACCOUNT_NUMBER.encode() + b'"]', headers={"X-API-Key": key})).status == 200
    await at_rest(world.gateways[0].pool)
    return Flow(shop, secrets, errors, card["id"])


def leaks(text, canaries):
    """Which canaries stand in a text; also each alone in base64 or hexadecimal."""
    forms = {name: (c, base64.b64encode(c.encode()).decode().rstrip("="), c.encode().hex()) for name, c in canaries.items()}
    return [name for name, several in forms.items() if any(form in text for form in several)]


def test_the_search_finds_what_is_there():
    assert leaks(f"x{HOLDER}y", PERSONAL) == ["holder"]
    assert leaks(ACCOUNT_NUMBER.encode().hex(), PERSONAL) == ["account number"]


async def test_not_in_the_logs(flow, log):
    events = {line["event"] for line in log.lines}
    assert {"request", "payout.moved", "notice.unreadable"} <= events, events
    assert {line["status"] for line in log.lines if line["event"] == "request"} >= {200, 201, 400, 401, 422}
    assert all(line["requestId"].startswith("req_") for line in log.lines if line["event"] == "request")
    assert any(line.get("payout", "").startswith("po_") for line in log.lines if line["event"] == "request")
    whose = {line["account"] for line in log.lines if line["event"] == "payout.moved"}
    assert {account.partition("_")[0] for account in whose} == {"acct"}
    for line in (line for line in log.lines if line["event"] == "request"):
        assert ("account" in line) <= (line["status"] != 401), "whose it is said to be is proven"
        assert line.get("account", "acct_").startswith("acct_")
        if line["status"] == 201:
            assert line["account"] in whose
    assert leaks(log.getvalue().decode(), flow.secrets | PERSONAL) == []


async def test_not_in_errors(flow):
    assert leaks(json.dumps(flow.errors, ensure_ascii=False), flow.secrets | PERSONAL) == []


async def test_not_in_the_metrics(flow, world):
    async with world.http.get(f"http://127.0.0.1:{world.gateways[0].port}/metrics") as answer:
        text = await answer.text()
    assert "gateway_payouts_total" in text
    assert leaks(text, flow.secrets | PERSONAL | {"account": flow.shop.account_id, "card": flow.card_id}) == []


async def test_not_in_answers_about_payouts_and_cards(flow):
    """Its merchant reads whom a payout goes to, of course; but never a token, a card number or anybody's key."""
    for path in (PAYOUTS, "/api/v1/cards", "/api/v1/providers", "/api/v1/ledger/entries", f"/api/v1/cards/{flow.card_id}"):
        answer = await ask(flow.shop, "GET", path)
        assert answer.data
        assert leaks(json.dumps(answer.envelope), flow.secrets) == []
    for payout in (await ask(flow.shop, "GET", PAYOUTS)).data:
        timeline = (await ask(flow.shop, "GET", f"{PAYOUTS}/{payout['id']}/timeline")).envelope
        assert leaks(json.dumps(timeline), flow.secrets | PERSONAL) == []
    assert (await ask(flow.shop, "GET", f"/api/v1/cards/{flow.card_id}")).data["last4"] == TEST_CARD[-4:]


async def test_not_in_clear_in_the_database(flow, world):
    pool = world.gateways[0].pool
    assert await places_of(pool, flow.secrets) == set()
    personal = await places_of(pool, PERSONAL)
    assert {(table, column) for _, table, column in personal} <= PERSONAL_PLACES
    assert {what for what, *_ in personal} == set(PERSONAL), "the search sees what is there"
    # Where secrets live, something is; and the same secret sealed twice does not look the same.
    for query in (
        "select secrets_sealed from connection",
        "select secret_sealed from api_key where kind = 'signing'",
        "select lookup from api_key where kind = 'bearer'",
        "select token_sealed from card where state = 'active'",
    ):
        values = [value for (value,) in await pool.fetch(query)]
        assert values
        assert len(set(values)) == len(values)
        assert all(len(value) >= 30 for value in values)


async def test_not_when_every_handler_fails(log, own_world):
    """The tables are gone under a running gateway: every operation dies of an exception, with all it holds in its hands."""
    gateway = await own_world.start_gateway()
    shop = await own_world.merchant()
    secrets = await secrets_in(shop)
    await save_card(shop)
    assert (await ask(shop, "POST", PAYOUTS, TO_BANK)).status == 201
    assert (await ask(shop, "GET", PAYOUTS)).status == 200  # from now on the key is remembered for a second
    names = await gateway.pool.fetch("select tablename from pg_tables where schemaname = 'public'")
    for (table,) in names:
        await gateway.pool.execute(f'alter table "{table}" rename to "{table}_gone"')
    failed = {}
    for operation in OPERATIONS:
        if operation.path.startswith("/api/"):
            body = {
                "create_payout": TO_BANK,
                "preview_route": TO_BANK,
                "put_routing": {},
                "update_bank_account": BANK_DETAILS,
                "mark_failed": {"failureReason": HOLDER},
                "mark_returned": {"reason": HOLDER},
                "resolve_payout": {"outcome": "paid", "evidence": HOLDER, "reason": HOLDER},
                "save_card": {"cardFields": CARD_FIELDS},
                "credit_balance": {"amount": 1, "currency": "IDR", "reference": ACCOUNT_NUMBER},
            }.get(operation.name)
            path = operation.path.format(id=("po_" if "payouts" in operation.path else "card_") + "0" * 32)
            answer = await ask(shop, operation.method, path, body if body or operation.method != "POST" else {})
            failed[operation.name] = answer.status
            assert leaks(json.dumps(answer.envelope), secrets | PERSONAL) == [], operation.name
    assert set(failed.values()) <= {200, 500}, failed
    # Remembered for a second: providers' contracts, an account's connections and policy.
    answered = {name for name, status in failed.items() if status == 200}
    assert answered <= {"list_providers", "get_routing", "put_routing", "preview_route"}
    assert [line for line in log.lines if line["event"] == "request.failed"]
    assert leaks(log.getvalue().decode(), secrets | PERSONAL) == []
    for (table,) in names:
        await gateway.pool.execute(f'alter table "{table}_gone" rename to "{table}"')


def test_not_in_a_repr():
    """Tracebacks, debuggers and careless f-strings show the repr of what they meet."""
    secret = "canary-" + uuid.uuid4().hex
    common = {"account_id": "a", "connection_id": "c"}
    for value in (
        Caller("acct", "key", frozenset(), "IDR", secret.encode()),
        SaveJob("acct", "card", "conn", {"encryptedCvv": secret}),
        CardSavedFact("card", secret),
        CardToken(secret),
        Order("pa", "key", 1, "IDR", CardToken(secret)),
        NewNotice(**common, provider="p", id="n", digest=b"", body_sealed=secret.encode()),
        BankAccount(bank_name="B", bank_account_number=secret, bank_account_holder=secret),
        CreatePayout(amount=1, currency="IDR", bankName="B", bankAccountNumber=secret, bankAccountHolder=secret),
        UpdateBankAccount(bankName="B", bankAccountNumber=secret, bankAccountHolder=secret),
        SaveCard(cardFields={"a": secret}),
        Settings(master_key=secret, database_url=secret),
    ):
        assert secret not in repr(value), type(value)
        assert secret not in str(value), type(value)


# --- sealing ---

PLACES = [connection_place("acct_a", "conn_a"), connection_place("acct_a", "conn_b"), connection_place("acct_b", "conn_a"),
          key_place("acct_a", "conn_a"), card_place("acct_a", "conn_a"), "", "connection/acct_a"]  # fmt: skip


def test_a_sealed_value_opens_in_its_own_place_under_its_own_key():
    seal = Seal(MASTER_KEY)
    for place in PLACES:
        sealed = seal.seal(b"canary", place)
        assert b"canary" not in sealed
        assert seal.open(sealed, place) == Seal(MASTER_KEY).open(sealed, place) == b"canary"
        assert seal.seal(b"canary", place) != sealed
        for other in PLACES:
            if other != place:
                with pytest.raises(MasterKeyError):
                    seal.open(sealed, other)
        with pytest.raises(MasterKeyError):
            Seal(new_master_key()).open(sealed, place)
        for spoiled in (sealed[:-1], sealed + b"x", sealed[:20], *(flipped(sealed, at) for at in range(1, len(sealed)))):
            with pytest.raises(MasterKeyError):
                seal.open(spoiled, place)


def flipped(sealed, at):
    """The same with one bit of one byte changed."""
    return sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]


@pytest.mark.parametrize("wrong", ["", "short", "x" * 43, "é" * 32, "A" * 40, "A" * 48, "=" * 44])
def test_what_is_no_master_key(wrong):
    with pytest.raises(MasterKeyError) as caught:
        Seal(wrong)
    assert not wrong or wrong not in str(caught.value)


def test_lookups_of_bearer_keys_depend_on_the_master_key():
    assert Seal(MASTER_KEY).lookup_of("k") == Seal(MASTER_KEY).lookup_of("k") != Seal(new_master_key()).lookup_of("k")


async def test_secrets_swapped_between_rows_open_nothing(own_world):
    """Who can write to the database, and not read the master key, cannot make one account use another's secrets."""
    gateway = await own_world.start_gateway()
    mine, theirs = await own_world.merchant(), await own_world.merchant()
    swap = """update {table} t set {column} = o.{column} from {table} o
               where (t.{id} = $1 and o.{id} = $2) or (t.{id} = $2 and o.{id} = $1)"""
    key = (await secrets_of(own_world, mine.connections["pivot"]))["callback_key"]

    connections = mine.connections["pivot"], theirs.connections["pivot"]
    await gateway.pool.execute(swap.format(table="connection", column="secrets_sealed", id="id"), *connections)
    await own_world.start_gateway()  # one that remembers nothing
    for connection in connections:
        hook = f"/webhooks/pivot/{connection}"
        answer = await ask(mine, "POST", hook, raw=b"{}", headers={"X-API-Key": key}, key=None, gateway=-1)
        assert answer.status >= 400
        with pytest.raises(MasterKeyError):
            await secrets_of(own_world, connection)
    assert await gateway.pool.fetchval("select count(*) from notice where provider = 'pivot'") == 0

    await gateway.pool.execute(
        swap.format(table="api_key", column="secret_sealed", id="lookup"), mine.signing_id, theirs.signing_id
    )
    for secret in (mine.signing_secret, theirs.signing_secret):
        headers = sign(mine, "GET", PAYOUTS, secret=secret)
        assert (await ask(mine, "GET", PAYOUTS, headers=headers, gateway=-1)).status >= 400

    one, other = (await save_card(mine))["id"], (await save_card(mine))["id"]
    await gateway.pool.execute(swap.format(table="card", column="token_sealed", id="id"), one, other)
    to_card = {"amount": 500_00, "currency": "KZT", "destination": {"type": "card", "cardId": one}}
    made = await ask(mine, "POST", PAYOUTS, to_card)
    while await gateway.pool.fetchval("select phase from payout where id = $1", made.data["id"]) == "queued":
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)
    assert await own_world.sent("plexy") == []


async def test_another_master_key_opens_nothing(own_world):
    await own_world.start_gateway(roles=frozenset({Role.API}))
    shop = await own_world.merchant()
    seal = Seal(new_master_key())
    row = await accounts.find_connection(own_world.gateways[0].pool, shop.connections["pivot"])
    with pytest.raises(MasterKeyError):
        seal.open(row.secrets_sealed, connection_place(row.account_id, row.id))
    assert await accounts.find_key(own_world.gateways[0].pool, seal.lookup_of(shop.bearer)) is None
