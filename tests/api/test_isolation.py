"""Nobody sees or touches what is another's. The matrix comes from the table of operations: one without an entry fails here."""

import asyncio
import re
import time

import pytest
import pytest_asyncio

from gateway.api import auth
from gateway.api.operations import OPERATIONS
from gateway.onboarding import create_account, create_bearer_key, create_signing_key
from gateway.store import accounts
from tests.api.asking import PAYOUTS, ask, at_rest, everything, secrets_of, sign
from tests.flows.world import BANK, card_fields

NOWHERE = "0" * 32
GOOD = {"amount": 10_00, "currency": "IDR", "provider": "manual", **BANK}
CARDS = "/api/v1/cards"
ENTRIES = "/api/v1/ledger/entries"

# Operations about one thing, by id: what they are sent, and which of the thing's kinds they take.
BY_ID = {
    "get_payout": ("payout", None),
    "get_timeline": ("payout", None),
    "cancel_payout": ("payout", {}),
    "mark_in_transit": ("payout", {"reference": "r"}),
    "mark_paid": ("payout", {}),
    "mark_failed": ("payout", {"failureReason": "x"}),
    "mark_returned": ("payout", {"reason": "x"}),
    "resolve_payout": ("payout", {"outcome": "paid", "evidence": "statement 7", "reason": "x"}),
    "get_card": ("card", None),
    "delete_card": ("card", None),
}
# Operations on whatever the caller has: what they are sent.
ON_ONES_OWN = {
    "create_payout": GOOD,
    "list_payouts": None,
    "get_balance": None,
    "get_bank_account": None,
    "update_bank_account": BANK,
    "save_card": {"cardFields": card_fields()},
    "list_cards": None,
    "list_providers": None,
    "credit_balance": {"amount": 1, "currency": "IDR", "reference": "r"},
    "list_entries": None,
    "get_routing": None,
    "put_routing": {},
    "preview_route": GOOD,
}
SCOPE = {
    **dict.fromkeys(("create_payout", "cancel_payout", "mark_in_transit", "mark_paid", "mark_failed", "mark_returned",
                     "update_bank_account"), auth.PAYOUT_WRITE),
    **dict.fromkeys(("list_payouts", "get_payout", "get_timeline", "get_balance", "get_bank_account", "list_providers"),
                    auth.PAYOUT_READ),
    **dict.fromkeys(("save_card", "delete_card"), auth.CARD_WRITE),
    **dict.fromkeys(("list_cards", "get_card"), auth.CARD_READ),
    "resolve_payout": auth.PAYOUT_RESOLVE,
    "credit_balance": auth.LEDGER_WRITE,
    "list_entries": auth.LEDGER_READ,
    "get_routing": auth.PAYOUT_READ,
    "preview_route": auth.PAYOUT_READ,
    "put_routing": auth.ROUTING_WRITE,
}  # fmt: skip
PUBLIC = {"receive_notice", "healthz", "readyz", "metrics", "openapi", "docs"}
NAMED = {operation.name: operation for operation in OPERATIONS}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def both(world):
    """Two merchants who have some of everything, all of it at rest."""
    merchants = [await world.merchant() for _ in range(2)]
    for merchant in merchants:
        merchant.payout = (await merchant.pay(**GOOD, merchantReference="INV-1"))["id"]
        merchant.card = await merchant.save_card()
        assert (await ask(merchant, "PATCH", f"{PAYOUTS}/bank-account", BANK)).status == 200
    return merchants


@pytest.fixture
def mine(both):
    return both[0]


@pytest.fixture
def theirs(both):
    return both[1]


def test_every_operation_has_its_place_in_the_matrix():
    assert set(BY_ID) | set(ON_ONES_OWN) | PUBLIC == set(NAMED)
    assert set(SCOPE) == set(NAMED) - PUBLIC
    assert {o.name for o in OPERATIONS if o.is_authenticated} == set(SCOPE)
    assert {o.name for o in OPERATIONS if "{id}" in o.path} == set(BY_ID)


@pytest.mark.parametrize("name", BY_ID)
async def test_a_thing_of_another_is_like_one_that_never_was(world, mine, theirs, name):
    kind, body = BY_ID[name]
    operation = NAMED[name]
    before = await at_rest(world.gateways[0].pool)
    prefix = "po" if kind == "payout" else "card"
    answers = [
        await ask(mine, operation.method, operation.path.format(id=thing), body)
        for thing in (getattr(theirs, kind), f"{prefix}_{NOWHERE}", "nonsense")
    ]
    bodies = [{"status": a.status, "data": a.data, "error": a.error, "headers": sorted(a.headers)} for a in answers]
    assert bodies[0] == bodies[1] == bodies[2]
    assert answers[0].refusal == (404, "not_found", None)
    assert await everything(world.gateways[0].pool) == before


@pytest.mark.parametrize("name", BY_ID)
async def test_ones_own_is_there(world, name):
    """The other half of the matrix: a 404 for everybody would pass the test above."""
    kind, body = BY_ID[name]
    shop = await world.merchant()
    pay = shop.on_desk() if name == "resolve_payout" else shop.pay(**GOOD) if kind == "payout" else None
    thing = (await pay)["id"] if pay else await shop.save_card()
    for step in {"mark_paid": ["mark-in-transit"], "mark_returned": ["mark-in-transit", "mark-paid"]}.get(name, []):
        assert (await ask(shop, "POST", f"{PAYOUTS}/{thing}/{step}", {})).status == 200
    answer = await ask(shop, NAMED[name].method, NAMED[name].path.format(id=thing), body)
    assert answer.status == NAMED[name].status, answer.envelope


async def test_lists_and_books_show_ones_own_alone(mine, theirs):
    for me, other in ((mine, theirs), (theirs, mine)):
        secret = {other.account_id, other.payout, other.card, *other.connections.values()}
        for path in (PAYOUTS, CARDS, ENTRIES, "/api/v1/providers", f"{PAYOUTS}/balance", f"{PAYOUTS}/bank-account",
                     f"{PAYOUTS}/{me.payout}/timeline"):  # fmt: skip
            answer = await ask(me, "GET", path)
            assert answer.data
            assert not [what for what in secret if what in str(answer.envelope)], path
        assert [p["id"] for p in (await ask(me, "GET", PAYOUTS)).data] == [me.payout]
        assert [c["id"] for c in (await ask(me, "GET", CARDS)).data] == [me.card]
        assert {e["payoutId"] for e in (await ask(me, "GET", ENTRIES)).data} == {None, me.payout}
        shown = re.findall(r"conn_\w+", str((await ask(me, "GET", "/api/v1/providers")).data))
        assert set(shown) == set(me.connections.values())


async def test_filters_and_cursors_reach_nothing_of_another(world, mine, theirs):
    for query in (f"{PAYOUTS}?connectionId={theirs.connections['manual']}", f"{ENTRIES}?payoutId={theirs.payout}"):
        assert (await ask(mine, "GET", query)).data == []
        assert (await ask(theirs, "GET", query)).data != []
    assert [p["id"] for p in (await ask(mine, "GET", f"{PAYOUTS}?merchantReference=INV-1")).data] == [mine.payout]
    # A cursor is a place in the order of ids, not a right: with another's, one sees one's own rows after it.
    other = await world.merchant()
    paid, _ = [(await other.pay(**GOOD))["id"] for _ in range(2)]
    for _ in range(2):
        await other.save_card()
    for path, own, query in ((PAYOUTS, mine.payout, ""), (CARDS, mine.card, ""), (ENTRIES, mine.payout, f"payoutId={paid}&")):
        cursor = (await ask(other, "GET", f"{path}?{query}limit=1")).meta["cursor"]
        answer = await ask(mine, "GET", f"{path}?cursor={cursor}")
        assert answer.status == 200, answer.envelope
        assert {row.get("payoutId", row.get("id")) for row in answer.data} <= {own, None}


async def test_things_of_another_cannot_be_used(world, mine, theirs):
    missing = {"connection": f"conn_{NOWHERE}", "card": f"card_{NOWHERE}"}
    for path, build in (
        (PAYOUTS, lambda connection, card: {**GOOD, "provider": None, "connectionId": connection}),
        (PAYOUTS, lambda connection, card: {"amount": 1, "currency": "KZT", "destination": {"type": "card", "cardId": card}}),
        (CARDS, lambda connection, card: {"cardFields": {"a": "b"}, "connectionId": connection}),
    ):
        before = await at_rest(world.gateways[0].pool)
        another = await ask(mine, "POST", path, build(theirs.connections["plexy"], theirs.card))
        nothing = await ask(mine, "POST", path, build(**missing))
        assert (another.status, another.error) == (nothing.status, nothing.error)
        assert another.status == 422
        assert not [c for c in theirs.connections.values() if c in str(another.error)]
        assert await everything(world.gateways[0].pool) == before


async def test_references_and_keys_are_ones_own(world):
    """A reference or key that another account has used must not even be noticed: a refusal would tell that it exists."""
    shops = [await world.merchant() for _ in range(2)]
    for path, body, key in (
        (PAYOUTS, {**GOOD, "merchantReference": "INV-1"}, "same key"),
        (CARDS, {"cardFields": card_fields()}, "same key"),
        ("/api/v1/ledger/credits", {"amount": 1, "currency": "IDR", "reference": "secret deal"}, None),
    ):
        answers = [await ask(shop, "POST", path, body, key=key) for shop in shops]
        assert [(a.status, a.meta.get("idempotentReplayed")) for a in answers] == [(201, None)] * 2
        assert len({a.data.get("id", a.data.get("transactionId")) for a in answers}) == 2


async def test_money_of_another_pays_nothing(world, mine):
    poor = await world.merchant(providers=("manual",), credit=0)
    assert (await ask(poor, "GET", f"{PAYOUTS}/balance")).data["available"] == 0
    assert (await ask(mine, "GET", f"{PAYOUTS}/balance")).data["available"] > GOOD["amount"]
    assert (await ask(poor, "POST", PAYOUTS, GOOD)).refusal == (422, "insufficient_balance", "amount")


async def test_a_notice_for_one_connection_is_no_notice_for_another(world, mine, theirs):
    """Pivot proves its notices by a static key: with the key of one's own connection one cannot speak for another's."""
    pool = world.gateways[0].pool
    secrets = await secrets_of(world, mine.connections["pivot"])
    headers = {"X-API-Key": secrets["callback_key"], "Authorization": None}
    before = await at_rest(pool)
    path = "/webhooks/pivot/{}".format
    answer = await ask(mine, "POST", path(theirs.connections["pivot"]), raw=b"{}", headers=headers, key=None)
    assert answer.refusal == (401, "invalid_signature", None)
    assert await everything(pool) == before
    assert (await ask(mine, "POST", path(mine.connections["pivot"]), raw=b"{}", headers=headers, key=None)).status == 200


async def test_keys_work_for_their_own_account_alone(world, both):
    """The same id of a payout, asked for with each key: every key sees its own account's things, whatever the mode."""
    for shop, other in (both, both[::-1]):
        for headers in ({}, sign(shop, "GET", f"{PAYOUTS}/{shop.payout}")):
            assert (await ask(shop, "GET", f"{PAYOUTS}/{shop.payout}", headers=headers)).data["accountId"] == shop.account_id
        path = f"{PAYOUTS}/{other.payout}"
        assert (await ask(shop, "GET", path, headers=sign(shop, "GET", path))).refusal == (404, "not_found", None)
        swapped = sign(shop, "GET", path, key_id=other.signing_id)
        assert (await ask(shop, "GET", path, headers=swapped)).refusal == (401, "invalid_signature", "Authorization")
    assert len({shop.bearer for shop in both}) == 2


# --- scopes ---


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def keys(world):
    """For each scope a key of one account that has it alone, and one that has all the others."""
    gateway = world.gateways[0]
    shop = await world.merchant()

    async def make(scopes):
        return (await create_bearer_key(gateway.pool, gateway.seal, shop.account_id, scopes=scopes, person="Ana")).key

    return {scope: (await make([scope]), await make([s for s in auth.SCOPES if s != scope])) for scope in auth.SCOPES}


@pytest.mark.parametrize("name", SCOPE)
async def test_scopes(world, mine, keys, name):
    with_it, without_it = keys[SCOPE[name]]
    operation = NAMED[name]
    body = BY_ID[name][1] if name in BY_ID else ON_ONES_OWN[name]
    path = operation.path.format(id=f"{'po' if 'payouts' in operation.path else 'card'}_{NOWHERE}")
    before = await at_rest(world.gateways[0].pool)
    refused = await ask(mine, operation.method, path, body, headers={"Authorization": f"Bearer {without_it}"})
    assert refused.refusal == (403, "insufficient_scope", "Authorization")
    assert SCOPE[name] in refused.error["message"]
    assert await everything(world.gateways[0].pool) == before
    allowed = await ask(mine, operation.method, path, body, headers={"Authorization": f"Bearer {with_it}"})
    assert allowed.status in {operation.status, 404, 409}, allowed.envelope


@pytest.mark.parametrize("spelled", [str.lower, str.upper, str.title])
async def test_the_scheme_of_a_key_has_no_case(mine, spelled):
    signed = sign(mine, "GET", PAYOUTS)
    for headers in ({"Authorization": f"Bearer {mine.bearer}"}, signed):
        scheme, _, rest = headers["Authorization"].partition(" ")
        answer = await ask(mine, "GET", PAYOUTS, headers=headers | {"Authorization": f"{spelled(scheme)} {rest}"})
        assert answer.status == 200, scheme


async def test_every_401_says_how_to_authenticate(mine):
    hook = f"/webhooks/pivot/{mine.connections['pivot']}"
    for method, path, headers in (
        ("GET", PAYOUTS, {"Authorization": None}),
        ("GET", PAYOUTS, {"Authorization": "Bearer pk_live_nobody_has_this"}),
        ("HEAD", PAYOUTS, {"Authorization": "Basic YTpi"}),
        ("GET", PAYOUTS, sign(mine, "GET", PAYOUTS, at=1)),
        ("POST", hook, {"X-API-Key": "wrong"}),
    ):
        answer = await ask(mine, method, path, {} if method == "POST" else None, headers=headers)
        assert (answer.status, answer.headers.getall("WWW-Authenticate")) == (401, ["Bearer, Plugipay-HMAC-SHA256"])
    assert "WWW-Authenticate" not in (await ask(mine, "GET", PAYOUTS)).headers


async def test_a_head_takes_the_key_and_the_scope_of_its_get(mine, keys):
    with_it, without_it = keys[auth.PAYOUT_READ]
    for key, status in ((with_it, 200), (without_it, 403), ("pk_live_nobody_has_this", 401)):
        assert (await ask(mine, "HEAD", PAYOUTS, headers={"Authorization": f"Bearer {key}"})).status == status
    for method, status in (("HEAD", 200), ("GET", 401)):
        assert (await ask(mine, "HEAD", PAYOUTS, headers=sign(mine, method, PAYOUTS))).status == status


@pytest.mark.parametrize("name", SCOPE)
async def test_no_operation_without_a_key(world, mine, name):
    operation = NAMED[name]
    body = BY_ID[name][1] if name in BY_ID else ON_ONES_OWN[name]
    path = operation.path.format(id=mine.payout if "payouts" in operation.path else mine.card)
    before = await at_rest(world.gateways[0].pool)
    for headers in ({"Authorization": None}, {"Authorization": "Bearer pk_live_nobody_has_this"}):
        assert (await ask(mine, operation.method, path, body, headers=headers)).status == 401
    assert await everything(world.gateways[0].pool) == before


async def test_a_signing_key_has_scopes_too(world, mine):
    gateway = world.gateways[0]
    weak = await create_signing_key(gateway.pool, gateway.seal, mine.account_id, scopes=[auth.CARD_READ])
    headers = sign(mine, "GET", PAYOUTS, key_id=weak.key_id, secret=weak.secret)
    assert (await ask(mine, "GET", PAYOUTS, headers=headers)).refusal == (403, "insufficient_scope", "Authorization")
    headers = sign(mine, "GET", CARDS, key_id=weak.key_id, secret=weak.secret)
    assert (await ask(mine, "GET", CARDS, headers=headers)).status == 200


# --- revoked keys ---


@pytest.mark.parametrize("mode", ["bearer", "signed"])
async def test_a_revoked_key_is_refused_within_about_a_second_by_every_process(world, mode):
    gateway = world.gateways[0]
    other = await world.start_gateway()
    account = await create_account(gateway.pool, "To be revoked", "IDR")
    bearer = await create_bearer_key(gateway.pool, gateway.seal, account)
    signing = await create_signing_key(gateway.pool, gateway.seal, account)
    shop = await world.merchant(providers=())
    used = {"bearer": bearer.id, "signed": signing.id}[mode]
    spared = {"bearer": signing.id, "signed": bearer.id}[mode]

    async def look(where, which=mode):
        headers = sign(shop, "GET", PAYOUTS, key_id=signing.key_id, secret=signing.secret)
        headers = headers if which == "signed" else {"Authorization": f"Bearer {bearer.key}"}
        return await ask(shop, "GET", PAYOUTS, headers=headers, gateway=where)

    indexes = [world.gateways.index(gateway), world.gateways.index(other)]
    assert [(await look(where)).status for where in indexes] == [200, 200]
    assert await accounts.revoke_key(gateway.pool, account, used)
    revoked_at = time.monotonic()
    for where in indexes:
        while (answer := await look(where)).status == 200:
            assert time.monotonic() - revoked_at < 2.5
            await asyncio.sleep(0.02)
        assert answer.refusal == (401, "invalid_key", "Authorization")
    assert (await look(indexes[0], {"bearer": "signed", "signed": "bearer"}[mode])).status == 200, f"{spared} was not revoked"
    assert not await accounts.revoke_key(gateway.pool, account, used), "it was revoked already"
    assert not await accounts.revoke_key(gateway.pool, shop.account_id, spared), "another account's key"
