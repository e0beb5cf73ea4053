"""The connectors that list payouts against the sandboxes, page after page on real sockets: each sent once, each seen once."""

import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from providers import mollie, plexy
from providers.base import Connector
from providers.mollie.settings import MollieSecrets, MollieSettings
from providers.paging import Page, gather
from providers.plexy.settings import CARD_FIELDS, PlexySecrets, PlexySettings
from providers.registry import PROVIDERS
from providers.sandbox.server import build_app
from providers.transport import Transport
from schemas.listing import Listed, Listing
from schemas.order import CardToken, Order, OwnBalance
from schemas.report import NO_WORDS, Progress, Taken, Unclear
from tests.providers.contract_suite import EVER, SUBMISSION_KEY, lookup_of

BALANCE = "bal_mine"
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    async with Transport() as patient:  # here nobody is meant to be slow
        yield patient


@dataclass
class Sandboxes:
    server: TestServer
    http: aiohttp.ClientSession

    async def control(self, method: str, path: str, body: Any = None) -> Any:
        async with self.http.request(method, self.server.make_url(f"/_sandbox/{path}"), json=body) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    def url(self, provider: str) -> str:
        return str(self.server.make_url(f"/{provider}"))


@pytest.fixture
async def sandboxes(tmp_path: Path) -> AsyncIterator[Sandboxes]:
    async with TestServer(build_app(tmp_path, speed=10_000.0)) as server, aiohttp.ClientSession() as http:
        yield Sandboxes(server, http)


@dataclass
class Shop:
    """A connection at a sandbox, and an order that it takes."""

    sandboxes: Sandboxes
    connector: Connector
    order: Order

    async def pay(self, number: int = 1) -> str:
        """The provider's id of a payout that was sent through the connector."""
        (report,) = await self.connector.submit(SUBMISSION_KEY, [self.numbered(number)])
        assert isinstance(report, Taken), report
        assert report.provider_ref is not None
        return report.provider_ref

    def numbered(self, number: int) -> Order:
        key = f"00000000-0000-4000-8000-{number:012x}"
        amount_minor = self.order.amount_minor + number
        return replace(self.order, attempt_id=f"pa_{number:032x}", key=key, amount_minor=amount_minor)

    async def listed(self, since: datetime = EVER[0], until: datetime = EVER[1]) -> Listing:
        listing = await self.connector.listed(since, until)
        assert isinstance(listing, Listing), listing
        return listing


async def mollie_shop(sandboxes: Sandboxes, transport: Transport) -> Shop:
    balances = [{"id": name, "currency": "EUR", "available": "100000.00"} for name in (BALANCE, "bal_other")]
    made = await sandboxes.control("POST", "mollie/merchants", {"apiKey": "test_mine", "balances": balances})
    await sandboxes.control("PATCH", "mollie/settings", {"initiatedAfterMs": 0, "atBankAfterMs": 0, "completedAfterMs": 0})
    settings = MollieSettings(base_url=sandboxes.url("mollie"), balance_id=BALANCE)
    secrets = MollieSecrets.model_validate({"api_key": made["apiKey"]})
    order = Order("", "", 10_00, "EUR", OwnBalance())
    return Shop(sandboxes, mollie.PROVIDER.connect(settings, secrets, transport), order)


async def plexy_shop(sandboxes: Sandboxes, transport: Transport, **settings: Any) -> Shop:
    api_key = (await sandboxes.control("POST", "plexy/merchants", {"balance": 10**9}))["apiKey"]
    card = dict.fromkeys(CARD_FIELDS, "opaque") | {"encryptedCardNumber": base64.b64encode(b"4111111111111111").decode()}
    connection = PlexySettings.model_validate({"base_url": sandboxes.url("plexy")} | settings)
    connector = plexy.PROVIDER.connect(connection, PlexySecrets.model_validate({"api_key": api_key}), transport)
    saved = await connector.save_card("card_1", card)
    assert isinstance(saved, Taken)
    url = f"{sandboxes.url('plexy')}/v1/customers/{saved.provider_ref}/card-tokens"
    async with sandboxes.http.get(url, headers={"Authorization": api_key}) as answer:
        token = (await answer.json())["data"][0]["cardTokenId"]
    return Shop(sandboxes, connector, Order("", "", 100_00, "KZT", CardToken(token)))


SHOPS: dict[str, Callable[[Sandboxes, Transport], Awaitable[Shop]]] = {"mollie": mollie_shop, "plexy": plexy_shop}


def test_every_provider_that_lists_is_here() -> None:
    assert set(SHOPS) == {name for name, provider in PROVIDERS.items() if provider.contract.lists_payouts}


async def test_mollie_lists_what_the_dashboard_made_too(sandboxes: Sandboxes, transport: Transport) -> None:
    shop = await mollie_shop(sandboxes, transport)
    before = datetime.now(UTC)
    theirs = []
    for number in range(60):  # more than a page
        form = {"balanceId": BALANCE, "amount": f"7.{number:02d}", "description": f"Settlement {number}"}
        theirs.append((await sandboxes.control("POST", "mollie/payouts", form))["id"])
    await sandboxes.control("POST", "mollie/payouts", {"balanceId": "bal_other", "amount": "9.00", "description": "x"})
    ours = await shop.pay()
    listing = await shop.listed(before - MINUTE, datetime.now(UTC) + MINUTE)
    assert (listing.complete, listing.reason) == (True, "")
    assert [row.provider_ref for row in listing.rows] == [ours, *reversed(theirs)]
    assert [row.amount_minor for row in listing.rows[1:]] == [7_00 + number for number in reversed(range(60))]
    first = listing.rows[0]
    assert (first.attempt_id, first.amount_minor, first.currency) == (f"pa_{1:032x}", 10_01, "EUR")
    assert {row.attempt_id for row in listing.rows[1:]} == {None}
    assert all(isinstance(row.progress, Progress) for row in listing.rows)
    requests = await sandboxes.control("GET", "mollie/requests")
    assert requests["operations"]["list_payouts"] == 2
    (moment,) = {row.created_at for row in listing.rows if row.provider_ref == theirs[0]}
    assert moment is not None
    exactly = await shop.listed(moment, moment)
    assert theirs[0] in {row.provider_ref for row in exactly.rows}


async def test_plexy_lists_every_page(sandboxes: Sandboxes, transport: Transport) -> None:
    shop = await plexy_shop(sandboxes, transport)
    before = datetime.now(UTC)
    made = {await shop.pay(number): shop.numbered(number).amount_minor for number in range(60)}
    listing = await shop.listed(before - MINUTE, datetime.now(UTC) + MINUTE)
    assert (listing.complete, listing.reason) == (True, "")
    assert {row.provider_ref: row.amount_minor for row in listing.rows} == made
    assert len(listing.rows) == len(made)
    assert {(row.currency, row.attempt_id) for row in listing.rows} == {("KZT", None)}
    requests = await sandboxes.control("GET", "plexy/requests")
    assert requests["operations"]["list_payouts"] == 2
    assert (await shop.listed(EVER[0], before - MINUTE)).rows == ()


@pytest.mark.parametrize("provider", SHOPS)
@pytest.mark.parametrize("step", ["drop", "half_body", "wrong_content_type", "status 500", "status 403", "rate_limited"])
async def test_a_list_that_failed_is_never_an_empty_one(
    provider: str, step: str, sandboxes: Sandboxes, transport: Transport
) -> None:
    shop = await SHOPS[provider](sandboxes, transport)
    await shop.pay()
    await sandboxes.control("POST", f"{provider}/scripts", {"operation": "list_payouts", "steps": [step], "repeat": True})
    assert isinstance(await shop.connector.listed(*EVER), Unclear)
    await sandboxes.control("DELETE", f"{provider}/faults")
    assert len((await shop.listed()).rows) == 1


@pytest.mark.parametrize("echoed", [False, True])
async def test_plexy_finds_what_it_took_without_saying_so(*, echoed: bool, sandboxes: Sandboxes, transport: Transport) -> None:
    """X-8. With our reference in the list it is certain; without it a person is told where to look."""
    shop = await plexy_shop(sandboxes, transport, payout_fields=["merchantReference"])
    await sandboxes.control("PATCH", "plexy/settings", {"echoMerchantReference": echoed})
    await shop.pay(2)
    fault = {"operation": "create_payout", "kind": "drop", "when": "after", "times": 1}
    await sandboxes.control("POST", "plexy/faults", fault)
    order = shop.numbered(1)
    (lost,) = await shop.connector.submit(SUBMISSION_KEY, [order])
    assert isinstance(lost, Unclear)
    never = lookup_of(shop.numbered(3), sent_at=datetime.now(UTC))
    found, absent = await shop.connector.find([lookup_of(order, sent_at=datetime.now(UTC)), never])
    (theirs,) = [row.provider_ref for row in (await shop.listed()).rows if row.amount_minor == order.amount_minor]
    assert isinstance(absent, Unclear)
    assert absent.provider_ref is None
    if echoed:
        assert isinstance(found, Taken)
        assert (found.provider_ref, found.amount_minor, found.currency) == (theirs, order.amount_minor, "KZT")
    else:
        assert isinstance(found, Unclear)
        assert found.provider_ref is None
        assert f"its list has 1 with this amount at about that time ({theirs})" in found.reason


# --- the reading itself, without a provider


def listed(provider_ref: str, day: int | None = 1) -> Listed:
    created_at = None if day is None else datetime(2026, 1, day, tzinfo=UTC)
    return Listed(provider_ref, None, 1, "EUR", Progress.PAID, NO_WORDS, created_at)


async def read(
    *pages: Page[int] | Unclear, since: int = 1, until: int = 9, max_pages: int = 10, newest_first: bool = True
) -> tuple[Listing | Unclear, int]:
    """What came of it, and how many pages were read."""
    asked: list[int | None] = []

    async def read_page(cursor: int | None) -> Page[int] | Unclear:
        asked.append(cursor)
        return pages[cursor or 0]

    window = (datetime(2026, 1, since, tzinfo=UTC), datetime(2026, 1, until, tzinfo=UTC))
    return await gather(read_page, *window, max_pages=max_pages, newest_first=newest_first), len(asked)


async def test_reading_ends_behind_the_older_end_of_the_window() -> None:
    pages = (Page([listed("c", 3), listed("b", 2)], 1), Page([listed("b", 2), listed("a", 1)], 2), Page([listed("z", 1)], None))
    assert await read(*pages, since=2) == (Listing((listed("c", 3), listed("b", 2)), complete=True), 2)
    assert await read(*pages, since=3, until=3) == (Listing((listed("c", 3),), complete=True), 1)
    whole = (listed("c", 3), listed("b", 2), listed("a", 1), listed("z", 1))
    assert await read(*pages) == (Listing(whole, complete=True), 3)
    assert await read(*pages, since=3, newest_first=False) == (Listing((listed("c", 3),), complete=True), 3)


async def test_what_has_no_date_is_in_every_window_and_ends_nothing() -> None:
    pages = (Page([listed("b", None)], 1), Page([listed("a", 1)], None))
    assert await read(*pages, since=2) == (Listing((listed("b", None),), complete=True), 2)


async def test_why_a_listing_is_not_complete() -> None:
    first, no = Page([listed("a")], 1), Unclear("no")
    assert await read(no) == (no, 1)
    assert await read(first, no) == (Listing((listed("a"),), complete=False, reason="page 2: no"), 2)
    assert await read(first, Page([], 1), max_pages=2) == (
        Listing((listed("a"),), complete=False, reason="the list goes on after 2 pages"),
        2,
    )
    gap = Page([listed("a")], 1, flaw="a gap")
    assert await read(gap, Page([], None)) == (Listing((listed("a"),), complete=False, reason="a gap"), 2)
    assert await read(gap, no) == (Listing((listed("a"),), complete=False, reason="a gap; page 2: no"), 2)
    assert await read(Page([listed("a")], None, total=1)) == (Listing((listed("a"),), complete=True), 1)
    few, _ = await read(Page([listed("a")], None, total=2))
    assert few == Listing((listed("a"),), complete=False, reason="the list says that it has 2 rows, and 1 were seen")
