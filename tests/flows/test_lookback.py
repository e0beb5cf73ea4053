"""The look-back with the Mollie sandbox: what was made, hidden or changed behind our back is found, and nothing else."""

import asyncio

import pytest
from test_books import check_invariants
from world import BANK

from gateway.lookback import LookBack, Outcome
from gateway.loops import SomeFailedError
from gateway.store.incidents import list_incidents
from schemas.incident import IncidentKind

EUR_PAYOUT = {"amount": 250_00, "currency": "EUR", "destination": {"type": "balance"}, "provider": "mollie"}
MANY = 50


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """What was made a moment ago counts as settled: only the visibility time of the quick contracts has to pass."""
    monkeypatch.setattr("gateway.lookback.SETTLED_S", 0.0)


@pytest.fixture
async def shop(world):
    await world.start_gateway()
    await world.control("PATCH", "mollie", "settings", {"initiatedAfterMs": 0, "atBankAfterMs": 0, "completedAfterMs": 0})
    merchant = await world.merchant(providers=("mollie", "plexy"))
    # Their rows are dated to the second, so what is made at once would seem older than the connection.
    await world.gateways[0].pool.execute("update connection set created_at = created_at - interval '1 minute'")
    return merchant


async def pay(shop):
    made = await shop.pay(**EUR_PAYOUT)
    await shop.until(made["id"], "paid", timeout_s=30)
    return made


async def look(world, shop, provider="mollie"):
    """What a look-back finds, once all that was made is old enough to be compared."""
    await asyncio.sleep(0.6)
    return await world.gateways[0].lookback.now(shop.connections[provider])


async def told(world):
    """{(kind, subject)} of all incidents."""
    return {(one.kind, one.subject) for one in await list_incidents(world.gateways[0].pool, also_closed=True)}


async def attempt_of(world, payout):
    """(attempt id, their id) of a payout."""
    return tuple(
        await world.gateways[0].pool.fetchrow("select id, provider_ref from attempt where payout_id = $1", payout["id"])
    )


def hide(sandbox, provider_ref):
    """The sandbox lists it no more; asked for it by name it still knows it."""
    sandbox._of_merchant[sandbox.payouts.rows[provider_ref].merchant].remove(provider_ref)


async def behind_our_back(world, shop, **fields):
    """A payout of the same balance that the dashboard made."""
    settings = await world.gateways[0].pool.fetchval(
        "select settings from connection where id = $1", shop.connections["mollie"]
    )
    form = {"balanceId": settings["balance_id"], "amount": "7.00", "description": "Settlement"} | fields
    return (await world.control("POST", "mollie", "payouts", form))["id"]


async def test_a_clean_world_raises_no_alarm_and_whatever_is_planted_in_it_is_found(world, shop):
    made = [await shop.pay(**EUR_PAYOUT | {"amount": 250_00 + number}) for number in range(MANY)]
    async with asyncio.timeout(90):
        while await world.gateways[0].pool.fetchval("select count(*) from payout where phase = 'paid'") < MANY:
            await asyncio.sleep(0.1)
    found = await look(world, shop)
    assert (found.outcome, found.rows, found.differences, found.doubts) == (Outcome.COMPLETE, MANY, [], 0)

    mollie = world.sandboxes["mollie"]
    planted = {(IncidentKind.UNKNOWN_PAYOUT, await behind_our_back(world, shop, amount=f"7.{n:02d}")) for n in range(5)}
    for payout in made[:5]:
        attempt_id, provider_ref = await attempt_of(world, payout)
        hide(mollie, provider_ref)
        planted.add((IncidentKind.MISSING_PAYOUT, attempt_id))
    for payout in made[5:10]:
        attempt_id, provider_ref = await attempt_of(world, payout)
        mollie.payouts.rows[provider_ref].amount_minor += 1
        planted.add((IncidentKind.DIFFERENT_PAYOUT, attempt_id))
    attempt_id, _ = await attempt_of(world, made[10])
    planted.add((IncidentKind.UNKNOWN_PAYOUT, await behind_our_back(world, shop, description=attempt_id)))

    found = await look(world, shop)
    assert await told(world) == planted
    assert (len(found.differences), found.new, found.outcome) == (16, 16, Outcome.COMPLETE)
    found = await look(world, shop)
    assert (len(found.differences), found.new) == (16, 0), "each is told once"
    assert await told(world) == planted
    sample = world.gateways[0].metrics.registry.get_sample_value
    counted = {
        kind: sample("gateway_lookback_differences_total", {"provider": "mollie", "kind": kind})
        for kind in ("unknown_payout", "missing_payout", "different_payout")
    }
    assert counted == {"unknown_payout": 6, "missing_payout": 5, "different_payout": 5}
    [twice] = [one for one in await list_incidents(world.gateways[0].pool) if one.attempt_id == attempt_id]
    assert "perhaps it was paid twice" in twice.detail
    assert {(await shop.payout(payout["id"]))["phase"] for payout in made} == {"paid"}, "nothing was believed"
    await check_invariants(world.gateways[0].pool)


async def test_another_state_is_read_again_before_anybody_is_alarmed(world, shop):
    """Ours is behind: a notice and its read were lost. The look-back makes it due, and all is well."""
    gateway = world.gateways[0]
    await world.control("POST", "mollie", "faults", {"operation": "webhook", "kind": "never"})
    await world.control("PATCH", "mollie", "settings", {"completedAfterMs": 3_600_000})
    made = await shop.pay(**EUR_PAYOUT)
    await shop.until(made["id"], "processing")
    async with asyncio.timeout(10):
        while (await shop.payout(made["id"]))["status"] != "in_transit":
            await asyncio.sleep(0.02)
    attempt_id, provider_ref = await attempt_of(world, made)
    await gateway.reconciler.close()
    await world.control("POST", "mollie", f"payouts/{provider_ref}/advance", {"to": "completed"})
    await gateway.pool.execute("update attempt set check_at = now() + interval '1 day' where id = $1", attempt_id)
    found = await look(world, shop)
    assert (found.doubts, found.differences) == (1, [])
    again = await look(world, shop)
    assert (again.doubts, again.differences) == (1, []), "it was not read meanwhile, so nothing is confirmed"
    assert await gateway.pool.fetchval("select check_at <= now() from attempt where id = $1", attempt_id)
    await gateway.reconciler.round()
    assert (await shop.payout(made["id"]))["phase"] == "paid"
    found = await look(world, shop)
    assert (found.doubts, found.differences, await told(world)) == (0, [], set())
    assert await gateway.pool.fetchval("select count(*) from lookback_doubt") == 0


async def test_another_state_that_reading_does_not_explain_is_an_incident(world, shop):
    gateway = world.gateways[0]
    made = await pay(shop)
    attempt_id, provider_ref = await attempt_of(world, made)
    world.sandboxes["mollie"].payouts.rows[provider_ref].status = "canceled"
    found = await look(world, shop)
    assert (found.doubts, found.differences, await told(world)) == (1, [], set())
    async with asyncio.timeout(10):
        while (await shop.payout(made["id"]))["reviewReason"] is None:
            await asyncio.sleep(0.02)
    found = await look(world, shop)
    assert [(one.kind, one.subject) for one in found.differences] == [(IncidentKind.DIFFERENT_PAYOUT, attempt_id)]
    assert "also after it was read again" in found.differences[0].detail
    await look(world, shop)
    await look(world, shop)
    assert await told(world) == {(IncidentKind.DIFFERENT_PAYOUT, attempt_id)}
    assert (await shop.payout(made["id"]))["phase"] == "paid"
    await check_invariants(gateway.pool)


async def test_what_is_being_sent_keeps_its_lease(world, shop):
    """The time that would be moved is the lease of whoever sends it."""
    gateway = world.gateways[0]
    made = await pay(shop)
    attempt_id, _ = await attempt_of(world, made)
    await gateway.reconciler.close()
    from gateway.store.lookbacks import DueLookBack, read_soon

    now = await gateway.pool.fetchval("select now()")
    due = DueLookBack(
        account_id=shop.account_id, connection_id=shop.connections["mollie"], provider="mollie", since=now, now=now
    )
    await gateway.pool.execute("alter table attempt disable trigger user; alter table attempt drop constraint attempt_check1")
    for state, age_s, moved in [
        ("sending", 900, False),
        ("unconfirmed", 10, False),
        ("unconfirmed", 900, True),
        ("paid", 0, True),
    ]:
        await gateway.pool.execute(
            "update attempt set state = $2, check_at = now() + interval '1 h', last_sent_at = now() - make_interval(secs => $3)"
            " where id = $1",
            attempt_id, state, float(age_s),
        )  # fmt: skip
        await read_soon(gateway.pool, due, [attempt_id], lease_s=90.0)
        assert await gateway.pool.fetchval("select check_at <= now() from attempt where id = $1", attempt_id) is moved, state


@pytest.mark.parametrize("step", ["drop", "status 500", "wrong_content_type"])
async def test_a_list_that_cannot_be_read_proves_nothing_and_is_asked_for_again(world, shop, step):
    gateway = world.gateways[0]
    made = await pay(shop)
    hide(world.sandboxes["mollie"], (await attempt_of(world, made))[1])
    await world.control("POST", "mollie", "scripts", {"operation": "list_payouts", "steps": [step], "repeat": True})
    found = await look(world, shop)
    assert (found.outcome, found.rows, await told(world)) == (Outcome.UNREAD, 0, set())
    row = await gateway.pool.fetchrow(
        """select looked_back_until, look_back_at - now() between interval '50 minutes' and interval '70 minutes' as soon
             from connection where id = $1""",
        shop.connections["mollie"],
    )
    assert tuple(row) == (None, True)
    await world.control("DELETE", "mollie", "faults")
    assert (await look(world, shop)).new == 1


async def test_a_list_that_ends_early_tells_what_is_on_it_and_nothing_of_what_is_not(world, shop, monkeypatch):
    monkeypatch.setattr("providers.mollie.history.MAX_PAGES", 1)
    monkeypatch.setattr("providers.mollie.connector.PER_PAGE", 2)
    made = await pay(shop)
    hide(world.sandboxes["mollie"], (await attempt_of(world, made))[1])
    theirs = {await behind_our_back(world, shop) for _ in range(3)}
    found = await look(world, shop)
    assert (found.outcome, found.rows) == (Outcome.PARTIAL, 2)
    kinds = await told(world)
    assert {kind for kind, _ in kinds} == {IncidentKind.UNKNOWN_PAYOUT}
    assert {subject for _, subject in kinds} < theirs
    assert await world.gateways[0].pool.fetchval("select count(*) from connection where looked_back_until is not null") == 0


async def test_each_connection_is_compared_once_a_day_by_one_process(world, shop):
    gateway = world.gateways[0]
    other = LookBack(gateway.pool, gateway.connections, gateway.metrics)

    async def lists():
        operations = (await world.control("GET", "mollie", "requests"))["operations"]
        return operations.get("list_payouts", 0)

    await gateway.lookback.close()
    await gateway.lookback.round()
    assert await lists() == 0, "a connection that is not a day old has nothing to be compared with"
    await gateway.pool.execute("update connection set created_at = created_at - interval '2 days'")
    for _ in range(20):
        claims = await asyncio.gather(*(loop._claim(limit=5) for loop in (gateway.lookback, other) for _ in range(4)))
        assert sorted(due.provider for claim in claims for due in claim) == ["mollie", "plexy"]
        await gateway.pool.execute("update connection set look_back_at = null")
    await asyncio.gather(gateway.lookback.round(), other.round(), gateway.lookback.round())
    await other.round()
    assert await lists() == 1
    made = await pay(shop)
    hide(world.sandboxes["mollie"], (await attempt_of(world, made))[1])
    await asyncio.sleep(0.6)
    await gateway.lookback.round()
    assert (await lists(), await told(world)) == (1, set())
    await gateway.pool.execute("update connection set look_back_at = look_back_at - interval '1 day'")
    await gateway.lookback.round()
    assert await lists() == 2
    assert {kind for kind, _ in await told(world)} == {IncidentKind.MISSING_PAYOUT}
    await gateway.gauges.fill()
    age_s = gateway.metrics.registry.get_sample_value("gateway_lookback_age_seconds", {"provider": "mollie"})
    assert 0 < age_s < 60


async def test_one_connection_that_cannot_be_compared_keeps_no_other_from_being_compared(world):
    """One cannot be opened, one fails by an error of ours, and both are the first to be compared, hour after hour."""
    gateway = await world.start_gateway()
    await gateway.lookback.close()
    sealed, spoilt, *others = [await world.merchant(providers=("mollie",)) for _ in range(4)]
    await sealed.lose_secrets("mollie")
    pool = gateway.pool
    spoilt_id = spoilt.connections["mollie"]
    await pool.execute(f"alter table connection add constraint spoilt check (id <> '{spoilt_id}' or looked_back_until is null)")
    for shops, due_since in (((sealed, spoilt), "2 hours"), (others, "1 hour")):
        ids = [shop.connections["mollie"] for shop in shops]
        due = f"created_at = created_at - interval '3 days', look_back_at = now() - interval '{due_since}'"
        await pool.execute(f"update connection set {due} where id = any ($1)", ids)
    with pytest.raises(SomeFailedError, match="1 of the round failed"):
        await gateway.lookback.round()
    compared = await pool.fetch("select id from connection where looked_back_until is not null")
    assert {row["id"] for row in compared} == {shop.connections["mollie"] for shop in others}
    sample = gateway.metrics.registry.get_sample_value
    outcomes = {
        outcome: sample("gateway_lookbacks_total", {"provider": "mollie", "outcome": outcome})
        for outcome in ("complete", "partial", "unread", "failed")
    }
    assert outcomes == {"complete": 2, "partial": None, "unread": 1, "failed": 1}
    again = await pool.fetch("select id from connection where look_back_at < now() + interval '70 minutes'")
    assert {row["id"] for row in again} == {shop.connections["mollie"] for shop in (sealed, spoilt)}, "in an hour, not in a day"


async def test_a_window_begins_a_day_before_the_last_one_ended_or_with_the_oldest_doubt(world, shop):
    gateway = world.gateways[0]
    made = await pay(shop)
    attempt_id, _ = await attempt_of(world, made)
    await gateway.pool.execute(
        """update connection set created_at = now() - interval '60 days', looked_back_until = now() - interval '3 hours'"""
    )

    async def since_hours():
        found = await look(world, shop)
        return round((found.until - found.since).total_seconds() / 3600)

    assert await since_hours() == 27
    await gateway.pool.execute("alter table attempt disable trigger user")
    await gateway.pool.execute("update attempt set sent_at = now() - interval '5 days'")
    await gateway.pool.execute(
        "insert into lookback_doubt select account_id, connection_id, id, 'paid', 'returned' from attempt where id = $1",
        attempt_id,
    )
    assert await since_hours() == 120
    assert await since_hours() == 24, "the doubt is gone"
    await gateway.pool.execute("update connection set looked_back_until = null")
    assert await since_hours() == 720, "a list that can never be read to its end is not asked for further and further back"


async def test_plexys_payments_are_no_payouts_of_ours(world, shop):
    card = await shop.save_card()
    for _ in range(3):
        made = await shop.pay(amount=5_000_00, currency="KZT", destination={"type": "card", "cardId": card})
        await shop.until(made["id"], "paid")
    found = await look(world, shop, "plexy")
    assert (found.outcome, found.rows, found.differences, found.doubts) == (Outcome.COMPLETE, 3, [], 0)
    # Somebody else's, as far as we know: in a list that shows payments too it proves nothing.
    await world.gateways[0].pool.execute("update attempt set provider_ref = 'another' where payout_id = $1", made["id"])
    found = await look(world, shop, "plexy")
    assert {one.kind for one in found.differences} == {IncidentKind.MISSING_PAYOUT}


async def test_who_lists_nothing_is_not_asked(world):
    await world.start_gateway()
    merchant = await world.merchant(providers=("pivot",))
    made = await merchant.pay(provider="pivot", **BANK)
    await merchant.until(made["id"], "paid")
    assert await look(world, merchant, "pivot") is None
