"""Plexy: card tokens, exact JSON numbers, no repetition, and the seed's own notice."""

import json
from dataclasses import replace
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
from schemas.notice import AboutPayout, CardSavedFact, PayoutFact
from schemas.order import CardToken, Lookup, Order
from schemas.report import NotSent, Progress, RefusalCause, Refused, Taken, Unclear
from schemas.strict_json import load
from tests.providers import scripted
from tests.providers.conftest import Heard
from tests.providers.contract_suite import CARD_TOKEN, SUBMISSION_KEY, NetworkContract, headers_of, lookup_of
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
        canned.post("http://plexy.test/v1/payout", status=status, payload=body)
        (report,) = await self.connector(transport, "http://plexy.test").submit(SUBMISSION_KEY, [self.order()])
        assert isinstance(report, Taken)
        assert (report.progress, report.provider_ref, report.amount_minor) == (Progress.PENDING, TRANSACTION, None)

    @pytest.mark.parametrize(
        "body",
        [{"status": "new"}, {"id": ""}, {"id": 7}, {"id": "a b"}, {"id": {"x": 1}}, {"code": 3, "message": "no"}, {"data": []}],
    )
    async def test_accepted_without_an_id_is_for_a_person(
        self, body: dict[str, Any], canned: aioresponses, transport: Transport
    ) -> None:
        canned.post("http://plexy.test/v1/payout", payload=body)
        (report,) = await self.connector(transport, "http://plexy.test").submit(SUBMISSION_KEY, [self.order()])
        assert isinstance(report, Unclear)

    @pytest.mark.parametrize("amount", ["100", True, [1], 0.001, -0.5])
    async def test_an_amount_that_cannot_be_read_is_unclear(
        self, amount: Any, canned: aioresponses, transport: Transport
    ) -> None:
        canned.post("http://plexy.test/v1/payout", payload={"id": TRANSACTION, "amount": amount})
        (report,) = await self.connector(transport, "http://plexy.test").submit(SUBMISSION_KEY, [self.order()])
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

    async def test_only_by_their_id(self, server: Scripted, transport: Transport) -> None:
        (report,) = await self.connector(transport, server.base_url).find([lookup_of(self.order())])
        assert isinstance(report, Unclear)
        assert server.seen == []

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
        canned.get(f"http://plexy.test/v1/transactions/{TRANSACTION}", payload=transaction(word))
        (report,) = await self.connector(transport, "http://plexy.test").find([self.known()])
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
            {"amount_scale": 1},
            {"payout_fields": ["note"]},
            {"id_paths": ["a b"]},
        ],
    )
    def test_settings_are_checked(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match="validation error"):
            PlexySettings.model_validate({"base_url": "https://plexy.test"} | wrong)
