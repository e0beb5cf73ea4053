"""What waits for a person is found, whatever its phase: by lists, by the operator's command, and in the log."""

import asyncio
import json
import re

import pytest
from world import BANK, newest_attempt

from gateway.recording import Said
from schemas.report import Progress, Taken
from tests.forked import Forked


@pytest.fixture
async def merchant(world):
    await world.start_gateway()
    return await world.merchant(providers=("pivot", "manual"))


async def contradict(world, merchant):
    """A payout of which Pivot says that it failed, after it had called it paid; twice, as a notice and a poll would."""
    payout = await merchant.pay(provider="pivot", **BANK)
    await merchant.until(payout["id"], "paid")
    gateway = world.gateways[0]
    attempt = await newest_attempt(gateway.pool, payout)
    for _ in range(2):
        failed = Taken(Progress.FAILED)
        await gateway.apply(Said(account_id=merchant.account_id, attempt_id=attempt.id, report=failed, source="poll"))
    return await merchant.payout(payout["id"])


async def listed(merchant, query):
    status, answer = await merchant.call("GET", f"/api/v1/payouts?{query}")
    assert status == 200, answer
    return [payout["id"] for payout in answer["data"]]


async def test_a_contradicted_payout_is_listed_although_it_stays_paid(world, merchant):
    payout = await contradict(world, merchant)
    nobodys = await merchant.pay(provider="manual", **BANK)
    waiting = await merchant.on_desk()
    assert payout["phase"] == "paid"
    assert await listed(merchant, "needsPerson=true") == [waiting["id"], payout["id"]]
    assert await listed(merchant, "needsPerson=true&phase=paid") == [payout["id"]]
    assert await listed(merchant, "needsPerson=true&limit=1") == [waiting["id"]]
    assert await listed(merchant, "needsPerson=false") == [nobodys["id"]]


async def test_the_log_says_once_that_it_needs_a_person(world, merchant, capsys):
    payout = await contradict(world, merchant)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]
    [said] = [line for line in lines if line["event"] == "payout.needs_review"]
    assert (said["level"], said["payout"], said["phase"]) == ("error", payout["id"], "paid")
    assert said["reason"] == payout["reviewReason"]


async def desk_list(world, *words):
    """What `payout-gateway desk list` prints, as a process of its own."""
    with Forked("gateway.cli", "desk", "list", *words, env={"GATEWAY_DATABASE_URL": world.dsn}) as process:
        out, err = await asyncio.to_thread(process.communicate, 20)
    assert process.returncode == 0, err
    return out.splitlines()


async def test_the_operators_command_lists_all_accounts_the_longest_first(world, merchant):
    payout = await contradict(world, merchant)
    other = await world.merchant(providers=("manual",))
    waiting = await other.on_desk()
    pool = world.gateways[0].pool
    first, second = await desk_list(world)
    found = re.fullmatch(
        r"(\S+)  (\S+)  paid +since \d{4}-\d\d-\d\d \d\d:\d\d UTC  (IDR [\d,.]+)  pivot id (\S+) key (\S+)  (.+)", first
    )
    theirs = await pool.fetchrow("select submission_ref, key from attempt where payout_id = $1", payout["id"])
    assert found.groups() == (
        *(payout["id"], merchant.account_id, "IDR 150,000.00"),
        *(theirs["submission_ref"], theirs["key"], payout["reviewReason"]),
    )
    assert second.startswith(f"{waiting['id']}  {other.account_id}  needs_review  since ")
    assert second.endswith("nobody knows what became of it")
    assert await desk_list(world, other.account_id) == [second]
