"""Bad input, as one table after the other: the envelope with code, field and a sentence each time, and nothing done."""

import asyncio
import gzip
import json
import re
import time
import uuid
import zlib

import pytest
import pytest_asyncio

from gateway.api.operations import OPERATIONS
from gateway.onboarding import create_bearer_key
from gateway.settings import Role
from gateway.store import accounts
from schemas.money import MAX_AMOUNT_MINOR
from schemas.requests import CreatePayout
from tests.api.asking import PAYOUTS, ask, at_rest, everything, sign
from tests.flows.world import BANK, card_fields

GOOD = {"amount": 150_000_00, "currency": "IDR", **BANK}
ENTRIES = "/api/v1/ledger/entries"
CREDITS = "/api/v1/ledger/credits"
BODY = json.dumps(GOOD).encode()
INVALID = "validation_error"
MISSING = object()
MALFORMED = "\n", "\x00", "\x1b[31m", "\x7f", "\u202e", "\u2028", "\u200b", "\ufeff", " ", ""
NOWHERE = "0" * 32


def good(**changes):
    """The body of a create that would work, with changes; `MISSING` leaves a field out."""
    return {name: value for name, value in {**GOOD, **changes}.items() if value is not MISSING}


def to(**destination):
    """The body of a create to this destination."""
    return {"amount": 150_000_00, "currency": "IDR", "destination": destination}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(world):
    """A merchant with a payout that an operator is sending, one that is paid, and a saved card; nothing moves by itself."""
    shop = await world.merchant()
    shop.moving = (await shop.pay(provider="manual", **BANK))["id"]
    shop.paid = (await shop.pay(provider="manual", **BANK))["id"]
    for path in (f"{shop.moving}/mark-in-transit", f"{shop.paid}/mark-in-transit", f"{shop.paid}/mark-paid"):
        assert (await ask(shop, "POST", f"{PAYOUTS}/{path}", {})).status == 200
    shop.waiting = (await shop.pay(provider="manual", **BANK))["id"]
    shop.card = await shop.save_card()
    return shop


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def neighbour(world):
    """Another merchant, whose things the first one asks for."""
    neighbour = await world.merchant()
    neighbour.payout = (await neighbour.pay(provider="manual", **BANK))["id"]
    neighbour.card = await neighbour.save_card()
    return neighbour


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def nothing_is_done(world, shop, neighbour, request):
    """What was written down before is exactly what is written down afterwards."""
    if "own_world" in request.fixturenames:
        yield
        return
    pool = world.gateways[0].pool
    before = await at_rest(pool)
    yield
    await world.gateways[0].apply.drain()
    assert await everything(pool) == before


# --- one field at a time ---

AMOUNTS = {
    "missing": MISSING,
    "null": None,
    "zero": 0,
    "negative": -1,
    "float": 150000.0,
    "fraction": 150000.5,
    "boolean": True,
    "text": "15000000",
    "exponent text": "1e2",
    "list": [1],
    "object": {"value": 1},
    "above the maximum": MAX_AMOUNT_MINOR + 1,
    "2**63": 2**63,
    "-2**63": -(2**63),
    "40 digits": 10**39,
}


@pytest.mark.parametrize("amount", AMOUNTS.values(), ids=AMOUNTS)
@pytest.mark.parametrize("path", [PAYOUTS, CREDITS])
async def test_amounts(shop, path, amount):
    body = good(amount=amount) if path == PAYOUTS else {"amount": amount, "currency": "IDR", "reference": "r"}
    body = {name: value for name, value in body.items() if value is not MISSING}
    assert (await ask(shop, "POST", path, body)).refusal == (400, INVALID, "amount")


@pytest.mark.parametrize("amount", ["1e2", "1E2", "1.0", "1.5e1", "100e-1", "-0", "0.0", "1" + "0" * 39])
async def test_amounts_as_they_are_written(shop, amount):
    raw = json.dumps(good(amount=0)).replace('"amount": 0', f'"amount": {amount}').encode()
    assert (await ask(shop, "POST", PAYOUTS, raw=raw)).refusal == (400, INVALID, "amount")


# Each is the body of a create, with the status, code and field of its refusal.
BODIES = {
    "currency missing": (good(currency=MISSING), 400, INVALID, "currency"),
    "currency unknown": (good(currency="XXX"), 400, INVALID, "currency"),
    "currency in lower case": (good(currency="idr"), 400, INVALID, "currency"),
    "currency with a space": (good(currency="IDR "), 400, INVALID, "currency"),
    "currency null": (good(currency=None), 400, INVALID, "currency"),
    "currency a number": (good(currency=360), 400, INVALID, "currency"),
    "unknown field": (good(amout=1), 400, INVALID, "amout"),
    "unknown field of the destination": (to(type="balance", iban="x"), 400, INVALID, "destination.iban"),
    "a field that only we set: status": (good(status="paid"), 400, INVALID, "status"),
    "a field that only we set: accountId": (good(accountId="acct_x"), 400, INVALID, "accountId"),
    "a field that only we set: id": (good(id="po_x"), 400, INVALID, "id"),
    "a field by its Python name": (good(bank_code="BCA"), 400, INVALID, "bank_code"),
    "both bank fields and destination": (good(destination={"type": "balance"}), 400, INVALID, "destination"),
    "bank code and destination": (to(type="balance") | {"bankCode": "BCA"}, 400, INVALID, "destination"),
    "bank name missing": (good(bankName=MISSING), 400, INVALID, "bankName"),
    "account number missing": (good(bankAccountNumber=None), 400, INVALID, "bankAccountNumber"),
    "holder missing": (good(bankAccountHolder=MISSING), 400, INVALID, "bankAccountHolder"),
    "only a bank code": ({"amount": 1_00, "currency": "IDR", "bankCode": "BCA"}, 400, INVALID, "bankName"),
    "bank code too long": (good(bankCode="B" * 33), 400, INVALID, "bankCode"),
    "bank code with a space": (good(bankCode="B CA"), 400, INVALID, "bankCode"),
    "bank name too long": (good(bankName="B" * 101), 400, INVALID, "bankName"),
    "account number too long": (good(bankAccountNumber="1" * 51), 400, INVALID, "bankAccountNumber"),
    "account number with a slash": (good(bankAccountNumber="12/34"), 400, INVALID, "bankAccountNumber"),
    "account number of Arabic digits": (good(bankAccountNumber="١٢٣٤"), 400, INVALID, "bankAccountNumber"),
    "account number as a number": (good(bankAccountNumber=1234567890), 400, INVALID, "bankAccountNumber"),
    "holder too long": (good(bankAccountHolder="H" * 101), 400, INVALID, "bankAccountHolder"),
    "destination null and nothing else": ({"amount": 1_00, "currency": "IDR", "destination": None}, 422,
                                          "bank_account_unconfigured", "destination"),
    "no destination at all": ({"amount": 1_00, "currency": "IDR"}, 422, "bank_account_unconfigured", "destination"),
    "destination a text": (to() | {"destination": "BCA 123"}, 400, INVALID, "destination"),
    "destination a list": (to() | {"destination": []}, 400, INVALID, "destination"),
    "destination without a type": (to(cardId="x"), 400, INVALID, "destination"),
    "destination of an unknown type": (to(type="iban"), 400, INVALID, "destination"),
    "destination of the type 5": (to(type=5), 400, INVALID, "destination"),
    "card without an id": (to(type="card"), 400, INVALID, "destination.cardId"),
    "card with the id of a payout": (to(type="card", cardId=f"po_{NOWHERE}"), 400, INVALID, "destination.cardId"),
    "card that does not exist": (to(type="card", cardId=f"card_{NOWHERE}"), 422, "card_not_found", "destination.cardId"),
    "bank account in parts": (to(type="bank_account", bankName="B"), 400, INVALID, "destination.bankAccountNumber"),
    "bank account with a bad number": (
        to(type="bank_account", **BANK) | {"destination": {"type": "bank_account", **BANK, "bankAccountNumber": "#1"}},
        400, INVALID, "destination.bankAccountNumber"),
    "provider unknown": (good(provider="nobody"), 422, "no_route", "provider"),
    "provider malformed": (good(provider="../pivot"), 400, INVALID, "provider"),
    "connection unknown": (good(connectionId=f"conn_{NOWHERE}"), 422, "no_route", "connectionId"),
    "connection malformed": (good(connectionId="conn_1"), 400, INVALID, "connectionId"),
    "currency that no connection pays": (to(type="balance") | {"currency": "JPY", "provider": "mollie"}, 422, "no_route",
                                         "currency"),
    "destination that the provider cannot pay": (good(provider="plexy"), 422, "no_route", "destination"),
    "half a rupiah through Pivot": (good(amount=150_000_50, provider="pivot"), 422, "amount_not_supported", "amount"),
    "less than a rupiah through Pivot": (good(amount=1, provider="pivot"), 422, "amount_not_supported", "amount"),
    "bank code that Pivot does not know": (good(bankCode="NOBANK", provider="pivot"), 422, "bank_code_not_supported",
                                           "bankCode"),
    "no bank code through Pivot": (good(bankCode=MISSING, provider="pivot"), 422, "bank_code_not_supported", "bankCode"),
    "descriptor that Pivot cannot print": (good(statementDescriptor="two words", provider="pivot"), 422,
                                           "statement_descriptor_not_supported", "statementDescriptor"),
    "descriptor with an accent": (good(statementDescriptor="café"), 400, INVALID, "statementDescriptor"),
    "descriptor empty": (good(statementDescriptor=""), 400, INVALID, "statementDescriptor"),
    "descriptor blank": (good(statementDescriptor=" "), 400, INVALID, "statementDescriptor"),
    "merchant reference too long": (good(merchantReference="r" * 101), 400, INVALID, "merchantReference"),
    "note too long": (good(note="n" * 501), 400, INVALID, "note"),
    "metadata a list": (good(metadata=[]), 400, INVALID, "metadata"),
    "metadata a number": (good(metadata={"a": 1}), 400, INVALID, "metadata.a"),
    "metadata nested": (good(metadata={"a": {"b": "c"}}), 400, INVALID, "metadata.a"),
    "metadata with an empty key": (good(metadata={"": "x"}), 400, INVALID, "metadata"),
    "metadata with a long key": (good(metadata={"k" * 41: "x"}), 400, INVALID, "metadata"),
    "metadata with a long value": (good(metadata={"k": "x" * 501}), 400, INVALID, "metadata.k"),
    "metadata with 51 entries": (good(metadata={str(n): "x" for n in range(51)}), 400, INVALID, "metadata"),
    "more than there is": (good(amount=10**15), 422, "insufficient_balance", "amount"),
    "the largest amount": (good(amount=MAX_AMOUNT_MINOR, provider="manual"), 422, "insufficient_balance", "amount"),
    "a currency without any balance": (to(type="balance") | {"currency": "USD", "provider": "manual"}, 422,
                                       "insufficient_balance", "amount"),
}  # fmt: skip


@pytest.mark.parametrize(("body", "status", "code", "field"), BODIES.values(), ids=BODIES)
async def test_bodies_of_a_create(shop, body, status, code, field):
    answer = await ask(shop, "POST", PAYOUTS, body)
    assert answer.refusal == (status, code, field)
    if status == 400:
        assert answer.error["message"].startswith(field)
        assert answer.error["details"][0]["field"] == field


@pytest.mark.parametrize("bad", MALFORMED, ids=ascii)
@pytest.mark.parametrize(
    "field", ["bankName", "bankAccountNumber", "bankAccountHolder", "bankCode", "note", "merchantReference"]
)
async def test_control_characters(shop, field, bad):
    text = bad if bad in {"", " "} else f"AB{bad}CD"
    status, code, named = (await ask(shop, "POST", PAYOUTS, good(**{field: text}))).refusal
    assert (status, named) == ((400, None) if bad == "\x00" else (400, field))
    assert code == ("invalid_json" if bad == "\x00" else INVALID)


@pytest.mark.parametrize("field", [f.alias for f in CreatePayout.model_fields.values()])
async def test_no_field_takes_another_type(shop, field):
    for wrong in (5, 1.5, True, [], ["x"], {"x": []}):
        if (field, wrong) == ("amount", 5):
            continue
        status, code, named = (await ask(shop, "POST", PAYOUTS, good(**{field: wrong}))).refusal
        assert (status, code) == (400, INVALID), wrong
        assert named.partition(".")[0] == field, wrong


# Operations with a body beside create: (method, path, body, field of the refusal).
OTHERS = {
    "mark in transit: reference too long": ("POST", "{moving}/mark-in-transit", {"reference": "r" * 201}, "reference"),
    "mark paid: reference a number": ("POST", "{moving}/mark-paid", {"reference": 5}, "reference"),
    "mark paid: reference empty": ("POST", "{moving}/mark-paid", {"reference": ""}, "reference"),
    "mark paid: reference of two lines": ("POST", "{moving}/mark-paid", {"reference": "a\nb"}, "reference"),
    "mark paid: a patched amount": ("POST", "{moving}/mark-paid", {"amount": 1}, "amount"),
    "mark failed: no reason": ("POST", "{moving}/mark-failed", {}, "failureReason"),
    "mark failed: reason empty": ("POST", "{moving}/mark-failed", {"failureReason": ""}, "failureReason"),
    "mark failed: reason too long": ("POST", "{moving}/mark-failed", {"failureReason": "x" * 501}, "failureReason"),
    "mark returned: no reason": ("POST", "{paid}/mark-returned", {}, "reason"),
    "cancel: not an empty object": ("POST", "{waiting}/cancel", {"force": True}, "force"),
    "bank account: in parts": ("PATCH", "bank-account", {"bankName": "B"}, "bankAccountNumber"),
    "bank account: malformed": ("PATCH", "bank-account", {**BANK, "bankAccountNumber": "12\n3"}, "bankAccountNumber"),
    "bank account: too long": ("PATCH", "bank-account", {**BANK, "bankAccountHolder": "h" * 101}, "bankAccountHolder"),
    "bank account: unknown field": ("PATCH", "bank-account", {**BANK, "configured": True}, "configured"),
    "credit: no reference": ("POST", CREDITS, {"amount": 1, "currency": "IDR"}, "reference"),
    "credit: unknown currency": ("POST", CREDITS, {"amount": 1, "currency": "XYZ", "reference": "r"}, "currency"),
    "card: no fields": ("POST", "/api/v1/cards", {"cardFields": {}}, "cardFields"),
    "card: fields of numbers": ("POST", "/api/v1/cards", {"cardFields": {"a": 4111}}, "cardFields.a"),
    "card: a field too long": ("POST", "/api/v1/cards", {"cardFields": {"a": "x" * 4001}}, "cardFields.a"),
    "card: in the clear": ("POST", "/api/v1/cards", {"cardFields": {"pan": "4111111111111111"}}, "cardFields"),
    "card: a field too few": ("POST", "/api/v1/cards", {"cardFields": dict(list(card_fields().items())[1:])}, "cardFields"),
    "card: a field too many": ("POST", "/api/v1/cards", {"cardFields": card_fields() | {"x": "y"}}, "cardFields"),
    "card: not encrypted": ("POST", "/api/v1/cards", {"cardFields": card_fields() | {"encryptedCvv": "123"}}, "cardFields"),
    "card: 21 fields": ("POST", "/api/v1/cards", {"cardFields": {str(n): "x" for n in range(21)}}, "cardFields"),
    "card: at a malformed connection": (
        "POST",
        "/api/v1/cards",
        {"cardFields": {"a": "b"}, "connectionId": "x"},
        "connectionId",
    ),
}


@pytest.mark.parametrize(("method", "path", "body", "field"), OTHERS.values(), ids=OTHERS)
async def test_bodies_of_the_others(shop, method, path, body, field):
    path = path if path.startswith("/") else f"{PAYOUTS}/{path.format(**vars(shop))}"
    assert (await ask(shop, method, path, body)).refusal == (400, INVALID, field)


# What the payout's state, or the provider, does not allow.
CONFLICTS = {
    "cancel what is in transit": ("{moving}/cancel", {}),
    "cancel what is paid": ("{paid}/cancel", {}),
    "in transit twice": ("{moving}/mark-in-transit", {}),
    "paid twice": ("{paid}/mark-paid", {}),
    "paid straight from pending": ("{waiting}/mark-paid", {}),
    "failed after paid": ("{paid}/mark-failed", {"failureReason": "x"}),
    "returned before paid": ("{moving}/mark-returned", {"reason": "x"}),
}


@pytest.mark.parametrize(("path", "body"), CONFLICTS.values(), ids=CONFLICTS)
async def test_states(shop, path, body):
    answer = await ask(shop, "POST", f"{PAYOUTS}/{path.format(**vars(shop))}", body)
    assert answer.refusal == (409, "state_conflict", None)
    assert "Nothing was changed" in answer.error["message"]


async def test_a_refused_mark_does_not_even_claim_a_queued_payout(own_world):
    await own_world.start_gateway(roles=frozenset({Role.API}))  # nobody sends, so it stays queued
    shop = await own_world.merchant(providers=("manual",))
    queued = (await shop.pay(**BANK))["id"]
    before = await everything(own_world.gateways[0].pool)
    for path, body in (("mark-paid", {}), ("mark-returned", {"reason": "x"})):
        assert (await ask(shop, "POST", f"{PAYOUTS}/{queued}/{path}", body)).refusal[:2] == (409, "state_conflict")
    assert await everything(own_world.gateways[0].pool) == before


async def test_a_provider_that_reports_itself_is_not_marked_by_hand(own_world):
    await own_world.start_gateway(roles=frozenset({Role.API}))
    shop = await own_world.merchant(providers=("pivot",))
    queued = (await shop.pay(**BANK))["id"]
    before = await everything(own_world.gateways[0].pool)
    for path, body in (("mark-in-transit", {}), ("mark-paid", {}), ("mark-failed", {"failureReason": "x"})):
        assert (await ask(shop, "POST", f"{PAYOUTS}/{queued}/{path}", body)).refusal[:2] == (409, "state_conflict")
    assert await everything(own_world.gateways[0].pool) == before


async def test_a_balance_that_the_books_cannot_hold(own_world):
    gateway = await own_world.start_gateway(roles=frozenset({Role.API}))
    shop = await own_world.merchant(providers=())
    await gateway.pool.execute("update balance set available = 9223372036854775807 - $1", MAX_AMOUNT_MINOR - 1)
    before = await everything(gateway.pool)
    body = {"amount": MAX_AMOUNT_MINOR, "currency": "IDR", "reference": "one too many"}
    assert (await ask(shop, "POST", CREDITS, body)).refusal == (422, "balance_too_large", "amount")
    assert await everything(gateway.pool) == before
    assert (await ask(shop, "POST", CREDITS, body | {"amount": MAX_AMOUNT_MINOR - 1})).status == 201


# --- bodies that are no JSON of ours ---

TRAPS = {
    "broken JSON": b'{"amount":',
    "trailing comma": b'{"a":1,}',
    "single quotes": b"{'a':1}",
    "two values": b"{}{}",
    "text after it": b"{} x",
    "only a blank": b" ",
    "an array": b"[]",
    "a text": b'"x"',
    "a number": b"5",
    "null": b"null",
    "duplicate key": b'{"amount":1,"amount":1}',
    "duplicate key, escaped": b'{"amount":1,"\\u0061mount":1}',
    "duplicate key inside": b'{"metadata":{"a":"1","a":"1"}}',
    "NaN": b'{"amount":NaN}',
    "Infinity": b'{"amount":Infinity}',
    "-Infinity": b'{"amount":-Infinity}',
    "1e400": b'{"amount":1e400}',
    "1e-400": b'{"amount":1e-400}',
    "an exponent of 19 digits": b'{"amount":1e9999999999999999999}',
    "zero with an exponent of 30 digits": b'{"amount":0e' + b"9" * 30 + b"}",
    "41 digits": b'{"amount":' + b"9" * 41 + b"}",
    "5,000 digits": b'{"amount":' + b"9" * 5000 + b"}",
    "5,000 decimals": b'{"amount":0.' + b"9" * 5000 + b"}",
    "a plus sign": b'{"amount":+5}',
    "a leading zero": b'{"amount":05}',
    "hexadecimal": b'{"amount":0x10}',
    "an underscore": b'{"amount":1_000}',
    "Arabic digits": '{"amount":١٢٣}'.encode(),
    "50,000 brackets": b"[" * 50_000,
    "10,000 objects": b'{"a":' * 10_000,
    "brackets in a field": b'{"note":' + b"[" * 40_000 + b"]" * 20_000,
    "33 levels": b'{"a":' * 33 + b"1" + b"}" * 33,
    "a text of quotes that never ends": b"[]" * 40 + b'"' + b'\\"' * 30_000,
    "lone surrogate": b'{"note":"\\ud800"}',
    "lone low surrogate": b'{"note":"\\udc00x"}',
    "surrogates the wrong way": b'{"note":"\\udc00\\ud800"}',
    "surrogate as a key": b'{"\\ud800":1}',
    "surrogate in UTF-8": b'{"note":"\xed\xa0\x80"}',
    "NUL, escaped": b'{"note":"a\\u0000b"}',
    "NUL as it is": b'{"note":"a\x00b"}',
    "a line break in a text": b'{"note":"a\nb"}',
    "UTF-16": '{"amount":1}'.encode("utf-16"),
    "UTF-16 without mark": '{"amount":1}'.encode("utf-16-le"),
    "UTF-32": '{"amount":1}'.encode("utf-32"),
    "byte order mark": b"\xef\xbb\xbf{}",
    "Latin-1": '{"note":"café"}'.encode("latin-1"),
    "overlong UTF-8": b'{"note":"\xc0\xaf"}',
    "invalid escape": b'{"note":"\\x41"}',
}
WITH_BODY = [operation for operation in OPERATIONS if operation.request]


@pytest.mark.parametrize("raw", TRAPS.values(), ids=TRAPS)
async def test_traps_of_json_at_every_operation(shop, raw):
    started = time.process_time()
    for operation in WITH_BODY:
        answer = await ask(shop, operation.method, operation.path.format(id=shop.moving), raw=raw)
        assert answer.refusal == (400, "invalid_json", None), operation.name
        assert answer.error["message"].startswith("The body cannot be read: ")
    assert time.process_time() - started < 3, "a small body must not keep the process busy"


async def test_an_empty_body_is_an_empty_object(shop):
    for raw in (b"", None, b"{}"):
        answer = await ask(shop, "POST", PAYOUTS, raw=raw)
        assert answer.refusal == (400, INVALID, "amount")
        assert [problem["field"] for problem in answer.error["details"]] == ["amount", "currency"]


async def test_a_thousand_problems_make_a_short_answer(shop):
    answer = await ask(shop, "POST", PAYOUTS, {f"unknown{n}": n for n in range(1000)})
    assert answer.refusal == (400, INVALID, "amount")
    assert len(answer.error["details"]) == 20
    answer = await ask(shop, "POST", PAYOUTS, good(**{"x" * 50_000: 1}))
    assert len(answer.error["field"]) == 100


TOO_LARGE = b'{"note":"' + b"x" * (64 * 1024) + b'"}'


async def _chunks():
    for start in range(0, len(TOO_LARGE), 1000):
        yield TOO_LARGE[start : start + 1000]


@pytest.mark.parametrize("operation", WITH_BODY, ids=lambda operation: operation.name)
async def test_a_body_over_the_limit(shop, operation):
    path = operation.path.format(id=shop.moving)
    for raw in (TOO_LARGE, _chunks()):
        answer = await ask(shop, operation.method, path, raw=raw)
        assert answer.refusal == (413, "body_too_large", None)


async def test_a_body_over_the_limit_that_nobody_signed(shop):
    for path in (PAYOUTS, f"/webhooks/pivot/{shop.connections['pivot']}"):
        answer = await ask(shop, "POST", path, raw=TOO_LARGE, headers={"Authorization": None})
        assert answer.refusal == (413, "body_too_large", None)


async def test_a_body_of_just_the_limit_is_read(shop):
    raw = json.dumps(good(note="x")).encode()
    raw += b" " * (64 * 1024 - len(raw))
    answer = await ask(shop, "POST", PAYOUTS, raw=raw.replace(b'"amount": 15000000', b'"amount": 0       '))
    assert answer.refusal == (400, INVALID, "amount")


CONTENT_TYPES = (None, "", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/json",
                 "application/jsonp", "application/json-patch+json", "application", "*/*")  # fmt: skip


@pytest.mark.parametrize("content_type", CONTENT_TYPES)
async def test_content_types(shop, content_type):
    raw = json.dumps(good()).encode()
    answer = await ask(shop, "POST", PAYOUTS, raw=raw, headers={"Content-Type": content_type})
    assert answer.refusal == (415, "unsupported_media_type", "Content-Type")


async def test_a_compressed_body(shop):
    for coding, raw in (("gzip", gzip.compress(BODY)), ("deflate", zlib.compress(BODY)), ("x-unheard-of", BODY)):
        answer = await ask(shop, "POST", PAYOUTS, raw=raw, headers={"Content-Encoding": coding})
        assert answer.refusal == (415, "unsupported_media_type", "Content-Encoding")


# --- the query ---

QUERIES = {
    "cursor of nothing": (PAYOUTS, "cursor=", "cursor"),
    "cursor of nonsense": (PAYOUTS, "cursor=nonsense", "cursor"),
    "cursor of other characters": (PAYOUTS, "cursor=%21%21", "cursor"),
    "cursor of letters beyond ASCII": (PAYOUTS, "cursor=%C3%A9", "cursor"),
    "cursor that is an id": (PAYOUTS, f"cursor=po_{NOWHERE}", "cursor"),
    "cursor too long": (PAYOUTS, "cursor=" + "A" * 5000, "cursor"),
    "cursor of the ledger": (PAYOUTS, "cursor={ledger_cursor}", "cursor"),
    "cursor of payouts at the ledger": (ENTRIES, "cursor={payout_cursor}", "cursor"),
    "cursor of payouts at the cards": ("/api/v1/cards", "cursor={payout_cursor}", "cursor"),
    "limit 0": (PAYOUTS, "limit=0", "limit"),
    "limit 101": (PAYOUTS, "limit=101", "limit"),
    "limit -1": (PAYOUTS, "limit=-1", "limit"),
    "limit of text": (PAYOUTS, "limit=ten", "limit"),
    "limit of a fraction": (PAYOUTS, "limit=1.5", "limit"),
    "limit of nothing": (PAYOUTS, "limit=", "limit"),
    "limit of Arabic digits": (PAYOUTS, "limit=%D9%A1", "limit"),
    "limit with an underscore": (PAYOUTS, "limit=1_0", "limit"),
    "limit of 5,000 digits": (PAYOUTS, "limit=" + "9" * 5000, "limit"),
    "limit of the ledger": (ENTRIES, "limit=1000", "limit"),
    "limit of the cards": ("/api/v1/cards", "limit=x", "limit"),
    "unknown parameter": (PAYOUTS, "page=2", "page"),
    "neither yes nor no": (PAYOUTS, "needsPerson=1", "needsPerson"),
    "unknown parameter of the ledger": (ENTRIES, "status=paid", "status"),
    "unknown parameter of the cards": ("/api/v1/cards", "status=active", "status"),
    "unknown parameter of the balance": (f"{PAYOUTS}/balance", "limit=1", "limit"),
    "a parameter twice": (PAYOUTS, "status=paid&status=paid", "status"),
    "unknown status": (PAYOUTS, "status=done", "status"),
    "status in capitals": (PAYOUTS, "status=PAID", "status"),
    "unknown phase": (PAYOUTS, "phase=unheard", "phase"),
    "payouts of an unknown currency": (PAYOUTS, "currency=XXX", "currency"),
    "entries of a lower-case currency": (ENTRIES, "currency=idr", "currency"),
    "a parameter without end": (PAYOUTS, f"{'p' * 500}=1", "p" * 100),
    "balance of an unknown currency": (f"{PAYOUTS}/balance", "currency=XXX", "currency"),
    "balance of a lower-case currency": (f"{PAYOUTS}/balance", "currency=idr", "currency"),
    "time without a zone": (PAYOUTS, "createdAfter=2026-01-01T00:00:00", "createdAfter"),
    "time of nonsense": (PAYOUTS, "createdBefore=yesterday", "createdBefore"),
    "time that PostgreSQL would know": (PAYOUTS, "createdAfter=infinity", "createdAfter"),
    "time before the first year": (PAYOUTS, "createdAfter=0001-01-01T00:00:00%2B14:00", "createdAfter"),
    "time after the last year": (PAYOUTS, "createdBefore=9999-12-31T23:59:59-14:00", "createdBefore"),
    **{
        f"NUL in {name} at {path}": (path, f"{name}=a%00b", name)
        for path, names in (
            (PAYOUTS, ("provider", "connectionId", "currency", "merchantReference", "status", "cursor", "limit")),
            (ENTRIES, ("currency", "payoutId")),
        )
        for name in names
    },
}  # fmt: skip


@pytest.mark.parametrize(("path", "query", "field"), QUERIES.values(), ids=QUERIES)
async def test_queries(shop, path, query, field):
    if "{" in query:
        pages = [(await ask(shop, "GET", f"{one}?limit=1")).meta["cursor"] for one in (PAYOUTS, ENTRIES)]
        query = query.format(payout_cursor=pages[0], ledger_cursor=pages[1])
    answer = await ask(shop, "GET", f"{path}?{query}")
    assert answer.refusal == (400, INVALID, field)
    assert answer.error["message"].startswith(field)


@pytest.mark.parametrize("operation", [o for o in OPERATIONS if o.is_authenticated], ids=lambda operation: operation.name)
async def test_no_operation_overlooks_a_parameter_that_it_does_not_know(shop, operation):
    """`dryRun=true` is what a careful merchant tries first, with money in it."""
    path = operation.path.replace("{id}", shop.card if "cards" in operation.path else shop.waiting)
    body = GOOD if operation.request is CreatePayout else {} if operation.request else None
    answer = await ask(shop, operation.method, f"{path}?dryRun=true", body)
    assert answer.refusal == (400, INVALID, "dryRun")


# --- ids and paths ---


async def test_ids_that_name_nothing_here(shop, neighbour):
    for what in (
        *("po_", f"po_{NOWHERE}", f"po_{NOWHERE}0", f"PO_{NOWHERE}", f"po_{'g' * 32}", "1", "-1", "null", "balances", "%00"),
        *("po_%00", "%F0%9F%92%B8", "..%2F..", "po_' or 1=1 --".replace(" ", "%20"), "x" * 5000, shop.card, shop.account_id),
        neighbour.payout,
    ):
        for method, path, body in (
            ("GET", what, None),
            ("GET", f"{what}/timeline", None),
            ("POST", f"{what}/cancel", {}),
            ("POST", f"{what}/mark-paid", {}),
            ("POST", f"{what}/mark-failed", {"failureReason": "x"}),
        ):
            answer = await ask(shop, method, f"{PAYOUTS}/{path}", body)
            assert answer.refusal == (404, "not_found", None), (method, path)
            assert answer.error["message"] == "This account has no such payout."
    for what in (f"card_{NOWHERE}", neighbour.card, shop.moving, "x"):
        for method in ("GET", "DELETE"):
            assert (await ask(shop, method, f"/api/v1/cards/{what}")).refusal == (404, "not_found", None)


async def test_things_of_others_in_a_create(shop, neighbour):
    for body, expected in (
        (to(type="card", cardId=neighbour.card) | {"currency": "KZT"}, (422, "card_not_found", "destination.cardId")),
        (good(connectionId=neighbour.connections["manual"]), (422, "no_route", "connectionId")),
    ):
        assert (await ask(shop, "POST", PAYOUTS, body)).refusal == expected
    body = {"cardFields": {"a": "b"}, "connectionId": neighbour.connections["plexy"]}
    assert (await ask(shop, "POST", "/api/v1/cards", body)).refusal == (422, "no_route", "connectionId")


UNKNOWN_PATHS = ("/", "/api", "/api/v1", "/api/v1/", "/api/v2/payouts", "/api/v1/payouts/", "/api/v1//payouts", "/API/v1/cards",
                 "/api/v1/payouts/po_1/refund", "/api/v1/cards/x/y", "/admin", "/console", "/webhooks/pivot", "/.env", "/%00",
                 "/metrics/", "/docs/index.html")  # fmt: skip


@pytest.mark.parametrize("path", UNKNOWN_PATHS)
async def test_unknown_paths(shop, path):
    for method in ("GET", "POST", "DELETE"):
        assert (await ask(shop, method, path)).refusal == (404, "not_found", None)


async def test_wrong_methods(shop):
    paths: dict[str, set[str]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, set()).update(
            {operation.method, "HEAD"} if operation.method == "GET" else {operation.method}
        )
    for path, served in paths.items():
        real = path.format(id=shop.moving, provider="pivot", connection_id=shop.connections["pivot"])
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "HEAD", "PROPFIND"):
            # A GET of one route may be served by another: /payouts/balance is no payout id.
            if method in served or (path in {f"{PAYOUTS}/balance", f"{PAYOUTS}/bank-account"} and method in {"GET", "HEAD"}):
                continue
            answer = await ask(shop, method, real)
            assert answer.status == 405, (method, path)
            assert set(answer.headers["Allow"].split(",")) >= served
            assert answer.headers["X-Request-Id"].startswith("req_")
            assert method == "HEAD" or answer.refusal == (405, "method_not_allowed", None)


async def test_the_server_does_not_tell_its_versions(shop):
    for method, path in (("GET", PAYOUTS), ("GET", "/nowhere"), ("TRACE", PAYOUTS), ("GET", "/docs")):
        async with shop.world.http.request(method, f"http://127.0.0.1:{shop.world.gateways[0].port}{path}") as answer:
            assert answer.headers["Server"] == "payout-gateway"


# --- who asks ---

# Headers of a create that would work: (changes of its headers, status, code, field).
HEADERS = {
    "no key": ({"Authorization": None}, 401, "missing_key", "Authorization"),
    "an empty key": ({"Authorization": ""}, 401, "missing_key", "Authorization"),
    "an unknown key": ({"Authorization": "Bearer pk_live_nobody_has_this"}, 401, "invalid_key", "Authorization"),
    "Bearer alone": ({"Authorization": "Bearer"}, 401, "invalid_key", "Authorization"),
    "bearer in lower case": ({"Authorization": "bearer pk_live_nobody_has_this"}, 401, "invalid_key", "Authorization"),
    "a key beyond ASCII": ({"Authorization": "Bearer pk_live_é_nobody"}, 401, "invalid_key", "Authorization"),
    "a key too long": ({"Authorization": "Bearer " + "k" * 5000}, 401, "invalid_key", "Authorization"),
    "Basic": ({"Authorization": "Basic cGs6"}, 401, "invalid_key", "Authorization"),
    "two Authorization headers": ({"Authorization": ["Bearer {bearer}", "Bearer {bearer}"]}, 400, INVALID, "Authorization"),
    "two keys in one header": ({"Authorization": "Bearer {bearer}, Bearer {bearer}"}, 401, "invalid_key", "Authorization"),
    "for another account": ({"X-Plugipay-On-Behalf-Of": "{neighbour}"}, 403, "insufficient_scope", "X-Plugipay-On-Behalf-Of"),
    "for nobody": ({"X-Plugipay-On-Behalf-Of": ""}, 403, "insufficient_scope", "X-Plugipay-On-Behalf-Of"),
    "for itself and another": ({"X-Plugipay-On-Behalf-Of": ["{account_id}", "{neighbour}"]}, 403, "insufficient_scope",
                               "X-Plugipay-On-Behalf-Of"),
    "no idempotency key": ({"Idempotency-Key": None}, 400, INVALID, "Idempotency-Key"),
    "an empty idempotency key": ({"Idempotency-Key": ""}, 400, INVALID, "Idempotency-Key"),
    "an idempotency key of blanks": ({"Idempotency-Key": "   "}, 400, INVALID, "Idempotency-Key"),
    "an idempotency key too long": ({"Idempotency-Key": "k" * 256}, 400, INVALID, "Idempotency-Key"),
    "an idempotency key beyond ASCII": ({"Idempotency-Key": "clé"}, 400, INVALID, "Idempotency-Key"),
    "two idempotency keys": ({"Idempotency-Key": ["a", "b"]}, 400, INVALID, "Idempotency-Key"),
    "the same idempotency key twice": ({"Idempotency-Key": ["a", "a"]}, 400, INVALID, "Idempotency-Key"),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "status", "code", "field"), HEADERS.values(), ids=HEADERS)
async def test_headers_of_a_create(shop, neighbour, changes, status, code, field):
    def fill(value):
        known = {"bearer": shop.bearer, "account_id": shop.account_id, "neighbour": neighbour.account_id}
        return [fill(one) for one in value] if isinstance(value, list) else value and value.format(**known)

    answer = await ask(shop, "POST", PAYOUTS, good(), headers={name: fill(value) for name, value in changes.items()})
    assert answer.refusal == (status, code, field)


@pytest.mark.parametrize("operation", [o for o in OPERATIONS if o.needs_key], ids=lambda operation: operation.name)
async def test_every_write_needs_a_key(shop, operation):
    path = operation.path.format(id=shop.waiting)
    body = {"create_payout": good(), "mark_failed": {"failureReason": "x"}, "mark_returned": {"reason": "x"},
            "save_card": {"cardFields": {"a": "b"}}}.get(operation.name, {})  # fmt: skip
    answer = await ask(shop, operation.method, path, body, key=None)
    assert answer.refusal == (400, INVALID, "Idempotency-Key")


# Signed requests: what of a correct signature is changed, and the code of the refusal.
FORGED = {
    "another method": ({"method": "GET"}, "invalid_signature"),
    "another path": ({"path": f"{PAYOUTS}/balance"}, "invalid_signature"),
    "another body": ({"body": b"{}"}, "invalid_signature"),
    "another idempotency key": ({"key": "other"}, "invalid_signature"),
    "without the idempotency key": ({"key": None}, "invalid_signature"),
    "another secret": ({"secret": "guess"}, "invalid_signature"),
    "an unknown key": ({"key_id": "ak_nobody"}, "invalid_key"),
    "stale": ({"at": -301}, "timestamp_skew"),
    "from the future": ({"at": 301}, "timestamp_skew"),
}


@pytest.mark.parametrize(("changes", "code"), FORGED.values(), ids=FORGED)
async def test_forged_signatures(shop, changes, code):
    body = json.dumps(good()).encode()
    changes = {**changes, **({"at": int(time.time()) + changes["at"]} if "at" in changes else {})}
    right = {"method": "POST", "path": PAYOUTS, "body": body, "key": "k"}
    answer = await ask(shop, "POST", PAYOUTS, raw=body, key="k", headers=sign(shop, **(right | changes)))
    field = "X-Plugipay-Timestamp" if code == "timestamp_skew" else "Authorization"
    assert answer.refusal == (401, code, field)


STAMPS = (
    None,
    "",
    "now",
    "1.5",
    "-1",
    "+1767225600",
    "1e9",
    "0x10",
    "١٧٦٧٢٢٥٦٠٠",
    "1767225600 1",
    "1" * 13,
    "1" * 5000,
    "2026-01-01T00:00:00Z",
)


@pytest.mark.parametrize("stamp", STAMPS, ids=lambda stamp: repr(stamp)[:20])
async def test_garbled_timestamps(shop, stamp):
    headers = sign(shop, "GET", PAYOUTS) | {"X-Plugipay-Timestamp": stamp}
    assert (await ask(shop, "GET", PAYOUTS, headers=headers)).refusal == (401, "invalid_timestamp", "X-Plugipay-Timestamp")


@pytest.mark.parametrize("change", [str.upper, lambda s: s[:-1], lambda s: s + "0", lambda s: s.replace("scope=*", "scope=x"),
                                    lambda s: s.replace(", ", ","), lambda s: s.replace("keyId=", "keyId=, "),
                                    lambda s: s.replace("signature=", "signature=é")])  # fmt: skip
async def test_garbled_signatures(shop, change):
    headers = sign(shop, "GET", PAYOUTS)
    headers["Authorization"] = change(headers["Authorization"])
    assert (await ask(shop, "GET", PAYOUTS, headers=headers)).refusal == (401, "invalid_key", "Authorization")


async def test_what_the_database_holds_of_a_key_opens_nothing(shop, world):
    """A dump of the table shows lookups: as a Bearer key, or as the id of a signing key without a secret, they are nothing."""
    rows = await world.gateways[0].pool.fetch("select lookup, kind from api_key where account_id = $1", shop.account_id)
    assert {row["kind"] for row in rows} == {"bearer", "signing"}
    for row in rows:
        as_bearer = {"Authorization": f"Bearer {row['lookup']}"}
        assert (await ask(shop, "GET", PAYOUTS, headers=as_bearer)).refusal[:2] == (401, "invalid_key")
        for secret in ("unknown", "x"):
            headers = sign(shop, "GET", PAYOUTS, key_id=row["lookup"], secret=secret)
            assert (await ask(shop, "GET", PAYOUTS, headers=headers)).status == 401


async def test_an_unknown_key_and_a_wrong_signature_answer_alike_in_shape(shop):
    wrong = await ask(shop, "GET", PAYOUTS, headers=sign(shop, "GET", PAYOUTS, secret="x"))
    unknown = await ask(shop, "GET", PAYOUTS, headers=sign(shop, "GET", PAYOUTS, key_id="ak_x"))
    assert (wrong.status, wrong.error["field"]) == (unknown.status, unknown.error["field"])


async def test_notices_that_prove_nothing(shop, neighbour):
    for provider, connection in (
        ("pivot", shop.connections["pivot"]),
        ("mollie", shop.connections["mollie"]),
        ("plexy", shop.connections["plexy"]),
        ("manual", shop.connections["manual"]),
        ("mollie", shop.connections["pivot"]),
        ("pivot", f"conn_{NOWHERE}"),
        ("nobody", "%00"),
    ):
        for raw in (b"", b"{}", b"\xff", b"[" * 1000, b'{"a":1,"a":2}', b"NaN"):
            answer = await ask(shop, "POST", f"/webhooks/{provider}/{connection}", raw=raw, key=None)
            assert answer.refusal == (401, "invalid_signature", None)


# --- bytes on the socket ---


async def send(shop, data: bytes) -> bytes:
    """The start of what comes back for these bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", shop.world.gateways[0].port)
    writer.write(data)
    try:
        async with asyncio.timeout(5):
            return await reader.read(4000)
    finally:
        writer.close()


def request_bytes(shop, *lines: bytes, target: bytes = PAYOUTS.encode(), method: bytes = b"POST", body: bytes = b"") -> bytes:
    headers = [b"Host: here", b"Authorization: Bearer " + shop.bearer.encode(), b"Content-Type: application/json",
               b"Idempotency-Key: " + uuid.uuid4().hex.encode(), *lines]  # fmt: skip
    return b"\r\n".join([method + b" " + target + b" HTTP/1.1", *headers, b"", body])


FRAMES = {
    "no HTTP": lambda s: b"hello\r\n\r\n",
    "TLS": lambda s: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "HTTP/2": lambda s: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "two lengths": lambda s: request_bytes(s, b"Content-Length: 2", b"Content-Length: %d" % len(BODY), body=BODY),
    "length and chunks": lambda s: request_bytes(s, b"Content-Length: 2", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "length with a sign": lambda s: request_bytes(s, b"Content-Length: +%d" % len(BODY), body=BODY),
    "length of text": lambda s: request_bytes(s, b"Content-Length: many", body=BODY),
    "chunks of nonsense": lambda s: request_bytes(s, b"Transfer-Encoding: chunked", body=b"zz\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "unknown transfer encoding": lambda s: request_bytes(s, b"Transfer-Encoding: unheard", body=BODY),
    "zipped chunks": lambda s: request_bytes(
        s, b"Transfer-Encoding: gzip, chunked", body=b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
    ),
    "NUL in a header": lambda s: request_bytes(s, b"X-A: a\x00b", b"Content-Length: %d" % len(BODY), body=BODY),
    "a folded header": lambda s: request_bytes(s, b"X-A: a\r\n b", b"Content-Length: %d" % len(BODY), body=BODY),
    "a space before the colon": lambda s: request_bytes(s, b"Content-Length : %d" % len(BODY), body=BODY),
    "two hosts": lambda s: request_bytes(s, b"Host: there", b"Content-Length: %d" % len(BODY), body=BODY),
    "300 headers": lambda s: request_bytes(s, *(b"X-%d: x" % n for n in range(300)), body=BODY),
    "a header of 9,000 bytes": lambda s: request_bytes(s, b"X-A: " + b"a" * 9000, body=BODY),
    "a target of 9,000 bytes": lambda s: request_bytes(s, target=b"/" + b"a" * 9000),
    "a target of other bytes": lambda s: request_bytes(s, target=PAYOUTS.encode() + b"?x=\xff", method=b"GET"),
    "an unknown expectation": lambda s: request_bytes(s, b"Expect: wonders", b"Content-Length: 2", body=b"{}"),
}


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
async def test_frames_that_are_not_http(shop, frame):
    answer = await send(shop, frame(shop))
    assert re.match(rb"HTTP/1\.[01] 4\d\d ", answer), answer[:200]


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ((b"Content-Encoding: identity", b"Content-Encoding: gzip", b"Content-Length: %d" % len(BODY)), b"415"),
        ((b"Content-Length: 10000000000",), b"413"),
    ],
    ids=["a second content encoding", "a length that nobody waits for"],
)
async def test_bodies_that_are_not_read_at_all(shop, lines, status):
    assert (await send(shop, request_bytes(shop, *lines, body=BODY))).startswith(b"HTTP/1.1 " + status)


async def test_a_client_that_goes_away_is_no_outage(shop):
    """Half a body and then nothing: that says nothing about our database, whoever sends it."""
    registry = shop.world.gateways[0].metrics.registry

    def answered(status):
        labels = {"method": "POST", "route": PAYOUTS, "status": status}
        return registry.get_sample_value("gateway_request_seconds_count", labels) or 0

    refused, down = answered("400"), answered("503")
    _, writer = await asyncio.open_connection("127.0.0.1", shop.world.gateways[0].port)
    writer.write(request_bytes(shop, b"Content-Length: 100", body=b"{"))
    await writer.drain()
    writer.close()
    async with asyncio.timeout(5):
        while answered("400") == refused:
            await asyncio.sleep(0.01)
    assert (answered("400"), answered("503")) == (refused + 1, down)


async def test_a_wrong_key_of_metadata_is_called_one(shop):
    for metadata, text in (
        ({"k" * 41: "v"}, "metadata has a key that must not be longer than 40"),
        ({"": "v"}, "metadata has a key that must not be empty"),
        ({str(n): "v" for n in range(51)}, "metadata must not have more than 50 entries"),
    ):
        assert (await ask(shop, "POST", PAYOUTS, good(metadata=metadata))).error["message"] == text


async def test_header_bytes_that_are_not_utf8(shop):
    """They reach the signature's check before anything else looks at them."""
    names = [b"Idempotency-Key", b"X-Plugipay-On-Behalf-Of", b"Content-Type"]
    signed = b"Plugipay-HMAC-SHA256 keyId=ak, scope=*, signature=" + b"0" * 64
    for scheme, read in ((b"Bearer " + shop.bearer.encode(), names), (signed, [*names, b"X-Plugipay-Timestamp"])):
        for name in read:
            headers = {
                b"Host": b"here",
                b"Authorization": scheme,
                b"X-Plugipay-Timestamp": b"%d" % time.time(),
                b"Idempotency-Key": b"k",
                b"Content-Type": b"application/json",
                b"Content-Length": b"%d" % len(BODY),
            }
            lines = b"".join(b"%s: %s\r\n" % header for header in (headers | {name: b"\xff\xfe"}).items())
            answer = await send(shop, b"POST " + PAYOUTS.encode() + b" HTTP/1.1\r\n" + lines + b"\r\n" + BODY)
            assert re.match(rb"HTTP/1\.1 4\d\d ", answer), (name, answer[:300])
            assert b'"error":{"code":' in answer


# --- a key that may do less ---


async def test_a_refusal_for_the_scope_comes_before_anything_is_read(shop, world):
    gateway = world.gateways[0]
    weak = await create_bearer_key(gateway.pool, gateway.seal, shop.account_id, scopes=["plugipay:card:read"])
    try:
        answer = await ask(shop, "POST", PAYOUTS, raw=b"nonsense", headers={"Authorization": f"Bearer {weak.key}"})
        assert answer.refusal == (403, "insufficient_scope", "Authorization")
    finally:
        await gateway.pool.execute("delete from api_key where id = $1", weak.id)


async def test_what_is_odd_and_still_good(own_world):
    """The other side of the table: nothing here is refused by being too strict."""
    await own_world.start_gateway(roles=frozenset({Role.API}))
    shop = await own_world.merchant()
    fields = {"bankName": "Bank Ñandú 🏦 & Söhne", "bankAccountHolder": "李小龍 \U0001f600", "bankAccountNumber": "12-34.5 6X"}
    for body in (
        good(
            **fields,
            provider="manual",
            note='"><svg onload=alert(1)>',
            metadata={"é✓": "line\nbreak", "card": "", "k" * 40: "v" * 500},
        ),
        good(amount=MAX_AMOUNT_MINOR // 10**6, provider="manual", merchantReference="r" * 100, statementDescriptor="A-1. b"),
        good(note=None, metadata=None, merchantReference=None, provider=None, connectionId=None, destination=None),
        to(type="bank_account", country="ID", **BANK),
    ):
        answer = await ask(shop, "POST", PAYOUTS, body, headers={"Content-Type": "application/json; charset=utf-8"})
        assert answer.status == 201, answer.envelope
        for name in ("note", "metadata", "merchantReference", "bankAccountHolder"):
            assert answer.data[name] == {**BANK, **body}.get(name)
        assert answer.data["destination"]["country"] == ("ID" if body.get("destination") else None)
    await accounts.set_bank_account(own_world.gateways[0].pool, shop.account_id, None)
    assert (await ask(shop, "PATCH", f"{PAYOUTS}/bank-account", {**BANK, **fields})).status == 200
    assert (await ask(shop, "POST", PAYOUTS, {"amount": 1_00, "currency": "IDR", "provider": "manual"})).data[
        "bankName"
    ] == fields["bankName"]
