"""Idempotency keys: the same request is one payout, whoever races, crashes, restarts, or hangs up in between."""

import asyncio
import json
import uuid

import pytest
import pytest_asyncio

from gateway.settings import Role
from gateway.store import accounts
from tests.api.asking import PAYOUTS, ask, at_rest, everything
from tests.flows.world import BANK, card_fields

BODY = {"amount": 10_00, "currency": "IDR", "provider": "manual", **BANK}
MISMATCH = (409, "idempotency_mismatch", "Idempotency-Key")
NO_MONEY = (422, "insufficient_balance", "amount")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def two(world):
    """The module's world with a second gateway over the same database; its own pool, keys and caches."""
    await world.start_gateway()
    return world


async def create(shop, key, *, gateway=0, **changes):
    return await ask(shop, "POST", PAYOUTS, {**BODY, **changes}, key=key, gateway=gateway)


async def counts(shop):
    """How much of each this account has written down: payouts, keys, reservations."""
    row = await shop.world.gateways[0].pool.fetchrow(
        """select (select count(*) from payout where account_id = $1),
                  (select count(*) from request_key where account_id = $1),
                  (select count(*) from ledger_entry where account_id = $1 and kind = 'reserve' and line = 1)""",
        shop.account_id,
    )
    return tuple(row)


def is_replay(answer):
    """Whether the answer says so, in both places or in none."""
    in_meta, in_header = answer.meta.get("idempotentReplayed", False), answer.headers.get("Idempotent-Replayed") == "true"
    assert in_meta == in_header
    return in_meta


async def test_requests_of_one_key_in_the_same_millisecond_make_one_payout(shop, monkeypatch):
    """Their ids are the same then, since a payout's id derives from its time and its request."""
    monkeypatch.setattr("gateway.ids.time.time_ns", lambda: 1_800_000_000_000_000_000)
    amounts = [10_00, 10_00, 20_00] * 10
    answers = await asyncio.gather(*(create(shop, "k", amount=amount) for amount in amounts))
    made = [answer for answer in answers if answer.status == 201]
    assert len({answer.data["id"] for answer in made}) == 1
    assert [is_replay(answer) for answer in made].count(False) == 1
    assert {answer.data["amount"] for answer in made} in ({10_00}, {20_00})
    refused = [answer for answer in answers if answer.status != 201]
    assert len(made) + len(refused) == len(amounts)
    assert {(r.status, r.error["code"], r.error["field"]) for r in refused} == {MISMATCH}
    assert await counts(shop) == (1, 1, 1)
    beginnings = "select count(*) from event where account_id = $1 and type = 'payout.created'"
    assert await shop.world.gateways[0].pool.fetchval(beginnings, shop.account_id) == 1


async def test_the_same_request_again_is_the_same_payout(shop):
    first = await create(shop, "k")
    assert (first.status, is_replay(first)) == (201, False)
    again = await create(shop, "k")
    assert (again.status, is_replay(again)) == (201, True)
    assert again.data["id"] == first.data["id"]
    moves = {"status", "phase", "updatedAt", "cancelable"}  # it may have been sent meanwhile
    assert {k: v for k, v in again.data.items() if k not in moves} == {k: v for k, v in first.data.items() if k not in moves}
    assert await counts(shop) == (1, 1, 1)
    other = await create(shop, "k2")
    assert other.data["id"] != first.data["id"]


async def test_a_hundred_racing_over_two_gateways_are_one_payout(two, shop):
    answers = await asyncio.gather(*(create(shop, "race", gateway=n % 2) for n in range(100)))
    assert {answer.status for answer in answers} == {201}
    assert len({answer.data["id"] for answer in answers}) == 1
    assert sorted(is_replay(answer) for answer in answers) == [False] + [True] * 99
    assert await counts(shop) == (1, 1, 1)
    assert (await shop.balance())["locked"] == 10_00


async def test_many_keys_racing_over_two_gateways(two, shop):
    keys = [f"key {n}" for n in range(30)]
    answers = await asyncio.gather(*(create(shop, key, gateway=n % 2) for n in range(6) for key in keys))
    assert {answer.status for answer in answers} == {201}
    assert len({answer.data["id"] for answer in answers}) == 30
    assert sum(not is_replay(answer) for answer in answers) == 30
    assert await counts(shop) == (30, 30, 30)
    assert (await shop.balance())["locked"] == 30 * 10_00


async def test_two_bodies_racing_under_one_key(two, shop):
    answers = await asyncio.gather(*(create(shop, "one", amount=10_00 + n % 2, gateway=n // 2 % 2) for n in range(40)))
    made = {answer.data["id"]: answer.data["amount"] for answer in answers if answer.status == 201}
    assert len(made) == 1
    [amount] = made.values()
    for n, answer in enumerate(answers):
        assert (answer.status == 201) == (10_00 + n % 2 == amount)
        assert answer.status == 201 or answer.refusal == MISMATCH
    assert await counts(shop) == (1, 1, 1)


async def test_another_body_is_a_mismatch_and_changes_nothing(shop):
    first = await create(shop, "k", note="a", metadata={"a": "1"})
    before = await at_rest(shop.world.gateways[0].pool)
    for change in (
        *({"amount": 10_01}, {"currency": "EUR"}, {"note": "b"}, {"note": None}, {"bankAccountNumber": "1234567891"}),
        *({"metadata": {"a": "2"}}, {"metadata": {}}, {"merchantReference": "r"}, {"statementDescriptor": "x"}),
        *({"provider": None}, {"connectionId": shop.connections["manual"]}, {"amount": 10**15}),
    ):
        assert (await create(shop, "k", **{"note": "a", "metadata": {"a": "1"}} | change)).refusal == MISMATCH, change
    assert await everything(shop.world.gateways[0].pool) == before
    assert (await create(shop, "k", note="a", metadata={"a": "1"})).data["id"] == first.data["id"]


async def test_another_spelling_of_the_same_json_is_the_same_request(shop):
    body = {**BODY, "note": "café ✓", "metadata": {"a": "1", "b": "2"}}
    first = await ask(shop, "POST", PAYOUTS, body, key="k")
    backwards = {**dict(reversed(body.items())), "metadata": {"b": "2", "a": "1"}}
    for raw in (
        json.dumps(backwards, indent=2),
        json.dumps(body, ensure_ascii=False),
        json.dumps({**body, "merchantReference": None, "destination": None}),  # null is as good as absent
        "\n\t " + json.dumps(body).replace("BCA", "\\u0042CA"),
    ):
        answer = await ask(shop, "POST", PAYOUTS, raw=raw.encode(), key="k")
        assert (answer.status, answer.data["id"], is_replay(answer)) == (201, first.data["id"], True)
    assert await counts(shop) == (1, 1, 1)


async def test_keys_of_two_accounts_never_meet(world, shop):
    other = await world.merchant(providers=("manual",))
    mine, theirs = await asyncio.gather(
        create(shop, "same", merchantReference="r"), create(other, "same", merchantReference="r")
    )
    assert (mine.status, theirs.status) == (201, 201)
    assert mine.data["id"] != theirs.data["id"]
    assert not is_replay(theirs)
    assert (await create(other, "same", merchantReference="r")).data["id"] == theirs.data["id"]
    assert (await create(other, "same", amount=1)).refusal == MISMATCH  # with their own payout, not with mine


async def test_keys_are_taken_as_they_are(shop):
    keys = ["a", "A", "a b", "a  b", '"a"', "'", "k" * 255, "k" * 254, "%00", "\\u0000", "--", "null", "0", "00"]
    made = [(await create(shop, key)).data["id"] for key in keys]
    assert len(set(made)) == len(keys)
    assert [(await create(shop, key)).data["id"] for key in keys] == made


async def test_a_refused_request_does_not_use_up_its_key(world):
    poor = await world.merchant(providers=("manual",), credit=0)
    for refused, changes in (
        ((400, "validation_error", "amount"), {"amount": 0}),
        ((422, "no_route", "provider"), {"provider": "nobody"}),
        (NO_MONEY, {}),
        (NO_MONEY, {"amount": 11_00}),
    ):
        assert (await create(poor, "k", **changes)).refusal == refused
    assert await counts(poor) == (0, 0, 0)
    credit = {"amount": 10_00, "currency": "IDR", "reference": "top up"}
    assert (await ask(poor, "POST", "/api/v1/ledger/credits", credit)).status == 201
    made = await create(poor, "k")
    assert (made.status, is_replay(made)) == (201, False)
    # All is spent by now, and the same request still gets its payout, not a refusal.
    assert is_replay(await create(poor, "k"))
    assert (await create(poor, "k2")).refusal == NO_MONEY


async def test_keys_survive_a_restart(own_world):
    await own_world.start_gateway()
    shop = await own_world.merchant(providers=("manual",))
    made = await create(shop, "k")
    await own_world.gateways.pop().stop()
    await own_world.start_gateway()
    again = await create(shop, "k")
    assert (again.data["id"], is_replay(again)) == (made.data["id"], True)
    assert (await create(shop, "k", amount=1)).refusal == MISMATCH
    assert await counts(shop) == (1, 1, 1)


async def test_a_replay_needs_no_route_any_more(own_world):
    """What was accepted once stays accepted: the connection is paused, then gone; the default account and the card too."""
    gateway = await own_world.start_gateway()
    shop = await own_world.merchant()
    account = {name: value for name, value in BANK.items() if name != "bankCode"}
    assert (await ask(shop, "PATCH", f"{PAYOUTS}/bank-account", account)).status == 200
    card = {"amount": 500_00, "currency": "KZT", "destination": {"type": "card", "cardId": await shop.save_card()}}
    bodies = {"pinned": BODY, "to the default": {"amount": 1_00, "currency": "IDR"}, "to a card": card}
    made = {key: await ask(shop, "POST", PAYOUTS, body, key=key) for key, body in bodies.items()}
    assert {answer.status for answer in made.values()} == {201}

    async def replays():
        await own_world.start_gateway()  # one that remembers nothing
        for key, body in bodies.items():
            answer = await ask(shop, "POST", PAYOUTS, body, key=key, gateway=-1)
            assert answer.status == 201, answer.envelope
            assert (answer.data["id"], is_replay(answer)) == (made[key].data["id"], True)
            mismatch = await ask(shop, "POST", PAYOUTS, {**body, "amount": 7}, key=key, gateway=-1)
            assert mismatch.refusal == MISMATCH

    for connection in shop.connections.values():
        await accounts.pause_connection(gateway.pool, shop.account_id, connection, for_s=3600, reason="a test")
    await replays()
    await ask(shop, "DELETE", f"/api/v1/cards/{card['destination']['cardId']}")
    await gateway.pool.execute("update account set bank_account = null")
    await gateway.pool.execute("delete from card")
    await gateway.pool.execute("delete from connection")
    await replays()
    assert (await ask(shop, "POST", PAYOUTS, BODY, key="new", gateway=-1)).refusal[:2] == (422, "no_route")


# --- the keys of what steers a payout ---


async def test_keys_of_marks(two, shop):
    made = await create(shop, "create")
    path = f"{PAYOUTS}/{made.data['id']}"
    steps = (("mark-in-transit", {"reference": "WIRE"}, "in_transit"), ("mark-paid", {"reference": None}, "paid"),
             ("mark-returned", {"reason": "account closed"}, "returned"))  # fmt: skip
    for step, body, status in steps:
        answers = await asyncio.gather(
            *(ask(shop, "POST", f"{path}/{step}", body, key=f"key of {step}", gateway=n % 2) for n in range(20))
        )
        assert {answer.status for answer in answers} == {200}, [a.envelope for a in answers if a.error]
        assert {answer.data["status"] for answer in answers} == {status}
        assert sum(not is_replay(answer) for answer in answers) == 1
    # Much later, the answers of long ago: the same payout as it is now, and nothing happens again.
    for step, body, _ in steps:
        again = await ask(shop, "POST", f"{path}/{step}", body, key=f"key of {step}")
        assert (again.status, again.data["status"], is_replay(again)) == (200, "returned", True)
        assert (await ask(shop, "POST", f"{path}/{step}", body, key="a new key")).refusal[:2] == (409, "state_conflict")
        other = {"reason": "x"} if step == "mark-returned" else {"reference": "other"}
        assert (await ask(shop, "POST", f"{path}/{step}", other, key=f"key of {step}")).refusal == MISMATCH
    events = [step["type"] for step in await shop.timeline(made.data["id"])]
    assert events == ["payout.created", "payout.sending", *events[2:-3], "payout.in_transit", "payout.paid", "payout.returned"]


async def test_keys_of_failures_and_cancels(two, shop):
    for step, body, status in (("mark-failed", {"failureReason": "closed"}, "failed"), ("cancel", {}, "cancelled")):
        made = await create(shop, f"create for {step}")
        path = f"{PAYOUTS}/{made.data['id']}/{step}"
        answers = await asyncio.gather(*(ask(shop, "POST", path, body, key=f"k {step}", gateway=n % 2) for n in range(20)))
        assert {answer.status for answer in answers} == {200}, [a.envelope for a in answers if a.error]
        assert {answer.data["status"] for answer in answers} == {status}
        assert sum(not is_replay(answer) for answer in answers) == 1
        assert is_replay(await ask(shop, "POST", path, body, key=f"k {step}"))
        assert (await ask(shop, "POST", path, body, key="new")).refusal[:2] == (409, "state_conflict")
    assert (await shop.balance())["locked"] == 0


async def test_twenty_cancels_with_keys_of_their_own_cancel_once(two, shop):
    made = await create(shop, "create")
    path = f"{PAYOUTS}/{made.data['id']}/cancel"
    answers = await asyncio.gather(*(ask(shop, "POST", path, {}, key=f"cancel {n}", gateway=n % 2) for n in range(20)))
    assert sorted(answer.status for answer in answers) == [200] + [409] * 19
    assert [step["type"] for step in await shop.timeline(made.data["id"])].count("payout.cancelled") == 1
    assert (await shop.balance())["locked"] == 0


async def test_a_key_means_one_request_of_one_kind(shop):
    one, other = await create(shop, "one"), await create(shop, "other")
    cancel = f"{PAYOUTS}/{one.data['id']}/cancel"
    # The key of a create is no key of a cancel, of the same payout or another; and the other way round.
    assert (await ask(shop, "POST", cancel, {}, key="one")).refusal == MISMATCH
    assert (await ask(shop, "POST", cancel, {}, key="other")).refusal == MISMATCH
    assert (await ask(shop, "POST", cancel, {}, key="c")).data["status"] == "cancelled"
    assert (await create(shop, "c")).refusal == MISMATCH
    assert (await ask(shop, "POST", f"{PAYOUTS}/{other.data['id']}/cancel", {}, key="c")).refusal == MISMATCH
    assert (await shop.payout(other.data["id"]))["status"] == "pending"


async def test_keys_of_cards(two, shop):
    body = {"cardFields": card_fields()}
    answers = await asyncio.gather(*(ask(shop, "POST", "/api/v1/cards", body, key="k", gateway=n % 2) for n in range(20)))
    assert {answer.status for answer in answers} == {201}
    assert len({answer.data["id"] for answer in answers}) == 1
    assert sum(not is_replay(answer) for answer in answers) == 1
    other = {"cardFields": card_fields() | {"encryptedCvv": "abd"}}
    assert (await ask(shop, "POST", "/api/v1/cards", other, key="k")).refusal == MISMATCH


async def test_credits_are_booked_once_per_reference(two, shop):
    body = {"amount": 5_00, "currency": "IDR", "reference": "bank statement 7"}
    before = (await shop.balance())["available"]
    answers = await asyncio.gather(
        *(ask(shop, "POST", "/api/v1/ledger/credits", body, key=None, gateway=n % 2) for n in range(20))
    )
    assert {answer.status for answer in answers} == {201}
    assert len({answer.data["transactionId"] for answer in answers}) == 1
    assert sum(not is_replay(answer) for answer in answers) == 1
    for change in ({"amount": 6_00}, {"currency": "EUR"}, {"memo": "x"}):
        answer = await ask(shop, "POST", "/api/v1/ledger/credits", body | change)
        assert answer.refusal == (409, "credit_reference_taken", "reference")
    assert (await shop.balance())["available"] == before + 5_00


# --- the merchant's own reference ---


async def test_a_merchant_reference_is_one_payout_whatever_the_keys(two, world, shop):
    answers = await asyncio.gather(*(create(shop, f"k{n}", merchantReference="INV-1", gateway=n % 2) for n in range(30)))
    assert sorted(answer.status for answer in answers) == [201] + [409] * 29
    [made] = [answer for answer in answers if answer.status == 201]
    assert {a.refusal for a in answers if a is not made} == {(409, "merchant_reference_taken", "merchantReference")}
    assert await counts(shop) == (1, 1, 1)
    # A refused key is free again, and without a reference there is nothing to collide with.
    [refused, *_] = [n for n, answer in enumerate(answers) if answer is not made]
    assert (await create(shop, f"k{refused}", merchantReference="INV-2")).status == 201
    assert {(await create(shop, uuid.uuid4().hex)).status for _ in range(3)} == {201}
    other = await world.merchant(providers=("manual",))
    assert (await create(other, "k0", merchantReference="INV-1")).status == 201


# --- clients that hang up ---


async def drop(shop, body: bytes, key: str, *, sent: float = 1.0) -> None:
    """Send a create, or the first part of one, and hang up without reading."""
    head = (f"POST {PAYOUTS} HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {shop.bearer}\r\nIdempotency-Key: {key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n").encode()  # fmt: skip
    _, writer = await asyncio.open_connection("127.0.0.1", shop.world.gateways[0].port)
    writer.write(head + body[: int(len(body) * sent)])
    await writer.drain()
    writer.transport.abort()


async def test_a_client_that_hangs_up_right_after_sending(shop):
    body = json.dumps(BODY).encode()
    await asyncio.gather(*(drop(shop, body, f"dropped {n}") for n in range(40)))
    answers = await asyncio.gather(*(ask(shop, "POST", PAYOUTS, raw=body, key=f"dropped {n}") for n in range(40)))
    assert {answer.status for answer in answers} == {201}
    assert len({answer.data["id"] for answer in answers}) == 40
    assert await counts(shop) == (40, 40, 40)
    assert (await shop.balance())["locked"] == 40 * 10_00


async def test_a_client_that_hangs_up_in_the_middle_of_its_body(shop):
    body = json.dumps(BODY).encode()
    await asyncio.gather(*(drop(shop, body, f"cut {n}", sent=n / 20) for n in range(20)))
    await asyncio.sleep(0.05)
    assert await counts(shop) == (0, 0, 0)
    for n in range(20):
        answer = await ask(shop, "POST", PAYOUTS, raw=body, key=f"cut {n}")
        assert (answer.status, is_replay(answer)) == (201, False)


async def test_a_payout_that_was_written_and_never_answered(own_world, monkeypatch):
    """A crash between commit and answer: the write is there, the client heard nothing, and asks again."""
    gateway = await own_world.start_gateway(roles=frozenset({Role.API}))
    shop = await own_world.merchant(providers=("manual",))
    flush = gateway._creates._flush

    async def write_then_die(items):
        await flush(items)
        raise ConnectionResetError("the database's answer got lost")

    monkeypatch.setattr(gateway._creates, "_flush", write_then_die)
    answer = await create(shop, "k")
    assert answer.refusal[:2] == (503, "service_unavailable")
    assert answer.headers["Retry-After"] == "1"
    monkeypatch.undo()
    again = await create(shop, "k")
    assert (again.status, is_replay(again)) == (201, True)
    assert await counts(shop) == (1, 1, 1)


@pytest.mark.parametrize("path", [PAYOUTS, "/api/v1/cards"])
async def test_a_key_on_a_read_is_ignored(shop, path):
    await create(shop, "k")
    for _ in range(2):
        answer = await ask(shop, "GET", path, key="k")
        assert (answer.status, is_replay(answer)) == (200, False)
