"""What the providers' documents show as examples, replayed as it stands there, and the common model that comes out of it.

The seeds are the documents that define the product; the sheets are the fact sheets made from all that was to be had. The
files lie in `replays`; Xendit's, and more of Plexy's and Pivot's, are replayed in their own tests.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from providers.base import Connector, ProviderModel
from providers.registry import PROVIDERS
from providers.transport import Transport
from schemas.destination import BankAccount
from schemas.failure import FailureCode
from schemas.notice import AboutKey, AboutPayout, AboutSubmission, CardSavedFact, PayoutFact
from schemas.order import CardToken, Lookup, Order, OwnBalance
from schemas.report import Progress, Refused, Report, Taken
from schemas.requests import CreatePayout
from tests.providers.scripted import Reply, Scripted

REPLAYS = Path(__file__).parent / "replays"
PIVOT_UUID, PLEXY_ID = "00000000-0000-4000-8000-000000000001", "00000000-0000-7000-8000-000000000001"
SETTINGS: dict[str, dict[str, Any]] = {"mollie": {"balance_id": "bal_example"}}
SECRETS: dict[str, dict[str, str]] = {
    "plexy": {"api_key": "pr_example"},
    "mollie": {"api_key": "test_example"},
    "pivot": {"client_id": "example", "client_secret": "example-secret"},
    "xendit": {"api_key": "xnd_development_example"},
}
TOKEN = Reply(200, {"code": "00", "message": "OK", "data": {"accessToken": "a.b.c", "expiresIn": "900", "tokenType": "Bearer"}})
BANK = BankAccount(bank_code="BRI", bank_name="BRI", bank_account_number="999966660001", bank_account_holder="Dummy Simulation")

BCA = BankAccount(
    bank_code="BCA", bank_name="Bank Central Asia", bank_account_number="0000000099", bank_account_holder="PT Contoh"
)


def replay(name: str) -> bytes:
    return (REPLAYS / f"{name}.json").read_bytes()


def connector(name: str, transport: Transport, base_url: str = "http://127.0.0.1:1") -> Connector:
    provider = PROVIDERS[name]
    settings: ProviderModel = provider.settings(base_url=base_url, **SETTINGS.get(name, {}))
    return provider.connect(settings, provider.secrets(**SECRETS[name]), transport)


def model(report: Report | None) -> tuple[Any, ...] | None:
    """The parts of a report that a payout is moved by."""
    if report is None:
        return None
    assert isinstance(report, Taken), report
    return report.progress, report.amount_minor, report.currency, report.failure_code


# --- notices

NOTICES = {
    # The seed `plexy.txt`: its id is no real UUID, and it names no reference of ours.
    "plexy_webhook": (AboutPayout("019ife38-3g27-3ebc-9ba8-3f9cd0defffb"), (Progress.PAID, 100_00, "KZT", None)),
    "mollie_webhook_failed": (
        AboutPayout("payout_example"),
        (Progress.FAILED, 10_00, "EUR", FailureCode.INSUFFICIENT_PROVIDER_FUNDS),
    ),
    "pivot_callback_row": (AboutKey("pay-0001"), (Progress.PAID, 100_000_00, "IDR", None)),
    "pivot_callback_batch": (AboutSubmission("00000000-0000-4000-8000-000000000002"), None),
    "xendit_webhook_failed": (
        AboutKey("pay-0001"),
        (Progress.FAILED, 10_000_00, "IDR", FailureCode.INVALID_DESTINATION),
    ),
}


@pytest.mark.parametrize("name", NOTICES)
def test_a_notice_of_the_documents(name: str, transport: Transport) -> None:
    (fact,) = connector(name.partition("_")[0], transport).read_notice(replay(name))
    assert isinstance(fact, PayoutFact)
    assert (fact.about, model(fact.report)) == NOTICES[name]


def test_plexys_saved_card(transport: Transport) -> None:
    """The sheet's assumption X-10: the event is known by its content, whatever its name."""
    (fact,) = connector("plexy", transport).read_notice(replay("plexy_card_saved"))
    assert isinstance(fact, CardSavedFact)
    assert (fact.card_id, fact.token, fact.brand, fact.last4) == (
        "user-1",
        "00000000-0000-4000-8000-00000000c0de",
        "visa",
        "1111",
    )


# --- answers to a create

ORDERS = {
    "plexy": Order("pa_1", "k", 100_00, "KZT", CardToken("00000000-0000-4000-8000-00000000c0de")),
    "mollie": Order("example", "00000000-0000-4000-8000-000000000001", 10_00, "EUR", OwnBalance()),
    "pivot": Order("pa_1", "pay-0001", 100_000_00, "IDR", BANK, "example1"),
    "xendit": Order("pa_1", "pay-0001", 10_000_00, "IDR", BCA, "example"),
}
CREATED = {
    "plexy": ("/v1/payout", Progress.PENDING, PLEXY_ID, None),
    "mollie": ("/v2/payouts", Progress.PENDING, "payout_example", None),
    "pivot": ("/v1/payouts", Progress.PENDING, None, PIVOT_UUID),
    "xendit": ("/v2/payouts", Progress.PENDING, "disb-00000000-0000-4000-8000-000000000001", None),
}


async def submitted(name: str, server: Scripted, transport: Transport, answer: Reply) -> Report:
    server.on("POST", "/v1/access-token", TOKEN)
    server.on("POST", CREATED[name][0], answer)
    (report,) = await connector(name, transport, server.base_url).submit("submission0000000000000000000001", [ORDERS[name]])
    return report


@pytest.mark.parametrize("name", CREATED)
async def test_the_answer_to_a_create(name: str, server: Scripted, transport: Transport) -> None:
    report = await submitted(name, server, transport, Reply(200, replay(f"{name}_create_answer")))
    order, (_, progress, provider_ref, submission_ref) = ORDERS[name], CREATED[name]
    assert isinstance(report, Taken), report
    assert (report.progress, report.provider_ref, report.submission_ref) == (progress, provider_ref, submission_ref)
    assert (report.amount_minor, report.currency) == (order.amount_minor, order.currency)


async def test_plexys_error(server: Scripted, transport: Transport) -> None:
    report = await submitted("plexy", server, transport, Reply(400, replay("plexy_error")))
    assert isinstance(report, Refused)
    assert (report.failure_code, report.words.code) == (FailureCode.REJECTED_BY_PROVIDER, "3")


# --- reads


@pytest.mark.parametrize(
    ("file", "uuid", "keys", "rupiah"),
    [
        # The seed `pivot.txt`: two rows, told without the envelope.
        ("pivot_payout_object", "d6a46a2c-1b26-40c5-9ca3-e063e69635a0", ("999", "1999"), 100_000),
        ("pivot_read", PIVOT_UUID, ("pay-0001",), 100_000),
    ],
)
async def test_pivots_payout_object(
    file: str, uuid: str, keys: tuple[str, ...], rupiah: int, server: Scripted, transport: Transport
) -> None:
    whole = replay(file)
    body = whole if b'"code"' in whole else b'{"code":"00","message":"Success","data":' + whole + b"}"
    server.on("POST", "/v1/access-token", TOKEN)
    server.on("GET", f"/v1/payouts/{uuid}.*", Reply(200, body))
    lookups = [
        Lookup(f"pa_{key}", key, rupiah * 100, "IDR", datetime(2026, 1, 1, tzinfo=UTC), submission_ref=uuid) for key in keys
    ]
    reports = await connector("pivot", transport, server.base_url).find(lookups)
    assert [model(report) for report in reports] == [(Progress.PAID, rupiah * 100, "IDR", None)] * len(keys)


# --- the seed `plugipay.txt`: what a merchant sends


def test_plugipays_creates() -> None:
    default = CreatePayout.model_validate_json(replay("plugipay_create_default"))
    assert (default.amount, default.currency, default.note) == (10_000_000_00, "IDR", "Q4 settlement")
    assert default.bank_account_number is None
    bank = CreatePayout.model_validate_json(replay("plugipay_create_bank"))
    assert (bank.amount, bank.currency, bank.bank_code, bank.bank_name) == (5_000_000_00, "IDR", "BCA", "Bank Central Asia")
    assert (bank.bank_account_number, bank.bank_account_holder) == ("1234567890", "PT Forjio Teknologi Indonesia")
