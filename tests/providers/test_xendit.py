"""Xendit: one create with our key, success that may come back, lists and notices of two shapes, exact JSON numbers."""

import json
import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import settings as given_settings
from hypothesis import strategies as st
from multidict import CIMultiDictProxy

from providers import xendit
from providers.base import ProviderModel, UnreadableNoticeError
from providers.pivot.channels import CHANNEL_CODES
from providers.transport import Transport
from providers.xendit.channels import INDONESIA, bank_code_of, channel_code
from providers.xendit.orders import body_of
from providers.xendit.reading import Reader
from providers.xendit.settings import XenditSecrets, XenditSettings
from providers.xendit.tables import ERROR_CODE, FAILURE_CODE, PAYOUT_STATUS, TABLES
from schemas.checks import Channel, ProviderBalance
from schemas.failure import FailureCode
from schemas.money import MAX_AMOUNT_MINOR, to_decimal_text, to_minor
from schemas.notice import AboutKey, AboutPayout, PayoutFact
from schemas.order import Lookup, Order
from schemas.report import NotFound, Progress, RefusalCause, Refused, Taken, Unclear
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

PAYOUT = "disb-00000000-0000-4000-8000-00000000abcd"
API_KEY = "xnd_development_example"
BASIC = "eG5kX2RldmVsb3BtZW50X2V4YW1wbGU6"  # section 12: the key, a colon, no password
CALLBACK_TOKEN = "callback-token-7Q"
REPLAYS = Path(__file__).parent / "replays"
PESOS = BANK.model_copy(update={"bank_code": "PH_GCASH"})


def number(text: str) -> str:
    """A JSON number with these very digits; see `raw`."""
    return f"#{text}#"


def raw(body: Any) -> bytes:
    return re.sub(rb'"#([^"]*)#"', rb"\1", json.dumps(body).encode())


def amount_text(amount_minor: int, currency: str = "IDR") -> str:
    return number(to_decimal_text(amount_minor, currency).removesuffix(".00"))


def payout(lookup: Lookup, status: Any = "ACCEPTED", **changes: Any) -> dict[str, Any]:
    body = {
        "id": PAYOUT,
        "amount": amount_text(lookup.amount_minor, lookup.currency),
        "channel_code": "ID_BCA",
        "currency": lookup.currency,
        "description": "example",
        "reference_id": lookup.key,
        "status": status,
        "created": "2026-01-01T00:00:00.000Z",
        "updated": "2026-01-01T00:00:00.000Z",
        "estimated_arrival_time": "2026-01-01T00:15:00.000Z",
        "business_id": "000000000000000000000001",
        "channel_properties": {"account_number": ACCOUNT_NUMBER, "account_holder_name": HOLDER},
    }
    if status == "FAILED":
        body["failure_code"] = "INVALID_DESTINATION"
    return body | changes


def ok(body: Any) -> Reply:
    return Reply(200, raw(body))


def listed(*payouts: Any, has_more: Any = False) -> Reply:
    return ok({"has_more": has_more, "data": list(payouts)})


def error(code: Any, status: int = 400, *, text: str = "No.", text_in: str = "message", **more: Any) -> Reply:
    return Reply(status, {"error_code": code, text_in: text} | more)


def nested(event: str, data: dict[str, Any], **more: Any) -> bytes:
    """The documented shape of an event."""
    body = {"event": event, "business_id": "000000000000000000000001", "created": "2026-01-01T00:03:30.000Z", "data": data}
    return raw(body | more)


def flat(event: str, data: dict[str, Any]) -> bytes:
    """The observed shape of an event."""
    kept = {name: value for name, value in data.items() if name not in {"channel_properties", "description", "business_id"}}
    more = {"channel_category": "BANK", "account_number": ACCOUNT_NUMBER, "connector_reference": "RAIL_1"}
    return nested(event, kept | more | {"idempotency_key": data.get("reference_id")}, api_version="v2")


class TestXendit(NetworkContract):
    provider = xendit.PROVIDER
    tables = TABLES
    secret_texts = (API_KEY, BASIC, CALLBACK_TOKEN, ACCOUNT_NUMBER)
    create_path = "/v2/payouts"
    read_path = "/v2/payouts/.*"
    status_words: ClassVar[dict[str, Any]] = {
        "ACCEPTED": Progress.PENDING,
        "PENDING_COMPLIANCE_ASSESSMENT": Progress.PENDING,
        "REQUESTED": Progress.IN_TRANSIT,
        "SUCCEEDED": Progress.PAID,
        "FAILED": Progress.FAILED,
        "COMPLIANCE_REJECTED": Progress.FAILED,
        "CANCELLED": Progress.CANCELLED,
        "REVERSED": Progress.RETURNED,
    }
    refusals: ClassVar[dict[str, Any]] = {
        "validation": (error("API_VALIDATION_ERROR"), FailureCode.REJECTED_BY_PROVIDER, RefusalCause.PAYOUT),
        "channel": (error("CHANNEL_CODE_NOT_SUPPORTED"), FailureCode.INVALID_DESTINATION, RefusalCause.PAYOUT),
        "channel, older": (error("CHANNEL_CODE_NOT_SUPPORTED_ERROR"), FailureCode.INVALID_DESTINATION, RefusalCause.PAYOUT),
        "below": (error("MINIMUM_TRANSFER_LIMIT_ERROR"), FailureCode.AMOUNT_NOT_ALLOWED, RefusalCause.PAYOUT),
        "above": (error("MAXIMUM_TRANSFER_LIMIT_ERROR"), FailureCode.AMOUNT_NOT_ALLOWED, RefusalCause.PAYOUT),
        "increment": (error("AMOUNT_INCREMENT_NOT_SUPPORTED"), FailureCode.AMOUNT_NOT_ALLOWED, RefusalCause.PAYOUT),
        "key": (error("INVALID_API_KEY", 401), FailureCode.CONFIGURATION, RefusalCause.CONNECTION),
        "key, told as 400": (error("INVALID_API_KEY"), FailureCode.CONFIGURATION, RefusalCause.CONNECTION),
        "permission": (error("REQUEST_FORBIDDEN_ERROR", 403), FailureCode.CONFIGURATION, RefusalCause.CONNECTION),
        "permission, told as 400": (error("REQUEST_FORBIDDEN_ERROR"), FailureCode.CONFIGURATION, RefusalCause.CONNECTION),
        "address": (error("DATA_NOT_FOUND", 404), FailureCode.CONFIGURATION, RefusalCause.CONNECTION),
        "rate": (error("RATE_LIMIT_EXCEEDED", 429), FailureCode.PROVIDER_UNAVAILABLE, RefusalCause.PACING),
        "rate, told as 400": (error("RATE_LIMIT_EXCEEDED"), FailureCode.PROVIDER_UNAVAILABLE, RefusalCause.PACING),
        "json, older": (error("INVALID_JSON_FORMAT"), FailureCode.REJECTED_BY_PROVIDER, RefusalCause.PAYOUT),
        "account, older": (
            error("RECIPIENT_ACCOUNT_NUMBER_ERROR"),
            FailureCode.INVALID_DESTINATION,
            RefusalCause.RECIPIENT,
        ),
        "amount, older": (error("RECIPIENT_AMOUNT_ERROR", 422), FailureCode.AMOUNT_NOT_ALLOWED, RefusalCause.PAYOUT),
    }
    inexpressible: ClassVar[dict[str, Any]] = {
        "fraction": {"amount_minor": 100_000_01},
        "too much for a float": {"amount_minor": 10**15, "currency": "PHP", "destination": PESOS},
        "long descriptor": {"description": "a" * 101},
        "no descriptor": {"description": ""},
        "no bank code": {"destination": BANK.model_copy(update={"bank_code": None})},
        "Xendit's own code for a bank with a common one": {"destination": BANK.model_copy(update={"bank_code": "ID_BCA"})},
        "unknown bank": {"destination": BANK.model_copy(update={"bank_code": "MOON"})},
        "bank of another country": {"destination": PESOS},
        "common code in another currency": {"currency": "PHP"},
        "long holder": {"destination": BANK.model_copy(update={"bank_account_holder": "a" * 101})},
        "no account number": {"destination": BANK.model_copy(update={"bank_account_number": ""})},
    }

    def settings(self, base_url: str) -> ProviderModel:
        return XenditSettings(base_url=base_url)

    def secrets(self) -> ProviderModel:
        return XenditSecrets.model_validate({"api_key": API_KEY, "callback_token": CALLBACK_TOKEN})

    def secrets_without_notice_secret(self) -> ProviderModel:
        return XenditSecrets.model_validate({"api_key": API_KEY})

    def order(self, number: int = 1, **changes: Any) -> Order:
        fields = {"amount_minor": 100_000_00, "currency": "IDR", "destination": BANK, "description": "example"} | changes
        return Order(f"pa_{number:032x}", f"00000000-0000-4000-8000-{number:012x}", **fields)

    def known(self) -> Lookup:
        return lookup_of(self.order(), provider_ref=PAYOUT)

    def accepting(self, **wrong: Any) -> Answering:
        async def answer(request: web.Request) -> web.StreamResponse:
            sent = json.loads(await request.read(), parse_int=number, parse_float=number)
            changes = dict(sent)
            if "amount_minor" in wrong:
                changes["amount"] = amount_text(wrong["amount_minor"])
            changes["currency"] = wrong.get("currency", sent["currency"])
            changes["reference_id"] = wrong.get("reference", sent["reference_id"])
            return await ok(payout(self.known(), wrong.get("status", "ACCEPTED"), **changes))(request)

        return answer

    def found(self, word: Any, **wrong: Any) -> Answering:
        lookup = self.known()
        changes: dict[str, Any] = {"reference_id": wrong.get("reference", lookup.key)}
        if "amount_minor" in wrong:
            changes["amount"] = amount_text(wrong["amount_minor"])
        return ok(payout(lookup, word, **changes))

    def absent(self) -> Answering:
        return listed()

    def good_notice(self) -> tuple[CIMultiDictProxy[str], bytes] | None:
        return headers_of(("x-callback-token", CALLBACK_TOKEN)), nested("payout.succeeded", payout(self.known(), "SUCCEEDED"))

    # --- the wire

    async def test_the_sheets_own_request(self, server: Scripted, transport: Transport) -> None:
        bank = BANK.model_copy(update={"bank_account_number": "0000000099", "bank_account_holder": "PT Contoh"})
        order = Order("pa_x", "pay-0001", 10_000_00, "IDR", bank, "example")
        await self.submit(server, transport, self.accepting(), [order])
        (seen,) = server.seen
        assert seen.body == (REPLAYS / "xendit_create_request.json").read_bytes().rstrip(b"\n")
        assert seen.headers["Authorization"] == f"Basic {BASIC}"
        assert seen.headers["idempotency-key"] == "pay-0001"
        assert "for-user-id" not in seen.headers

    async def test_without_a_descriptor(self, server: Scripted, transport: Transport) -> None:
        await self.submit(server, transport, self.accepting(), [self.order(description=None)])
        assert "description" not in server.seen[0].json

    async def test_a_sub_account_is_named_in_every_call(self, server: Scripted, transport: Transport) -> None:
        server.on("POST", "/v2/payouts", self.accepting())
        server.on("POST", ".*/cancel", ok(payout(self.known(), "CANCELLED")))
        server.on("GET", ".*", listed())
        settings = XenditSettings(base_url=server.base_url, for_user_id="5f9a3fbd571a1c4068aa40ce")
        connector = self.provider.connect(settings, self.secrets(), transport)
        await connector.submit(SUBMISSION_KEY, [self.order()])
        await connector.find([self.known(), lookup_of(self.order())])
        await connector.cancel(self.known())
        assert [seen.headers["for-user-id"] for seen in server.seen] == ["5f9a3fbd571a1c4068aa40ce"] * 4
        assert {seen.headers["Authorization"] for seen in server.seen} == {f"Basic {BASIC}"}

    # --- money

    @pytest.mark.parametrize(
        ("currency", "bank_code", "amount_minor", "digits"),
        [
            ("IDR", "BCA", 100, "1"),
            ("IDR", "BCA", 10_000_00, "10000"),
            ("IDR", "BCA", MAX_AMOUNT_MINOR // 100 * 100, "90071992547409"),
            ("PHP", "PH_GCASH", 1, "0.01"),
            ("PHP", "PH_GCASH", 100_50, "100.50"),
            ("PHP", "PH_GCASH", 100_00, "100"),
            ("PHP", "PH_GCASH", 10**15 - 1, "9999999999999.99"),
            ("MYR", "MY_DUITNOW", 19_99, "19.99"),
            ("THB", "TH_SCB", 10_05, "10.05"),
            ("VND", "VN_VCB", 1, "1"),
            ("VND", "VN_VCB", 10_000, "10000"),
            ("VND", "VN_VCB", MAX_AMOUNT_MINOR, "9007199254740991"),
        ],
    )
    async def test_exact_numbers(
        self, currency: str, bank_code: str, amount_minor: int, digits: str, server: Scripted, transport: Transport
    ) -> None:
        destination = BANK.model_copy(update={"bank_code": bank_code})
        order = self.order(currency=currency, amount_minor=amount_minor, destination=destination)
        (report,) = await self.submit(server, transport, self.accepting(), [order])
        assert f'"amount":{digits},'.encode() in server.seen[0].body
        assert (report.amount_minor, report.currency) == (amount_minor, currency)
        channel = "ID_BCA" if currency == "IDR" else bank_code
        assert server.seen[0].json["channel_code"] == channel

    @given_settings(max_examples=300)
    @given(data=st.data())
    def test_every_amount_survives_the_wire_and_a_float_on_the_far_side(self, data: st.DataObject) -> None:
        currency, rule = data.draw(st.sampled_from(list(self.provider.contract.amounts.items())))
        steps = st.integers(rule.min_minor // rule.step_minor, rule.max_minor // rule.step_minor)
        amount = data.draw(steps) * rule.step_minor
        code = {"IDR": "BCA", "PHP": "PH_X", "MYR": "MY_X", "THB": "TH_X", "VND": "VN_X"}[currency]
        destination = BANK.model_copy(update={"bank_code": code})
        body = body_of(self.order(amount_minor=amount, currency=currency, destination=destination))
        assert isinstance(body, bytes)
        assert to_minor(load_object(body)["amount"], currency) == amount
        as_float = Decimal(repr(float(json.loads(body)["amount"])))
        assert as_float == Decimal(to_decimal_text(amount, currency))

    @pytest.mark.parametrize("digits", ["100000", "100000.0", "100000.00", "1E+5", "1.0e5"])
    def test_one_amount_in_many_spellings(self, digits: str) -> None:
        body = load_object(raw(payout(self.known(), amount=number(digits))))
        report = Reader(lambda *_: None, ()).payout(body, self.known().key)
        assert isinstance(report, Taken)
        assert (report.amount_minor, report.currency) == (100_000_00, "IDR")

    @pytest.mark.parametrize(
        "changes",
        [
            {"amount": "100000"},
            {"amount": None},
            {"amount": True},
            {"amount": {}},
            {"amount": number("0.001")},
            {"amount": number("1e39")},
            {"amount": number("9" * 40)},
            {"currency": None},
            {"currency": "XXX"},
            {"currency": ["IDR"]},
        ],
    )
    async def test_amounts_that_are_none(self, changes: dict[str, Any], server: Scripted, transport: Transport) -> None:
        (report,) = await self.submit(server, transport, ok(payout(self.known(), **changes)))
        assert isinstance(report, Unclear)
        assert report.provider_ref == PAYOUT

    # --- channels

    def test_the_common_codes_are_pivots(self) -> None:
        """So that one payout can go through either."""
        assert set(INDONESIA) <= CHANNEL_CODES
        assert {"BCA", "BNI", "BRI", "MANDIRI", "PERMATA"} <= set(INDONESIA)

    @pytest.mark.parametrize(
        ("bank_code", "currency", "channel"),
        [
            ("BCA", "IDR", "ID_BCA"),
            ("GOPAY", "IDR", "ID_GOPAY"),
            ("PH_GCASH", "PHP", "PH_GCASH"),
            ("MY_DUITNOW", "MYR", "MY_DUITNOW"),
            ("PH_GCASH", "IDR", None),
            ("PH_GCASH", "MYR", None),
            ("GCASH", "PHP", None),
            ("BCA", "PHP", None),
            ("ID_BCA", "IDR", None),
            ("bca", "IDR", None),
            ("PH_", "PHP", None),
            ("PH_gcash", "PHP", None),
            ("PH_GCASH\n", "PHP", None),
            ("XX_BANK", "USD", None),
            (None, "IDR", None),
        ],
    )
    def test_channels(self, bank_code: str | None, currency: str, channel: str | None) -> None:
        assert channel_code(bank_code, currency) == channel
        known = self.provider.contract.bank_codes.get(currency)
        routed = known is not None and bank_code is not None and known.takes(bank_code)
        assert routed == (channel is not None), "what is routed here is what can be written"

    @pytest.mark.parametrize(
        ("channel", "currency", "bank_code"),
        [
            ("ID_BCA", "IDR", "BCA"),
            ("PH_GCASH", "PHP", "PH_GCASH"),
            ("ID_NEW", "IDR", None),
            ("ID_BCA", "PHP", None),
            ("PH_GCASH", "IDR", None),
            ("BCA", "IDR", None),
            ("SG_DBS", "SGD", None),
        ],
    )
    def test_the_way_back_from_a_channel(self, channel: str, currency: str, bank_code: str | None) -> None:
        assert bank_code_of(channel, currency) == bank_code

    def test_every_code_leads_to_its_channel_and_back(self) -> None:
        for bank_code, channel in INDONESIA.items():
            assert (channel_code(bank_code, "IDR"), bank_code_of(channel, "IDR")) == (channel, bank_code)

    async def channels(self, server: Scripted, transport: Transport, answer: Answering) -> Any:
        server.on("GET", "/payouts_channels", answer)
        return await self.connector(transport, server.base_url).channels()

    async def test_channels_as_xendit_lists_them(self, server: Scripted, transport: Transport) -> None:
        bca = {
            "channel_code": "ID_BCA",
            "channel_category": "BANK",
            "currency": "IDR",
            "channel_name": "Bank Central Asia",
            "amount_limits": {"minimum": 10_000, "maximum": number("1999999999.0"), "minimum_increment": number("0.01")},
        }
        bare = {"channel_code": "MY_NEW", "currency": "MYR", "amount_limits": {"minimum": number("0.001"), "maximum": "7"}}
        listed = await self.channels(server, transport, ok([bca, bare, {"channel_code": "ID_MOON", "currency": "IDR"}]))
        assert listed == [
            Channel("ID_BCA", "IDR", "BCA", "Bank Central Asia", "BANK", 10_000_00, 1_999_999_999_00, 1),
            Channel("MY_NEW", "MYR", "MY_NEW"),
            Channel("ID_MOON", "IDR", None),
        ]
        assert server.seen[0].headers["Authorization"] == f"Basic {BASIC}"
        assert await self.channels(server, transport, ok([])) == []

    @pytest.mark.parametrize(
        "answer",
        [
            ok([{"channel_code": "ID_BCA", "currency": "IDR"}, 7]),
            ok([{"channel_code": "ID_BCA"}]),
            ok([{"channel_code": "ID_BCA", "currency": "XXX"}]),
            ok([{"channel_code": "../x", "currency": "IDR"}]),
            ok({"data": []}),
            error("INVALID_API_KEY", 401),
            error("SERVER_ERROR", 500),
            Reply(502, b"<html>", {"Content-Type": "text/html"}),
            scripted.half_answer,
        ],
    )
    async def test_a_list_with_a_gap_is_no_list(self, answer: Answering, server: Scripted, transport: Transport) -> None:
        assert isinstance(await self.channels(server, transport, answer), Unclear)

    # --- balance

    async def balance(self, server: Scripted, transport: Transport, answer: Answering, currency: Any = "IDR") -> Any:
        server.on("GET", r"/balance\?.*", answer)
        settings = XenditSettings(base_url=server.base_url, currency=currency, for_user_id="sub-1")
        return await self.provider.connect(settings, self.secrets(), transport).balance()

    @pytest.mark.parametrize(
        ("currency", "digits", "amount_minor"),
        [
            ("IDR", "999990000", 999_990_000_00),
            ("IDR", "0", 0),
            ("IDR", "1.5", 1_50),
            ("PHP", "799.90", 799_90),
            ("PHP", "-10.5", -10_50),
            ("VND", "12", 12),
        ],
    )
    async def test_the_balance_in_the_currency_of_the_key(
        self, currency: str, digits: str, amount_minor: int, server: Scripted, transport: Transport
    ) -> None:
        shown = await self.balance(server, transport, ok({"balance": number(digits)}), currency)
        assert shown == [ProviderBalance(currency, amount_minor)]
        (seen,) = server.seen
        assert seen.path + seen.query == f"/balance?account_type=CASH&currency={currency}"
        assert (seen.headers["Authorization"], seen.headers["for-user-id"]) == (f"Basic {BASIC}", "sub-1")

    async def test_whose_balance_it_is_must_be_known(self, server: Scripted, transport: Transport) -> None:
        """The answer names no currency, and a number in another one would be off by far."""
        shown = await self.balance(server, transport, ok({"balance": 1}), None)
        assert isinstance(shown, Unclear)
        assert "`currency`" in shown.reason
        assert server.seen == []

    @pytest.mark.parametrize(
        "answer",
        [
            ok({}),
            ok({"balance": None}),
            ok({"balance": "1"}),
            ok({"balance": True}),
            ok({"balance": number("0.001")}),
            ok({"balance": number("9" * 40)}),
            ok([]),
            error("REQUEST_FORBIDDEN_ERROR", 403),
            error("API_VALIDATION_ERROR"),
            scripted.half_answer,
            Reply(200, b"<html>", {"Content-Type": "text/html"}),
        ],
    )
    async def test_a_balance_that_cannot_be_read(self, answer: Answering, server: Scripted, transport: Transport) -> None:
        assert isinstance(await self.balance(server, transport, answer), Unclear)

    # --- statuses and why it failed

    async def test_words_of_other_products_are_unknown(self, server: Scripted, transport: Transport, heard: Heard) -> None:
        words = ["READY", "LOCKED", "EXPIRED", "PENDING", "succeeded"]
        for word in words:
            report = await self.find(server, transport, self.found(word))
            assert isinstance(report, Unclear)
            assert report.words.status == word
        assert [word for _, _, word in heard.words] == words

    def test_no_status_is_untested(self) -> None:
        assert set(self.status_words) == set(PAYOUT_STATUS.meanings)

    FAILURES: ClassVar[dict[str, FailureCode]] = {
        "INSUFFICIENT_BALANCE": FailureCode.INSUFFICIENT_PROVIDER_FUNDS,
        "INVALID_DESTINATION": FailureCode.INVALID_DESTINATION,
        "REJECTED_BY_CHANNEL": FailureCode.REJECTED_BY_BANK,
        "TEMPORARY_TRANSFER_ERROR": FailureCode.PROVIDER_UNAVAILABLE,
        "TRANSFER_ERROR": FailureCode.REJECTED_BY_PROVIDER,
        "UNKNOWN_BANK_NETWORK_ERROR": FailureCode.UNEXPLAINED,
        "DESTINATION_MAXIMUM_LIMIT": FailureCode.RECIPIENT_LIMIT,
        "ACCOUNT_NAME_MISMATCH": FailureCode.INVALID_DESTINATION,
        "SLS_SENDER": FailureCode.COMPLIANCE,
        "SLS_RECIPIENT": FailureCode.COMPLIANCE,
    }

    async def test_why_it_failed(self, server: Scripted, transport: Transport, heard: Heard) -> None:
        assert set(self.FAILURES) == set(FAILURE_CODE.meanings)
        for code, meaning in self.FAILURES.items():
            report = await self.find(server, transport, ok(payout(self.known(), "FAILED", failure_code=code)))
            assert (report.progress, report.failure_code, report.words.code) == (Progress.FAILED, meaning, code)
        assert heard.words == []

    @pytest.mark.parametrize("code", ["MOONLIGHT", "", None, 7, ["INVALID_DESTINATION"]])
    async def test_an_unknown_failure_code_is_still_a_failure(
        self, code: Any, server: Scripted, transport: Transport, heard: Heard
    ) -> None:
        report = await self.find(server, transport, ok(payout(self.known(), "FAILED", failure_code=code)))
        assert (report.progress, report.failure_code) == (Progress.FAILED, FailureCode.UNEXPLAINED)
        assert [name for _, name, _ in heard.words] == ["failure code"]

    async def test_words_that_are_their_own_reason(self, server: Scripted, transport: Transport, heard: Heard) -> None:
        report = await self.find(server, transport, self.found("COMPLIANCE_REJECTED"))
        assert report.failure_code is FailureCode.COMPLIANCE
        report = await self.find(server, transport, self.found("REVERSED"))
        assert (report.progress, report.failure_code) == (Progress.RETURNED, FailureCode.RETURNED)
        assert heard.words == []

    # --- answers to a create

    def test_no_error_code_is_untested(self) -> None:
        refused = {reply.body["error_code"] for reply, _, _ in self.refusals.values()}
        open_ended = {"DUPLICATE_ERROR", "DUPLICATE_PAYOUT_ERROR", "DUPLICATE_TRANSACTION_ERROR", "SERVER_ERROR"}
        assert refused | open_ended == set(ERROR_CODE.meanings)

    @pytest.mark.parametrize(
        "reply",
        [
            *(
                error(code, status)
                for code in ("DUPLICATE_ERROR", "DUPLICATE_PAYOUT_ERROR", "DUPLICATE_TRANSACTION_ERROR")
                for status in (400, 409)
            ),
            Reply(409, (REPLAYS / "xendit_duplicate_error.json").read_bytes()),
            error("API_VALIDATION_ERROR", text="Duplicate request."),
            error("API_VALIDATION_ERROR", text="This idempotency key was used before.", text_in="error_message"),
            error("API_VALIDATION_ERROR", 409),
            error("API_VALIDATION_ERROR", 408),
            error("API_VALIDATION_ERROR", 500),
            error("INVALID_API_KEY", 503),
            error("SERVER_ERROR", 500),
            error("SERVER_ERROR", 400),
            error("RATE_LIMIT_EXCEEDED", 500),
            error("API_VALIDATION_ERROR", 307),
            error("API_VALIDATION_ERROR", 200),
        ],
    )
    async def test_not_proof(self, reply: Reply, server: Scripted, transport: Transport, heard: Heard) -> None:
        (report,) = await self.submit(server, transport, reply)
        assert isinstance(report, Unclear)
        assert len(server.calls("POST", ".*")) == 1
        assert heard.words == []

    @pytest.mark.parametrize("code", ["INSUFFICIENT_BALANCE", "NEW_RULE", "api_validation_error", "", None, 7])
    @pytest.mark.parametrize("status", [400, 404, 422])
    async def test_an_undocumented_error_refuses_nothing(
        self, code: Any, status: int, server: Scripted, transport: Transport, heard: Heard
    ) -> None:
        (report,) = await self.submit(server, transport, error(code, status))
        assert isinstance(report, Unclear)
        assert [name for _, name, _ in heard.words] == ["error code"]

    @pytest.mark.parametrize("text_in", ["message", "error_message"])
    async def test_the_sentence_has_two_names(self, text_in: str, server: Scripted, transport: Transport) -> None:
        reply = error("MINIMUM_TRANSFER_LIMIT_ERROR", text="Too little.", text_in=text_in)
        (report,) = await self.submit(server, transport, reply)
        assert (report.words.code, report.words.text) == ("MINIMUM_TRANSFER_LIMIT_ERROR", "Too little.")
        report = await self.find(server, transport, error("DATA_NOT_FOUND", 404, text="Nothing.", text_in=text_in))
        assert (report.words.code, report.words.text) == ("DATA_NOT_FOUND", "Nothing.")

    @pytest.mark.parametrize(
        ("errors", "failure_code", "cause"),
        [
            ([{"path": "amount"}], FailureCode.AMOUNT_NOT_ALLOWED, RefusalCause.PAYOUT),
            ([{"path": "/amount", "message": "too many decimals"}], FailureCode.AMOUNT_NOT_ALLOWED, RefusalCause.PAYOUT),
            ([{"path": "channel_properties.account_number"}], FailureCode.INVALID_DESTINATION, RefusalCause.RECIPIENT),
            ([{"path": "channel_properties/account_holder_name"}], FailureCode.INVALID_DESTINATION, RefusalCause.RECIPIENT),
            ([{"path": "channel_code"}], FailureCode.INVALID_DESTINATION, RefusalCause.PAYOUT),
            ([{"path": "moon"}], FailureCode.REJECTED_BY_PROVIDER, RefusalCause.PAYOUT),
            ([{"path": "amount"}, {"path": "channel_code"}], FailureCode.REJECTED_BY_PROVIDER, RefusalCause.PAYOUT),
            ([{"path": ["amount"]}], FailureCode.REJECTED_BY_PROVIDER, RefusalCause.PAYOUT),
            ([7, None], FailureCode.REJECTED_BY_PROVIDER, RefusalCause.PAYOUT),
            ({"path": "amount"}, FailureCode.REJECTED_BY_PROVIDER, RefusalCause.PAYOUT),
            (None, FailureCode.REJECTED_BY_PROVIDER, RefusalCause.PAYOUT),
        ],
    )
    async def test_the_field_that_is_named(
        self, errors: Any, failure_code: FailureCode, cause: RefusalCause, server: Scripted, transport: Transport
    ) -> None:
        (report,) = await self.submit(server, transport, error("API_VALIDATION_ERROR", errors=errors))
        assert isinstance(report, Refused)
        assert (report.failure_code, report.cause) == (failure_code, cause)

    @pytest.mark.parametrize(
        ("headers", "expected"),
        [
            ({"Rate-Limit-Reset": "58.37"}, 58.37),
            ({"Rate-Limit-Reset": "12"}, 12.0),
            ({"Rate-Limit-Reset": "86400"}, 3600.0),
            ({"Rate-Limit-Reset": "12", "Retry-After": "3"}, 3.0),
            ({"Rate-Limit-Reset": "12", "Retry-After": "soon"}, 12.0),
            ({"Rate-Limit-Reset": "1767225600"}, None),
            ({"Rate-Limit-Reset": "-1"}, None),
            ({"Rate-Limit-Reset": "1e3"}, None),
            ({"Rate-Limit-Reset": "٣"}, None),
            ({"Rate-Limit-Reset": ""}, None),
        ],
    )
    @pytest.mark.parametrize("body", [b'{"error_code": "RATE_LIMIT_EXCEEDED"}', b"<html>"])
    async def test_when_the_window_opens_again(
        self, body: bytes, headers: dict[str, str], expected: float | None, server: Scripted, transport: Transport
    ) -> None:
        media_type = "text/html" if body == b"<html>" else "application/json"
        (report,) = await self.submit(server, transport, Reply(429, body, {"Content-Type": media_type} | headers))
        assert isinstance(report, Refused)
        assert (report.cause, report.retry_after_s) == (RefusalCause.PACING, expected)

    async def test_only_pacing_waits_for_the_window(self, server: Scripted, transport: Transport) -> None:
        headers = {"Content-Type": "application/json", "Rate-Limit-Reset": "58.37"}
        (report,) = await self.submit(server, transport, replace(error("INVALID_API_KEY", 401), headers=headers))
        assert (report.cause, report.retry_after_s) == (RefusalCause.CONNECTION, None)

    async def test_pacing_by_its_code_waits_too(self, server: Scripted, transport: Transport) -> None:
        for name, value in (("Retry-After", "7"), ("Rate-Limit-Reset", "7.0")):
            reply = replace(error("RATE_LIMIT_EXCEEDED"), headers={"Content-Type": "application/json", name: value})
            (report,) = await self.submit(server, transport, reply)
            assert (report.cause, report.retry_after_s) == (RefusalCause.PACING, 7.0)

    async def test_a_short_key_is_not_quoted_either(self, server: Scripted, transport: Transport) -> None:
        """Too short to look like a secret, in the form that it travels in."""
        secrets = XenditSecrets.model_validate({"api_key": "key-7Q"})
        server.on("POST", ".*", scripted.echoing(400))
        server.on("GET", ".*", scripted.echoing(400))
        connector = self.provider.connect(self.settings(server.base_url), secrets, transport)
        reports = [*await connector.submit(SUBMISSION_KEY, [self.order()]), *await connector.find([self.known()])]
        assert server.seen[0].headers["Authorization"] == "Basic a2V5LTdROg=="
        assert all(report.words.text for report in reports if isinstance(report, Unclear))
        assert "a2V5LTdROg" not in repr(reports)

    async def test_a_repeated_key_shows_how_far_it_is(self, server: Scripted, transport: Transport) -> None:
        """Section 8: same key, same body gives the same payout with its current status."""
        (report,) = await self.submit(server, transport, self.accepting(status="SUCCEEDED"))
        assert (report.progress, report.provider_ref) == (Progress.PAID, PAYOUT)

    async def test_an_echo_of_another_reference_keeps_their_id_away_from_us(
        self, server: Scripted, transport: Transport
    ) -> None:
        (report,) = await self.submit(server, transport, self.accepting(reference="somebody-elses"))
        assert isinstance(report, Unclear)
        assert report.provider_ref is None

    @pytest.mark.parametrize(
        "changes",
        [
            {"channel_code": "ID_MANDIRI"},
            {"channel_code": ["ID_BCA"]},
            {"channel_code": {}},
            {"channel_properties": {"account_number": "1"}},
            {"channel_properties": {"account_number": [ACCOUNT_NUMBER]}},
        ],
    )
    async def test_an_echo_of_another_destination(
        self, changes: dict[str, Any], server: Scripted, transport: Transport
    ) -> None:
        (report,) = await self.submit(server, transport, ok(payout(self.known(), **changes)))
        assert isinstance(report, Unclear)
        assert "destination" in report.reason
        assert report.provider_ref == PAYOUT

    @pytest.mark.parametrize("changes", [{"channel_properties": None}, {"channel_properties": 7}, {"channel_code": None}])
    async def test_an_echo_without_a_destination(self, changes: dict[str, Any], server: Scripted, transport: Transport) -> None:
        (report,) = await self.submit(server, transport, ok(payout(self.known(), **changes)))
        assert isinstance(report, Taken)

    @pytest.mark.parametrize("found", [None, "", 7, "../x", {}, "a" * 101])
    async def test_an_id_that_cannot_be_read(self, found: Any, server: Scripted, transport: Transport) -> None:
        (report,) = await self.submit(server, transport, ok(payout(self.known(), id=found)))
        assert isinstance(report, Unclear)

    def test_ids_of_both_lengths(self) -> None:
        """The documentation says 29 characters, real ones are longer (section 4.2)."""
        for found in ("disb-" + "a" * 24, PAYOUT):
            body = load_object(raw(payout(self.known(), id=found)))
            report = Reader(lambda *_: None, ()).payout(body, self.known().key)
            assert isinstance(report, Taken)
            assert report.provider_ref == found

    # --- find

    async def find_by_reference(self, server: Scripted, transport: Transport, answer: Answering, **settings: Any) -> Any:
        server.on("GET", ".*", answer)
        connector = self.provider.connect(XenditSettings(base_url=server.base_url, **settings), self.secrets(), transport)
        (report,) = await connector.find([lookup_of(self.order())])
        return report

    async def test_where_it_asks(self, server: Scripted, transport: Transport) -> None:
        server.on("GET", r"/v2/payouts\?.*", listed(payout(self.known(), "REQUESTED")))
        server.on("GET", f"/v2/payouts/{PAYOUT}", ok(payout(self.known(), "SUCCEEDED")))
        by_key, by_id = await self.connector(transport, server.base_url).find([lookup_of(self.order()), self.known()])
        assert (by_key.progress, by_key.provider_ref) == (Progress.IN_TRANSIT, PAYOUT)
        assert by_id.progress is Progress.PAID
        asked = {seen.path + seen.query for seen in server.seen}
        assert asked == {f"/v2/payouts?reference_id={self.known().key}", f"/v2/payouts/{PAYOUT}"}

    async def test_lists_of_both_shapes(self, server: Scripted, transport: Transport) -> None:
        row = payout(self.known(), "SUCCEEDED")
        for answer in (listed(row), ok({"data": [row], "links": []}), ok([row]), Reply(200, b" \n" + raw([row]))):
            report = await self.find_by_reference(server, transport, answer)
            assert isinstance(report, Taken)
            assert (report.progress, report.provider_ref) == (Progress.PAID, PAYOUT)

    async def test_an_empty_list_is_proof_in_one_shape_only(self, server: Scripted, transport: Transport) -> None:
        assert isinstance(await self.find_by_reference(server, transport, listed()), NotFound)
        assert isinstance(await self.find_by_reference(server, transport, ok([])), Unclear)
        assert isinstance(await self.find_by_reference(server, transport, ok([]), list_shape="array"), NotFound)
        assert isinstance(await self.find_by_reference(server, transport, listed(), list_shape="array"), Unclear)

    async def test_several_with_our_reference_need_a_person(self, server: Scripted, transport: Transport) -> None:
        row = payout(self.known(), "FAILED")
        other = row | {"id": "disb-2", "status": "SUCCEEDED"}
        for answer in (listed(row, other), ok([row, other]), listed(row, has_more=True), listed(has_more=True)):
            report = await self.find_by_reference(server, transport, answer)
            assert isinstance(report, Unclear)
            assert "a person must look" in report.reason
            assert report.provider_ref is None

    @pytest.mark.parametrize("array", [True, False])
    async def test_a_list_that_ignores_what_was_asked(self, *, array: bool, server: Scripted, transport: Transport) -> None:
        ours, other = payout(self.known()), payout(self.known(), reference_id="somebody-elses")
        for rows in ([other], [ours, other], [payout(self.known(), reference_id=None)]):
            report = await self.find_by_reference(server, transport, ok(rows) if array else listed(*rows))
            assert isinstance(report, Unclear)
            assert "not asked for" in report.reason

    @pytest.mark.parametrize(
        "answer",
        [
            ok({"has_more": False}),
            ok({"data": None}),
            ok({"data": {}}),
            ok({"data": [7]}),
            ok([7]),
            ok([[]]),
            ok({"data": [], "has_more": "no"}),
            ok({"data": [], "has_more": None}),
            Reply(200, b"[", {"Content-Type": "application/json"}),
            Reply(200, b'[],"data":[]', {"Content-Type": "application/json"}),
            Reply(200, b"[]", {"Content-Type": "text/plain"}),
            Reply(404, b"[]", {"Content-Type": "application/json"}),
            error("DATA_NOT_FOUND", 404),
            error("INVALID_API_KEY", 401),
            scripted.half_answer,
        ],
    )
    @pytest.mark.parametrize("list_shape", ["object", "array"])
    async def test_a_list_that_cannot_be_read(
        self, list_shape: str, answer: Answering, server: Scripted, transport: Transport
    ) -> None:
        assert isinstance(await self.find_by_reference(server, transport, answer, list_shape=list_shape), Unclear)

    async def test_an_id_they_gave_us_is_never_simply_absent(self, server: Scripted, transport: Transport) -> None:
        """A 404 here means another key or another sub-account."""
        assert isinstance(await self.find(server, transport, error("DATA_NOT_FOUND", 404)), Unclear)

    async def test_another_id_is_unclear(self, server: Scripted, transport: Transport) -> None:
        assert isinstance(await self.find(server, transport, ok(payout(self.known(), id="disb-other"))), Unclear)

    # --- cancel

    async def cancel(self, server: Scripted, transport: Transport, answer: Answering, **settings: Any) -> Any:
        server.on(settings.get("cancel_method", "POST"), f"/v2/payouts/{PAYOUT}/cancel", answer)
        settings = {"base_url": server.base_url} | settings
        connector = self.provider.connect(XenditSettings(**settings), self.secrets(), transport)
        return await connector.cancel(self.known())

    @pytest.mark.parametrize("method", ["POST", "GET"])
    async def test_cancel(self, method: Any, server: Scripted, transport: Transport) -> None:
        report = await self.cancel(server, transport, ok(payout(self.known(), "CANCELLED")), cancel_method=method)
        assert isinstance(report, Taken)
        assert report.progress is Progress.CANCELLED
        assert [seen.method for seen in server.seen] == [method]

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 422, 429])
    async def test_too_late_to_cancel(self, status: int, server: Scripted, transport: Transport) -> None:
        """E-1: whatever it answers, the payout's own status counts."""
        for word in ("REQUESTED", "SUCCEEDED", "ACCEPTED"):
            server.on("GET", f"/v2/payouts/{PAYOUT}", self.found(word))
            report = await self.cancel(server, transport, error("API_VALIDATION_ERROR", status))
            assert isinstance(report, Taken)
            assert report.progress is self.status_words[word]
        server.on("GET", f"/v2/payouts/{PAYOUT}", error("DATA_NOT_FOUND", 404))
        assert isinstance(await self.cancel(server, transport, error("API_VALIDATION_ERROR", status)), Unclear)

    @pytest.mark.parametrize(
        "answer", [error("SERVER_ERROR", 500), scripted.dropped_answer, Reply(302, {}), ok({}), ok({"id": "disb-other"})]
    )
    async def test_a_cancel_that_failed_says_nothing(self, answer: Answering, server: Scripted, transport: Transport) -> None:
        assert isinstance(await self.cancel(server, transport, answer), Unclear)
        assert len(server.seen) == 1

    async def test_cancel_needs_their_id(self, server: Scripted, transport: Transport) -> None:
        report = await self.connector(transport, server.base_url).cancel(replace(self.known(), provider_ref=None))
        assert isinstance(report, Unclear)
        assert server.seen == []

    # --- events

    @pytest.mark.parametrize("shape", [nested, flat])
    @pytest.mark.parametrize(
        ("event", "status", "progress"),
        [
            ("payout.succeeded", "SUCCEEDED", Progress.PAID),
            ("payout.failed", "FAILED", Progress.FAILED),
            ("payout.reversed", "REVERSED", Progress.RETURNED),
            ("payout.cancelled", "CANCELLED", Progress.CANCELLED),
            ("payout.failed", "COMPLIANCE_REJECTED", Progress.FAILED),
            ("payout.failed", "SUCCEEDED", Progress.PAID),
        ],
    )
    def test_the_status_decides(
        self, shape: Any, event: str, status: str, progress: Progress, transport: Transport, heard: Heard
    ) -> None:
        (fact,) = self.connector(transport).read_notice(shape(event, payout(self.known(), status)))
        assert isinstance(fact, PayoutFact)
        assert fact.about == AboutKey(self.known().key)
        assert isinstance(fact.report, Taken)
        assert (fact.report.progress, fact.report.provider_ref) == (progress, PAYOUT)
        assert (fact.report.amount_minor, fact.report.currency) == (100_000_00, "IDR")
        assert fact.report.reference == ("RAIL_1" if shape is flat else None)
        assert heard.words == []

    def test_a_new_event_is_counted_and_read_all_the_same(self, transport: Transport, heard: Heard) -> None:
        body = nested("payout.teleported", payout(self.known(), "SUCCEEDED"))
        (fact,) = self.connector(transport).read_notice(body)
        assert isinstance(fact, PayoutFact)
        assert isinstance(fact.report, Taken)
        assert heard.words == [("xendit", "event", "payout.teleported")]

    @pytest.mark.parametrize(
        "changes",
        [
            {"status": "TELEPORTED"},
            {"status": None},
            {"amount": None},
            {"currency": None},
            {"id": None},
        ],
    )
    def test_an_event_that_only_says_that_there_is_news(self, changes: dict[str, Any], transport: Transport) -> None:
        for shape in (nested, flat):
            body = shape("payout.succeeded", payout(self.known(), "SUCCEEDED") | changes)
            assert self.connector(transport).read_notice(body) == [PayoutFact(AboutKey(self.known().key), None)]

    def test_a_payout_that_is_not_ours(self, transport: Transport) -> None:
        """Made in the dashboard under a reference that no key of ours can have: known by their id alone."""
        body = nested("payout.succeeded", payout(self.known(), "SUCCEEDED", reference_id="salaries, January"))
        assert self.connector(transport).read_notice(body) == [PayoutFact(AboutPayout(PAYOUT), None)]

    @pytest.mark.parametrize("event", ["v3_payout.succeeded", "payment.succeeded", "payouts", ""])
    def test_events_for_somebody_else(self, event: str, transport: Transport, heard: Heard) -> None:
        assert self.connector(transport).read_notice(nested(event, payout(self.known()))) == []
        assert heard.words == []

    @pytest.mark.parametrize(
        "body",
        [
            {"event": "payout.failed", "data": None},
            {"event": "payout.failed", "data": []},
            {"event": "payout.failed", "data": {}},
            {"event": "payout.failed", "data": {"id": "../x", "reference_id": "a b"}},
            {"event": None, "data": {"id": PAYOUT}},
            {"event": ["payout.failed"], "data": {"id": PAYOUT}},
            {"id": PAYOUT, "status": "COMPLETED", "external_id": "older product"},
        ],
    )
    def test_events_that_name_nobody(self, body: dict[str, Any], transport: Transport) -> None:
        with pytest.raises(UnreadableNoticeError, match="nothing was changed"):
            self.connector(transport).read_notice(json.dumps(body).encode())

    # --- the sheet's own examples

    def test_the_sheets_own_answer(self) -> None:
        body = load_object((REPLAYS / "xendit_create_answer.json").read_bytes())
        report = Reader(lambda *_: None, ()).payout(body, "pay-0001")
        assert isinstance(report, Taken)
        assert (report.progress, report.amount_minor, report.currency) == (Progress.PENDING, 10_000_00, "IDR")
        assert report.provider_ref == "disb-00000000-0000-4000-8000-000000000001"

    def test_the_sheets_own_event(self, transport: Transport) -> None:
        (fact,) = self.connector(transport).read_notice((REPLAYS / "xendit_webhook_failed.json").read_bytes())
        assert isinstance(fact, PayoutFact)
        assert fact.about == AboutKey("pay-0001")
        assert isinstance(fact.report, Taken)
        assert (fact.report.progress, fact.report.failure_code) == (Progress.FAILED, FailureCode.INVALID_DESTINATION)
        assert (fact.report.amount_minor, fact.report.reference) == (10_000_00, "SIMULATED_example")

    # --- settings

    @pytest.mark.parametrize("api_key", ["", "xnd_development_example:", "user:password", "two words", "ü"])
    def test_an_api_key_is_checked(self, api_key: str) -> None:
        with pytest.raises(ValueError, match="api_key") as caught:
            XenditSecrets.model_validate({"api_key": api_key})
        assert not api_key or api_key not in str(caught.value)

    def test_a_currency_that_xendit_does_not_pay(self) -> None:
        with pytest.raises(ValueError, match="currency"):
            XenditSettings.model_validate({"base_url": "https://xendit.test", "currency": "EUR"})

    @pytest.mark.parametrize("for_user_id", ["", "a b", "a\r\nx: y", "a" * 65])
    def test_a_sub_account_is_checked(self, for_user_id: str) -> None:
        with pytest.raises(ValueError, match="for_user_id"):
            XenditSettings(base_url="https://xendit.test", for_user_id=for_user_id)
