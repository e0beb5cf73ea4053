"""Bank codes by currency: a code of another country is refused when the route is chosen, not after it was stored."""

import pytest

from gateway.api import views
from gateway.cli_channels import _lines
from gateway.routing import Candidate, Wanted, Why, route
from providers.registry import PROVIDERS
from schemas.checks import Channel
from schemas.contract import BankCodes
from schemas.destination import DestinationType


def problem(provider, bank_code, currency, destination=DestinationType.BANK_ACCOUNT):
    """Why a provider cannot carry it, or None."""
    candidate = Candidate(connection_id="conn_1", name="one", priority=1, contract=PROVIDERS[provider].contract)
    wanted = Wanted(amount_minor=100_00, currency=currency, destination_type=destination, bank_code=bank_code)
    excluded = route(wanted, [candidate]).excluded
    return (excluded[0].why, excluded[0].reason) if excluded else None


@pytest.mark.parametrize(
    ("provider", "bank_code", "currency"),
    [
        ("xendit", "BCA", "IDR"),
        ("xendit", "PH_GCASH", "PHP"),
        ("xendit", "VN_VCB", "VND"),
        ("pivot", "BCA", "IDR"),
        ("manual", "BCA", "IDR"),
        ("manual", "ANYTHING", "EUR"),
        ("manual", None, "IDR"),
    ],
)
def test_codes_that_fit(provider, bank_code, currency):
    assert problem(provider, bank_code, currency) is None


@pytest.mark.parametrize(
    ("provider", "bank_code", "currency"),
    [
        ("xendit", "PH_GCASH", "IDR"),
        ("xendit", "PH_GCASH", "MYR"),
        ("xendit", "BCA", "PHP"),
        ("xendit", "ID_BCA", "IDR"),
        ("xendit", "PH_GCASH\n", "PHP"),
        ("xendit", "PH_", "PHP"),
        ("pivot", "ID_BCA", "IDR"),
        ("pivot", "PH_GCASH", "IDR"),
    ],
)
def test_codes_that_do_not(provider, bank_code, currency):
    why, reason = problem(provider, bank_code, currency)
    assert why is Why.BANK_CODE
    assert reason.endswith(f"does not know bankCode {bank_code} in {currency}")


@pytest.mark.parametrize("provider", ["xendit", "pivot"])
def test_a_code_is_asked_for(provider):
    why, reason = problem(provider, None, "IDR")
    assert (why, reason.endswith("needs a bankCode")) == (Why.BANK_CODE, True)


def test_other_destinations_need_none():
    assert problem("mollie", None, "EUR", DestinationType.BALANCE) is None
    assert problem("plexy", None, "KZT", DestinationType.CARD) is None


def test_merchants_read_them_by_currency():
    shown = {one["currency"]: one for one in views.provider(PROVIDERS["xendit"].contract, [])["bankCodes"]}
    assert sorted(shown) == ["IDR", "MYR", "PHP", "THB", "VND"]
    assert "BCA" in shown["IDR"]["codes"]
    assert shown["IDR"]["pattern"] is None
    assert (shown["PHP"]["codes"], shown["PHP"]["pattern"]) == ([], "PH_[A-Z0-9_]{1,29}")
    assert views.provider(PROVIDERS["manual"].contract, [])["bankCodes"] == []


def test_listed_and_alike_go_together():
    both = BankCodes(listed=frozenset({"BCA"}), pattern="X_[A-Z]+")
    assert [code for code in ("BCA", "X_A", "X_", "xX_A", "") if both.takes(code)] == ["BCA", "X_A"]


def test_the_list_of_channels_says_where_it_and_our_table_differ():
    listed = PROVIDERS["xendit"].contract.bank_codes["IDR"].listed
    channels = [Channel(f"ID_{code}", "IDR", code, min_minor=1_00) for code in sorted(listed - {"BCA"})]
    *lines, total, gone = _lines(PROVIDERS["xendit"].contract, [*channels, Channel("ID_NEW", "IDR", None, name="New")])
    assert total == f"{len(listed)} channels, 1 of them not in our table"
    assert gone == "In our table, and not in the provider's list: BCA (IDR)"
    assert lines[-1].split() == ["ID_NEW", "NOT", "IN", "OUR", "TABLE", "IDR", "?", "to", "?", "by", "?", "New"]
    assert "1.00 to ? by ?" in lines[0]
