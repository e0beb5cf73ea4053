"""Orders to Pivot's rows, byte for byte the same each time. An order that has no exact form here is refused unsent."""

import json
import re
from collections.abc import Sequence
from typing import Any

from providers.pivot.channels import CHANNEL_CODES
from providers.pivot.contract import DESCRIPTION_PATTERN
from schemas.destination import BankAccount
from schemas.failure import FailureCode
from schemas.money import InexpressibleAmountError, to_whole_units
from schemas.order import Order
from schemas.report import RefusalCause, Refused, Words

MAX_HOLDER = 60  # sheet section 4
CURRENCY = "IDR"

Row = dict[str, Any]


def row_of(order: Order) -> Row | Refused:
    """One row of a create. Amounts are text in whole rupiah; a JSON number is refused by Pivot (section 4)."""
    destination = order.destination
    if not isinstance(destination, BankAccount):
        return _unsent(FailureCode.INVALID_DESTINATION, "Pivot pays to bank accounts only")
    if problem := destination_problem(destination):
        return _unsent(FailureCode.INVALID_DESTINATION, problem)
    if order.description is not None and not re.fullmatch(DESCRIPTION_PATTERN, order.description):
        return _unsent(FailureCode.REJECTED_BY_PROVIDER, "Pivot takes 1 to 20 letters and digits as statement descriptor")
    value = _whole_rupiah(order)
    if value is None:
        return _unsent(FailureCode.AMOUNT_NOT_ALLOWED, "Pivot pays positive amounts of whole IDR only")
    # V-11: a row names a check that was made of its account, or the account; never both.
    named = destination_of(destination) if order.destination_ref is None else {"inquiryId": order.destination_ref}
    row: Row = {"referenceId": order.key, **named, "amount": {"value": value, "currency": CURRENCY}}
    if order.description is not None:
        row["description"] = order.description
    return row


def destination_of(account: BankAccount) -> Row:
    """The account in Pivot's fields, as in an inquiry."""
    return {
        "channelCode": account.bank_code,
        "channelInformation": {
            "accountNumber": account.bank_account_number,
            "accountName": account.bank_account_holder,
        },
    }


def body_of(rows: Sequence[Row]) -> bytes:
    """The bytes of a create request."""
    return json.dumps({"payouts": list(rows)}, separators=(",", ":")).encode()


def destination_problem(account: BankAccount) -> str | None:
    """Why Pivot cannot be asked about this account, or pay it."""
    if account.bank_code not in CHANNEL_CODES:
        return "the bank code is not one of Pivot's channel codes"
    if len(account.bank_account_holder) > MAX_HOLDER:
        return f"the account holder is longer than {MAX_HOLDER} characters"
    return None


def _whole_rupiah(order: Order) -> str | None:
    if order.currency != CURRENCY or order.amount_minor <= 0:
        return None
    try:
        return str(to_whole_units(order.amount_minor, CURRENCY))
    except InexpressibleAmountError:
        return None


def _unsent(code: FailureCode, why: str) -> Refused:
    return Refused(code, RefusalCause.PAYOUT, Words(text=f"not sent: {why}"))
