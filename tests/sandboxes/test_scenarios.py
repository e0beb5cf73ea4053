"""Every named scenario at every provider that offers it: what the client meets, what reads say, what happened to money."""

import asyncio
import time
from typing import Any

import aiohttp
import pytest

from providers.sandbox.scenarios import MARK, SCENARIOS
from providers.sandbox.server import SANDBOXES
from tests.sandboxes.desk import Desk
from tests.sandboxes.desks import DESKS

OFFERED = [
    (name, scenario.name)
    for name in DESKS
    for scenario in SCENARIOS
    if scenario.course in SANDBOXES[name].courses and (SANDBOXES[name].idempotency_header or not scenario.needs_key)
]
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


@pytest.fixture
async def desk(world: Any, request: pytest.FixtureRequest) -> Desk:
    desk = await DESKS[request.param](world).open()
    await desk.settings(returnedAfterMs=30)
    return desk


async def _no_answer(desk: Desk, key: str, minor: int) -> None:
    with pytest.raises(aiohttp.ClientError):
        await desk.pay(minor, key=key)


async def _a_500(desk: Desk, key: str, minor: int) -> None:
    assert (await desk.pay(minor, key=key)).status == 500


async def _a_429(desk: Desk, key: str, minor: int) -> None:
    answer = await desk.pay(minor, key=key)
    assert (answer.status, answer.headers["Retry-After"]) == (429, "1")


async def _a_refusal(desk: Desk, key: str, minor: int) -> None:
    assert 400 <= (await desk.pay(minor, key=key)).status < 500


async def _another_amount(desk: Desk, key: str, minor: int) -> None:
    answer = await desk.pay(minor, key=key)
    assert answer.status < 300
    assert str(minor + 100).encode() in answer.raw.replace(b".", b"") or str(minor + 1).encode() in answer.raw


async def _an_answer(desk: Desk, key: str, minor: int) -> None:
    assert (await desk.pay(minor, key=key)).status in (200, 201)


FIRST_ANSWER = {
    "refused": _a_refusal,
    "answer_lost_but_paid": _no_answer,
    "answer_lost_and_not_paid": _no_answer,
    "answer_half_but_paid": _no_answer,
    "error_but_paid": _a_500,
    "rate_limited": _a_429,
    "wrong_amount_told": _another_amount,
}


@pytest.mark.parametrize(("desk", "scenario"), OFFERED, indirect=["desk"])
async def test_a_scenario_chosen_by_the_amount(desk: Desk, scenario: str) -> None:
    chosen = BY_NAME[scenario]
    key = "a1b2c3d4e5f6a7b8"
    await FIRST_ANSWER.get(scenario, _an_answer)(desk, key, MARK + chosen.number)
    if scenario == "refused":
        await asyncio.sleep(0.02)
        assert await desk.kinds() == []
        return
    if chosen.once:
        assert await desk.kinds() == []
        assert (await desk.pay(MARK + chosen.number, key=key)).status in (200, 201)
    last, kinds = desk.ends[chosen.course]
    payout = await _payout(desk, key)
    if scenario != "not_found_at_first":
        await desk.until_status(payout, last)
    await desk.until_kinds(*kinds)
    if chosen.course in ("stuck", "compliance_hold"):
        await asyncio.sleep(0.03)
        assert await desk.status(payout) == last


async def _payout(desk: Desk, key: str) -> str:
    """Its id at the provider: the answer may have been lost."""
    return str(await desk.world.until(lambda: desk.newest(key)))


# --- what becomes of webhooks, reads and keys


@pytest.mark.parametrize("desk", DESKS, indirect=True)
async def test_webhook_scenarios(desk: Desk) -> None:
    hooks = desk.world.receiver.hooks

    async def order(name: str) -> Any:
        hooks.clear()
        return await desk.pay(MARK + BY_NAME[name].number)

    await order("webhook_lost")
    await desk.until_kinds("sent")
    await order("webhook_twice")
    await desk.world.hooks(2 * desk.events)
    bodies = [hook.raw for hook in hooks]
    assert all(bodies.count(body) == 2 for body in bodies)
    begin = time.monotonic()
    await order("webhook_late")
    await desk.world.hooks(desk.events)
    assert time.monotonic() - begin > 10 / 200
    await order("webhook_first")
    assert len(hooks) == desk.events
    await order("webhook_forged")
    await desk.world.hooks(2 * desk.events)
    first = desk.told(hooks[0])
    assert [desk.proved(hook) for hook in hooks if desk.told(hook) == first] == [False, True]
    unknown = await order("webhook_unknown_status")
    await desk.world.hooks(desk.events)
    assert {word.lower() for hook in hooks for word in desk.told(hook)} >= {"levitating"}
    assert desk.proved(hooks[0])
    await desk.until_status(desk.id_of(unknown), desk.paid)


@pytest.mark.parametrize("desk", DESKS, indirect=True)
async def test_webhooks_out_of_order(desk: Desk) -> None:
    await desk.pay(MARK + BY_NAME["webhook_out_of_order"].number)
    wanted = desk.out_of_order
    assert [desk.told(hook)[1] for hook in await desk.world.hooks(len(wanted))] == wanted


@pytest.mark.parametrize("desk", DESKS, indirect=True)
async def test_not_found_at_first(desk: Desk) -> None:
    await desk.settings(speed=50)  # 200 ms
    made = await desk.pay(MARK + BY_NAME["not_found_at_first"].number, key="a1b2c3d4e5f6a7b8")
    assert await desk.status(desk.id_of(made)) is None
    assert await desk.newest("a1b2c3d4e5f6a7b8") == ""  # lists do not know it either
    other = await desk.pay()
    assert await desk.status(desk.id_of(other)) is not None
    await desk.until_status(desk.id_of(made), desk.paid)


@pytest.mark.parametrize("desk", [name for name, desk in DESKS.items() if desk.has_keys], indirect=True)
async def test_a_forgotten_key_makes_another_order(desk: Desk) -> None:
    minor, key = MARK + BY_NAME["key_forgotten"].number, "a1b2c3d4e5f6a7b8"
    first = await desk.pay(minor, key=key)
    await desk.until_status(desk.id_of(first), desk.paid)
    again = await desk.pay(minor, key=key)
    if not desk.forgotten_key_pays:
        assert 400 <= again.status < 500
        return
    assert desk.id_of(again) != desk.id_of(first)
    await desk.until_kinds("sent", "sent")
    (double,) = (await desk.control("GET", "ledger/summary"))["doublePayments"]
    assert double["count"] == 2


@pytest.mark.parametrize("desk", DESKS, indirect=True)
async def test_slow_payouts_and_slow_answers(desk: Desk) -> None:
    begin = time.monotonic()
    slow = await desk.pay(MARK + BY_NAME["slow"].number)
    await desk.until_status(desk.id_of(slow), desk.paid)
    assert time.monotonic() - begin >= 0.03
    await desk.settings(speed=50)
    begin = time.monotonic()
    await desk.pay(MARK + BY_NAME["answer_slow"].number)
    assert time.monotonic() - begin >= 0.06


# --- how they are chosen


@pytest.mark.parametrize("desk", DESKS, indirect=True)
async def test_chosen_by_header_and_beforehand(desk: Desk) -> None:
    async def ended(answer: Any) -> Any:
        return await desk.until_status(desk.id_of(answer), desk.ends["rejected_by_bank"][0], desk.paid)

    assert await ended(await desk.pay(headers={"X-Sandbox-Scenario": "rejected_by_bank"})) != desk.paid
    await desk.control("POST", "scenarios", {"name": "rejected_by_bank", "times": 2, "match": {"contains": "mine"}})
    listed = await desk.control("GET", "scenarios")
    assert listed["chosen"] == [{"name": "rejected_by_bank", "times": 2, "match": {"contains": "mine"}, "hits": 0}]
    assert await ended(await desk.pay()) == desk.paid
    assert await ended(await desk.pay(key="mine000000000001")) != desk.paid
    assert await ended(await desk.pay(key="mine000000000002")) != desk.paid
    assert await ended(await desk.pay(key="mine000000000003")) == desk.paid
    await desk.control("POST", "scenarios", {"name": "rejected by bank", "times": None})
    await desk.control("DELETE", "scenarios")
    assert await ended(await desk.pay()) == desk.paid
    unknown = await desk.pay(headers={"X-Sandbox-Scenario": "levitates"})
    assert unknown.status == 400
    assert "levitates" in unknown.json["error"]


@pytest.mark.parametrize("desk", DESKS, indirect=True)
async def test_what_is_offered(desk: Desk) -> None:
    listed = await desk.control("GET", "scenarios")
    names = [line["name"] for line in listed["scenarios"]]
    assert names == [scenario for name, scenario in OFFERED if name == desk.name]
    assert all(line["tells"].endswith(".") for line in listed["scenarios"])
    assert listed["scenarios"][0]["amount"].replace(".", "").startswith("77701")
    missing = next(scenario.name for scenario in SCENARIOS if scenario.name not in names)
    refused = await desk.world.call("POST", f"/_sandbox/{desk.name}/scenarios", json={"name": missing})
    assert refused.status == 400
    assert (await desk.pay(headers={"X-Sandbox-Scenario": missing})).status == 400


@pytest.mark.parametrize("desk", DESKS, indirect=True)
async def test_amounts_choose_nothing_when_they_are_told_not_to(desk: Desk) -> None:
    await desk.settings(scenarioAmounts=False)
    answer = await desk.pay(MARK + BY_NAME["rejected_by_bank"].number)
    await desk.until_status(desk.id_of(answer), desk.paid)


@pytest.mark.parametrize("desk", ["pivot"], indirect=True)
async def test_each_row_of_a_batch_has_its_own(desk: Desk) -> None:
    names = ("paid", "failed", "recipient_limit", "stuck", "cancelled", "paid_then_returned")
    rows = [
        {
            "referenceId": name,
            "channelCode": "BCA",
            "channelInformation": {"accountNumber": "999966660002", "accountName": "x"},
            "amount": {"value": str(MARK + BY_NAME[name].number), "currency": "IDR"},
        }
        for name in names
    ]
    made = await desk.call("POST", "/v1/payouts", json={"payouts": rows}, headers={"X-REQUEST-ID": "b" * 20})
    await desk.until_status("paid_then_returned", "FAILED")
    read = await desk.call("GET", f"/v1/payouts/{made.json['data']['uuid']}")
    assert [(row["status"], row["reason"]) for row in read.json["data"]["payouts"]] == [
        ("SUCCESS", ""),
        ("FAILED", "Failed to process by Bank Network"),
        ("FAILED", "Declined due to beneficiary limit"),
        ("PENDING", ""),
        ("CANCELLED", ""),
        ("FAILED", "Unknown Bank Network error"),
    ]
    assert await desk.kinds() == ["sent", "sent", "returned"]


@pytest.mark.parametrize("desk", ["pivot"], indirect=True)
async def test_no_funds_waits_for_a_retry_after_a_top_up(desk: Desk) -> None:
    answer = await desk.pay(MARK + BY_NAME["no_funds"].number, key="a1b2c3d4e5f6a7b8")
    await desk.until_status(desk.id_of(answer), "APPROVED")
    assert await desk.kinds() == []
    await desk.control("POST", "payouts/a1b2c3d4e5f6a7b8/advance", {"to": "IN_PROGRESS"})
    await desk.until_kinds("sent")


@pytest.mark.parametrize("desk", ["plexy"], indirect=True)
async def test_a_lost_first_try_without_a_key_lets_every_second_one_through(desk: Desk) -> None:
    minor = MARK + BY_NAME["answer_lost_and_not_paid"].number
    for _ in range(2):
        with pytest.raises(aiohttp.ClientError):
            await desk.pay(minor)
        assert (await desk.pay(minor)).status == 200
    await desk.until_kinds("sent", "sent")
