"""Manual payouts: who said so and how they know; and what may have been sent stays reserved until a person says otherwise."""

import asyncio

import pytest
from world import BANK


async def mark(shop, payout_id, what, **body):
    return await shop.call("POST", f"/api/v1/payouts/{payout_id}/{what}", body)


@pytest.mark.parametrize(
    ("what", "body", "step"),
    [
        ("mark-paid", {"reference": "WIRE-1"}, "payout.paid"),
        ("mark-failed", {"failureReason": "the bank sent it back"}, "payout.failed"),
        ("mark-returned", {"reason": "account closed"}, "payout.returned"),
    ],
)
async def test_evidence_and_who_gave_it_are_kept(world, shop, what, body, step):
    made = await shop.pay(provider="manual", **BANK)
    await mark(shop, made["id"], "mark-in-transit")
    if what == "mark-returned":
        await mark(shop, made["id"], "mark-paid", evidence="statement of 3 March, line 17")
    status, answer = await mark(shop, made["id"], what, **body, evidence="statement of 9 March, line 2")
    assert status == 200, answer
    last = (await shop.timeline(made["id"]))[-1]
    assert (last["type"], last["evidence"]) == (step, "statement of 9 March, line 2")
    assert last["source"].startswith("key:")
    words = body.get("failureReason") or body.get("reason")
    assert words is None or words in last["reason"], "the timeline says it in the words that were given"
    pool = world.gateways[0].pool
    kept = await pool.fetchrow("select source, detail from report where source like 'key:%' order by id desc limit 1")
    assert kept["source"] == last["source"]
    assert kept["detail"]["evidence"] == "statement of 9 March, line 2"


async def test_evidence_is_optional_short_and_part_of_what_a_key_stands_for(shop):
    made = await shop.pay(provider="manual", **BANK)
    await mark(shop, made["id"], "mark-in-transit")
    for wrong in ("", "x" * 501, "two\nlines", 7):
        status, answer = await mark(shop, made["id"], "mark-paid", evidence=wrong)
        assert (status, answer["error"]["field"]) == (400, "evidence")
    path = f"/api/v1/payouts/{made['id']}/mark-paid"
    first = await shop.call("POST", path, {"evidence": "receipt 5"}, key="k1")
    other = await shop.call("POST", path, {"evidence": "receipt 6"}, key="k1")
    assert (first[0], other[0]) == (200, 409)
    *earlier, last = [step["evidence"] for step in await shop.timeline(made["id"])]
    assert (set(earlier), last) == ({None}, "receipt 5")


async def test_what_is_on_the_operators_desk_may_have_been_sent(world, shop):
    """From the moment it is on the desk: its money is reserved, it goes out nowhere else, and only a person ends that."""
    pool = world.gateways[0].pool
    made = await shop.pay(provider="manual", **BANK)
    async with asyncio.timeout(5):
        while await pool.fetchval("select state from attempt") != "pending":
            await asyncio.sleep(0.02)

    async def exposed():
        await asyncio.sleep(0.5)  # the loops have every chance to do something foolish
        assert [tuple(row) for row in await pool.fetch("select number, exposure from attempt")] == [(1, "open")]
        assert (await shop.balance())["locked"] == 150_000_00

    await exposed()
    await mark(shop, made["id"], "mark-in-transit", reference="WIRE-1")
    await exposed()
    status, answer = await shop.call("POST", f"/api/v1/payouts/{made['id']}/cancel", {})
    assert (status, answer["error"]["code"]) == (409, "state_conflict")
    await exposed()
    status, answer = await mark(shop, made["id"], "mark-failed", failureReason="bounced", evidence="mail of the bank")
    assert (status, answer["data"]["status"]) == (200, "failed")
    assert await pool.fetchval("select exposure from attempt") == "closed"
    assert (await shop.balance())["locked"] == 0
