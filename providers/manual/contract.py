"""What the gateway may rely on when a person makes the transfer. Source: Plugipay sheet, sections 8 and 11."""

from schemas.contract import DAY_S, AmountRule, CancelRule, Contract, KeyFormat, Proof
from schemas.destination import DestinationType
from schemas.money import CURRENCY_EXPONENT

CONTRACT = Contract(
    provider="manual",
    title="Manual transfer by an operator",
    method="manual",
    destinations=frozenset({DestinationType.BANK_ACCOUNT, DestinationType.BALANCE}),
    amounts={currency: AmountRule() for currency in CURRENCY_EXPONENT},
    key_format=KeyFormat.UUID4,
    proof=Proof.NONE,
    batch_size=1000,
    cancel=CancelRule.WHILE_PENDING,
    return_window_s=14 * DAY_S,  # ours: a bank that sends a transfer back does so within days
    poll_after_s=(DAY_S,),  # a read finds nothing new: only a person knows
    review_after_s=7 * DAY_S,  # the sheet speaks of one to three business days
    operator_marks=True,
)
