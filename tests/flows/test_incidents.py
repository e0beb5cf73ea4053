"""Incidents: how they end, what that books, and how a connection that was stopped by one works again."""

import asyncio

import asyncpg
import pytest
from test_books import check_invariants
from test_invariants import paid_late
from world import BANK

from gateway import incidents
from gateway.incidents import MAY_END, IncidentError
from gateway.store.incidents import NewIncident, add_incidents, list_incidents
from schemas.incident import ClosedAs, IncidentKind

AMOUNT = 150_000_00


@pytest.fixture
async def late(world):
    """(gateway, merchant, open incident): Pivot paid what it had called failed, after Xendit had paid it."""
    gateway = await world.start_gateway()
    merchant = await world.merchant(providers=("pivot", "xendit"))
    await paid_late(world, gateway, merchant)
    [incident] = await list_incidents(gateway.pool, account_id=merchant.account_id)
    return gateway, merchant, incident


async def books(gateway):
    """(receivable, what was booked: (kind, book, debit, credit))."""
    receivable = await gateway.pool.fetchval("select receivable from balance where currency = 'IDR'")
    entries = await gateway.pool.fetch(
        "select kind, book, debit, credit from ledger_entry where kind in ('recover', 'write_off') order by line"
    )
    return receivable, [tuple(entry) for entry in entries]


@pytest.mark.parametrize(
    ("closed_as", "kind", "book"), [("recovered", "recover", "funding"), ("written_off", "write_off", "loss")]
)
async def test_a_late_payment_ends_with_its_money_booked_away(late, closed_as, kind, book):
    gateway, merchant, incident = late
    before = await merchant.balance()
    assert await books(gateway) == (AMOUNT, [])
    closed = await incidents.close(
        gateway.pool, incident.id, person="Ana", closed_as=ClosedAs(closed_as), reason="Pivot's letter of 3 March"
    )
    assert (closed.closed_by, closed.closed_as, closed.closed_reason) == ("Ana", closed_as, "Pivot's letter of 3 March")
    expected = (0, [(kind, book, AMOUNT, 0), (kind, "receivable", 0, AMOUNT)])
    assert await books(gateway) == expected
    with pytest.raises(IncidentError, match="closed before"):
        await incidents.close(gateway.pool, incident.id, person="Budi", closed_as=ClosedAs.RECOVERED, reason="again")
    assert await books(gateway) == expected
    assert await merchant.balance() == before, "the merchant's money is not touched"
    assert await list_incidents(gateway.pool) == []
    assert [one.id for one in await list_incidents(gateway.pool, also_closed=True)] == [incident.id]
    await check_invariants(gateway.pool)


async def test_two_people_who_close_it_at_once_book_it_once(late):
    gateway, _, incident = late
    answers = await asyncio.gather(
        *(
            incidents.close(gateway.pool, incident.id, person=person, closed_as=ClosedAs.RECOVERED, reason="it is back")
            for person in ("Ana", "Budi", "Citra")
        ),
        return_exceptions=True,
    )
    assert sum(isinstance(answer, IncidentError) for answer in answers) == 2
    assert (await books(gateway))[0] == 0
    await check_invariants(gateway.pool)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"closed_as": ClosedAs.EXPLAINED}, "ends as recovered or written_off"),
        ({"person": " "}, "name both"),
        ({"reason": ""}, "name both"),
        ({"incident_id": "inc_gone"}, "no incident"),
    ],
)
async def test_what_is_refused_changes_nothing(late, change, message):
    gateway, _, incident = late
    asked = {"incident_id": incident.id, "person": "Ana", "closed_as": ClosedAs.RECOVERED, "reason": "it is back"} | change
    with pytest.raises(IncidentError, match=message):
        await incidents.close(gateway.pool, asked.pop("incident_id"), **asked)
    assert await books(gateway) == (AMOUNT, [])
    assert [one.id for one in await list_incidents(gateway.pool)] == [incident.id]


async def test_what_moved_no_money_is_explained(late):
    gateway, merchant, _ = late
    new = NewIncident(
        id="inc_1", kind=IncidentKind.UNKNOWN_PAYOUT, subject="theirs", payout_id=None, attempt_id=None, amount_minor=5,
        currency="IDR", detail="x",
    )  # fmt: skip
    assert await add_incidents(gateway.pool, merchant.account_id, merchant.connections["pivot"], [new]) == {"inc_1"}
    again = NewIncident(**{name: getattr(new, name) for name in new.__slots__} | {"id": "inc_2"})
    assert await add_incidents(gateway.pool, merchant.account_id, merchant.connections["pivot"], [again]) == set()
    with pytest.raises(IncidentError, match="ends as explained"):
        await incidents.close(gateway.pool, "inc_1", person="Ana", closed_as=ClosedAs.WRITTEN_OFF, reason="gone")
    await incidents.close(gateway.pool, "inc_1", person="Ana", closed_as=ClosedAs.EXPLAINED, reason="the owner made it")
    assert await books(gateway) == (AMOUNT, [])
    assert await add_incidents(gateway.pool, merchant.account_id, merchant.connections["pivot"], [again]) == set(), "told once"
    await check_invariants(gateway.pool)


def test_every_kind_may_end():
    assert set(MAY_END) == set(IncidentKind)
    assert all(MAY_END.values())


@pytest.mark.parametrize(
    "statement",
    [
        "update incident set detail = 'nothing happened'",
        "update incident set amount_minor = 1",
        "update incident set closed_at = now(), closed_by = 'Ana', closed_reason = 'x', closed_as = 'explained'",
        "update incident set closed_at = now(), closed_by = 'Ana'",
        "delete from incident",
        "truncate incident",
    ],
)
async def test_the_database_keeps_incidents_as_they_were_opened(late, statement):
    gateway, _, _ = late
    with pytest.raises(asyncpg.PostgresError, match=r"history|violates check"):
        await gateway.pool.execute(statement)


async def test_a_connection_stays_stopped_until_the_late_payment_is_closed(world, late):
    gateway, merchant, incident = late
    pivot = merchant.connections["pivot"]
    with pytest.raises(IncidentError, match=incident.id):
        await incidents.resume(gateway.pool, pivot, anyway=False)
    with pytest.raises(IncidentError, match="no connection"):
        await incidents.resume(gateway.pool, "conn_gone", anyway=True)
    made = await merchant.pay(provider="pivot", **BANK)
    await asyncio.sleep(0.3)
    assert (await merchant.payout(made["id"]))["phase"] == "queued"
    await incidents.close(gateway.pool, incident.id, person="Ana", closed_as=ClosedAs.RECOVERED, reason="it is back")
    await incidents.resume(gateway.pool, pivot, anyway=False)
    await merchant.until(made["id"], "paid")


async def test_a_connection_can_be_resumed_before_that_by_name(late):
    gateway, merchant, _ = late
    await incidents.resume(gateway.pool, merchant.connections["pivot"], anyway=True)
    made = await merchant.pay(provider="pivot", **BANK)
    await merchant.until(made["id"], "paid")
