"""How misbehaviour is ordered: by fault, header and script, and how it is matched, listed, refused and taken back.

What each fault does at each provider is in `test_answer_faults` and `test_webhook_faults`.
"""

import asyncio
import time
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from providers.sandbox.server import SANDBOXES
from providers.sandbox.steps import KINDS as ALL_KINDS
from tests.sandboxes.desks import DESKS
from tests.sandboxes.shop import Shop


@pytest.fixture
async def shop(world: Any) -> Shop:
    return await Shop(world).open()


async def test_match_probability_and_clearing(shop: Shop, world: Any) -> None:
    await world.fault("pivot", "create_payout", "refuse", match={"contains": '"bad"'})
    assert (await shop.create("bad")).status == 422
    assert (await shop.create("fine")).status == 200
    fault = await world.fault("pivot", "*", "status", probability=0.0)
    assert (await shop.find("fine")).status == 200
    await world.control("pivot", "DELETE", f"faults/{fault}")
    await world.control("pivot", "DELETE", "faults")
    assert (await shop.create("bad")).status == 200


async def test_faults_that_make_no_sense_are_refused(world: Any) -> None:
    for body in (
        {"operation": "create", "kind": "drop"},
        {"operation": "webhook", "kind": "drop"},
        {"operation": "create_payout", "kind": "twice"},
        {"operation": "create_payout", "kind": "explode"},
        {"operation": "create_payout", "kind": "drop", "tmes": 1},
        {"operation": "create_payout", "kind": "drop", "params": {"ms": 1}},
        {"operation": "create_payout", "kind": "slow", "params": {"ms": -1}},
        {"operation": "create_payout", "kind": "wrong_echo", "when": "before"},
        {"operation": "create_payout", "kind": "wrong_echo", "params": {"field": "colour"}},
        {"operation": "create_payout", "kind": "rate_limited", "params": {"form": "roman"}},
    ):
        assert (await world.call("POST", "/_sandbox/pivot/faults", json=body)).status == 400
    assert (await world.call("PATCH", "/_sandbox/pivot/settings", json={"doneAfter": 1})).status == 400
    assert (await world.call("POST", "/_sandbox/pivot/merchants", data=b"{")).status == 400


# --- by header and by script


async def test_a_header_asks_for_this_request_alone(shop: Shop, world: Any) -> None:
    async def order(reference: str, fault: str) -> Any:
        return await shop.create(reference, headers={"X-Sandbox-Fault": fault})

    with pytest.raises(aiohttp.ClientError):
        await order("after", "drop after")
    with pytest.raises(aiohttp.ClientError):
        await order("before", "drop")
    assert (await order("slow", "slow 20, status 503 after")).status == 503
    assert (await order("limited", "rate_limited 2 form=date")).headers["Retry-After"].endswith("GMT")
    assert (await order("fine", "ok")).status == 200
    assert (await order("wrong", "wrong_echo currency")).json["data"]["payouts"][0]["amount"]["currency"] == "XTS"
    for nonsense in ("explode", "slow fast", "drop 5", "twice between"):
        assert (await order("nonsense", nonsense)).status == 400
    await shop.until_paid("after", "fine", "slow", "wrong")


async def test_a_header_also_speaks_of_the_webhooks_and_reads_of_its_payout(shop: Shop, world: Any) -> None:
    await shop.create("quiet", headers={"X-Sandbox-Fault": "never, not_found_for 300"})
    await shop.create("twice", headers={"X-Sandbox-Fault": "twice"})
    assert (await shop.find("quiet")).json["code"] == "resource_missing"
    assert (await shop.find("twice")).status == 200
    hooks = await world.hooks(2)
    await shop.until_paid("quiet", "twice")
    assert {hook.json["data"]["payouts"]["referenceId"] for hook in hooks} == {"twice"}
    await world.restart()  # what was asked for one payout is remembered
    assert (await shop.find("quiet")).json["code"] in ("resource_missing", "00")


async def test_a_script_is_used_up_step_by_step(shop: Shop, world: Any) -> None:
    script = {
        "operation": "create_payout",
        "steps": ["drop after", "ok", {"kind": "status", "when": "after", "params": {"status": 502}}, "slow 30, refuse after"],
        "match": {"contains": '"s'},
    }
    made = await world.control("pivot", "POST", "scripts", script)
    with pytest.raises(aiohttp.ClientError):
        await shop.create("s1")
    assert (await shop.create("other")).status == 200  # does not match
    statuses = [(await shop.create(f"s{n}")).status for n in (2, 3, 4, 5)]
    assert statuses == [200, 502, 422, 200]
    await shop.until_paid("other", "s1", "s2", "s3", "s4", "s5")
    (shown,) = (await world.control("pivot", "GET", "faults"))["scripts"]
    assert (shown["id"], shown["done"]) == (made["id"], 4)
    await world.control("pivot", "DELETE", f"faults/{made['id']}")
    assert (await world.control("pivot", "GET", "faults"))["scripts"] == []


async def test_scripts_repeat_and_speak_of_webhooks(shop: Shop, world: Any) -> None:
    await world.control("pivot", "POST", "scripts", {"operation": "create_payout", "steps": ["refuse", "ok"], "repeat": True})
    assert [(await shop.create(f"r{n}")).status for n in range(5)] == [422, 200, 422, 200, 422]
    await world.hooks(2)
    world.receiver.hooks.clear()
    await world.control("pivot", "DELETE", "faults")
    await world.control("pivot", "POST", "scripts", {"operation": "webhook", "steps": ["never", "invented_status", "ok"]})
    for name in ("a", "b", "c"):
        await shop.create(name)
        await shop.until_paid("r1", "r3", *"abc"[: "abc".index(name) + 1])
    events = [hook.json["event"] for hook in await world.hooks(2)]
    assert events == ["PAYOUT.LEVITATING", "PAYOUT.SUCCESS"]


async def test_scripts_that_make_no_sense_are_refused(world: Any) -> None:
    for body in (
        {"operation": "create_payout", "steps": []},
        {"operation": "create_payout", "steps": ["explode"]},
        {"operation": "webhook", "steps": ["drop"]},
        {"operation": "levitate", "steps": ["drop"]},
        {"operation": "create_payout", "steps": [{"kind": "slow", "when": "never"}]},
    ):
        assert (await world.call("POST", "/_sandbox/pivot/scripts", json=body)).status == 400


async def test_the_kinds_are_listed(world: Any) -> None:
    listed = await world.control("pivot", "GET", "faults/kinds")
    assert [kind["kind"] for kind in listed["kinds"]] == list(ALL_KINDS)
    assert "create_payout" in listed["operations"]


async def test_a_rate_limited_answer_can_name_a_date_or_nothing(shop: Shop, world: Any) -> None:
    await world.fault("pivot", "create_payout", "rate_limited", times=1, params={"s": 60, "form": "date"})
    at = parsedate_to_datetime((await shop.create("p")).headers["Retry-After"]).timestamp()
    assert 50 < at - time.time() < 70
    await world.fault("pivot", "create_payout", "rate_limited", times=1, params={"form": "none"})
    assert "Retry-After" not in (await shop.create("p")).headers


@pytest.mark.parametrize("provider", SANDBOXES)
async def test_every_provider_answers_faults_in_its_own_words(world: Any, provider: str) -> None:
    for status in (401, 404, 429, 500, 503):
        await world.control(provider, "DELETE", "faults")
        await world.fault(provider, "create_payout", "status", params={"status": status})
        answer = await world.call("POST", f"/{provider}{DESKS[provider].create_path}", json={})
        assert answer.status == status
        assert {"code", "status", "error_code"} & set(answer.json)
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
