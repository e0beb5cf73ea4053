"""An order as the body of a create, byte for byte the same each time. What has no exact form here is refused unsent."""

import json
import re

from providers.xendit.channels import channel_code
from providers.xendit.contract import CONTRACT, DESCRIPTION_PATTERN
from schemas.destination import BankAccount
from schemas.failure import FailureCode
from schemas.money import to_decimal_text
from schemas.order import Order
from schemas.report import RefusalCause, Refused, Words

MAX_LENGTH = 100  # sheet section 4.1: of an account number and of a holder's name


def body_of(order: Order) -> bytes | Refused:
    """The body of a create. The amount is a JSON number: whole rupiah (`10000`), or pesos with centavos (`100.50`)."""
    account = order.destination
    if not isinstance(account, BankAccount):
        return _unsent(FailureCode.INVALID_DESTINATION, "Xendit pays to bank accounts and wallets only")
    if not _is_expressible(order):
        return _unsent(FailureCode.AMOUNT_NOT_ALLOWED, "Xendit does not take this amount in this currency")
    channel = channel_code(account.bank_code, order.currency)
    if channel is None:
        return _unsent(FailureCode.INVALID_DESTINATION, f"no channel of Xendit is known for this bank code in {order.currency}")
    properties = {"account_number": account.bank_account_number, "account_holder_name": account.bank_account_holder}
    if not all(1 <= len(value) <= MAX_LENGTH for value in properties.values()):
        return _unsent(FailureCode.INVALID_DESTINATION, f"account number and holder take 1 to {MAX_LENGTH} characters")
    if order.description is not None and not re.fullmatch(DESCRIPTION_PATTERN, order.description):
        return _unsent(FailureCode.REJECTED_BY_PROVIDER, "Xendit takes 1 to 100 characters as statement descriptor")
    fields = {
        "reference_id": json.dumps(order.key),
        "channel_code": json.dumps(channel),
        "channel_properties": json.dumps(properties, separators=(",", ":")),
        "amount": to_decimal_text(order.amount_minor, order.currency).removesuffix(".00"),
        "currency": json.dumps(order.currency),
    }
    if order.description is not None:
        fields["description"] = json.dumps(order.description)
    # Put together by hand, because the amount's digits must not pass through a float.
    return ("{" + ",".join(f'"{name}":{value}' for name, value in fields.items()) + "}").encode()


def _is_expressible(order: Order) -> bool:
    rule = CONTRACT.amounts.get(order.currency)
    return (
        rule is not None
        and rule.min_minor <= order.amount_minor <= rule.max_minor
        and order.amount_minor % rule.step_minor == 0
    )


def _unsent(code: FailureCode, why: str) -> Refused:
    return Refused(code, RefusalCause.PAYOUT, Words(text=f"not sent: {why}"))
