"""The published client `forjio-plugipay`, unchanged, against our gateway: all ten payout operations in both of its modes."""

import asyncio
import importlib.metadata
import time
from types import SimpleNamespace

import pytest
from plugipay import PlugipayClient, PlugipayError

from gateway.onboarding import create_bearer_key, create_signing_key
from tests.api.asking import PAYOUTS, ask, sign

ACCOUNT = {
    "bank_code": "BCA",
    "bank_name": "Bank Central Asia",
    "bank_account_number": "1234567890",
    "bank_account_holder": "PT Contoh é ⚑",
}


def client_of(shop, mode, **options):
    keys = {"signed": {"key_id": shop.signing_id, "secret": shop.signing_secret}, "bearer": {"api_key": shop.bearer}}[mode]
    # With the slash that people leave there; the client takes it off.
    return PlugipayClient(base_url=f"http://127.0.0.1:{shop.world.gateways[0].port}/", timeout=10.0, **keys, **options)


@pytest.fixture
def mode(request):
    return request.param


both_modes = pytest.mark.parametrize("mode", ["signed", "bearer"], indirect=True)
run = asyncio.to_thread  # the client blocks


async def refusal(call, *args, **kwargs):
    """The error that the client raises, as (status, code)."""
    with pytest.raises(PlugipayError) as caught:
        await run(call, *args, **kwargs)
    error = caught.value
    assert error.request_id.startswith("req_")
    assert len(error.message) > 10
    return error.status, error.code


@pytest.fixture
def manual_shop(world):
    """A function that makes a merchant whose only provider is a person, as with Plugipay's manual workspaces."""
    return lambda **options: world.merchant(providers=("manual",), **options)


def test_it_is_the_published_version():
    assert importlib.metadata.version("forjio-plugipay") == "0.6.0"


@both_modes
async def test_all_ten_operations(manual_shop, mode):
    with client_of(await manual_shop(), mode) as client:
        payouts = client.payouts
        assert (await run(payouts.get_bank_account))["configured"] is False
        await run(payouts.update_bank_account, **ACCOUNT)
        account = await run(payouts.get_bank_account)
        assert (account["configured"], account["bankAccountHolder"]) == (True, ACCOUNT["bank_account_holder"])

        before = await run(payouts.balance)
        paid = await run(payouts.create, amount=1_500_000, currency="IDR", note="gaji bulan März ✓")
        failed = await run(payouts.create, amount=10_00, currency="IDR", **ACCOUNT)
        cancelled = await run(payouts.create, amount=20_00, currency="IDR", **(ACCOUNT | {"bank_code": None}))
        assert [p["status"] for p in (paid, failed, cancelled)] == ["pending"] * 3
        assert (paid["bankAccountNumber"], paid["bankCode"], cancelled["bankCode"]) == ("1234567890", "BCA", None)
        locked = await run(payouts.balance)
        assert locked["locked"] == 1_500_000 + 10_00 + 20_00
        assert locked["available"] == before["available"] - locked["locked"] == locked["ledgerBalance"] - locked["locked"]

        assert (await run(payouts.mark_in_transit, paid["id"], reference="WIRE-1"))["status"] == "in_transit"
        done = await run(payouts.mark_paid, paid["id"])  # sends {"reference":null}: the earlier one stays
        assert (done["status"], done["reference"]) == ("paid", "WIRE-1")
        assert done["completedAt"]
        assert done["ledgerTransactionId"]
        gone = await run(payouts.mark_failed, failed["id"], failure_reason="rekening ditutup")
        assert (gone["status"], gone["failureReason"]) == ("failed", "rekening ditutup")
        assert (await run(payouts.cancel, cancelled["id"]))["status"] == "cancelled"

        assert (await run(payouts.get, paid["id"])).raw == done.raw
        listed = await run(payouts.list)
        assert [p["id"] for p in listed.data] == [cancelled["id"], failed["id"], paid["id"]]
        assert (listed.cursor, listed.has_more) == (None, False)
        after = await run(payouts.balance)
        assert (after["locked"], after["ledgerBalance"]) == (0, before["ledgerBalance"] - 1_500_000)


@both_modes
async def test_the_generated_twins(manual_shop, mode):
    with client_of(await manual_shop(), mode) as client:
        api = client.api
        await run(api.payouts_update_bank_account, **ACCOUNT)  # a PATCH that carries an idempotency key
        assert (await run(api.payouts_bank_account))["configured"] is True
        made = [await run(api.payouts_create, amount=10_00, currency="IDR") for _ in range(3)]
        paid, failed, cancelled = (p["id"] for p in made)
        assert (await run(api.payouts_mark_in_transit, paid))["status"] == "in_transit"  # sends {}
        assert (await run(api.payouts_mark_paid, paid, reference="WIRE-2"))["reference"] == "WIRE-2"
        assert (await run(api.payouts_mark_failed, failed, failure_reason="x"))["status"] == "failed"
        assert (await run(api.payouts_cancel, cancelled))["status"] == "cancelled"
        assert (await run(api.payouts_get, paid))["status"] == "paid"
        assert [p["id"] for p in await run(api.payouts_list, status="failed", limit=5)] == [failed]
        assert (await run(api.payouts_balance))["locked"] == 0


@both_modes
async def test_lists_with_cursor_and_status(manual_shop, mode):
    with client_of(await manual_shop(), mode) as client:
        made = [(await run(client.payouts.create, amount=n, currency="IDR", **ACCOUNT))["id"] for n in (1, 2, 3, 4, 5)]
        await run(client.payouts.cancel, made[1])
        await run(client.payouts.cancel, made[3])
        seen, cursor, sizes = [], None, []
        while True:
            page = await run(client.payouts.list, limit=2, cursor=cursor)
            seen += [p["id"] for p in page.data]
            sizes.append((len(page.data), page.has_more, page.cursor is not None))
            cursor = page.cursor
            if not page.has_more:
                break
        assert seen == made[::-1]
        assert sizes == [(2, True, True), (2, True, True), (1, False, False)]
        page = await run(client.payouts.list, limit=1, status="cancelled")
        assert ([p["id"] for p in page.data], page.has_more) == ([made[3]], True)
        page = await run(client.payouts.list, limit=1, status="cancelled", cursor=page.cursor)
        assert ([p["id"] for p in page.data], page.has_more) == ([made[1]], False)


@both_modes
@pytest.mark.parametrize(
    "cursor", ["a+b", "a/b=", "a b", "a&status=paid", "é✓", "100%", "%2B", "?#[]", "'\"<>\\^`{|}~", "a\tb"]
)
async def test_a_cursor_of_special_characters_reaches_us_as_it_was_signed(shop, mode, cursor):
    with client_of(shop, mode) as client:
        assert await refusal(client.payouts.list, cursor=cursor, status="pending") == (400, "validation_error")


@both_modes
async def test_error_cases(manual_shop, mode):
    shop = await manual_shop()
    with client_of(shop, mode) as client:
        p = client.payouts
        made = await run(p.create, amount=10_00, currency="IDR", **ACCOUNT)
        await run(p.cancel, made["id"])
        moving = await run(p.create, amount=10_00, currency="IDR", **ACCOUNT)
        await run(p.mark_in_transit, moving["id"])
        nowhere = "po_" + "0" * 32
        for expected, call, args, fields in (
            ((400, "validation_error"), p.create, (), {"amount": 0, "currency": "IDR", **ACCOUNT}),
            ((400, "validation_error"), p.create, (), {"amount": 1, "currency": "XXX", **ACCOUNT}),
            ((400, "validation_error"), p.create, (), {"amount": 1, "currency": "IDR", "bank_name": "only this"}),
            ((400, "validation_error"), p.mark_failed, (moving["id"],), {"failure_reason": ""}),
            ((400, "validation_error"), p.list, (), {"status": "unheard"}),
            ((400, "validation_error"), p.list, (), {"limit": 101}),
            ((404, "not_found"), p.get, (nowhere,), {}),
            ((404, "not_found"), p.cancel, (nowhere,), {}),
            ((404, "not_found"), p.get, ("nonsense",), {}),
            ((409, "state_conflict"), p.cancel, (made["id"],), {}),
            ((409, "state_conflict"), p.cancel, (moving["id"],), {}),
            ((409, "state_conflict"), p.mark_paid, (made["id"],), {}),
            ((409, "state_conflict"), p.mark_in_transit, (moving["id"],), {}),
            ((422, "insufficient_balance"), p.create, (), {"amount": 10**15, "currency": "IDR", **ACCOUNT}),
            ((422, "bank_account_unconfigured"), p.create, (), {"amount": 1, "currency": "IDR"}),
            ((404, "not_found"), client.webhook_endpoints.list, (), {}),  # not served yet, and still an envelope
        ):
            assert await refusal(call, *args, **fields) == expected, (call, args, fields)
    with client_of(shop, mode, on_behalf_of=shop.account_id) as client:
        assert (await run(client.payouts.get, moving["id"]))["status"] == "in_transit"
    with client_of(shop, mode, on_behalf_of="acct_" + "0" * 32) as client:
        assert await refusal(client.payouts.balance) == (403, "insufficient_scope")


async def test_paid_straight_from_pending_is_a_conflict(manual_shop):
    with client_of(await manual_shop(), "signed") as client:
        made = await run(client.payouts.create, amount=10_00, currency="IDR", **ACCOUNT)
        assert await refusal(client.payouts.mark_paid, made["id"]) == (409, "state_conflict")
        assert (await run(client.payouts.get, made["id"]))["status"] == "pending"


async def test_wrong_keys(shop, world):
    gateway = world.gateways[0]
    for options in (
        {"api_key": "pk_live_nobody_has_this"},
        {"key_id": "ak_nobody", "secret": "x"},
        {"key_id": shop.signing_id, "secret": "wrong"},
    ):
        with PlugipayClient(base_url=f"http://127.0.0.1:{gateway.port}", **options) as client:
            status, code = await refusal(client.payouts.balance)
            assert (status, code) in {(401, "invalid_key"), (401, "invalid_signature")}
    only_read = await create_bearer_key(gateway.pool, gateway.seal, shop.account_id, scopes=["plugipay:payout:read"])
    with PlugipayClient(base_url=f"http://127.0.0.1:{gateway.port}", api_key=only_read.key) as client:
        assert (await run(client.payouts.balance))["currency"] == "IDR"
        assert await refusal(client.payouts.create, amount=1, currency="IDR") == (403, "insufficient_scope")


@both_modes
async def test_the_key_one_chooses_oneself(manual_shop, mode):
    with client_of(await manual_shop(), mode) as client:

        def create(amount, key="my own key, chosen"):
            body = {"amount": amount, "currency": "IDR", "bankName": "B", "bankAccountNumber": "1", "bankAccountHolder": "H"}
            return client.request(method="POST", path=PAYOUTS, body=body, idempotency_key=key)

        first = await run(create, 10_00)
        assert (await run(create, 10_00))["id"] == first["id"]
        assert await refusal(create, 11_00) == (409, "idempotency_mismatch")
        assert await refusal(create, 10_00, None) == (400, "validation_error")
        # Without a key of one's own, two calls are two payouts.
        two = [await run(client.payouts.create, amount=10_00, currency="IDR", **ACCOUNT) for _ in range(2)]
        assert len({first["id"], *(p["id"] for p in two)}) == 3


# --- the wire, byte for byte (Plugipay sheet, section 3) ---

VECTOR_AT = 1767225600
VECTOR_BODY = (
    b'{"amount":1500000,"currency":"IDR","bankCode":"BCA","bankName":"Bank Central Asia",'
    b'"bankAccountNumber":"1234567890","bankAccountHolder":"PT Contoh","note":"example"}'
)
VECTOR_KEY = "idem_00000000-0000-4000-8000-000000000001"
POST_SIGNATURE = "448cc0a639ade18e09a4062e5133405ecf945fc836f3d35c4580be6085e98ffe"
GET_TARGET = f"{PAYOUTS}?limit=2&cursor=a%2Bb&status=pending"
GET_SIGNATURE = "76fc95b35ed4bc12d7024afd7b99b62ebb4d1345248df9e0352625b5e0be3c3e"


@pytest.fixture
def at(monkeypatch):
    """Sets the clock that signatures are checked with."""

    def set_to(seconds):
        monkeypatch.setattr("gateway.api.auth.time", SimpleNamespace(time=lambda: seconds, monotonic=time.monotonic))

    return set_to


async def test_the_vectors_of_the_sheet(world, manual_shop, at):
    gateway = world.gateways[0]
    shop = await manual_shop()
    await create_signing_key(gateway.pool, gateway.seal, shop.account_id, key_id="ak_test_example", secret="example-secret")
    at(VECTOR_AT)

    def headers(signature, **others):
        authorization = f"Plugipay-HMAC-SHA256 keyId=ak_test_example, scope=*, signature={signature}"
        return {"Authorization": authorization, "X-Plugipay-Timestamp": str(VECTOR_AT), **others}

    async def create(body=VECTOR_BODY, key=VECTOR_KEY, target=PAYOUTS):
        return await ask(shop, "POST", target, raw=body, key=key, headers=headers(POST_SIGNATURE))

    made = await create()
    assert (made.status, made.data["amount"]) == (201, 1500000)
    for changed in (
        {"body": VECTOR_BODY.replace(b"1500000", b"9500000")},
        {"body": VECTOR_BODY.replace(b",", b", ")},  # the same JSON in other bytes
        {"key": VECTOR_KEY[:-1] + "2"},
        {"target": PAYOUTS + "?x=1"},
    ):
        assert (await create(**changed)).refusal == (401, "invalid_signature", "Authorization"), changed

    # Verified over the target as it was sent: `a%2Bb` is neither decoded nor encoded anew. Then the cursor is refused.
    listed = await ask(shop, "GET", GET_TARGET, headers=headers(GET_SIGNATURE))
    assert listed.refusal == (400, "validation_error", "cursor")
    for other in (GET_TARGET.replace("%2B", "%2b"), GET_TARGET.replace("%2B", "+"), GET_TARGET.replace("limit=2&", "")):
        assert (await ask(shop, "GET", other, headers=headers(GET_SIGNATURE))).refusal[:2] == (401, "invalid_signature"), other


@pytest.mark.parametrize(
    ("off_s", "expected"),
    [(-299, 200), (299, 200), (-310, "timestamp_skew"), (310, "timestamp_skew"), (-VECTOR_AT, "timestamp_skew")],
)
async def test_the_clock_may_be_five_minutes_off(shop, at, off_s, expected):
    at(VECTOR_AT)
    answer = await ask(shop, "GET", PAYOUTS, headers=sign(shop, "GET", PAYOUTS, at=VECTOR_AT + off_s))
    assert (answer.error["code"] if answer.error else answer.status) == expected


@pytest.mark.parametrize("target", [f"{PAYOUTS}/bal%61nce", f"{PAYOUTS}?limit=1&&", f"{PAYOUTS}?limit=1&cursor=%00"])
async def test_an_unusual_target_is_verified_as_it_was_sent(shop, target):
    answer = await ask(shop, "GET", target, headers=sign(shop, "GET", target))
    assert answer.status in {200, 400}, answer.envelope
    answer = await ask(shop, "GET", target, headers=sign(shop, "GET", target + "x"))
    assert answer.refusal[:2] == (401, "invalid_signature")
