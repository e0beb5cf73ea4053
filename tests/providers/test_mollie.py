"""Mollie: one create with our key, events with a signature, and finding a payout by its description."""

import hashlib
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest
from aiohttp import web
from aioresponses import aioresponses
from hypothesis import given
from hypothesis import settings as given_settings
from hypothesis import strategies as st
from multidict import CIMultiDictProxy

from providers import mollie
from providers.base import ProviderModel, UnreadableNoticeError
from providers.mollie.history import _made, _next_start
from providers.mollie.settings import MollieSecrets, MollieSettings
from providers.mollie.tables import TABLES
from providers.transport import Transport
from schemas.checks import ProviderBalance
from schemas.failure import FailureCode
from schemas.listing import Listing
from schemas.money import to_decimal_text, to_minor
from schemas.notice import AboutPayout, PayoutFact
from schemas.order import Lookup, Order, OwnBalance
from schemas.report import NotFound, NotSent, Progress, RefusalCause, Refused, Taken, Unclear
from tests.providers import scripted
from tests.providers.conftest import Heard
from tests.providers.contract_suite import EVER, SENT_AT, SUBMISSION_KEY, NetworkContract, headers_of, lookup_of
from tests.providers.scripted import Answering, Reply, Scripted

HAL = {"Content-Type": "application/hal+json"}
BALANCE = "bal_example"
PAYOUT = "payout_example"
API_KEY = "test_api-key-7Q"
SECRETS = ("example-signing-secret", "second-signing-secret")


def hal(status: int, body: Any) -> Reply:
    return Reply(status, body, HAL)


def payout(status: Any = "requested", **changes: Any) -> dict[str, Any]:
    return {
        "resource": "payout",
        "id": PAYOUT,
        "mode": "test",
        "balanceId": BALANCE,
        "amount": {"currency": "EUR", "value": "10.00"},
        "description": f"pa_{1:032x}",
        "status": status,
        "statusReason": {"code": "insufficient_funds", "message": "example"},
        "createdAt": "2026-01-01T09:00:01+00:00",
        "initiatedAt": None,
        "completedAt": None,
        "canceledAt": None,
    } | changes


def refusal(status: int, field: str | None, detail: str = "No.") -> Reply:
    body = {"status": status, "title": "Unprocessable Entity", "detail": detail}
    return hal(status, body if field is None else body | {"field": field})


def page(*payouts: dict[str, Any], following: Any = None) -> Reply:
    links = {"self": {"href": "x"}, "previous": None, "next": following, "documentation": {}}
    return hal(200, {"count": len(payouts), "_embedded": {"payouts": list(payouts)}, "_links": links})


def event(kind: str = "payout.completed", entity: Any = None, **changes: Any) -> bytes:
    body = {
        "resource": "event",
        "id": "event_example",
        "type": kind,
        "entityId": PAYOUT,
        "createdAt": "2026-01-02T06:00:02+00:00",
        "_embedded": None if entity is None else {"entity": entity},
    }
    return json.dumps(body | changes).encode()


def signature(body: bytes, secret: str = SECRETS[0]) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


class TestMollie(NetworkContract):
    provider = mollie.PROVIDER
    tables = TABLES
    secret_texts = (API_KEY, *SECRETS)
    create_path = "/v2/payouts"
    status_words: ClassVar[dict[str, Any]] = {
        "requested": Progress.PENDING,
        "initiated": Progress.IN_TRANSIT,
        "processing-at-bank": Progress.IN_TRANSIT,
        "completed": Progress.PAID,
        "canceled": Progress.CANCELLED,
        "failed": Progress.FAILED,
    }
    refusals: ClassVar[dict[str, Any]] = {
        "funds": (refusal(422, "amount"), FailureCode.INSUFFICIENT_PROVIDER_FUNDS, RefusalCause.PAYOUT),
        "balance": (refusal(422, "balanceId"), FailureCode.REJECTED_BY_PROVIDER, RefusalCause.PAYOUT),
        "testmode": (refusal(422, "testmode"), FailureCode.CONFIGURATION, RefusalCause.PAYOUT),
        "other field": (refusal(422, "moon"), FailureCode.REJECTED_BY_PROVIDER, RefusalCause.PAYOUT),
        "no field": (refusal(422, None), FailureCode.REJECTED_BY_PROVIDER, RefusalCause.PAYOUT),
        "bad request": (refusal(400, None), FailureCode.REJECTED_BY_PROVIDER, RefusalCause.PAYOUT),
        "forbidden": (refusal(403, None), FailureCode.CONFIGURATION, RefusalCause.CONNECTION),
        "other mode": (refusal(404, None), FailureCode.CONFIGURATION, RefusalCause.CONNECTION),
    }
    inexpressible: ClassVar[dict[str, Any]] = {
        "yen": {"currency": "JPY"},
        "long descriptor": {"description": "a" * 220},
    }

    def settings(self, base_url: str) -> ProviderModel:
        return MollieSettings(base_url=base_url, balance_id=BALANCE)

    def secrets(self) -> ProviderModel:
        return MollieSecrets.model_validate({"api_key": API_KEY, "webhook_secrets": SECRETS})

    def secrets_without_notice_secret(self) -> ProviderModel:
        return MollieSecrets.model_validate({"api_key": API_KEY, "webhook_secrets": [""]})

    def order(self, number: int = 1, **changes: Any) -> Order:
        fields = {"amount_minor": 10_00, "currency": "EUR", "destination": OwnBalance(), "description": None} | changes
        return Order(f"pa_{number:032x}", f"00000000-0000-4000-8000-{number:012x}", **fields)

    def known(self) -> Lookup:
        return lookup_of(self.order(), provider_ref=PAYOUT)

    def accepting(self, **wrong: Any) -> Answering:
        async def answer(request: web.Request) -> web.StreamResponse:
            sent = json.loads(await request.read())
            changes: dict[str, Any] = {"amount": dict(sent["amount"]), "description": sent["description"]}
            if "amount_minor" in wrong:
                changes["amount"]["value"] = to_decimal_text(wrong["amount_minor"], "EUR")
            changes["amount"]["currency"] = wrong.get("currency", changes["amount"]["currency"])
            return await hal(201, payout(wrong.get("status", "requested"), **changes))(request)

        return answer

    def found(self, word: Any, **wrong: Any) -> Answering:
        changes: dict[str, Any] = {"id": wrong.get("reference", PAYOUT)}
        if "amount_minor" in wrong:
            changes["amount"] = {"currency": "EUR", "value": to_decimal_text(wrong["amount_minor"], "EUR")}
        return hal(200, payout(word, **changes))

    def absent(self) -> Answering:
        return page(payout(id="payout_other", description="somebody else's"))

    def payouts_of(self, *orders: Order, created_at: datetime = SENT_AT) -> Answering:
        return page(
            *(
                payout(
                    id=PAYOUT if number == 0 else f"payout_{number}",
                    amount={"currency": order.currency, "value": to_decimal_text(order.amount_minor, order.currency)},
                    description=order.attempt_id,
                    createdAt=created_at.isoformat(),
                )
                for number, order in enumerate(orders)
            )
        )

    def good_notice(self) -> tuple[CIMultiDictProxy[str], bytes] | None:
        body = event(entity=payout("completed"))
        return headers_of(("X-Mollie-Signature", f"sha256={signature(body)}")), body

    # --- the wire

    async def test_the_wire(self, server: Scripted, transport: Transport) -> None:
        orders = [self.order(), self.order(2, amount_minor=9_007_199_254_740_991, description="Thank you")]
        for order in orders:
            await self.submit(server, transport, self.accepting(), [order])
        first, second = server.calls("POST", "/v2/payouts")
        assert first.headers["Authorization"] == f"Bearer {API_KEY}"
        assert first.headers["Idempotency-Key"] == orders[0].key
        assert first.json == {
            "balanceId": BALANCE,
            "amount": {"currency": "EUR", "value": "10.00"},
            "description": orders[0].attempt_id,
        }
        assert second.json["amount"]["value"] == "90071992547409.91"
        assert second.json["description"] == f"Thank you {orders[1].attempt_id}"

    async def test_the_longest_descriptor_fits(self, server: Scripted, transport: Transport) -> None:
        await self.submit(server, transport, self.accepting(), [self.order(description="a" * 219)])
        assert len(server.seen[0].json["description"]) == 255

    @pytest.mark.parametrize("testmode", [True, False])
    async def test_only_organisation_tokens_name_the_mode(
        self, *, testmode: bool, server: Scripted, transport: Transport
    ) -> None:
        server.on("POST", "/v2/payouts", self.accepting())
        server.on("GET", ".*", page())
        server.on("DELETE", ".*", hal(200, payout("canceled")))
        settings = MollieSettings(base_url=server.base_url, balance_id=BALANCE, testmode=testmode)
        for api_key, expected in (("test_x", None), ("live_x", None), ("access_x", testmode)):
            secrets = MollieSecrets.model_validate({"api_key": api_key})
            connector = self.provider.connect(settings, secrets, transport)
            server.seen.clear()
            await connector.submit(SUBMISSION_KEY, [self.order()])
            await connector.find([lookup_of(self.order()), self.known()])
            await connector.cancel(self.known())
            create, *others = server.seen
            assert create.json.get("testmode") is expected
            assert len(others) == 3
            for seen in others:
                assert (f"testmode={str(testmode).lower()}" in seen.query) == (expected is not None)

    # --- answers that prove nothing

    @pytest.mark.parametrize(
        "reply",
        [
            refusal(400, None, "The Idempotency-Key was used with other parameters."),
            refusal(400, "Idempotency-Key"),
            refusal(409, None, "A request with this idempotency key is in flight."),
            refusal(405, None),
            refusal(410, None),
            refusal(415, None),
            refusal(500, "balanceId"),
        ],
    )
    async def test_not_proof(self, reply: Reply, server: Scripted, transport: Transport) -> None:
        (report,) = await self.submit(server, transport, reply)
        assert isinstance(report, Unclear)

    async def test_what_refuses_is_a_setting(self, server: Scripted, transport: Transport) -> None:
        """M-1 switched to 422 only."""
        server.on("POST", "/v2/payouts", refusal(400, None), refusal(422, None))
        settings = MollieSettings(base_url=server.base_url, balance_id=BALANCE, refusal_http=frozenset({422}))
        connector = self.provider.connect(settings, self.secrets(), transport)
        first, second = [(await connector.submit(SUBMISSION_KEY, [self.order()]))[0] for _ in range(2)]
        assert isinstance(first, Unclear)
        assert isinstance(second, Refused)

    async def test_a_payout_of_another_balance_is_unclear(self, server: Scripted, transport: Transport) -> None:
        (report,) = await self.submit(server, transport, hal(201, payout(balanceId="bal_other")))
        assert isinstance(report, Unclear)
        assert report.provider_ref == PAYOUT

    @pytest.mark.parametrize("changes", [{"id": None}, {"id": "../x"}, {"id": 7}, {"amount": 7}, {"amount": {"value": "1"}}])
    async def test_acceptances_that_cannot_be_read(
        self, changes: dict[str, Any], server: Scripted, transport: Transport
    ) -> None:
        (report,) = await self.submit(server, transport, hal(201, payout(**changes)))
        assert isinstance(report, Unclear)

    async def test_the_amount_may_be_left_out(self, server: Scripted, transport: Transport) -> None:
        (report,) = await self.submit(server, transport, hal(201, payout(amount=None)))
        assert isinstance(report, Taken)
        assert (report.amount_minor, report.currency) == (None, None)

    # --- why it failed

    @pytest.mark.parametrize(
        ("code", "completed_at", "progress", "failure_code"),
        [
            ("insufficient_funds", None, Progress.FAILED, FailureCode.INSUFFICIENT_PROVIDER_FUNDS),
            ("bank_processing_failed", None, Progress.FAILED, FailureCode.REJECTED_BY_BANK),
            ("payouts_blocked", None, Progress.FAILED, FailureCode.COMPLIANCE),
            ("failed", None, Progress.FAILED, FailureCode.UNEXPLAINED),
            ("moonlight", None, Progress.FAILED, FailureCode.UNEXPLAINED),
            ("returned", None, Progress.RETURNED, FailureCode.RETURNED),
            ("returned", "2026-01-02T10:30:00+00:00", Progress.RETURNED, FailureCode.RETURNED),
            ("failed", "2026-01-02T10:30:00+00:00", Progress.RETURNED, FailureCode.RETURNED),
        ],
    )
    async def test_failed_or_returned(
        self,
        code: str,
        completed_at: str | None,
        progress: Progress,
        failure_code: FailureCode,
        canned: aioresponses,
        transport: Transport,
        heard: Heard,
    ) -> None:
        body = payout("failed", statusReason={"code": code, "message": "m"}, completedAt=completed_at)
        canned.get(f"https://mollie.test/v2/payouts/{PAYOUT}", payload=body, content_type="application/hal+json")
        (report,) = await self.connector(transport, "https://mollie.test").find([self.known()])
        assert isinstance(report, Taken)
        assert (report.progress, report.failure_code, report.words.code) == (progress, failure_code, code)
        assert len(heard.words) == (code == "moonlight")

    async def test_failed_without_a_reason_is_unclear(self, server: Scripted, transport: Transport) -> None:
        assert isinstance(await self.find(server, transport, hal(200, payout("failed", statusReason=None))), Unclear)

    # --- find by description

    async def find_by_description(
        self, server: Scripted, transport: Transport, *pages: Answering, **changes: Any
    ) -> tuple[Any, list[str]]:
        server.on("GET", r"/v2/payouts\?.*", *pages)
        lookup = lookup_of(self.order(), **changes)
        (report,) = await self.connector(transport, server.base_url).find([lookup])
        return report, [seen.path + seen.query for seen in server.seen]

    async def test_found_in_the_list(self, server: Scripted, transport: Transport) -> None:
        ours = payout("initiated", id="payout_ours", description=f"Thank you pa_{1:032x}")
        other = payout(id="payout_other", description=f"pa_{2:032x}")
        report, calls = await self.find_by_description(server, transport, page(other, ours))
        assert isinstance(report, Taken)
        assert (report.progress, report.provider_ref) == (Progress.IN_TRANSIT, "payout_ours")
        assert calls == [f"/v2/payouts?balanceId={BALANCE}&limit=50&sort=desc"]

    async def test_a_list_that_leaves_descriptions_out(self, server: Scripted, transport: Transport) -> None:
        """Each is read by itself before it is ruled out, whatever its amount."""
        listed = [payout(id=f"payout_{n}", amount={"currency": "EUR", "value": f"{n}.00"}) for n in (1, 2, 3)]
        for entry in listed:
            del entry["description"]
        server.on("GET", "/v2/payouts/payout_1", hal(200, payout(id="payout_1", description=None)))
        server.on("GET", "/v2/payouts/payout_2", hal(200, payout(id="payout_2", description="not ours")))
        server.on("GET", "/v2/payouts/payout_3", hal(200, payout("completed", id="payout_3")))
        report, calls = await self.find_by_description(server, transport, page(*listed))
        assert (report.progress, report.provider_ref) == (Progress.PAID, "payout_3")
        assert len(calls) == 4

    async def test_a_payout_that_shows_no_description_at_all(self, server: Scripted, transport: Transport) -> None:
        entry = payout()
        del entry["description"]
        server.on("GET", f"/v2/payouts/{PAYOUT}", hal(200, entry))
        report, _ = await self.find_by_description(server, transport, page(entry))
        assert isinstance(report, Unclear)

    async def test_too_many_without_a_description(self, server: Scripted, transport: Transport) -> None:
        report, calls = await self.find_by_description(
            server, transport, page(*(payout(id=f"payout_{n}", description=None) for n in range(21)))
        )
        assert isinstance(report, Unclear)
        assert len(calls) == 1

    async def test_goes_on_to_the_next_page(self, server: Scripted, transport: Transport) -> None:
        """Only the id is taken from the link: a foreign host in it is not called, and gets no credentials."""
        other = payout(id="payout_other", description="x")
        following = {"href": "https://elsewhere.invalid/v2/payouts?from=payout_9&limit=50", "type": "application/hal+json"}
        report, calls = await self.find_by_description(
            server, transport, page(other, following=following), page(payout("completed"))
        )
        assert report.progress is Progress.PAID
        assert calls[1] == f"/v2/payouts?balanceId={BALANCE}&limit=50&sort=desc&from=payout_9"

    async def test_not_found_when_the_list_ends(self, server: Scripted, transport: Transport) -> None:
        report, _ = await self.find_by_description(server, transport, page())
        assert isinstance(report, NotFound)

    async def test_not_found_when_the_list_is_older_than_the_attempt(self, server: Scripted, transport: Transport) -> None:
        old = payout(id="payout_old", description="x", createdAt="2025-12-30T09:00:00+00:00")
        following = {"href": "/v2/payouts?from=payout_older"}
        report, calls = await self.find_by_description(server, transport, page(old, following=following))
        assert isinstance(report, NotFound)
        assert len(calls) == 1

    async def test_the_list_goes_a_day_further_back(self, server: Scripted, transport: Transport) -> None:
        """An earlier send with the same key may be the one that arrived."""
        earlier = payout(createdAt="2025-12-31T10:00:00+00:00")
        report, _ = await self.find_by_description(server, transport, page(earlier))
        assert isinstance(report, Taken)
        report, _ = await self.find_by_description(server, transport, page(earlier), sent_at=SENT_AT + timedelta(days=2))
        assert isinstance(report, NotFound)

    @pytest.mark.parametrize(
        "broken",
        [
            hal(200, {"count": 0}),
            hal(200, {"_embedded": {"payouts": {}}, "_links": {"next": None}}),
            hal(200, {"_embedded": {"payouts": [7]}, "_links": {"next": None}}),
            hal(200, {"_embedded": {"payouts": []}}),
            hal(200, {"_embedded": {"payouts": []}, "_links": {}}),
            page(following={"href": "/v2/payouts"}),
            page(following={"href": 7}),
            page(following={"href": "http://["}),
            page(following="later"),
            page(following={"href": "/v2/payouts?from=../x"}),
            page(payout(id=7, description=None)),
            refusal(400, "from", "Invalid cursor value"),
            scripted.half_answer,
        ],
    )
    async def test_a_list_that_cannot_be_read_to_its_end_is_unclear(
        self, broken: Answering, server: Scripted, transport: Transport
    ) -> None:
        report, _ = await self.find_by_description(server, transport, broken)
        assert isinstance(report, Unclear)

    async def test_an_endless_list_is_unclear(self, server: Scripted, transport: Transport) -> None:
        report, calls = await self.find_by_description(
            server, transport, page(payout(description="x"), following={"href": "/?from=payout_1"})
        )
        assert isinstance(report, Unclear)
        assert len(calls) == 10

    async def test_an_unreadable_date_is_looked_at(self, server: Scripted, transport: Transport) -> None:
        report, _ = await self.find_by_description(server, transport, page(payout("completed", createdAt="yesterday")))
        assert isinstance(report, Taken)

    @given_settings(max_examples=200, deadline=None)
    @given(value=st.text() | st.integers() | st.none() | st.datetimes(timezones=st.timezones()).map(lambda d: d.isoformat()))
    def test_dates_and_links_of_any_shape(self, value: Any) -> None:
        assert (_made({"createdAt": value}) >= SENT_AT) in {True, False}
        _next_start({"_links": {"next": {"href": value}}})

    # --- the list for a comparison

    async def listing(self, server: Scripted, transport: Transport, *pages: Answering, since: Any = EVER[0]) -> Any:
        server.on("GET", r"/v2/payouts\?.*", *pages)
        return await self.connector(transport, server.base_url).listed(since, EVER[1])

    async def test_the_list_shows_what_others_made(self, server: Scripted, transport: Transport) -> None:
        """By Mollie's schedule or in its dashboard: without a reference of ours, and as exact as any other."""
        ours = payout("initiated", description=f"Thank you pa_{1:032x}", createdAt="2026-01-01T10:00:01+01:00")
        theirs = payout("completed", id="payout_2", description="Settlement pa_2", amount={"currency": "EUR", "value": "7.01"})
        mute = payout("failed", id="payout_3", description="", amount=None)
        listing = await self.listing(server, transport, page(ours, theirs, mute))
        assert isinstance(listing, Listing)
        assert listing.complete
        first, second, third = listing.rows
        assert (first.attempt_id, first.key, first.progress) == (f"pa_{1:032x}", None, Progress.IN_TRANSIT)
        assert first.created_at == datetime(2026, 1, 1, 9, 0, 1, tzinfo=UTC)
        assert (second.provider_ref, second.attempt_id, second.amount_minor) == ("payout_2", None, 7_01)
        assert (third.amount_minor, third.currency, third.progress) == (None, None, Progress.FAILED)
        assert [seen.path + seen.query for seen in server.seen] == [f"/v2/payouts?balanceId={BALANCE}&limit=50&sort=desc"]

    async def test_the_list_is_read_until_it_is_old_enough(self, server: Scripted, transport: Transport) -> None:
        """One at the very moment belongs to it; a payout that two pages show is one payout."""
        at = [payout(id=f"payout_{n}", createdAt=f"2026-01-01T0{n}:00:00+00:00") for n in range(9)]
        following = {"href": "https://elsewhere.invalid/v2/payouts?from=payout_6"}
        pages = (page(*at[8:5:-1], following=following), page(*at[6:3:-1], following=following), page(*at[4:2:-1]))
        since = datetime(2026, 1, 1, 5, tzinfo=UTC)
        listing = await self.listing(server, transport, *pages, since=since)
        assert [row.provider_ref for row in listing.rows] == ["payout_8", "payout_7", "payout_6", "payout_5"]
        assert (listing.complete, len(server.seen)) == (True, 2)
        assert server.seen[1].query.endswith("&from=payout_6")

    async def test_an_endless_list_is_not_complete(self, server: Scripted, transport: Transport) -> None:
        listing = await self.listing(server, transport, page(payout(), following={"href": "/?from=payout_1"}))
        assert (len(listing.rows), listing.complete, listing.reason) == (1, False, "the list goes on after 10 pages")
        assert len(server.seen) == 10

    @pytest.mark.parametrize("broken", [hal(500, {}), scripted.half_answer, hal(200, {}), Reply(200, b"<html>", {})])
    async def test_a_later_page_that_fails_leaves_the_rest(
        self, broken: Answering, server: Scripted, transport: Transport
    ) -> None:
        listing = await self.listing(server, transport, page(payout(), following={"href": "/?from=payout_1"}), broken)
        assert ([row.provider_ref for row in listing.rows], listing.complete) == ([PAYOUT], False)
        assert listing.reason.startswith("page 2: ")

    @pytest.mark.parametrize("following", ["later", {"href": "/v2/payouts"}, {"href": "http://["}, 7])
    async def test_a_list_whose_next_link_cannot_be_read(self, following: Any, server: Scripted, transport: Transport) -> None:
        listing = await self.listing(server, transport, page(payout(), following=following))
        assert (len(listing.rows), listing.complete) == (1, False)

    async def test_an_unreadable_row_is_a_gap(self, server: Scripted, transport: Transport) -> None:
        listing = await self.listing(server, transport, page(payout(), payout(id="../x")))
        assert (len(listing.rows), listing.complete, listing.reason) == (
            1, False, "a payout in the list has no readable id",
        )  # fmt: skip

    async def test_a_listed_payout_whose_status_or_date_nobody_knows(
        self, server: Scripted, transport: Transport, heard: Heard
    ) -> None:
        """It is there all the same, in every window."""
        listing = await self.listing(server, transport, page(payout("teleported", createdAt="yesterday")), since=SENT_AT)
        (row,) = listing.rows
        assert (row.progress, row.created_at, row.amount_minor, row.words.status) == (None, None, 10_00, "teleported")
        assert [word for _, _, word in heard.words] == ["teleported"]

    async def test_another_balance_is_not_ours_to_list(self, server: Scripted, transport: Transport) -> None:
        listing = await self.listing(server, transport, page(payout(balanceId="bal_other"), payout(id="payout_2")))
        assert ([row.provider_ref for row in listing.rows], listing.complete) == (["payout_2"], True)

    async def test_listed_without_descriptions(self, server: Scripted, transport: Transport) -> None:
        """Each is read by itself, but for those that are too old to matter; what cannot be read may be ours."""
        rows = [payout(id=f"payout_{n}") for n in range(4)]
        for row in rows:
            del row["description"]
        rows[3]["createdAt"] = "2025-01-01T09:00:00+00:00"
        server.on("GET", "/v2/payouts/payout_0", hal(200, payout("completed", id="payout_0")))
        server.on("GET", "/v2/payouts/payout_1", hal(200, payout(id="payout_1", description=None)))
        server.on("GET", "/v2/payouts/payout_2", hal(200, payout(id="payout_2", description="x")))
        listing = await self.listing(server, transport, page(*rows), since=SENT_AT)
        assert [(row.attempt_id, row.progress) for row in listing.rows] == [
            (f"pa_{1:032x}", Progress.PAID),
            (None, Progress.PENDING),
            (None, Progress.PENDING),
        ]
        assert (listing.complete, len(server.seen)) == (True, 4)
        for answer in (hal(500, {}), hal(200, payout(id="payout_other"))):
            server.on("GET", "/v2/payouts/payout_2", answer)
            listing = await self.listing(server, transport, page(*rows), since=SENT_AT)
            assert (len(listing.rows), listing.complete) == (3, False)

    async def test_too_many_listed_without_a_description(self, server: Scripted, transport: Transport) -> None:
        server.on("GET", "/v2/payouts/payout_.*", refusal(404, None))
        rows = [payout(id=f"payout_{n}", description=None) for n in range(25)]
        listing = await self.listing(server, transport, page(*rows))
        assert (len(listing.rows), listing.complete) == (25, False)
        assert len(server.calls("GET", "/v2/payouts/payout_.*")) == 20

    async def test_an_id_they_gave_us_is_never_simply_absent(self, server: Scripted, transport: Transport) -> None:
        """A 404 here means other credentials or the other mode."""
        assert isinstance(await self.find(server, transport, refusal(404, None)), Unclear)

    # --- cancel

    async def test_cancel(self, server: Scripted, transport: Transport) -> None:
        server.on("DELETE", f"/v2/payouts/{PAYOUT}", hal(200, payout("canceled")))
        report = await self.connector(transport, server.base_url).cancel(self.known())
        assert isinstance(report, Taken)
        assert report.progress is Progress.CANCELLED

    @pytest.mark.parametrize("answer", [refusal(409, None), refusal(404, None), Reply(500), scripted.dropped_answer])
    async def test_a_cancel_that_failed_says_nothing(self, answer: Answering, server: Scripted, transport: Transport) -> None:
        server.on("DELETE", ".*", answer)
        assert isinstance(await self.connector(transport, server.base_url).cancel(self.known()), Unclear)

    async def test_cancel_needs_their_id(self, server: Scripted, transport: Transport) -> None:
        report = await self.connector(transport, server.base_url).cancel(replace(self.known(), provider_ref=None))
        assert isinstance(report, Unclear)
        assert server.seen == []

    # --- events

    def test_the_sheets_signature_vector(self, transport: Transport) -> None:
        body = b'{"resource":"event","id":"event_example"}'
        good = "e5e6baf7cb4fe8d71f68b75342d72d9499a982d65654ee8f5eb7c10d8e4dbed7"
        connector = self.connector(transport)
        assert connector.verify_notice(headers_of(("X-Mollie-Signature", f"sha256={good}")), body)
        assert connector.verify_notice(headers_of(("x-mollie-signature", good)), body)
        assert not connector.verify_notice(headers_of(("X-Mollie-Signature", good.upper())), body)
        assert not connector.verify_notice(headers_of(("X-Mollie-Signature", good)), body + b" ")
        assert not connector.verify_notice(headers_of(("X-Mollie-Signature", f"sha512={good}")), body)

    def test_while_a_secret_is_replaced_each_delivery_has_two_signatures(self, transport: Transport) -> None:
        body = event()
        old, new = (f"sha256={signature(body, secret)}" for secret in ("retired-secret", SECRETS[1]))
        connector = self.connector(transport)
        assert connector.verify_notice(headers_of(("X-Mollie-Signature", old), ("X-Mollie-Signature", new)), body)
        assert connector.verify_notice(headers_of(("X-Mollie-Signature", f"{old}, {new}")), body)
        assert not connector.verify_notice(headers_of(("X-Mollie-Signature", old)), body)

    def test_no_secrets_at_all(self, transport: Transport) -> None:
        body = event()
        headers = headers_of(("X-Mollie-Signature", signature(body, "")))
        for known in ([], [""]):
            secrets = MollieSecrets.model_validate({"api_key": API_KEY, "webhook_secrets": known})
            assert not self.connector(transport, secrets=secrets).verify_notice(headers, body)

    def test_an_event_with_its_payout(self, transport: Transport) -> None:
        (fact,) = self.connector(transport).read_notice(event(entity=payout("completed")))
        assert isinstance(fact, PayoutFact)
        assert fact.about == AboutPayout(PAYOUT)
        assert isinstance(fact.report, Taken)
        assert (fact.report.progress, fact.report.amount_minor) == (Progress.PAID, 10_00)

    @pytest.mark.parametrize(
        "body",
        [
            event(),
            event(_embedded={}),
            event(_embedded=7),
            event(entity=payout("teleported")),
            event(entity=payout(id="payout_other")),
            event(entity=payout(balanceId="bal_other")),
            event(entity=[]),
            json.dumps(payout("completed")).encode(),
        ],
    )
    def test_an_event_that_only_says_that_there_is_news(self, body: bytes, transport: Transport) -> None:
        assert self.connector(transport).read_notice(body) == [PayoutFact(AboutPayout(PAYOUT), None)]

    def test_events_for_somebody_else(self, transport: Transport, heard: Heard) -> None:
        connector = self.connector(transport)
        assert connector.read_notice(event("payment-link.paid")) == []
        assert connector.read_notice(event("ping")) == []
        assert heard.words == []
        assert connector.read_notice(event("payout.teleported")) == []
        assert [word for _, _, word in heard.words] == ["payout.teleported"]

    @pytest.mark.parametrize("body", [event(entityId=None), event(entityId="../x"), event(resource="page"), b"[]"])
    def test_events_that_name_nobody(self, body: bytes, transport: Transport) -> None:
        with pytest.raises(UnreadableNoticeError, match="nothing was changed"):
            self.connector(transport).read_notice(body)

    # --- balance

    async def test_balance(self, server: Scripted, transport: Transport) -> None:
        body = {"resource": "balance", "id": BALANCE, "availableAmount": {"currency": "EUR", "value": "12.34"}}
        server.on("GET", f"/v2/balances/{BALANCE}", Reply(200, body))
        assert await self.connector(transport, server.base_url).balance() == [ProviderBalance("EUR", 12_34)]

    async def test_an_api_key_may_not_read_the_balance(self, server: Scripted, transport: Transport) -> None:
        server.on("GET", "/v2/balances/.*", Reply(403, {"status": 403, "title": "Forbidden", "detail": "no"}))
        shown = await self.connector(transport, server.base_url).balance()
        assert isinstance(shown, Unclear)
        assert "balances.read" in shown.reason

    @pytest.mark.parametrize(
        "body", [{"id": "bal_other", "availableAmount": {"currency": "EUR", "value": "1.00"}}, {"id": BALANCE}, {}]
    )
    async def test_another_balance_or_none_is_unclear(self, body: Any, server: Scripted, transport: Transport) -> None:
        server.on("GET", "/v2/balances/.*", Reply(200, body))
        assert isinstance(await self.connector(transport, server.base_url).balance(), Unclear)

    # --- rest

    async def test_saves_no_cards(self, transport: Transport) -> None:
        assert isinstance(await self.connector(transport).save_card("card_1", {}), NotSent)

    @pytest.mark.parametrize("balance_id", ["", "primary", "bal_", "bal_a/b", "bal_a&x=1"])
    def test_a_balance_id_is_checked(self, balance_id: str) -> None:
        with pytest.raises(ValueError, match="balance_id"):
            MollieSettings(base_url="https://mollie.test", balance_id=balance_id)

    @given_settings(max_examples=200)
    @given(amount=st.integers(1, 2**53 - 1), currency=st.sampled_from(sorted(mollie.PROVIDER.contract.amounts)))
    def test_amounts_survive_the_wire(self, amount: int, currency: str) -> None:
        assert to_minor(to_decimal_text(amount, currency), currency) == amount
