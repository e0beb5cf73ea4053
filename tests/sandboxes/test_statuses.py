"""Every documented status of every provider: how it is reached, what reads and webhooks say, what happened to money.

One table a provider. A status that no test value asks for is reached by a scenario or by the control surface.
"""

from dataclasses import dataclass, field
from typing import Any

import pytest

from providers.mollie.sandbox.facts import REASONS
from providers.mollie.sandbox.facts import STATUSES as MOLLIE_STATUSES
from providers.pivot.sandbox.facts import ROW_WORDS
from providers.plexy.sandbox.facts import DECLINES
from providers.plexy.sandbox.facts import STATUSES as PLEXY_STATUSES
from providers.sandbox.server import SANDBOXES
from providers.xendit.sandbox.facts import FAILURE_CODES
from providers.xendit.sandbox.facts import STATUSES as XENDIT_STATUSES
from tests.sandboxes.desk import Desk
from tests.sandboxes.desk_plexy import PlexyDesk
from tests.sandboxes.desks import DESKS

BAD_CARD = "5105105105105100"
NEVER_MS = 3_600_000


@dataclass
class Way:
    """How a status is reached, and its signs."""

    settings: dict[str, Any] = field(default_factory=dict)
    order: dict[str, Any] = field(default_factory=dict)
    scenario: str = ""
    forced: tuple[str, ...] = ()  # by the control surface, one after the other
    then: tuple[str, str] | None = None  # a call of the provider's own API on the payout
    event: str = ""  # the last webhook, "" = none
    money: tuple[str, ...] = ()
    code: str = ""  # the reason, wherever this provider has it
    taken: bool = True  # the amount has left the balance that the merchant sees


PLEXY = {
    "new": Way({"processingAfterMs": NEVER_MS}),
    "processing": Way({"settledAfterMs": NEVER_MS}),
    "settled": Way(event="transaction.settled", money=("sent",)),
    "rejected": Way(order={"card": BAD_CARD}, event="transaction.rejected", code="05", taken=False),
    "failed": Way({"failureStatus": "failed"}, {"card": BAD_CARD}, event="transaction.failed", code="96", taken=False),
}

MOLLIE = {
    "requested": Way({"initiatedAfterMs": NEVER_MS}, code="requested", taken=False),
    "initiated": Way({"atBankAfterMs": NEVER_MS}, event="payout.initiated", code="initiated"),
    "processing-at-bank": Way({"completedAfterMs": NEVER_MS}, event="payout.processing-at-bank", code="processing_at_bank"),
    "completed": Way(event="payout.completed", money=("sent",), code="completed"),
    "canceled": Way({"initiatedAfterMs": NEVER_MS}, then=("DELETE", ""), event="payout.canceled", code="canceled", taken=False),
    "failed": Way(scenario="rejected_by_bank", event="payout.failed", code="bank_processing_failed", taken=False),
}

PIVOT = {
    "IN_PROGRESS": Way({"doneAfterMs": NEVER_MS}),
    "APPROVED": Way(
        order={"account": "999966660007"}, code="Insufficient Balance", taken=False
    ),  # silent (V-6: no single event)
    "PENDING": Way({"rowAfterMs": NEVER_MS}),
    "SUCCESS": Way(order={"account": "999966660001"}, event="PAYOUT.SUCCESS", money=("sent",)),
    "FAILED": Way(order={"account": "999966660002"}, event="PAYOUT.FAILED", code="Inactive account", taken=False),
    "CANCELLED": Way(scenario="cancelled", event="PAYOUT.CANCELLED", taken=False),
    "REJECTED": Way({"doneAfterMs": NEVER_MS}, forced=("REJECTED",), taken=False),  # listed, never seen
    "RETURNED": Way(
        {"doneAfterMs": NEVER_MS},
        forced=("SUCCESS", "RETURNED"),
        event="PAYOUT.FAILED",
        money=("sent", "returned"),
        taken=False,
    ),  # V-5
}

XENDIT = {
    "ACCEPTED": Way(order={"account": "131313"}),
    "REQUESTED": Way({"succeededAfterMs": NEVER_MS}),
    "SUCCEEDED": Way(event="payout.succeeded", money=("sent",)),
    "FAILED": Way(order={"account": "121212"}, event="payout.failed", code="INVALID_DESTINATION", taken=False),
    "CANCELLED": Way(order={"account": "131313"}, then=("POST", "/cancel"), taken=False),  # E-3: no webhook
    "REVERSED": Way(
        {"returnedAfterMs": 5},
        scenario="paid_then_returned",
        event="payout.reversed",
        money=("sent", "returned"),
        taken=False,
    ),
    "PENDING_COMPLIANCE_ASSESSMENT": Way(order={"holder": "Walter Green", "account": "72019761"}),  # E-4
    "COMPLIANCE_REJECTED": Way(
        order={"holder": "Walter White", "account": "79018761"}, event="payout.failed", taken=False
    ),  # E-4, E-6
}

TABLES = {"plexy": PLEXY, "mollie": MOLLIE, "pivot": PIVOT, "xendit": XENDIT}
DOCUMENTED = {
    "plexy": PLEXY_STATUSES,
    "mollie": MOLLIE_STATUSES,
    "pivot": {"IN_PROGRESS", *ROW_WORDS},  # a row has no word of its own while its request is IN_PROGRESS
    "xendit": XENDIT_STATUSES,
}
CASES = [(name, status) for name, table in TABLES.items() for status in table]


@pytest.fixture
async def desk(world: Any, request: pytest.FixtureRequest) -> Desk:
    return await DESKS[request.param](world).open()


def _code(desk: Desk, read: Any) -> str:
    body = read.json
    if desk.name == "pivot":
        return str(body["data"][0].get("reason", ""))
    if desk.name == "mollie":
        return str(body["statusReason"]["code"])
    return str(body.get("error_code" if desk.name == "plexy" else "failure_code", ""))


async def _order(desk: Desk, way: Way) -> str:
    order = dict(way.order)
    if "card" in order and isinstance(desk, PlexyDesk):
        desk.token = await desk.save(order.pop("card"))
    headers = {"X-Sandbox-Scenario": way.scenario} if way.scenario else {}
    answer = await desk.pay(20_000, headers=headers, key="a1b2c3d4e5f6a7b8", **order)
    assert answer.status in (200, 201), answer.raw
    return desk.id_of(answer)


@pytest.mark.parametrize(("desk", "status"), CASES, indirect=["desk"])
async def test_a_status_and_its_signs(desk: Desk, status: str) -> None:
    way = TABLES[desk.name][status]
    await desk.settings(**way.settings)
    payout = await _order(desk, way)
    for word in way.forced:
        await desk.control("POST", f"payouts/{payout}/advance", {"to": word})
    if way.then:
        method, path = way.then
        assert (await desk.call(method, f"{desk.create_path}/{payout}{path}")).status == 200
    await desk.until_status(payout, status)
    assert _code(desk, await desk.read(payout)) == way.code
    if way.event:

        async def told() -> bool:
            return way.event in [desk.told(hook)[0] for hook in desk.world.receiver.hooks]

        await desk.world.until(told)
    else:
        assert desk.world.receiver.hooks == []
    assert await desk.kinds() == list(way.money)
    assert await _is_taken(desk) == way.taken


async def _is_taken(desk: Desk) -> bool:
    """Whether the merchant sees less money than it started with."""
    (merchant,) = (await desk.control("GET", "merchants"))["merchants"]
    if desk.name == "mollie":
        (own,) = [line for line in merchant["balances"] if line["id"] == "bal_a1b2c3d4e5f6a7b8"]
        return bool(own["available"] == "999800.00")
    start = {"plexy": "1000000.00", "pivot": 1_000_000_000, "xendit": "1000000000"}[desk.name]
    return bool(merchant["balance"] != start)


def test_the_tables_hold_every_documented_status() -> None:
    assert TABLES.keys() == DOCUMENTED.keys() == SANDBOXES.keys(), "give the statuses of every sandbox a table here"
    for name, statuses in DOCUMENTED.items():
        assert set(TABLES[name]) == set(statuses)


# --- every documented reason

REASON_CASES = [
    *(("plexy", "rejected", code) for code in DECLINES),
    *(("mollie", "failed", code) for code in REASONS if code == "failed" or code.replace("_", "-") not in MOLLIE_STATUSES),
    *(("xendit", "FAILED", code) for code in sorted(FAILURE_CODES)),
    *(
        ("pivot", "FAILED", reason)
        for reason in (
            "Invalid account",
            "Inactive account",
            "Dormant account",
            "Failed to process by Bank Network",
            "Unknown Bank Network error",
            "Declined due to beneficiary limit",
            "Feature not allowed at this time",
        )
    ),
]


@pytest.mark.parametrize("name", DESKS)
async def test_every_reason_can_be_had(world: Any, name: str) -> None:
    desk = await DESKS[name](world).open()
    cases = [(status, reason) for provider, status, reason in REASON_CASES if provider == name]
    assert cases, "give the reasons of this provider a line in REASON_CASES"
    for status, reason in cases:
        payout = desk.id_of(await desk.pay(headers={"X-Sandbox-Scenario": "stuck"}))
        await desk.control("POST", f"payouts/{payout}/advance", {"to": status, "reason": reason})
        assert _code(desk, await desk.read(payout)) == reason
    assert await desk.kinds() == []


MAGIC = {
    "98018521": "TRANSFER_ERROR",
    "123456": "TEMPORARY_TRANSFER_ERROR",
    "999999": "REJECTED_BY_CHANNEL",
    "121212": "INVALID_DESTINATION",
}


@pytest.mark.parametrize("desk", ["xendit"], indirect=True)
async def test_xendits_magic_accounts_fail_later_and_not_at_once(desk: Desk) -> None:
    made = {account: desk.id_of(await desk.pay(account=account)) for account in MAGIC}
    for account, code in MAGIC.items():
        await desk.until_status(made[account], "FAILED")
        assert (await desk.read(made[account])).json["failure_code"] == code
    assert await desk.kinds() == []


@pytest.mark.parametrize("desk", ["pivot"], indirect=True)
async def test_pivots_request_states_and_its_delay_event(desk: Desk) -> None:
    await desk.settings(doneAfterMs=NEVER_MS)
    answer = await desk.pay(key="a1b2c3d4e5f6a7b8")
    request_uuid = answer.json["data"]["uuid"]

    async def state() -> str:
        return str((await desk.call("GET", f"/v1/payouts/{request_uuid}")).json["data"]["status"])

    assert await state() == "IN_PROGRESS"
    await desk.control("POST", f"payouts/{request_uuid}/advance", {"to": "DELAYED"})
    (hook,) = await desk.world.hooks(1)
    assert hook.json["event"] == "PAYOUT.DELAYED"
    assert await state() == "IN_PROGRESS"
    await desk.control("POST", f"payouts/{request_uuid}/advance", {"to": "PROCESSING"})
    assert await state() == "PROCESSING"
    await desk.control("POST", f"payouts/{request_uuid}/advance", {"to": "PENDING"})
    assert await state() == "PENDING"
    await desk.control("POST", f"payouts/{request_uuid}/advance", {"to": "DONE"})
    assert await state() == "DONE"
    await desk.until_kinds("sent")


@pytest.mark.parametrize("desk", ["plexy"], indirect=True)
async def test_plexys_other_events_on_request(desk: Desk) -> None:
    await desk.settings(emitEvents="all", merchantIdOnTop=True)
    await desk.pay()
    hooks = await desk.world.hooks(3)
    names = [hook.json["name"] for hook in hooks]
    assert sorted(names) == ["transaction.created", "transaction.processing", "transaction.settled"]
    assert all(hook.json["merchantId"].startswith("mer_") for hook in hooks)
