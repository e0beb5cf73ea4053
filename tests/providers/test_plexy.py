"""Plexy: card tokens, exact JSON numbers, no repetition, and the seed's own notice."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pytest
from aiohttp import web
from aioresponses import aioresponses
from hypothesis import given
from hypothesis import settings as given_settings
from hypothesis import strategies as st
from multidict import CIMultiDictProxy

from providers import plexy
from providers.base import ProviderModel, UnreadableNoticeError
from providers.plexy.amounts import from_number, to_number
from providers.plexy.settings import CARD_FIELDS, PlexySecrets, PlexySettings
from providers.plexy.tables import TABLES
from providers.transport import Transport
from schemas.failure import FailureCode
from schemas.listing import Listing
from schemas.notice import AboutPayout, CardSavedFact, PayoutFact
from schemas.order import CardToken, Lookup, Order
from schemas.report import NotSent, Progress, RefusalCause, Refused, Taken, Unclear
from schemas.strict_json import load
from tests.providers import scripted
from tests.providers.conftest import Heard
from tests.providers.contract_suite import (
    CARD_TOKEN,
    EVER,
    SENT_AT,
    SUBMISSION_KEY,
    NetworkContract,
    headers_of,
    lookup_of,
)
from tests.providers.scripted import Answering, Reply, Scripted

TRANSACTION = "00000000-0000-7000-8000-000000000001"
API_KEY = "pr_api-key-7Q"
WEBHOOK_TOKEN = "webhook-token-9Z"
CARD = {name: f"base64-of-{name}==" for name in CARD_FIELDS}
# The example of the seed document `plexy.txt`, as it stands there.
SEED_WEBHOOK = (Path(__file__).parent / "replays" / "plexy_webhook.json").read_bytes()


def error(status: int, code: Any, message: str = "failed to handle command") -> Reply:
    return Reply(status, {"code": code, "message": message, "source": "keys", "type": "apiError"})


def transaction(status: Any = "settled", **changes: Any) -> dict[str, Any]:
    return {
        "id": TRANSACTION,
        "status": status,
        "amount": 100,
        "currency": "KZT",
        "merchantReference": None,
        "cardTokenId": None,
        "type": "unknown",
        "retrievalReferenceNumber": "000000000001",
    } | changes


def row(provider_ref: Any, amount: Any = 100, status: Any = "settled", **changes: Any) -> dict[str, Any]:
    """A row of the list, as section 3 shows it."""
    return {
        "transactionId": provider_ref,
        "amount": amount,
        "createdAt": "2026-01-01T09:00:00.000000Z",
        "rrn": "000000000001",
        "status": status,
        "orderReference": None,
    } | changes


def rows_of(*rows: Any, page: int = 1, size: Any = 50, total: Any = None) -> Reply:
    return Reply(200, {"data": list(rows), "page": page, "size": size, "total": len(rows) if total is None else total})


def notice(data: Any, name: Any = "transaction.settled") -> bytes:
    return json.dumps({"name": name, "data": data, "postedAt": "2026-01-01T00:00:06.000000000Z"}).encode()


class TestPlexy(NetworkContract):
    provider = plexy.PROVIDER
    tables = TABLES
    secret_texts = (API_KEY, WEBHOOK_TOKEN, CARD_TOKEN)
    create_path = "/v1/payout"
    status_words: ClassVar[dict[str, Any]] = {
        "new": Progress.PENDING,
        "processing": Progress.IN_TRANSIT,
        "settled": Progress.PAID,
        "rejected": Progress.FAILED,
        "failed": Progress.FAILED_UNPROVEN,
        "TRANSACTION_STATUS_SETTLED": Progress.PAID,
        "TRANSACTION_STATUS_REJECTED": Progress.FAILED,
        "TRANSACTION_STATUS_FAILED": Progress.FAILED_UNPROVEN,
        "Processing": Progress.IN_TRANSIT,
    }
    refusals: ClassVar[dict[str, Any]] = {
        "parameters": (error(400, 3), FailureCode.REJECTED_BY_PROVIDER, RefusalCause.PAYOUT),
        "unknown token": (error(404, 4), FailureCode.INVALID_DESTINATION, RefusalCause.RECIPIENT),
        "unprocessable": (error(422, 5), FailureCode.REJECTED_BY_PROVIDER, RefusalCause.PAYOUT),
        "by code only": (error(418, 3), FailureCode.REJECTED_BY_PROVIDER, RefusalCause.PAYOUT),
        "by status only": (error(422, None), FailureCode.REJECTED_BY_PROVIDER, RefusalCause.PAYOUT),
        "by status, odd code": (error(400, 2), FailureCode.REJECTED_BY_PROVIDER, RefusalCause.PAYOUT),
        "by status, new code": (error(400, 77), FailureCode.REJECTED_BY_PROVIDER, RefusalCause.PAYOUT),
    }
    inexpressible: ClassVar[dict[str, Any]] = {}

    def settings(self, base_url: str) -> ProviderModel:
        return PlexySettings(base_url=base_url)

    def secrets(self) -> ProviderModel:
        return PlexySecrets.model_validate({"api_key": API_KEY, "webhook_token": WEBHOOK_TOKEN})

    def secrets_without_notice_secret(self) -> ProviderModel:
        return PlexySecrets.model_validate({"api_key": API_KEY})

    def order(self, number: int = 1, **changes: Any) -> Order:
        fields = {"amount_minor": 100_00, "currency": "KZT", "destination": CardToken(CARD_TOKEN)} | changes
        return Order(f"pa_{number:032x}", f"00000000-0000-4000-8000-{number:012x}", **fields)

    def known(self) -> Lookup:
        return lookup_of(self.order(), provider_ref=TRANSACTION)

    def accepting(self, **wrong: Any) -> Answering:
        async def answer(request: web.Request) -> web.StreamResponse:
            sent = json.loads(await request.read(), parse_float=Decimal)
            amount = Decimal(wrong["amount_minor"]) / 100 if "amount_minor" in wrong else sent["amount"]
            body = {"id": TRANSACTION, "status": wrong.get("status", "new"), "currency": wrong.get("currency", "KZT")}
            raw = json.dumps(body | {"amount": 0}).replace(": 0}", f": {amount}}}")
            return await Reply(200, raw.encode())(request)

        return answer

    def found(self, word: Any, **wrong: Any) -> Answering:
        amount = wrong.get("amount_minor", 100_00)
        return Reply(200, transaction(word, id=wrong.get("reference", TRANSACTION), amount=amount // 100))

    def payouts_of(self, *orders: Order, created_at: datetime = SENT_AT) -> Answering:
        rows = [
            row(TRANSACTION if number == 0 else f"t{number}", order.amount_minor // 100, createdAt=created_at.isoformat())
            for number, order in enumerate(orders)
        ]
        return rows_of(*rows)

    def good_notice(self) -> tuple[CIMultiDictProxy[str], bytes] | None:
        return headers_of(("Authorization", f"Bearer {WEBHOOK_TOKEN}")), notice(transaction())

    # --- the wire

    @pytest.mark.parametrize(
        ("amount_minor", "number"),
        [
            (1, "0.01"),
            (100_00, "100"),
            (100_50, "100.50"),
            (12_345_678_901_234_67, "12345678901234.67"),
            (2**53 - 1, "90071992547409.91"),
        ],
    )
    async def test_the_wire(self, amount_minor: int, number: str, server: Scripted, transport: Transport) -> None:
        order = self.order(amount_minor=amount_minor, description="Payout For Alexander")
        (report,) = await self.submit(server, transport, self.accepting(), [order])
        (seen,) = server.calls("POST", "/v1/payout")
        assert seen.body == f'{{"tokenId":"{CARD_TOKEN}","amount":{number}}}'.encode()
        assert seen.headers["Authorization"] == API_KEY
        assert not {"Idempotency-Key", "X-Request-Id"} & set(seen.headers)
        assert report.amount_minor == amount_minor

    async def test_fields_are_switched_on_one_by_one(self, server: Scripted, transport: Transport) -> None:
        """X-4."""
        server.on("POST", "/v1/payout", self.accepting())
        order = self.order(description='Payout "For" Alexander')
        values = {"currency": "KZT", "description": 'Payout "For" Alexander', "merchantReference": order.attempt_id}
        for name, value in values.items():
            settings = PlexySettings.model_validate({"base_url": server.base_url, "payout_fields": [name]})
            await self.provider.connect(settings, self.secrets(), transport).submit(SUBMISSION_KEY, [order])
            assert server.seen[-1].json == {"tokenId": CARD_TOKEN, "amount": 100, name: value}

    async def test_tiyn_when_plexy_says_so(self, server: Scripted, transport: Transport) -> None:
        """X-6 switched: integers of the small unit, both ways."""
        server.on("POST", "/v1/payout", self.accepting())
        settings = PlexySettings(base_url=server.base_url, amount_scale=2)
        connector = self.provider.connect(settings, self.secrets(), transport)
        (report,) = await connector.submit(SUBMISSION_KEY, [self.order(amount_minor=100_50)])
        assert server.seen[0].body.endswith(b'"amount":10050}')
        assert isinstance(report, Taken)
        assert report.amount_minor == 100_50

    @given_settings(max_examples=300)
    @given(amount=st.integers(1, 2**53 - 1), scale=st.sampled_from([0, 2]))
    def test_amounts_survive_the_wire(self, amount: int, scale: int) -> None:
        text = to_number(amount, scale)
        assert from_number(load(text.encode()), scale) == amount
        assert Decimal(text).scaleb(2 - scale) == amount

    @given_settings(max_examples=200)
    @given(
        value=st.decimals() | st.integers() | st.floats() | st.text() | st.booleans() | st.none(), scale=st.sampled_from([0, 2])
    )
    def test_no_amount_raises(self, value: Any, scale: int) -> None:
        amount = from_number(value, scale)
        assert amount is None or Decimal(amount).scaleb(scale - 2) == value

    # --- acceptance

    @pytest.mark.parametrize(
        "body",
        [
            {"id": TRANSACTION},
            {"transactionId": TRANSACTION},
            {"payoutId": TRANSACTION},
            {"data": {"id": TRANSACTION}},
            {"id": None, "payoutId": TRANSACTION},
        ],
    )
    @pytest.mark.parametrize("status", [200, 201, 202])
    async def test_their_id_wherever_it_is(
        self, body: dict[str, Any], status: int, canned: aioresponses, transport: Transport
    ) -> None:
        """X-4b: any 2xx is accepted; without a status it is new."""
        canned.post("https://plexy.test/v1/payout", status=status, payload=body)
        (report,) = await self.connector(transport, "https://plexy.test").submit(SUBMISSION_KEY, [self.order()])
        assert isinstance(report, Taken)
        assert (report.progress, report.provider_ref, report.amount_minor) == (Progress.PENDING, TRANSACTION, None)

    @pytest.mark.parametrize(
        "body",
        [{"status": "new"}, {"id": ""}, {"id": 7}, {"id": "a b"}, {"id": {"x": 1}}, {"code": 3, "message": "no"}, {"data": []}],
    )
    async def test_accepted_without_an_id_is_for_a_person(
        self, body: dict[str, Any], canned: aioresponses, transport: Transport
    ) -> None:
        canned.post("https://plexy.test/v1/payout", payload=body)
        (report,) = await self.connector(transport, "https://plexy.test").submit(SUBMISSION_KEY, [self.order()])
        assert isinstance(report, Unclear)

    @pytest.mark.parametrize("amount", ["100", True, [1], 0.001, -0.5])
    async def test_an_amount_that_cannot_be_read_is_unclear(
        self, amount: Any, canned: aioresponses, transport: Transport
    ) -> None:
        canned.post("https://plexy.test/v1/payout", payload={"id": TRANSACTION, "amount": amount})
        (report,) = await self.connector(transport, "https://plexy.test").submit(SUBMISSION_KEY, [self.order()])
        if amount == -0.5:
            assert isinstance(report, Taken)
            assert report.amount_minor == -50, "told as it is; the gateway compares"
        else:
            assert isinstance(report, Unclear)
            assert report.provider_ref == TRANSACTION

    # --- errors

    @pytest.mark.parametrize("code", [1, 2, 3, 4, 5, 77, None])
    @pytest.mark.parametrize("status", [500, 502, 503])
    async def test_a_500_proves_nothing(self, code: Any, status: int, server: Scripted, transport: Transport) -> None:
        """Plexy answers plain refusals with 500 too, and 500 to payouts that it made (sheet section 6)."""
        (report,) = await self.submit(server, transport, error(status, code))
        assert isinstance(report, Unclear)

    @pytest.mark.parametrize(
        ("status", "code"), [(409, 3), (408, 5), (425, 4), (418, 1), (418, 2), (418, None), (418, 77), (418, "3")]
    )
    async def test_what_is_not_listed_stays_open(self, status: int, code: Any, server: Scripted, transport: Transport) -> None:
        (report,) = await self.submit(server, transport, error(status, code))
        assert isinstance(report, Unclear)

    # --- find

    async def test_by_their_id_no_list_is_read(self, server: Scripted, transport: Transport) -> None:
        server.on("GET", f"/v1/transactions/{TRANSACTION}", self.found("settled"))
        (report,) = await self.connector(transport, server.base_url).find([self.known()])
        assert isinstance(report, Taken)
        assert len(server.seen) == 1

    # --- find in the list, when their id is unknown

    async def find_in_list(self, server: Scripted, transport: Transport, *pages: Answering, **changes: Any) -> Any:
        server.on("GET", r"/v1/transactions\?.*", *pages)
        (report,) = await self.connector(transport, server.base_url).find([lookup_of(self.order(), **changes)])
        return report

    @pytest.mark.parametrize("field", ["orderReference", "merchantReference"])
    async def test_found_by_our_reference(self, field: str, server: Scripted, transport: Transport) -> None:
        """X-8: where it stands in the list, whoever answered the send. The read by its id says more."""
        server.on("GET", f"/v1/transactions/{TRANSACTION}", Reply(200, transaction("rejected", error_code="51")))
        ours = row(TRANSACTION, status="rejected") | {field: self.order().attempt_id}
        report = await self.find_in_list(server, transport, rows_of(row("t2"), ours))
        assert isinstance(report, Taken)
        assert (report.progress, report.provider_ref, report.amount_minor) == (Progress.FAILED, TRANSACTION, 100_00)
        assert report.failure_code is FailureCode.INSUFFICIENT_PROVIDER_FUNDS
        assert [seen.path + seen.query for seen in server.seen] == [
            "/v1/transactions?page=1&size=50",
            f"/v1/transactions/{TRANSACTION}",
        ]

    @pytest.mark.parametrize(
        ("status", "progress", "failure_code"),
        [
            ("settled", Progress.PAID, None),
            ("TRANSACTION_STATUS_REJECTED", Progress.FAILED, FailureCode.UNEXPLAINED),
            ("failed", Progress.FAILED_UNPROVEN, FailureCode.UNEXPLAINED),
        ],
    )
    async def test_found_in_the_list_alone(
        self, status: str, progress: Progress, failure_code: Any, server: Scripted, transport: Transport
    ) -> None:
        """X-2: that the single read knows payouts is an assumption."""
        server.on("GET", f"/v1/transactions/{TRANSACTION}", error(404, 4))
        ours = row(TRANSACTION, 250.5, status, orderReference=self.order().attempt_id)
        report = await self.find_in_list(server, transport, rows_of(ours))
        assert isinstance(report, Taken)
        assert (report.progress, report.provider_ref, report.failure_code) == (progress, TRANSACTION, failure_code)
        assert (report.amount_minor, report.currency) == (250_50, "KZT"), "told as it is; the gateway compares"

    async def test_found_with_a_word_that_nobody_knows(self, server: Scripted, transport: Transport) -> None:
        server.on("GET", f"/v1/transactions/{TRANSACTION}", error(404, 4))
        ours = row(TRANSACTION, status="charged", orderReference=self.order().attempt_id)
        report = await self.find_in_list(server, transport, rows_of(ours))
        assert isinstance(report, Unclear)
        assert report.provider_ref == TRANSACTION, "their id must not get lost"

    async def test_twice_in_the_list_is_for_a_person(self, server: Scripted, transport: Transport) -> None:
        """X-8: Plexy removes no doubles."""
        ours = [row(ref, orderReference=self.order().attempt_id) for ref in (TRANSACTION, "t2")]
        report = await self.find_in_list(server, transport, rows_of(*ours))
        assert isinstance(report, Unclear)
        assert "more than one" in report.reason
        assert report.provider_ref is None

    async def test_absence_is_never_believed(self, server: Scripted, transport: Transport) -> None:
        others = [row("t1", 99), row("t2", orderReference="order 17"), row("t3", orderReference=f"pa_{2:032x}")]
        for rows in ([], [others[0]], [others[2]]):
            report = await self.find_in_list(server, transport, rows_of(*rows))
            assert isinstance(report, Unclear)
            assert "proves nothing" in report.reason
            assert report.provider_ref is None

    async def test_amount_and_time_only_help_a_person(self, server: Scripted, transport: Transport) -> None:
        """The next payout of the same amount could be anybody's."""
        minute = timedelta(minutes=1)
        times = {"early": -6, "near": -4, "late": 59, "later": 61}
        rows = [row(name, createdAt=(SENT_AT + n * minute).isoformat()) for name, n in times.items()]
        rows += [row("undated", createdAt=None), row("dear", 101), row("another", orderReference=f"pa_{2:032x}")]
        report = await self.find_in_list(server, transport, rows_of(*rows))
        assert isinstance(report, Unclear)
        assert "its list has 3 with this amount at about that time (near, late, undated)" in report.reason
        assert report.provider_ref is None
        report = await self.find_in_list(server, transport, rows_of(*(row(f"t{n}") for n in range(5))))
        assert "has 5 with this amount at about that time (t0, t1, t2, ...)" in report.reason

    async def test_one_reading_for_all_that_are_lost(self, server: Scripted, transport: Transport) -> None:
        server.on("GET", f"/v1/transactions/{TRANSACTION}", self.found("settled"))
        orders = [self.order(n) for n in (1, 2, 3)]
        server.on("GET", r"/v1/transactions\?.*", rows_of(row(TRANSACTION, orderReference=orders[2].attempt_id)))
        lookups = [*map(lookup_of, orders), self.known()]
        reports = await self.connector(transport, server.base_url).find(lookups)
        assert [type(report) for report in reports] == [Unclear, Unclear, Taken, Taken]
        assert len(server.calls("GET", r"/v1/transactions\?.*")) == 1

    # --- the list for a comparison

    async def listing(self, server: Scripted, transport: Transport, *pages: Answering, **settings: Any) -> Any:
        server.on("GET", r"/v1/transactions\?.*", *pages)
        settings = {"base_url": server.base_url} | settings
        connector = self.provider.connect(PlexySettings(**settings), self.secrets(), transport)
        return await connector.listed(SENT_AT, EVER[1])

    async def test_all_pages_in_any_order(self, server: Scripted, transport: Transport) -> None:
        """An old row in front says nothing about those behind it."""
        old = "2025-01-01T00:00:00Z"
        pages = (
            rows_of(row("t1", createdAt=old), row("t2", createdAt=old), page=1, size=2, total=5),
            rows_of(row("t3"), row("t4", createdAt=None), page=2, size=2, total=5),
            rows_of(row("t5"), page=3, size=2, total=5),
        )
        listing = await self.listing(server, transport, *pages)
        assert isinstance(listing, Listing)
        assert ([one.provider_ref for one in listing.rows], listing.complete) == (["t3", "t4", "t5"], True)
        assert listing.rows[0].created_at == datetime(2026, 1, 1, 9, tzinfo=UTC)
        assert [seen.query for seen in server.seen] == [f"?page={n}&size=50" for n in (1, 2, 3)]

    async def test_a_row_that_moved_while_we_read(self, server: Scripted, transport: Transport) -> None:
        """It went from the second page to the first, which had been read: one is seen twice and one not at all."""
        pages = (
            rows_of(row("t1"), row("t2"), page=1, size=2, total=4),
            rows_of(row("t2"), row("t3"), page=2, size=2, total=4),
        )
        listing = await self.listing(server, transport, *pages)
        assert ([one.provider_ref for one in listing.rows], listing.complete) == (["t1", "t2", "t3"], False)
        assert listing.reason == "the list says that it has 4 rows, and 3 were seen"

    async def test_a_long_list_is_not_complete(self, server: Scripted, transport: Transport) -> None:
        listing = await self.listing(server, transport, rows_of(row("t1"), total=10_000))
        assert (len(listing.rows), listing.complete, listing.reason) == (1, False, "the list goes on after 20 pages")
        assert len(server.seen) == 20

    async def test_a_page_that_is_empty_too_early(self, server: Scripted, transport: Transport) -> None:
        listing = await self.listing(server, transport, rows_of(row("t1"), size=1, total=3), rows_of(total=3))
        assert (len(listing.rows), listing.complete, len(server.seen)) == (1, False, 2)

    @pytest.mark.parametrize("broken", [error(500, 2), scripted.half_answer, Reply(200, {}), Reply(200, {"data": []})])
    async def test_a_later_page_that_fails_leaves_the_rest(
        self, broken: Answering, server: Scripted, transport: Transport
    ) -> None:
        listing = await self.listing(server, transport, rows_of(row("t1"), size=1, total=3), broken)
        assert ([one.provider_ref for one in listing.rows], listing.complete) == (["t1"], False)
        assert listing.reason.startswith("page 2: ")

    @pytest.mark.parametrize(
        "body",
        [
            {"data": [], "page": 1, "size": 50},
            {"data": [], "total": "0"},
            {"data": [], "total": True},
            {"data": [], "total": -1},
            {"data": {}, "total": 0},
            {"data": None, "total": 0},
        ],
    )
    async def test_a_list_that_does_not_say_how_long_it_is(
        self, body: dict[str, Any], server: Scripted, transport: Transport
    ) -> None:
        assert isinstance(await self.listing(server, transport, Reply(200, body)), Unclear)

    @pytest.mark.parametrize("broken", [7, None, [], {}, row("../x"), row(None), row({"x": 1})])
    async def test_an_unreadable_row_is_a_gap(self, broken: Any, server: Scripted, transport: Transport) -> None:
        listing = await self.listing(server, transport, rows_of(row("t1"), broken))
        assert (len(listing.rows), listing.complete) == (1, False)
        assert "a transaction in the list has no readable id" in listing.reason

    async def test_payments_stand_in_the_list_too(self, server: Scripted, transport: Transport, heard: Heard) -> None:
        """Nothing in a row says which it is. A payment's word is no news; one that nobody knows is."""
        words = ["TRANSACTION_STATUS_CHARGED", "charged", "Authed", "teleported", "TRANSACTION_STATUS_SETTLED"]
        listing = await self.listing(server, transport, rows_of(*(row(f"t{n}", 1, word) for n, word in enumerate(words))))
        assert [one.progress for one in listing.rows] == [None, None, None, None, Progress.PAID]
        assert [one.words.status for one in listing.rows] == words
        assert [word for _, _, word in heard.words] == ["teleported"]

    @pytest.mark.parametrize(("scale", "amount_minor"), [(0, 100_50), (2, None)])
    async def test_the_list_has_its_own_unit(
        self, scale: int, amount_minor: int | None, server: Scripted, transport: Transport
    ) -> None:
        """Section 4.2: it was seen in whole tenge, whatever payouts turn out to be in."""
        listing = await self.listing(
            server, transport, rows_of(row("t1", 100.5)), amount_scale=2, list_amount_scale=scale, path_list="/v1/transactions"
        )
        (one,) = listing.rows
        assert (one.amount_minor, one.currency) == (amount_minor, None if amount_minor is None else "KZT")

    async def test_the_path_is_a_setting(self, server: Scripted, transport: Transport) -> None:
        """X-2."""
        server.on("GET", f"/v2/payouts/{TRANSACTION}/state", self.found("settled"))
        settings = PlexySettings(base_url=server.base_url, path_get="/v2/payouts/{id}/state")
        (report,) = await self.provider.connect(settings, self.secrets(), transport).find([self.known()])
        assert isinstance(report, Taken)

    async def test_an_id_cannot_leave_its_path(self, server: Scripted, transport: Transport) -> None:
        server.on("GET", ".*", Reply(404, {}))
        lookup = replace(self.known(), provider_ref="../../v1/cards?x=1")
        await self.connector(transport, server.base_url).find([lookup])
        assert server.seen[0].path == "/v1/transactions/..%2F..%2Fv1%2Fcards%3Fx%3D1"

    @pytest.mark.parametrize("word", ["charged", "TRANSACTION_STATUS_CHARGED", "TRANSACTION_STATUS_AUTHED"])
    async def test_words_of_payments_say_nothing_about_a_payout(
        self, word: str, canned: aioresponses, transport: Transport, heard: Heard
    ) -> None:
        canned.get(f"https://plexy.test/v1/transactions/{TRANSACTION}", payload=transaction(word))
        (report,) = await self.connector(transport, "https://plexy.test").find([self.known()])
        assert isinstance(report, Unclear)
        assert report.words.status == word
        assert len(heard.words) == 1

    @pytest.mark.parametrize(
        ("extra", "code", "failure_code"),
        [
            ({"error_code": "51", "error_message": "no funds"}, "51", FailureCode.INSUFFICIENT_PROVIDER_FUNDS),
            ({"errorCode": "05", "errorMessage": "no funds"}, "05", FailureCode.REJECTED_BY_BANK),
            ({"error": {"code": "61", "message": "no funds"}}, "61", FailureCode.RECIPIENT_LIMIT),
            (
                {"error_code": {"Value": "51"}, "error_message": {"Value": "no funds"}},
                "51",
                FailureCode.INSUFFICIENT_PROVIDER_FUNDS,
            ),
            ({"error_code": "moon", "error_message": "no funds"}, "moon", FailureCode.UNEXPLAINED),
            ({"error_code": 51, "error_message": "no funds"}, "51", FailureCode.INSUFFICIENT_PROVIDER_FUNDS),
        ],
    )
    @pytest.mark.parametrize(("status", "progress"), [("rejected", Progress.FAILED), ("failed", Progress.FAILED_UNPROVEN)])
    def test_why_it_failed(
        self, extra: dict[str, Any], code: str, failure_code: FailureCode, status: str, progress: Progress, transport: Transport
    ) -> None:
        """X-7."""
        (fact,) = self.connector(transport).read_notice(notice(transaction(status, **extra)))
        assert isinstance(fact, PayoutFact)
        assert isinstance(fact.report, Taken)
        assert (fact.report.progress, fact.report.failure_code) == (progress, failure_code)
        assert (fact.report.words.code, fact.report.words.text) == (code, "no funds")

    # --- notices

    def test_the_seeds_own_notice(self, transport: Transport) -> None:
        """Its id is no real UUID, and its reference to us is null: it is told by the id."""
        (fact,) = self.connector(transport).read_notice(SEED_WEBHOOK)
        assert isinstance(fact, PayoutFact)
        assert fact.about == AboutPayout("019ife38-3g27-3ebc-9ba8-3f9cd0defffb")
        report = fact.report
        assert isinstance(report, Taken)
        assert (report.progress, report.amount_minor, report.currency) == (Progress.PAID, 100_00, "KZT")
        assert report.reference == "524947389757"

    def test_wrapped_values(self, transport: Transport) -> None:
        wrapped = transaction(cardTokenId={"Value": None}, customerId={"Value": "c"}, paymentLinkId={"Value": "p"})
        (fact,) = self.connector(transport).read_notice(notice(wrapped))
        assert isinstance(fact, PayoutFact)
        assert isinstance(fact.report, Taken)

    def test_the_words_of_a_notice_decide_not_its_name(self, transport: Transport, heard: Heard) -> None:
        connector = self.connector(transport)
        (fact,) = connector.read_notice(notice(transaction("rejected"), "transaction.something"))
        assert isinstance(fact, PayoutFact)
        assert isinstance(fact.report, Taken)
        assert fact.report.progress is Progress.FAILED
        (fact,) = connector.read_notice(notice(transaction("teleported")))
        assert fact == PayoutFact(AboutPayout(TRANSACTION), None)
        assert [word for _, _, word in heard.words] == ["teleported"]

    @pytest.mark.parametrize("name", ["transaction.charged", "transaction.created", "payment.done", None, 7])
    def test_news_for_somebody_else(self, name: Any, transport: Transport, heard: Heard) -> None:
        """X-15."""
        assert self.connector(transport).read_notice(notice(transaction("charged"), name)) == []
        assert heard.words == []

    @pytest.mark.parametrize("wrap", [lambda value: value, lambda value: {"Value": value}])
    def test_a_saved_card(self, wrap: Any, transport: Transport) -> None:
        data = {
            "cardTokenId": CARD_TOKEN,
            "customerId": "c-1",
            "externalUserId": "card_1",
            "bin": "411111",
            "last4": "1111",
            "brand": "visa",
        }
        body = notice({key: wrap(value) for key, value in data.items()}, "any.name")
        (fact,) = self.connector(transport).read_notice(body)
        assert fact == CardSavedFact("card_1", CARD_TOKEN, "visa", "1111", "c-1")
        assert CARD_TOKEN not in repr(fact)

    @pytest.mark.parametrize(
        "data",
        [
            {"cardTokenId": CARD_TOKEN},
            {"cardTokenId": CARD_TOKEN, "customerId": "no reference"},
            {"cardTokenId": 7, "externalUserId": "card_1"},
            {"status": "settled"},
            transaction(id=None),
            transaction(id={"x": 1}),
        ],
    )
    def test_notices_that_name_nobody(self, data: Any, transport: Transport) -> None:
        """X-10b: with neither our id nor theirs a person has to match the card."""
        with pytest.raises(UnreadableNoticeError, match="nothing was changed"):
            self.connector(transport).read_notice(notice(data))

    def test_the_token_needs_its_scheme(self, transport: Transport) -> None:
        connector = self.connector(transport)
        for value in (WEBHOOK_TOKEN, f"bearer {WEBHOOK_TOKEN}", f"Basic {WEBHOOK_TOKEN}", f"Bearer  {WEBHOOK_TOKEN}"):
            assert not connector.verify_notice(headers_of(("Authorization", value)), b"{}")

    def test_a_saved_card_that_names_its_customer_only(self, transport: Transport) -> None:
        """X-10b."""
        body = notice({"cardTokenId": CARD_TOKEN, "customerId": {"Value": "c-1"}}, "any.name")
        (fact,) = self.connector(transport).read_notice(body)
        assert fact == CardSavedFact(None, CARD_TOKEN, customer_ref="c-1")

    # --- cards

    async def test_save_card(self, server: Scripted, transport: Transport) -> None:
        server.on("POST", "/v1/cards", Reply(201, {"customerId": {"Value": "c-1"}}))
        report = await self.connector(transport, server.base_url).save_card("card_1", CARD)
        assert report == Taken(Progress.PENDING, provider_ref="c-1")
        (seen,) = server.seen
        assert seen.json == {"cardData": CARD, "externalUserId": "card_1"}

    async def test_a_card_is_saved_by_any_2xx(self, server: Scripted, transport: Transport) -> None:
        server.on("POST", "/v1/cards", Reply(202, b"", {}))
        assert await self.connector(transport, server.base_url).save_card("card_1", CARD) == Taken(Progress.PENDING)

    @pytest.mark.parametrize(
        ("answer", "expected"),
        [(error(422, 5), Refused), (error(401, None), Refused), (error(500, 3), Unclear), (scripted.half_answer, Unclear)],
    )
    async def test_a_card_that_was_not_saved(
        self, answer: Answering, expected: type, server: Scripted, transport: Transport
    ) -> None:
        server.on("POST", "/v1/cards", answer)
        report = await self.connector(transport, server.base_url).save_card("card_1", CARD)
        assert isinstance(report, expected)
        assert "base64-of" not in repr(report)

    @pytest.mark.parametrize(
        "fields",
        [
            {},
            {name: value for name, value in CARD.items() if name != "encryptedCvv"},
            CARD | {"cardNumber": "x"},
            CARD | {"encryptedCardNumber": "4111111111111111"},
            CARD | {"encryptedCvv": "123"},
        ],
    )
    async def test_only_complete_and_encrypted_cards_leave(
        self, fields: dict[str, str], server: Scripted, transport: Transport
    ) -> None:
        report = await self.connector(transport, server.base_url).save_card("card_1", fields)
        assert isinstance(report, NotSent)
        assert "4111" not in report.reason
        assert server.seen == []

    # --- settings

    @pytest.mark.parametrize(
        "wrong",
        [
            {"path_get": "v1/x"},
            {"path_get": "/v1/../x"},
            {"path_list": "/v1/transactions?x=1"},
            {"list_amount_scale": 1},
            {"amount_scale": 1},
            {"payout_fields": ["note"]},
            {"id_paths": ["a b"]},
        ],
    )
    def test_settings_are_checked(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match="validation error"):
            PlexySettings.model_validate({"base_url": "https://plexy.test"} | wrong)
