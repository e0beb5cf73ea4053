"""Misbehaviour on order, judged by what the client meets and by what the money file says."""

import asyncio
import time
import uuid
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from providers.sandbox.faults import Fault, FaultPlan
from providers.sandbox.server import SANDBOXES


class Shop:
    """A merchant at Pivot who creates payouts of one row."""

    def __init__(self, world: Any) -> None:
        self.world = world

    async def open(self) -> "Shop":
        wanted = {"callbackUrl": self.world.receiver.url}
        merchant = await self.world.control("pivot", "POST", "merchants", wanted)
        self.key = merchant["callbackApiKey"]
        headers = {"X-MERCHANT-ID": merchant["merchantId"], "X-MERCHANT-SECRET": merchant["merchantSecret"]}
        body = {"grantType": "client_credentials"}
        answer = await self.world.call("POST", "/pivot/v1/access-token", json=body, headers=headers)
        self.headers = {"Authorization": f"Bearer {answer.json['data']['accessToken']}"}
        return self

    async def create(self, reference: str, **options: Any) -> Any:
        row = {
            "referenceId": reference,
            "channelCode": "BCA",
            "channelInformation": {"accountNumber": "5551234", "accountName": "Somebody"},
            "amount": {"value": "10000", "currency": "IDR"},
        }
        headers = {**self.headers, "X-REQUEST-ID": uuid.uuid4().hex}
        return await self.world.call("POST", "/pivot/v1/payouts", json={"payouts": [row]}, headers=headers, **options)

    async def find(self, reference: str) -> Any:
        return await self.world.call("GET", f"/pivot/v1/payouts/{reference}?type=single", headers=self.headers)

    async def paid(self) -> list[str]:
        return [line["ourRef"] for line in await self.world.money("pivot")]


@pytest.fixture
async def shop(world: Any) -> Shop:
    return await Shop(world).open()


async def _cut(shop: Shop) -> None:
    with pytest.raises(aiohttp.ClientError):
        await shop.create("p")


async def _silent(shop: Shop) -> None:
    with pytest.raises(TimeoutError):
        await shop.create("p", timeout_s=0.1)


async def _html(shop: Shop) -> None:
    answer = await shop.create("p")
    assert (answer.status, answer.headers["Content-Type"].split(";")[0]) == (200, "text/html")


async def _bad_gateway(shop: Shop) -> None:
    answer = await shop.create("p")
    assert (answer.status, answer.json["code"], answer.headers["Retry-After"]) == (502, "service_unavailable", "7")


async def _redirected(shop: Shop) -> None:
    assert (await shop.create("p")).status == 307


async def _late(shop: Shop) -> None:
    begin = time.monotonic()
    await shop.create("p")
    assert time.monotonic() - begin > 0.05


async def _refused(shop: Shop) -> None:
    assert (await shop.create("p")).json["code"] == "daily_payout_limit_exceeded"


KINDS: dict[str, tuple[dict[str, Any], Any]] = {
    "drop": ({}, _cut),
    "hang": ({}, _silent),
    "half_body": ({}, _cut),
    "wrong_content_type": ({}, _html),
    "status": ({"status": 502, "headers": {"Retry-After": "7"}}, _bad_gateway),
    "redirect": ({}, _redirected),
    "slow": ({"ms": 60}, _late),
    "refuse": ({"code": "daily_payout_limit_exceeded"}, _refused),
}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", KINDS)
async def test_the_money_depends_on_when_and_not_on_the_answer(shop: Shop, world: Any, kind: str, when: str) -> None:
    params, meets = KINDS[kind]
    await world.fault("pivot", "create_payout", kind, when=when, times=1, params=params)
    await meets(shop)
    assert (await shop.create("next")).status == 200  # once only
    happened = when == "after" or kind == "slow"

    async def next_is_paid() -> bool:
        return "next" in await shop.paid()

    await world.until(next_is_paid)
    assert sorted(await shop.paid()) == (["next", "p"] if happened else ["next"])
    (fault,) = (await world.control("pivot", "GET", "faults"))["faults"]
    assert fault["hits"] == 1
    log = await world.control("pivot", "GET", "requests")
    assert log["operations"]["create_payout"] == 2
    entry = next(entry for entry in log["requests"] if entry["operation"] == "create_payout")
    assert (entry["fault"], entry["method"], entry["path"]) == (kind, "POST", "/pivot/v1/payouts")
    assert entry["status"] == (None if kind in ("drop", "hang") else entry["status"])


async def test_reads_may_lie_for_a_while(shop: Shop, world: Any) -> None:
    await world.fault("pivot", "find_payout", "not_found_for", params={"ms": 300})
    await shop.create("p")
    assert (await shop.find("p")).json["code"] == "resource_missing"

    async def seen() -> bool:
        return bool((await shop.find("p")).status == 200)

    await world.until(seen)


async def test_match_probability_and_clearing(shop: Shop, world: Any) -> None:
    await world.fault("pivot", "create_payout", "refuse", match={"contains": '"bad"'})
    assert (await shop.create("bad")).status == 422
    assert (await shop.create("fine")).status == 200
    fault = await world.fault("pivot", "*", "status", probability=0.0)
    assert (await shop.find("fine")).status == 200
    await world.control("pivot", "DELETE", f"faults/{fault}")
    await world.control("pivot", "DELETE", "faults")
    assert (await shop.create("bad")).status == 200


def test_chance_repeats_with_the_seed() -> None:
    def draw(seed: str) -> list[bool]:
        plan = FaultPlan(seed)
        plan.add(Fault(operation="create_payout", kind="drop", probability=0.5))
        return [plan.for_request("create_payout", "before", "") is not None for _ in range(64)]

    assert draw("1/pivot") == draw("1/pivot") != draw("2/pivot")
    assert 10 < sum(draw("1/pivot")) < 54


async def test_faults_that_make_no_sense_are_refused(world: Any) -> None:
    for body in (
        {"operation": "create", "kind": "drop"},
        {"operation": "webhook", "kind": "drop"},
        {"operation": "create_payout", "kind": "twice"},
        {"operation": "create_payout", "kind": "explode"},
        {"operation": "create_payout", "kind": "drop", "tmes": 1},
    ):
        assert (await world.call("POST", "/_sandbox/pivot/faults", json=body)).status == 400
    assert (await world.call("PATCH", "/_sandbox/pivot/settings", json={"doneAfter": 1})).status == 400
    assert (await world.call("POST", "/_sandbox/pivot/merchants", data=b"{")).status == 400


async def test_webhook_never(shop: Shop, world: Any) -> None:
    await world.fault("pivot", "webhook", "never", times=1)
    await shop.create("quiet")
    await shop.create("loud")
    await world.hooks(1)
    await asyncio.sleep(0.03)
    assert [hook.json["data"]["payouts"]["referenceId"] for hook in world.receiver.hooks] == ["loud"]
    assert sorted(await shop.paid()) == ["loud", "quiet"]


async def test_webhook_twice(shop: Shop, world: Any) -> None:
    await world.fault("pivot", "webhook", "twice", match={"contains": "two"})
    await shop.create("two")
    first, second = await world.hooks(2)
    assert first.raw == second.raw


async def test_webhook_late(shop: Shop, world: Any) -> None:
    await world.fault("pivot", "webhook", "late", params={"ms": 80})
    begin = time.monotonic()
    await shop.create("p")
    await world.hooks(1)
    assert time.monotonic() - begin > 0.08


async def test_webhook_before_the_answer(shop: Shop, world: Any) -> None:
    await world.settings("pivot", doneAfterMs=60_000)
    await world.fault("pivot", "webhook", "before_answer", times=1)
    answer = await shop.create("p")
    assert answer.json["data"]["status"] == "IN_PROGRESS"
    assert [hook.json["event"] for hook in world.receiver.hooks] == ["PAYOUT.SUCCESS"]
    assert await shop.paid() == ["p"]


async def test_webhook_forged_is_sent_once_with_a_wrong_proof(shop: Shop, world: Any) -> None:
    world.receiver.statuses = [500]
    await world.fault("pivot", "webhook", "forged")
    await shop.create("p")
    (hook,) = await world.hooks(1)
    assert hook.headers["X-API-Key"] != shop.key

    async def given_up() -> bool:
        return bool((await world.control("pivot", "GET", "deliveries"))["waiting"] == 0)

    await world.until(given_up)
    assert len(world.receiver.hooks) == 1


async def test_webhook_with_an_invented_status(shop: Shop, world: Any) -> None:
    await world.fault("pivot", "webhook", "invented_status")
    await shop.create("p")
    (hook,) = await world.hooks(1)
    assert hook.json["event"] == "PAYOUT.LEVITATING"
    assert hook.headers["X-API-Key"] == shop.key


@pytest.mark.parametrize("provider", SANDBOXES)
async def test_every_provider_answers_faults_in_its_own_words(world: Any, provider: str) -> None:
    for status in (401, 404, 429, 500, 503):
        await world.control(provider, "DELETE", "faults")
        await world.fault(provider, "create_payout", "status", params={"status": status})
        path = "/plexy/v1/payout" if provider == "plexy" else "/mollie/v2/payouts"
        answer = await world.call("POST", "/pivot/v1/payouts" if provider == "pivot" else path, json={})
        assert answer.status == status
        assert {"code", "status"} & set(answer.json)
    lost = await world.call("GET", f"/{provider}/v9/nothing")
    assert lost.status == 404
    assert lost.json


async def test_a_hanging_answer_does_not_hold_up_the_shutdown(shop: Shop, world: Any) -> None:
    await world.fault("pivot", "create_payout", "hang")
    hanging = asyncio.create_task(shop.create("p", timeout_s=30))
    await asyncio.sleep(0.05)
    begin = time.monotonic()
    await world.server.close()
    assert time.monotonic() - begin < 2
    with pytest.raises(aiohttp.ClientError):
        await hanging


async def test_nothing_secret_is_logged_or_shown(shop: Shop, world: Any, tmp_path: Path) -> None:
    await shop.create("p")
    shown = str(await world.control("pivot", "GET", "requests")) + str(await world.control("pivot", "GET", "merchants"))
    money = (tmp_path / "pivot.money.jsonl").read_text()
    assert shop.headers["Authorization"].split()[1] not in shown + money
    assert shop.key not in shown
    assert "5551234" not in shown + money
