"""What comes back: every answer as the schemas promise, the description of the API, its page, the metrics, the health checks.

`tests.api.asking` holds every single answer of these tests against the schemas; here each operation has its turn.
"""

import asyncio
import contextlib
import html
import json
import re
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
import pytest_asyncio
from pydantic import ValidationError

from gateway.api import openapi
from gateway.api.operations import OPERATIONS
from gateway.api.routes import HANDLERS
from gateway.settings import Role
from gateway.store.invariants import rules
from providers.registry import PROVIDERS
from schemas import answers
from schemas.destination import BankAccount
from schemas.failure import FailureCode
from schemas.payout import Phase
from schemas.requests import CreatePayout
from schemas.text import PRINTABLE
from tests.api.asking import PAYOUTS, ask, check_envelope, operation_of, secrets_of
from tests.flows.world import BANK, card_fields

ENTRIES = "/api/v1/ledger/entries"
HTTP_ERRORS = ("400", "401", "403", "404", "409", "422", "503")
PLAIN = {"metrics", "openapi", "docs"}  # answers for other readers than merchants


async def page_of(world, path):
    """(status, headers, text) of something that anyone may read."""
    async with world.http.get(f"http://127.0.0.1:{world.gateways[0].port}{path}") as answer:
        return answer.status, answer.headers, await answer.text()


# --- answers ---


async def test_every_operation_answers_as_described(shop):
    """One success of each. `ask` compares it with the model that the table of operations names."""
    answered = set()

    async def got(method, path, body=None, status=200, **more):
        answer = await ask(shop, method, path, body, **more)
        assert answer.status == status, answer.envelope
        answered.add(operation_of(method, path).name)
        return answer

    await got("PATCH", f"{PAYOUTS}/bank-account", BANK)
    assert (await got("GET", f"{PAYOUTS}/bank-account")).data["configured"] is True
    body = {"amount": 10_00, "currency": "IDR", "provider": "manual", "metadata": {"a": "b"}, "note": "n",
            "merchantReference": "r", "statementDescriptor": "S"}  # fmt: skip
    made = [await got("POST", PAYOUTS, body | {"merchantReference": str(n)}, 201) for n in range(3)]
    paid, failed, cancelled = (f"{PAYOUTS}/{answer.data['id']}" for answer in made)
    for path, sent in ((f"{paid}/mark-in-transit", {"reference": "W"}), (f"{paid}/mark-paid", {}),
                       (f"{failed}/mark-failed", {"failureReason": "closed"}), (f"{cancelled}/cancel", {}),
                       (f"{paid}/mark-returned", {"reason": "closed"})):  # fmt: skip
        await got("POST", path, sent)
    desk = f"{PAYOUTS}/{(await shop.on_desk())['id']}"
    said = {"outcome": "failed", "evidence": "statement 7", "reason": "it is not there"}
    await got("POST", f"{desk}/resolve", said, 202)
    for path in (PAYOUTS, desk):
        shown = (await got("GET", path)).data
        assert (shown[0] if path == PAYOUTS else shown)["resolution"]["outcome"] == "failed"
    await got("POST", f"{desk}/resolve", said, headers=await shop.person("Budi"))
    await got("PUT", "/api/v1/routing", {})
    await got("GET", "/api/v1/routing")
    await got("POST", "/api/v1/routing/preview", body)
    for path in (PAYOUTS, paid, failed, cancelled, f"{paid}/timeline", f"{PAYOUTS}/balance", "/api/v1/providers", ENTRIES):
        await got("GET", path)
    await got("POST", "/api/v1/ledger/credits", {"amount": 1, "currency": "JPY", "reference": "c", "memo": "m"}, 201)
    await got("POST", "/api/v1/cards", {"cardFields": card_fields()}, 201)
    card = await shop.save_card()
    to_card = {"amount": 500_00, "currency": "KZT", "destination": {"type": "card", "cardId": card}}
    assert (await got("POST", PAYOUTS, to_card, 201)).data["bankName"] is None
    await got("POST", PAYOUTS, {"amount": 5_00, "currency": "EUR", "destination": {"type": "balance"}}, 201)
    for path in ("/api/v1/cards", f"/api/v1/cards/{card}"):
        await got("GET", path)
    await got("DELETE", f"/api/v1/cards/{card}", status=204)
    for path in ("/healthz", "/readyz"):
        await got("GET", path, headers={"Authorization": None})
    key = (await secrets_of(shop.world, shop.connections["pivot"]))["callback_key"]
    notice = {"raw": b"{}", "headers": {"Authorization": None, "X-API-Key": key}}
    assert (await got("POST", f"/webhooks/pivot/{shop.connections['pivot']}", **notice)).data == {"received": True}
    assert answered == {operation.name for operation in OPERATIONS} - PLAIN


def test_the_checks_of_this_folder_can_fail():
    """A checker that accepts everything would pass everywhere."""
    good = {"ledgerBalance": 1, "locked": 0, "available": 1, "currency": "IDR", "balances": []}
    operation = operation_of("GET", f"{PAYOUTS}/balance")
    meta = {"requestId": "req_" + "0" * 32, "timestamp": "2026-01-01T00:00:00.000Z"}
    headers = {"Content-Type": "application/json", "X-Request-Id": meta["requestId"]}

    def check(data, status=200, **envelope):
        text = json.dumps({"data": data, "error": None, "meta": meta, **envelope})
        return check_envelope(status, headers, text, operation)

    check(good)
    wrong = [
        *({name: value for name, value in good.items() if name != gone} for gone in good),
        *(
            {**good, name: value}
            for name, value in (("locked", 0.0), ("locked", "0"), ("locked", True), ("more", 1), ("currency", None))
        ),
    ]
    for data in wrong:
        with pytest.raises((ValidationError, AssertionError)):
            check(data)
    for changes in ({"status": 400}, {"error": {"code": "x", "message": "m"}}, {"meta": {}}, {"more": 1}):
        with pytest.raises((ValidationError, AssertionError)):
            check(good, **changes)


async def test_times_ids_and_nulls(shop):
    made = (await ask(shop, "POST", PAYOUTS, {"amount": 10_00, "currency": "IDR", "provider": "manual", **BANK})).data
    assert re.fullmatch(r"po_[0-9a-f]{32}", made["id"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", made["createdAt"])
    nulls = ("note", "reference", "failureReason", "ledgerTransactionId", "processedAt", "completedAt", "merchantReference")
    assert [made[name] for name in nulls] == [None] * len(nulls)
    # The key set of the Plugipay sheet, section 7.2: all there, whatever else is.
    sheet = [
        *("id", "accountId", "amount", "currency", "status", "method", "bankCode", "bankName", "bankAccountNumber"),
        *("bankAccountHolder", "note", "reference", "failureReason", "ledgerTransactionId", "processedAt", "completedAt"),
        *("createdAt", "updatedAt"),
    ]
    assert list(made)[: len(sheet)] == sheet


async def test_lists_page_through_everything_once(world):
    shop = await world.merchant(credit=0)
    for n in range(4):
        credit = {"amount": 1_000_00, "currency": ("IDR", "KZT")[n % 2], "reference": f"c{n}"}
        assert (await ask(shop, "POST", "/api/v1/ledger/credits", credit)).status == 201
    for n in range(5):
        await shop.pay(provider="manual", amount=n + 1, merchantReference=f"r{n}", **BANK)
    for _ in range(3):
        await shop.save_card()
    for path, many in ((PAYOUTS, 5), (ENTRIES, 2 * (4 + 5)), ("/api/v1/cards", 3)):
        whole = (await ask(shop, "GET", f"{path}?limit=100")).data
        assert len(whole) == many
        for limit in (1, 2, 3, many):
            seen, query = [], f"?limit={limit}"
            while True:
                page = await ask(shop, "GET", path + query)
                seen += page.data
                assert len(page.data) <= limit
                assert page.meta["page"] == {"limit": limit, "hasMore": page.meta["hasMore"], "nextCursor": page.meta["cursor"]}
                assert page.meta["hasMore"] == (page.meta["cursor"] is not None)
                if not page.meta["hasMore"]:
                    break
                query = f"?limit={limit}&cursor={page.meta['cursor']}"
            assert seen == whole, (path, limit)
    for query, amounts in (
        ("status=pending", [5, 4, 3, 2, 1]), ("status=paid", []), ("phase=paid", []), ("provider=manual&limit=2", [5, 4]),
        ("provider=pivot", []), ("currency=IDR", [5, 4, 3, 2, 1]), ("currency=EUR", []), ("merchantReference=r2", [3]),
        (f"connectionId={shop.connections['manual']}&limit=1", [5]), ("createdBefore=2020-01-01T00:00:00Z", []),
        ("createdAfter=2020-01-01T00:00:00%2B07:00&limit=1", [5]),
    ):  # fmt: skip
        assert [p["amount"] for p in (await ask(shop, "GET", f"{PAYOUTS}?{query}")).data] == amounts, query
    middle = (await ask(shop, "GET", f"{PAYOUTS}?merchantReference=r2")).data[0]
    after, before = (f"{PAYOUTS}?{name}={quote(middle['createdAt'])}" for name in ("createdAfter", "createdBefore"))
    assert {p["amount"] for p in (await ask(shop, "GET", after)).data} >= {5, 4}
    assert {p["amount"] for p in (await ask(shop, "GET", before)).data} <= {1, 2, 3}
    for query, many in (("currency=KZT", 4), (f"payoutId={middle['id']}", 2), ("currency=EUR", 0)):
        entries = (await ask(shop, "GET", f"{ENTRIES}?{query}")).data
        assert len(entries) == many
        assert sum(e["amount"] if e["direction"] == "debit" else -e["amount"] for e in entries) == 0


# --- the description ---


@pytest.fixture(scope="module")
def described():
    return json.loads(json.dumps(openapi.describe()))


async def test_the_description_is_served(world, described):
    status, headers, text = await page_of(world, "/openapi.json")
    assert (status, headers["Content-Type"].partition(";")[0]) == (200, "application/json")
    assert json.loads(text) == described


def references(value):
    """Every `$ref` in a document."""
    if isinstance(value, dict):
        for name, item in value.items():
            if name == "$ref":
                yield item
            elif name == "mapping" and all(isinstance(one, str) for one in item.values()):
                yield from item.values()
            else:
                yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def test_its_shape_is_openapi(described):
    assert re.fullmatch(r"3\.1\.\d+", described["openapi"])
    assert {"title", "version"} <= set(described["info"])
    assert set(described) <= {"openapi", "info", "servers", "paths", "components", "security", "tags", "externalDocs"}
    names = []
    for path, methods in described["paths"].items():
        assert path.startswith("/")
        for method, operation in methods.items():
            assert method in {"get", "put", "post", "delete", "options", "head", "patch", "trace"}
            names.append(operation["operationId"])
            assert operation["summary"]
            in_path = [p["name"] for p in operation["parameters"] if p["in"] == "path"]
            assert in_path == re.findall(r"\{(\w+)\}", path)
            places = [(p["in"], p["name"]) for p in operation["parameters"]]
            assert len(places) == len(set(places))
            for parameter in operation["parameters"]:
                assert parameter["in"] in {"path", "query", "header", "cookie"}
                assert parameter["schema"]
                assert parameter["in"] != "path" or parameter["required"] is True
            assert operation["responses"]
            for code, response in operation["responses"].items():
                assert re.fullmatch(r"[1-5]\d\d|default", code)
                assert response["description"]
                for content in response.get("content", {}).values():
                    assert content["schema"]
            for requirement in operation["security"]:
                assert set(requirement) <= set(described["components"]["securitySchemes"])
            assert ("requestBody" in operation) <= (method in {"post", "put", "patch"})
    assert len(names) == len(set(names))


def test_all_references_resolve_and_all_schemas_are_used(described):
    used = set(references(described))
    schemas = described["components"]["schemas"]
    assert used
    for reference in used:
        assert reference.startswith("#/components/schemas/")
        assert reference.rpartition("/")[2] in schemas
    assert {reference.rpartition("/")[2] for reference in used} == set(schemas)


def test_every_operation_is_described(described):
    assert {o.name for o in OPERATIONS} == set(HANDLERS)
    for operation in OPERATIONS:
        found = described["paths"][operation.path][operation.method.lower()]
        assert found["operationId"] == operation.name
        assert str(operation.status) in found["responses"]
        assert {p["name"] for p in found["parameters"] if p["in"] == "query"} == set(operation.query)
        assert ("Idempotency-Key" in {p["name"] for p in found["parameters"]}) == operation.needs_key
        assert bool(found["security"]) == operation.is_authenticated
        if operation.is_authenticated:
            assert set(HTTP_ERRORS) <= set(found["responses"])
        if operation.request:
            schema = found["requestBody"]["content"]["application/json"]["schema"]
            assert schema == {"$ref": f"#/components/schemas/{operation.request.__name__}"}
    assert sum(len(methods) for methods in described["paths"].values()) == len(OPERATIONS)


def test_the_schemas_are_closed_and_speak_camel_case(described):
    for name, schema in described["components"]["schemas"].items():
        if schema.get("type") != "object":
            continue
        assert schema["additionalProperties"] is False, name
        for field in schema.get("properties", {}):
            assert re.fullmatch(r"[a-z]+([A-Z][a-z]*|\d)*", field), (name, field)
    amount = described["components"]["schemas"]["CreatePayout"]["properties"]["amount"]
    assert (amount["type"], amount["minimum"], amount["maximum"]) == ("integer", 1, 2**53 - 1)


@pytest.mark.parametrize(
    ("name", "field", "refused", "taken"),
    [
        ("CreatePayout", "currency", ["idr", "ID", "IDRX"], ["IDR"]),
        ("CreatePayout", "note", ["a\nb", "a\x00", "a\u0085b", "  "], [" rent of March ", "PT Süß 株式会社"]),
        ("BankAccount", "bankName", [" ", "\tBCA"], ["BCA"]),
        ("BankAccount", "bankAccountHolder", ["   ", "A\x7f"], ["PT Contoh"]),
        ("BankAccount", "bankCode", ["B CA"], ["BCA"]),
    ],
)
def test_the_description_refuses_what_the_gateway_refuses(described, name, field, refused, taken):
    model = {"CreatePayout": CreatePayout, "BankAccount": BankAccount}[name]
    good = {"amount": 1, "currency": "IDR"} if model is CreatePayout else {"type": "bank_account", **BANK}
    schema = described["components"]["schemas"][name]["properties"][field]
    pattern = (schema.get("anyOf") or [schema])[0]["pattern"]
    for text in taken:
        model.model_validate(good | {field: text})
        assert re.search(pattern, text), text
    for text in refused:
        with pytest.raises(ValidationError):
            model.model_validate(good | {field: text})
        assert not re.search(pattern, text), text


def test_every_destination_has_to_say_its_type(described):
    for name in ("BankAccount", "Card", "Balance"):
        schema = described["components"]["schemas"][name]
        assert "type" in schema["required"]
        assert "default" not in schema["properties"]["type"]


def test_the_description_says_when_it_is_not_ready(described):
    assert set(described["paths"]["/readyz"]["get"]["responses"]) == {"200", "503"}


async def test_a_body_is_required_but_where_leaving_it_out_says_all(shop, described):
    left_out = set()
    for operation in OPERATIONS:
        if operation.request is None:
            continue
        if not described["paths"][operation.path][operation.method.lower()]["requestBody"]["required"]:
            left_out.add(operation.name)
        answer = await ask(shop, operation.method, operation.path.format(id="po_" + "0" * 32))
        assert answer.status == (404 if operation.name in left_out else 400), operation.name
    assert left_out == {"cancel_payout", "mark_in_transit", "mark_paid"}


async def test_no_error_comes_that_is_not_described(shop, described):
    """Of those that depend on what was asked; 404 of a path, 405, 408, 413, 415 and 500 can meet any request."""
    for method, path, body in (
        ("POST", PAYOUTS, {"amount": 0}),
        ("POST", f"{PAYOUTS}/po_x/cancel", {}),
        ("GET", f"{PAYOUTS}?x=1", None),
    ):
        answer = await ask(shop, method, path, body)
        operation = operation_of(method, path)
        assert str(answer.status) in described["paths"][operation.path][method.lower()]["responses"]


# --- the page ---


async def test_the_page_for_people(world, described):
    status, headers, text = await page_of(world, "/docs")
    assert (status, headers["Content-Type"].partition(";")[0]) == (200, "text/html")
    policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert "script-src" not in policy
    assert set(policy) <= {"default-src", "style-src", "base-uri", "frame-ancestors", "form-action", "img-src"}
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert not re.search(r"<script|javascript:|\son\w+=|<img|<iframe|https?://", text, re.IGNORECASE)
    for operation in OPERATIONS:
        assert f"<code>{operation.path}</code>" in text
        assert operation.summary in text
    for field in answers.PayoutAnswer.model_fields.values():
        assert f"<code>{field.alias}</code>" in text
    for field in described["components"]["schemas"]["CreatePayout"]["properties"]:
        assert f"<code>{field}</code>" in text
    for opened in ("details", "table", "summary"):
        assert text.count(f"<{opened}>") == text.count(f"</{opened}>")


def words_of(schema):
    """What a person has to be told of a schema, as texts: names, values, limits, and the types of what it holds."""
    for name, value in schema.items():
        if name == "properties":
            for field, of in value.items():
                yield field
                yield from words_of(of)
        elif name in {"items", "additionalProperties"} and isinstance(value, dict):
            yield from words_of(value)
        elif name in {"anyOf", "oneOf"}:
            for option in value:
                yield from words_of(option)
        elif name == "patternProperties":
            for pattern, of in value.items():
                yield from (pattern, *words_of(of))
        elif name == "enum":
            yield from value
        elif name in {
            "minimum",
            "maximum",
            "minLength",
            "maxLength",
            "minItems",
            "maxItems",
            "maxProperties",
            "const",
            "format",
        }:
            yield str(value)
        elif name == "pattern" and value != PRINTABLE:
            yield value
        elif name == "$ref":
            yield f"#{value.rpartition('/')[2]}"
        elif name == "type" and "properties" not in schema and not {"enum", "const"} & schema.keys():
            yield value


def text_between(text, begin, end):
    start = text.index(begin)
    return html.unescape(text[start : text.index(end, start)])


async def test_the_page_is_the_whole_api(world, described):
    _, _, text = await page_of(world, "/docs")
    for name, schema in described["components"]["schemas"].items():
        shown = text_between(text, f"<code id='{name}'>", "</details>")
        for word in words_of(schema):
            assert word in shown, (name, word)
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            shown = text_between(text, f"<b>{method.upper()}</b> <code>{path}</code>", "</details>")
            for parameter in operation["parameters"]:
                for word in (parameter["name"], *words_of(parameter["schema"])):
                    assert word in shown, (path, word)


# --- the metrics ---


def samples(text):
    """(name, labels, value) of each line of metrics."""
    found = []
    for line in text.splitlines():
        if not line.startswith("#"):
            name, labels, value = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line).groups()
            found.append((name, dict(re.findall(r'(\w+)="([^"]*)"', labels or "")), float(value)))
    return found


async def test_what_alerts_watch_for_an_increase_begins_at_zero(own_world):
    gateway = await own_world.start_gateway()
    await gateway.gauges.fill()
    found = {(name, *sorted(given.values())): v for name, given, v in samples((await page_of(own_world, "/metrics"))[2])}
    loops = {"dispatcher", "inbox", "reconciler", "lookback", "invariants", "hold_watch", "recovery"}
    for series in (
        *(("gateway_rounds_total", *sorted((loop, "error"))) for loop in loops),
        *(("gateway_invariant_failures_total", rule.name) for rule in rules()),
        ("gateway_notices_total", "refused", "unknown"),
        *(("gateway_connections_paused", provider) for provider in PROVIDERS),
        *(("gateway_notices_total", *sorted((p, o))) for p in PROVIDERS for o in ("refused", "unreadable", "unmatched")),
    ):
        assert found.get(series) == 0, series


async def test_the_promised_metrics(own_world):
    world = own_world
    gateway = await world.start_gateway()
    shop = await world.merchant()
    waiting = await shop.pay(provider="manual", **BANK)
    paid = await shop.pay(provider="pivot", **BANK)
    await shop.until(paid["id"], "paid")
    failed = await shop.pay(provider="manual", **BANK)
    answer = await ask(shop, "POST", f"{PAYOUTS}/{failed['id']}/mark-failed", {"failureReason": "closed"})
    assert answer.data["failureCode"] == FailureCode.OPERATOR
    await ask(shop, "GET", f"{PAYOUTS}/{waiting['id']}")
    await ask(shop, "GET", f"/{shop.account_id}")
    async with asyncio.timeout(5):
        while not gateway.metrics.loop_lag_s._value.get():
            await asyncio.sleep(0.02)
    await gateway.gauges.fill()

    status, headers, text = await page_of(world, "/metrics")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain")
    found = samples(text)

    def value(wanted, **labels):
        return sum(v for name, given, v in found if name == wanted and labels.items() <= given.items())

    # Moves of payouts, by the phase after the move: more than payouts.
    assert re.search(r"^# HELP gateway_payouts_total Moves of payouts", text, re.MULTILINE)
    assert value("gateway_payouts_total") > 3
    assert value("gateway_payouts_total", phase="queued", provider="manual") == 2
    assert value("gateway_payouts_total", phase="queued", provider="pivot") == 1
    assert value("gateway_payouts_total", phase="paid", provider="pivot", failure_class="") == 1
    assert value("gateway_payouts_total", phase="failed", provider="manual", failure_class=FailureCode.OPERATOR) == 1
    # Latency of calls to providers.
    assert value("gateway_provider_call_seconds_count", provider="pivot") >= 1
    assert value("gateway_provider_call_seconds_sum", provider="pivot") > 0
    assert value("gateway_provider_call_seconds_bucket", provider="pivot", le="+Inf") >= 1
    # Age of the queue, and how late the event loop wakes.
    assert value("gateway_payouts_open", provider="manual") == 1
    assert 0 < value("gateway_queue_age_seconds", provider="manual") < 60
    assert value("gateway_loop_lag_seconds") > 0
    assert {"gateway_inbox_age_seconds", "gateway_inbox_waiting", "gateway_connections_paused"} <= set(
        re.findall(r"# TYPE (\w+)", text)
    )
    # Requests, by route and never by path: nobody can make a label up.
    assert value("gateway_request_seconds_count", method="POST", route=PAYOUTS, status="201") == 3
    assert value("gateway_request_seconds_count", route="unknown", status="404") == 1
    labels = {v for _, given, _ in found for v in given.values()}
    assert not [label for label in labels if re.search(r"(po|acct|conn|card|pa)_|\d{8}", label)]
    assert {given["phase"] for _, given, _ in found if "phase" in given} <= set(Phase)


async def test_an_unknown_method_is_no_label(world):
    for method in ("PROPFIND", "MKCALENDAR", "M-SEARCH"):
        async with world.http.request(method, f"http://127.0.0.1:{world.gateways[0].port}{PAYOUTS}") as answer:
            assert answer.status == 405
    _, _, text = await page_of(world, "/metrics")
    assert 'method="other"' in text
    assert not re.search("PROPFIND|MKCALENDAR|SEARCH", text)


# --- the health checks ---


class Wire:
    """A socket between a gateway and its database, to be cut."""

    def __init__(self, dsn: str, folder: Path) -> None:
        self.there = dict(part.split("=", 1) for part in urlsplit(dsn).query.split("&"))["host"].replace("%2F", "/")
        self.dsn = dsn.replace(quote(self.there, safe=""), quote(str(folder), safe="")).replace(self.there, str(folder))
        self.path = folder / ".s.PGSQL.5432"
        self._server = None
        self._open = set()

    async def connect(self):
        self._server = await asyncio.start_unix_server(self._carry, self.path)

    async def cut(self):
        self._server.close()
        for writer in self._open:
            writer.transport.abort()
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()

    async def _carry(self, reader, writer):
        far_reader, far_writer = await asyncio.open_unix_connection(f"{self.there}/.s.PGSQL.5432")
        self._open |= {writer, far_writer}
        await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))

    async def _pump(self, reader, writer):
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()


@pytest_asyncio.fixture(loop_scope="module")
async def wire(own_world, tmp_path):
    folder = tmp_path / "wire"
    folder.mkdir()
    wire = Wire(own_world.dsn, folder)
    await wire.connect()
    own_world.dsn = wire.dsn
    yield wire
    await wire.cut()


async def test_health_while_the_database_is_gone_and_back(own_world, wire):
    await own_world.start_gateway(roles=frozenset({Role.API}))
    shop = await own_world.merchant(providers=("manual",))
    body = {"amount": 10_00, "currency": "IDR", **BANK}
    assert (await ask(shop, "GET", "/readyz")).data == {"status": "ready"}
    await shop.pay(**BANK)
    await wire.cut()
    assert (await ask(shop, "GET", "/healthz")).data == {"status": "ok"}
    for method, path, sent in (
        ("GET", "/readyz", None),
        ("GET", PAYOUTS, None),
        ("POST", PAYOUTS, body),
        ("GET", f"{PAYOUTS}/balance", None),
    ):
        for _ in range(3):  # first the old connections break, then new ones cannot be made
            answer = await ask(shop, method, path, sent, key="while it was gone")
            assert answer.refusal[:2] == (503, "service_unavailable"), (path, answer.envelope)
            assert answer.headers["Retry-After"] == "1"
    assert (await page_of(own_world, "/metrics"))[0] == 200
    await wire.connect()
    assert (await ask(shop, "GET", "/readyz")).status == 200
    assert (await ask(shop, "POST", PAYOUTS, body, key="while it was gone")).status == 201


async def test_not_ready_while_stopping(own_world):
    gateway = await own_world.start_gateway(roles=frozenset({Role.API}))
    shop = await own_world.merchant(providers=())
    gateway._stopping = True
    assert (await ask(shop, "GET", "/readyz")).refusal[:2] == (503, "service_unavailable")
    assert (await ask(shop, "GET", "/healthz")).status == 200


async def test_an_error_of_our_own_is_an_envelope_too(own_world, monkeypatch):
    await own_world.start_gateway(roles=frozenset({Role.API}))
    shop = await own_world.merchant(providers=())

    async def broken(*_args):
        raise RuntimeError("something that no merchant should read")

    monkeypatch.setattr("gateway.store.ledger.balances", broken)
    answer = await ask(shop, "GET", f"{PAYOUTS}/balance")
    assert answer.refusal == (500, "internal_error", None)
    assert "no merchant" not in str(answer.envelope)
