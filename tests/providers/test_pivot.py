"""Pivot: batches, its access token, rows that decide, and the seed's own payout object."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from aiohttp import web
from multidict import CIMultiDictProxy

from providers import pivot
from providers.base import ProviderModel, UnreadableNoticeError
from providers.pivot.access_token import AccessToken
from providers.pivot.reading import Reader
from providers.pivot.settings import PivotSecrets, PivotSettings
from providers.pivot.tables import TABLES
from providers.transport import Transport
from schemas.checks import ProviderBalance, Verdict
from schemas.failure import FailureCode
from schemas.notice import AboutKey, AboutSubmission, PayoutFact
from schemas.order import Lookup, Order
from schemas.report import NotFound, NotSent, Progress, RefusalCause, Refused, Taken, Unclear
from schemas.strict_json import load_object
from tests.providers import scripted
from tests.providers.conftest import Heard
from tests.providers.contract_suite import (
    ACCOUNT_NUMBER,
    BANK,
    HOLDER,
    SUBMISSION_KEY,
    NetworkContract,
    headers_of,
    lookup_of,
)
from tests.providers.scripted import Answering, Reply, Scripted

UUID = "00000000-0000-4000-8000-000000000001"
TOKEN = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJleGFtcGxlIjoidHJ1ZSJ9c2lnbmF0dXJl.c2lnbmF0dXJlLWV4YW1wbGUtbG9uZy1lbm91Z2g"
CALLBACK_KEY = "callback-key-7Q"
CLIENT_SECRET = "client-secret-9Z"


def token_reply(token: str = TOKEN, expires_in: Any = "900") -> Reply:
    data = {"accessToken": token, "expiresIn": expires_in, "tokenType": "Bearer"}
    return Reply(200, {"code": "00", "message": "Success", "data": data})


def error(code: str, *, status: int = 400, field: str = "", message: str = "look", trace: str = "traceId") -> Reply:
    details = [{"field": field, "message": message}]
    return Reply(status, {"code": code, "message": "Nope", "error": {"type": "API_ERROR", "details": details, trace: "t"}})


def row_object(lookup: Lookup, status: Any = "SUCCESS", **changes: Any) -> dict[str, Any]:
    return {
        "referenceId": lookup.key,
        "inquiryId": "",
        "channelCode": "BCA",
        "channelInformation": {"accountName": HOLDER, "accountNumber": ACCOUNT_NUMBER},
        "amount": {"currency": "IDR", "value": str(lookup.amount_minor // 100)},
        "status": status,
        "reason": "",
    } | changes


def request_object(*rows: dict[str, Any], status: str = "DONE", page: int = 1, pages: int = 1, uuid: str = UUID) -> Reply:
    data = {"uuid": uuid, "merchantId": "m", "status": status, "payoutResults": {}, "payouts": list(rows)}
    pagination = {"page": page, "perPage": 100, "totalItems": len(rows), "totalPages": pages}
    return Reply(200, {"code": "00", "message": "Success", "data": data, "pagination": pagination})


class TestPivot(NetworkContract):
    provider = pivot.PROVIDER
    tables = TABLES
    secret_texts = (TOKEN, TOKEN[:40], CALLBACK_KEY, CLIENT_SECRET, ACCOUNT_NUMBER)
    create_path = "/v1/payouts"
    credentials_tried = 2  # once more with a new token
    status_words: ClassVar[dict[str, Any]] = {
        "APPROVED": Progress.PENDING,
        "PENDING": Progress.IN_TRANSIT,
        "SUCCESS": Progress.PAID,
        "FAILED": Progress.FAILED,
        "CANCELLED": Progress.CANCELLED,
        "CANCELED": Progress.CANCELLED,
        "RETURNED": Progress.RETURNED,
    }
    refusals: ClassVar[dict[str, Any]] = {
        "below": (error("amount_below_limit"), FailureCode.AMOUNT_NOT_ALLOWED, RefusalCause.PAYOUT),
        "above": (error("amount_above_limit"), FailureCode.AMOUNT_NOT_ALLOWED, RefusalCause.PAYOUT),
        "format": (error("field_format_invalid"), FailureCode.REJECTED_BY_PROVIDER, RefusalCause.PAYOUT),
        "account": (
            error("field_format_invalid", field="payouts[0].channelInformation.accountNumber"),
            FailureCode.INVALID_DESTINATION,
            RefusalCause.RECIPIENT,
        ),
        "value": (error("field_required", field="value"), FailureCode.AMOUNT_NOT_ALLOWED, RefusalCause.PAYOUT),
        "whole": (error("format_invalid", trace="trace_id"), FailureCode.REJECTED_BY_PROVIDER, RefusalCause.PAYOUT),
        "channel": (error("unsupported_channel_code"), FailureCode.INVALID_DESTINATION, RefusalCause.PAYOUT),
        "funds": (
            error("balance_insufficient", status=422),
            FailureCode.INSUFFICIENT_PROVIDER_FUNDS,
            RefusalCause.PAYOUT,
        ),
        "daily": (error("daily_payout_limit_exceeded"), FailureCode.REJECTED_BY_PROVIDER, RefusalCause.PAYOUT),
        "missing": (error("resource_missing", status=404), FailureCode.CONFIGURATION, RefusalCause.CONNECTION),
        "known code, any status": (
            error("amount_below_limit", status=500),
            FailureCode.AMOUNT_NOT_ALLOWED,
            RefusalCause.PAYOUT,
        ),
        "unknown code, 4xx": (error("new_rule", status=422), FailureCode.REJECTED_BY_PROVIDER, RefusalCause.PAYOUT),
    }
    inexpressible: ClassVar[dict[str, Any]] = {
        "fraction": {"amount_minor": 100_000_01},
        "descriptor": {"description": "two words"},
        "long descriptor": {"description": "a" * 21},
        "no bank code": {"destination": BANK.model_copy(update={"bank_code": None})},
        "foreign bank code": {"destination": BANK.model_copy(update={"bank_code": "ID_BCA"})},
        "long holder": {"destination": BANK.model_copy(update={"bank_account_holder": "a" * 61})},
    }

    def settings(self, base_url: str) -> ProviderModel:
        return PivotSettings(base_url=base_url)

    def secrets(self) -> ProviderModel:
        return PivotSecrets.model_validate(
            {"client_id": "client-1", "client_secret": CLIENT_SECRET, "callback_key": CALLBACK_KEY}
        )

    def secrets_without_notice_secret(self) -> ProviderModel:
        return PivotSecrets.model_validate({"client_id": "client-1", "client_secret": CLIENT_SECRET})

    def order(self, number: int = 1, **changes: Any) -> Order:
        fields = {"amount_minor": 100_000_00, "currency": "IDR", "destination": BANK, "description": "example1"} | changes
        return Order(f"pa_{number:032x}", f"{number:032x}", **fields)

    def known(self) -> Lookup:
        return lookup_of(self.order(), submission_ref=UUID)

    def prepare(self, server: Scripted) -> None:
        server.on("POST", "/v1/access-token", token_reply())

    def accepting(self, **wrong: Any) -> Answering:
        async def answer(request: web.Request) -> web.StreamResponse:
            rows = json.loads(await request.read())["payouts"]
            for row in rows:
                if "amount_minor" in wrong:
                    row["amount"]["value"] = str(wrong["amount_minor"] // 100)
                row["amount"]["currency"] = wrong.get("currency", "IDR")
                row["referenceId"] = wrong.get("reference", row["referenceId"])
                row["inquiryId"] = ""
            data = {"uuid": UUID, "merchantId": "m", "payouts": rows, "status": wrong.get("status", "IN_PROGRESS")}
            return web.json_response({"code": "00", "message": "Success", "data": data})

        return answer

    def found(self, word: Any, **wrong: Any) -> Answering:
        lookup = self.known()
        row = row_object(lookup, word)
        if "amount_minor" in wrong:
            row["amount"]["value"] = str(wrong["amount_minor"] // 100)
        row["referenceId"] = wrong.get("reference", row["referenceId"])
        if word == "FAILED":
            row["reason"] = "Invalid account"
        single = Reply(200, {"code": "00", "message": "Success", "data": [row]})

        async def answer(request: web.Request) -> web.StreamResponse:
            return await (single if "type=single" in request.query_string else request_object(row))(request)

        return answer

    def absent(self) -> Answering:
        return error("resource_missing", status=404)

    def good_notice(self) -> tuple[CIMultiDictProxy[str], bytes] | None:
        row = row_object(self.known(), reason=None)
        body = {"event": "PAYOUT.SUCCESS", "data": {"uuid": UUID, "merchantId": "m", "payouts": row}}
        return headers_of(("X-API-Key", CALLBACK_KEY)), json.dumps(body).encode()

    # --- the wire

    async def test_the_wire(self, server: Scripted, transport: Transport) -> None:
        await self.submit(server, transport, self.accepting(), [self.order(), self.order(2, description=None)])
        (seen,) = server.calls("POST", "/v1/payouts")
        assert seen.headers["X-REQUEST-ID"] == SUBMISSION_KEY
        assert seen.headers["Authorization"] == f"Bearer {TOKEN}"
        assert "x-submerchant-id" not in seen.headers
        first = {
            "referenceId": f"{1:032x}",
            "channelCode": "BCA",
            "channelInformation": {"accountNumber": ACCOUNT_NUMBER, "accountName": HOLDER},
            "amount": {"value": "100000", "currency": "IDR"},
            "description": "example1",
        }
        second = {key: value for key, value in first.items() if key != "description"} | {"referenceId": f"{2:032x}"}
        assert seen.json == {"payouts": [first, second]}
        (token,) = server.calls("POST", "/v1/access-token")
        assert (token.headers["X-MERCHANT-ID"], token.headers["X-MERCHANT-SECRET"]) == ("client-1", CLIENT_SECRET)
        assert token.json == {"grantType": "client_credentials"}

    async def test_sub_merchant(self, server: Scripted, transport: Transport) -> None:
        self.script_accept(server)
        settings = PivotSettings(base_url=server.base_url, sub_merchant_id="sub-1")
        connector = self.provider.connect(settings, self.secrets(), transport)
        await connector.submit(SUBMISSION_KEY, [self.order()])
        assert server.calls("POST", "/v1/payouts")[0].headers["x-submerchant-id"] == "sub-1"

    async def test_unwritable_rows_stay_behind(self, server: Scripted, transport: Transport) -> None:
        orders = [self.order(1), self.order(2, amount_minor=1_50), self.order(3)]
        reports = await self.submit(server, transport, self.accepting(), orders)
        assert [type(report) for report in reports] == [Taken, Refused, Taken]
        (seen,) = server.calls("POST", "/v1/payouts")
        assert [row["referenceId"] for row in seen.json["payouts"]] == [f"{1:032x}", f"{3:032x}"]

    async def test_a_thousand_rows(self, server: Scripted, transport: Transport) -> None:
        orders = [self.order(number) for number in range(1, 1001)]
        reports = await self.submit(server, transport, self.accepting(), orders)
        assert all(isinstance(report, Taken) and report.submission_ref == UUID for report in reports)
        assert len(server.calls("POST", "/v1/payouts")) == 1

    async def test_accepted_with_a_space_or_pending(self, server: Scripted, transport: Transport) -> None:
        for word in ("IN PROGRESS", "IN_PROGRESS", "PENDING", "PROCESSING"):
            (report,) = await self.submit(server, transport, self.accepting(status=word))
            assert isinstance(report, Taken)
            assert (report.progress, report.words.status) == (Progress.PENDING, word)

    async def test_an_echo_that_differs(self, server: Scripted, transport: Transport) -> None:
        (report,) = await self.submit(server, transport, self.accepting(reference="somebody-elses"))
        assert isinstance(report, Unclear)
        assert report.submission_ref == UUID

        async def other_account(request: web.Request) -> web.StreamResponse:
            rows = json.loads(await request.read())["payouts"]
            rows[0]["channelInformation"]["accountNumber"] = "1"
            data = {"uuid": UUID, "payouts": rows, "status": "IN_PROGRESS"}
            return web.json_response({"code": "00", "data": data})

        (report,) = await self.submit(server, transport, other_account)
        assert isinstance(report, Unclear)
        assert "destination" in report.reason

    # --- codes that prove nothing

    @pytest.mark.parametrize(
        "reply",
        [
            error("resource_already_exists", status=409, field="referenceId", message="Use unique referenceId"),
            error("resource_already_exists", status=409, message="Use unique X-EXTERNAL-ID"),
            error("resource_already_exists", status=400, field="referenceId"),
            error("service_unavailable", status=503),
            error("service_unavailable", status=400),
            error("general_error", status=500),
            error("payouts_in_process", status=422),
            error("new_word", status=500),
            error("new_word", status=200),
            error("new_word", status=409),
            error("00", status=307),
        ],
    )
    async def test_not_proof(self, reply: Reply, server: Scripted, transport: Transport) -> None:
        reports = await self.submit(server, transport, reply, [self.order(1), self.order(2)])
        assert [type(report) for report in reports] == [Unclear, Unclear]
        assert len(server.calls("POST", "/v1/payouts")) == 1

    # --- a refused batch

    async def causes(self, server: Scripted, transport: Transport, reply: Reply, count: int = 4) -> list[RefusalCause]:
        orders = [self.order(number) for number in range(1, count + 1)]
        reports = await self.submit(server, transport, reply, orders)
        assert all(isinstance(report, Refused) for report in reports)
        return [report.cause for report in reports]

    async def test_the_row_that_is_named(self, server: Scripted, transport: Transport) -> None:
        reply = error("amount_below_limit", field="amount.value", message=f"row {3:032x} is too small")
        expected = [RefusalCause.PACING, RefusalCause.PACING, RefusalCause.PAYOUT, RefusalCause.PACING]
        assert await self.causes(server, transport, reply) == expected

    async def test_a_position_is_no_name(self, server: Scripted, transport: Transport) -> None:
        """Nobody says whether positions count from 0 or 1: both go out alone, no one is blamed."""
        expected = [RefusalCause.PACING, RefusalCause.ALONE, RefusalCause.ALONE, RefusalCause.PACING]
        for field in ("payouts[2].amount.value", "payouts.2.amount"):
            assert await self.causes(server, transport, error("amount_below_limit", field=field)) == expected
        reply = error("field_required", field="payouts[0].channelCode")
        assert (await self.causes(server, transport, reply))[:2] == [RefusalCause.ALONE, RefusalCause.PACING]

    async def test_nobody_named(self, server: Scripted, transport: Transport) -> None:
        for code in ("field_format_invalid", "format_invalid", "unsupported_channel_code", "new_rule"):
            assert await self.causes(server, transport, error(code)) == [RefusalCause.ALONE] * 4
        assert await self.causes(server, transport, error("field_required", field="payouts[9].x")) == [RefusalCause.ALONE] * 4

    async def test_a_sum_that_is_too_much_is_nobodys_fault(self, server: Scripted, transport: Transport) -> None:
        """One large row must not fail those that the balance or the limit would still carry: each is judged alone."""
        for code in ("balance_insufficient", "daily_payout_limit_exceeded"):
            assert await self.causes(server, transport, error(code)) == [RefusalCause.ALONE] * 4
            assert await self.causes(server, transport, error(code), count=1) == [RefusalCause.PAYOUT]

    async def test_without_atomic_batches_a_refusal_proves_nothing(self, server: Scripted, transport: Transport) -> None:
        """V-8 switched off."""
        self.prepare(server)
        server.on("POST", "/v1/payouts", error("field_format_invalid"))
        settings = PivotSettings(base_url=server.base_url, batch_atomic=False)
        connector = self.provider.connect(settings, self.secrets(), transport)
        reports = await connector.submit(SUBMISSION_KEY, [self.order(1), self.order(2)])
        assert [type(report) for report in reports] == [Unclear, Unclear]
        (alone,) = await connector.submit(SUBMISSION_KEY, [self.order(1)])
        assert isinstance(alone, Refused)

    # --- the access token

    async def test_a_hundred_submits_fetch_one_token(self, server: Scripted, transport: Transport) -> None:
        async def slow(request: web.Request) -> web.StreamResponse:
            await asyncio.sleep(0.05)
            return await token_reply()(request)

        server.on("POST", "/v1/access-token", slow)
        server.on("POST", "/v1/payouts", self.accepting())
        connector = self.connector(transport, server.base_url)
        reports = await asyncio.gather(*(connector.submit(SUBMISSION_KEY, [self.order()]) for _ in range(100)))
        assert all(isinstance(report, Taken) for (report,) in reports)
        assert len(server.calls("POST", "/v1/access-token")) == 1

    @pytest.mark.hasty
    async def test_a_hundred_submits_share_one_failure(self, server: Scripted, transport: Transport) -> None:
        server.on("POST", "/v1/access-token", scripted.hanging_answer)
        connector = self.connector(transport, server.base_url)
        reports = await asyncio.gather(*(connector.submit(SUBMISSION_KEY, [self.order()]) for _ in range(100)))
        assert all(isinstance(report, NotSent) for (report,) in reports)
        assert len(server.calls("POST", "/v1/access-token")) == 1

    async def test_a_refused_token_is_renewed_once(self, server: Scripted, transport: Transport) -> None:
        server.on("POST", "/v1/access-token", token_reply("old"), token_reply("new"))
        server.on("POST", "/v1/payouts", error("credentials_invalid", status=401), self.accepting())
        connector = self.connector(transport, server.base_url)
        (report,) = await connector.submit(SUBMISSION_KEY, [self.order()])
        assert isinstance(report, Taken)
        first, second = server.calls("POST", "/v1/payouts")
        assert (first.headers["Authorization"], second.headers["Authorization"]) == ("Bearer old", "Bearer new")
        assert first.body == second.body
        assert first.headers["X-REQUEST-ID"] == second.headers["X-REQUEST-ID"]

    async def test_a_token_refused_twice_is_our_configuration(self, server: Scripted, transport: Transport) -> None:
        (report,) = await self.submit(server, transport, error("credentials_invalid", status=400))
        assert isinstance(report, Refused)
        assert (report.cause, report.failure_code) == (RefusalCause.CONNECTION, FailureCode.CONFIGURATION)
        assert len(server.calls("POST", "/v1/payouts")) == 2

    async def test_a_token_that_cannot_be_renewed(self, server: Scripted, transport: Transport) -> None:
        server.on("POST", "/v1/access-token", token_reply(), Reply(503, {"message": "later"}))
        server.on("POST", "/v1/payouts", error("credentials_invalid", status=401))
        (report,) = await self.connector(transport, server.base_url).submit(SUBMISSION_KEY, [self.order()])
        assert isinstance(report, Refused)
        assert report.cause is RefusalCause.PACING

    @pytest.mark.parametrize(
        ("reply", "expected"),
        [
            (error("credentials_invalid", status=401), RefusalCause.CONNECTION),
            (error("field_required", status=400), RefusalCause.CONNECTION),
            (Reply(403, b"<html>", {"Content-Type": "text/html"}), RefusalCause.CONNECTION),
            (Reply(404, b"not found", {"Content-Type": "text/plain"}), RefusalCause.CONNECTION),
            (Reply(429, {"message": "slow"}), RefusalCause.PACING),
            (Reply(500, {"code": "general_error"}), None),
            (Reply(503, b""), None),
            (Reply(200, {"code": "00", "data": {"accessToken": ""}}), None),
            (Reply(200, {"code": "00", "data": {"accessToken": "with\nline"}}), None),
            (Reply(200, {"code": "00", "data": None}), None),
            (scripted.dropped_answer, None),
        ],
    )
    async def test_without_a_token_nothing_is_sent(
        self, reply: Answering, expected: RefusalCause | None, server: Scripted, transport: Transport
    ) -> None:
        server.on("POST", "/v1/access-token", reply)
        connector = self.connector(transport, server.base_url)
        (report,) = await connector.submit(SUBMISSION_KEY, [self.order()])
        if expected is None:
            assert isinstance(report, NotSent)
        else:
            assert isinstance(report, Refused)
            assert report.cause is expected
        assert server.calls("POST", "/v1/payouts") == []
        (unread,) = await connector.find([self.known()])
        assert isinstance(unread, Unclear), "a read without a token says nothing about the payout"

    @pytest.mark.parametrize(
        ("expires_in", "lifetime"),
        [("900", 840), ("30", 28), ("90000", 840), (900, 840), ("soon", 840), (None, 840), ("9" * 99, 840)],
    )
    async def test_renewed_before_it_ends(
        self, expires_in: Any, lifetime: float, server: Scripted, transport: Transport
    ) -> None:
        server.on("POST", "/token", token_reply("first", expires_in), token_reply("second", expires_in))
        now = 1000.0
        token = AccessToken(transport, server.base_url + "/token", {}, (), clock=lambda: now)
        assert await token.get() == "first"
        now += lifetime - 0.1
        assert await token.get() == "first"
        now += 0.2
        assert await token.get() == "second"
        assert len(server.seen) == 2

    # --- account inquiry

    @pytest.mark.parametrize(
        ("result", "verdict", "holder"),
        [
            ({"status": "VALID"}, Verdict.VALID, None),
            ({"status": "INVALID", "detail": "Account number not found."}, Verdict.INVALID, None),
            ({"status": "PENDING", "detail": "Inquiry in progress"}, Verdict.PENDING, None),
            ({"status": "WARNING", "detail": "... does not match. Bank record: BUDI SANTOSO"}, Verdict.WARNING, "BUDI SANTOSO"),
            ({"status": "WARNING", "detail": 7}, Verdict.WARNING, None),
            ({"status": "MAYBE"}, Verdict.UNKNOWN, None),
            ({}, Verdict.UNKNOWN, None),
            (None, Verdict.UNKNOWN, None),
        ],
    )
    async def test_what_an_inquiry_says(
        self, result: Any, verdict: Verdict, holder: str | None, server: Scripted, transport: Transport
    ) -> None:
        self.prepare(server)
        data = {"uuid": UUID, "merchantId": "m", "inquiryResult": result}
        server.on("POST", "/v1/inquiry-account", Reply(200, {"code": "00", "message": "OK", "data": data}))
        check = await self.connector(transport, server.base_url).check_destination(BANK)
        assert (check.verdict, check.reference, check.holder) == (verdict, UUID, holder)
        (seen,) = server.calls("POST", "/v1/inquiry-account")
        information = {"accountNumber": ACCOUNT_NUMBER, "accountName": HOLDER}
        assert seen.json == {"channelCode": "BCA", "channelInformation": information}
        assert "BUDI" not in repr(check) + str(check.words) + check.reason

    async def test_an_inquiry_that_is_pending_is_read_again(self, server: Scripted, transport: Transport) -> None:
        """A new one would cost its fee again."""
        self.prepare(server)
        data = {"uuid": UUID, "inquiryResult": {"status": "VALID"}}
        server.on("GET", f"/v1/inquiry-account/{UUID}", Reply(200, {"code": "00", "data": data}))
        check = await self.connector(transport, server.base_url).check_destination(BANK, UUID)
        assert (check.verdict, check.reference) == (Verdict.VALID, UUID)
        assert server.calls("POST", "/v1/inquiry-account") == []

    @pytest.mark.parametrize(
        ("reply", "verdict"),
        [
            (error("unsupported_channel_code", field="channelCode"), Verdict.INVALID),
            (error("field_format_invalid", field="channelInformation.accountNumber"), Verdict.INVALID),
            (error("field_format_invalid", field="accountName"), Verdict.UNKNOWN),
            (error("field_required", field="accountNumber"), Verdict.UNKNOWN),
            (error("service_unavailable", status=503), Verdict.UNKNOWN),
            (error("balance_insufficient", status=422), Verdict.UNKNOWN),
            (error("resource_missing", status=404), Verdict.UNKNOWN),
            (Reply(200, {"code": "00", "data": []}), Verdict.UNKNOWN),
            (Reply(500, b"<html>", {"Content-Type": "text/html"}), Verdict.UNKNOWN),
            (scripted.dropped_answer, Verdict.UNKNOWN),
            (scripted.half_answer, Verdict.UNKNOWN),
            (scripted.echoing(400), Verdict.UNKNOWN),
        ],
    )
    async def test_an_inquiry_without_an_answer(
        self, reply: Answering, verdict: Verdict, server: Scripted, transport: Transport
    ) -> None:
        """Only what says something about the account may end a payout."""
        self.prepare(server)
        server.on("POST", "/v1/inquiry-account", reply)
        check = await self.connector(transport, server.base_url).check_destination(BANK)
        assert (check.verdict, check.reference) == (verdict, None)
        assert self.leaks(repr(check)) == []

    async def test_a_row_names_the_check_or_the_account_never_both(self, server: Scripted, transport: Transport) -> None:
        """V-11."""
        self.prepare(server)

        async def accept(request: web.Request) -> web.StreamResponse:
            rows = json.loads(await request.read())["payouts"]
            empty = {"channelCode": "", "channelInformation": {"accountNumber": "", "accountName": ""}}
            data = {"uuid": UUID, "payouts": [{**empty, **row} for row in rows], "status": "IN_PROGRESS"}
            return web.json_response({"code": "00", "data": data})

        server.on("POST", "/v1/payouts", accept)
        connector = self.connector(transport, server.base_url)
        reports = await connector.submit(SUBMISSION_KEY, [self.order(1, destination_ref=UUID), self.order(2)])
        assert all(isinstance(report, Taken) for report in reports)
        checked, plain = server.calls("POST", "/v1/payouts")[0].json["payouts"]
        assert checked.keys() == {"referenceId", "inquiryId", "amount", "description"}
        assert checked["inquiryId"] == UUID
        assert plain.keys() == {"referenceId", "channelCode", "channelInformation", "amount", "description"}

    async def test_a_check_that_pivot_has_forgotten_is_no_fault_of_the_payout(
        self, server: Scripted, transport: Transport
    ) -> None:
        refusal = error("resource_missing", status=404, field="payouts[0].inquiryId")
        (report,) = await self.submit(server, transport, refusal, [self.order(destination_ref=UUID)])
        assert isinstance(report, Refused)
        assert report.cause is RefusalCause.ALONE, "it goes out again, and names the account then"

    # --- balance

    async def test_balance(self, server: Scripted, transport: Transport) -> None:
        self.prepare(server)
        data = {"availableBalance": {"currency": "IDR", "value": "10000.00"}}
        server.on("GET", "/v1/payouts/balance\\?currency=IDR", Reply(200, {"code": "00", "data": data}))
        assert await self.connector(transport, server.base_url).balance() == [ProviderBalance("IDR", 10_000_00)]

    @pytest.mark.parametrize(
        "reply",
        [
            error("general_error", status=500),
            Reply(200, {"code": "00", "data": {"availableBalance": {"currency": "IDR", "value": "1.555"}}}),
            Reply(200, {"code": "00", "data": None}),
            scripted.dropped_answer,
        ],
    )
    async def test_a_balance_that_cannot_be_read(self, reply: Answering, server: Scripted, transport: Transport) -> None:
        self.prepare(server)
        server.on("GET", "/v1/payouts/balance.*", reply)
        assert isinstance(await self.connector(transport, server.base_url).balance(), Unclear)

    # --- find

    async def test_pages_as_many_as_needed(self, server: Scripted, transport: Transport) -> None:
        lookups = [lookup_of(self.order(number), submission_ref=UUID) for number in range(1, 251)]
        self.prepare(server)

        async def page(request: web.Request) -> web.StreamResponse:
            number = int(request.query["page"])
            assert request.query["perPage"] == "100"
            rows = [row_object(lookup) for lookup in lookups[(number - 1) * 100 : number * 100]]
            return await request_object(*rows, page=number, pages=3)(request)

        server.on("GET", f"/v1/payouts/{UUID}\\?.*", page)
        connector = self.connector(transport, server.base_url)
        reports = await connector.find(lookups)
        assert all(isinstance(report, Taken) and report.progress is Progress.PAID for report in reports)
        assert len(server.calls("GET", ".*")) == 3
        server.seen.clear()
        await connector.find(lookups[:2])
        assert len(server.calls("GET", ".*")) == 1, "no page more than needed"

    async def test_mixed_lookups_keep_their_order(self, server: Scripted, transport: Transport) -> None:
        """Two requests, one attempt whose request is unknown, one that Pivot never saw."""
        other = "00000000-0000-4000-8000-000000000002"
        one, two, three, four = (lookup_of(self.order(number)) for number in (1, 2, 3, 4))
        self.prepare(server)
        server.on("GET", f"/v1/payouts/{UUID}\\?.*", request_object(row_object(one)))
        server.on("GET", f"/v1/payouts/{other}\\?.*", request_object(row_object(two, "PENDING"), uuid=other))
        server.on(
            "GET", f"/v1/payouts/{three.key}\\?type=single", Reply(200, {"code": "00", "data": [row_object(three, "FAILED")]})
        )
        server.on("GET", f"/v1/payouts/{four.key}\\?type=single", error("resource_missing", status=404))
        reports = await self.connector(transport, server.base_url).find(
            [four, replace(two, submission_ref=other), replace(one, submission_ref=UUID), three]
        )
        assert isinstance(reports[0], NotFound)
        assert [report.progress for report in reports[1:]] == [Progress.IN_TRANSIT, Progress.PAID, Progress.FAILED]

    async def test_a_row_that_the_request_does_not_list_is_read_by_our_key(
        self, server: Scripted, transport: Transport
    ) -> None:
        lookup = self.known()
        self.prepare(server)
        server.on("GET", f"/v1/payouts/{UUID}\\?.*", request_object())
        server.on("GET", f"/v1/payouts/{lookup.key}\\?.*", Reply(200, {"code": "00", "data": [row_object(lookup)]}))
        (report,) = await self.connector(transport, server.base_url).find([lookup])
        assert report.progress is Progress.PAID
        server.on("GET", f"/v1/payouts/{UUID}\\?.*", error("resource_missing", status=404))
        (report,) = await self.connector(transport, server.base_url).find([lookup])
        assert report.progress is Progress.PAID

    async def test_in_process(self, server: Scripted, transport: Transport) -> None:
        reply = error("payouts_in_process", status=422)
        assert (await self.find(server, transport, reply)).progress is Progress.PENDING
        assert isinstance(await self.find(server, transport, reply, lookup_of(self.order())), Unclear)

    async def test_rows_without_a_status_take_the_requests(self, server: Scripted, transport: Transport) -> None:
        row = row_object(self.known())
        del row["status"]
        report = await self.find(server, transport, request_object(row, status="IN_PROGRESS"))
        assert (report.progress, report.words.status) == (Progress.PENDING, "IN_PROGRESS")
        single = Reply(200, {"code": "00", "data": [row]})
        report = await self.find(server, transport, single, lookup_of(self.order()))
        assert (report.progress, report.words.status) == (Progress.PENDING, None)

    async def test_done_is_not_paid(self, server: Scripted, transport: Transport) -> None:
        report = await self.find(server, transport, request_object(row_object(self.known(), "PENDING"), status="DONE"))
        assert report.progress is Progress.IN_TRANSIT

    async def test_the_same_row_twice_is_unclear(self, server: Scripted, transport: Transport) -> None:
        row = row_object(self.known())
        assert isinstance(await self.find(server, transport, request_object(row, row)), Unclear)
        single = Reply(200, {"code": "00", "data": [row, row]})
        assert isinstance(await self.find(server, transport, single, lookup_of(self.order())), Unclear)

    async def test_another_request_is_unclear(self, server: Scripted, transport: Transport) -> None:
        assert isinstance(await self.find(server, transport, request_object(row_object(self.known()), uuid="other")), Unclear)

    @pytest.mark.parametrize("payouts", [None, 7, "x", [7, None], [{}], [{"referenceId": ["a"]}], [{"referenceId": {}}]])
    async def test_rows_of_any_shape(self, payouts: Any, server: Scripted, transport: Transport) -> None:
        data = {"uuid": UUID, "status": "DONE", "payouts": payouts}
        reply = Reply(200, {"code": "00", "data": data, "pagination": {"totalPages": 1}})
        assert isinstance(await self.find(server, transport, reply), Unclear)
        (report,) = await self.submit(server, transport, reply)
        assert isinstance(report, Unclear)

    @pytest.mark.parametrize(
        ("reason", "code"),
        [
            ("Invalid account", FailureCode.INVALID_DESTINATION),
            ("Dormant account", FailureCode.INVALID_DESTINATION),
            ("Declined due to beneficiary limit", FailureCode.RECIPIENT_LIMIT),
            ("Unknown Bank Network error", FailureCode.REJECTED_BY_BANK),
            ("Moon in the wrong phase", FailureCode.UNEXPLAINED),
            ("", FailureCode.UNEXPLAINED),
            (None, FailureCode.UNEXPLAINED),
        ],
    )
    async def test_why_a_row_failed(
        self, reason: Any, code: FailureCode, server: Scripted, transport: Transport, heard: Heard
    ) -> None:
        report = await self.find(server, transport, request_object(row_object(self.known(), "FAILED", reason=reason)))
        assert (report.progress, report.failure_code) == (Progress.FAILED, code)
        assert len(heard.words) == (code is FailureCode.UNEXPLAINED)
        assert report.words.text == (reason or None)

    @pytest.mark.parametrize("value", ["100000", "100000.00", "1", "90071992547409"])
    def test_amounts_are_exact(self, value: str) -> None:
        row = row_object(self.known(), amount={"currency": "IDR", "value": value})
        report = Reader(lambda *_: None, ()).row(row, self.known().key, UUID)
        assert isinstance(report, Taken)
        assert report.amount_minor == int(value.partition(".")[0]) * 100

    @pytest.mark.parametrize("value", ["1e5", "-1", "1_000", "\u0661\u0660", "", None, True, {}, "0.001", "9" * 40, [1]])
    def test_amounts_that_are_none(self, value: Any) -> None:
        row = row_object(self.known(), amount={"currency": "IDR", "value": value})
        assert isinstance(Reader(lambda *_: None, ()).row(row, self.known().key, UUID), Unclear)

    def test_a_row_of_another_key_is_unclear(self) -> None:
        report = Reader(lambda *_: None, ()).row(row_object(self.known()), "another-key", UUID)
        assert isinstance(report, Unclear)

    # --- callbacks

    def test_single_callback(self, transport: Transport) -> None:
        notice = self.good_notice()
        assert notice is not None
        (fact,) = self.connector(transport).read_notice(notice[1])
        assert isinstance(fact, PayoutFact)
        assert fact.about == AboutKey(self.known().key)
        assert isinstance(fact.report, Taken)
        assert (fact.report.progress, fact.report.submission_ref) == (Progress.PAID, UUID)

    def test_bulk_callback(self, transport: Transport) -> None:
        body = {"event": "PAYOUT.DONE", "data": {"uuid": UUID, "payoutResults": {"totalFailedCount": 1}, "status": "DONE"}}
        facts = self.connector(transport).read_notice(json.dumps(body).encode())
        assert facts == [PayoutFact(AboutSubmission(UUID), None)]

    def test_a_callback_with_an_unknown_word_only_says_that_there_is_news(self, transport: Transport, heard: Heard) -> None:
        body = {"event": "PAYOUT.NEW", "data": {"uuid": UUID, "payouts": row_object(self.known(), "TELEPORTED")}}
        facts = self.connector(transport).read_notice(json.dumps(body).encode())
        assert facts == [PayoutFact(AboutKey(self.known().key), None)]
        assert [word for _, _, word in heard.words] == ["TELEPORTED"]

    @pytest.mark.parametrize("data", [None, {}, {"uuid": 7}, {"uuid": "../x"}, {"uuid": UUID, "payouts": {"referenceId": []}}])
    def test_callbacks_that_name_nobody(self, data: Any, transport: Transport) -> None:
        with pytest.raises(UnreadableNoticeError, match="nothing was changed"):
            self.connector(transport).read_notice(json.dumps({"event": "PAYOUT.DONE", "data": data}).encode())

    # --- the seed

    def test_the_seeds_own_payout_object(self) -> None:
        """Two rows of 100,000 rupiah each, both paid; their description has a space, which we would not send."""
        data = load_object(SEED_OBJECT)
        reader = Reader(lambda *_: None, ())
        reports = [
            reader.row(row, key, data["uuid"], data["status"])
            for row, key in zip(data["payouts"], ("999", "1999"), strict=True)
        ]
        for report in reports:
            assert isinstance(report, Taken)
            assert (report.progress, report.amount_minor, report.currency) == (Progress.PAID, 100_000_00, "IDR")
            assert report.submission_ref == "d6a46a2c-1b26-40c5-9ca3-e063e69635a0"


# The example of the seed document `pivot.txt`, as it stands there.
SEED_OBJECT = (Path(__file__).parent / "replays" / "pivot_payout_object.json").read_bytes()
