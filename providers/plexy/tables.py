"""Plexy's words and codes, as tables. Sources are sections of the Plexy sheet; X-n are its numbered assumptions."""

from providers.words import NotProof, Refusal, Said, Table
from schemas.failure import FailureCode
from schemas.report import Progress, RefusalCause

# Section 5, after the prefix is taken off and letters are lowered. `charged` and `authed` are seen on payments only and
# say nothing about a payout: not here.
STATUS_PREFIX = "TRANSACTION_STATUS_"
PAYOUT_STATUS = Table(
    "plexy",
    "payout status",
    {
        "new": Said(Progress.PENDING),
        "processing": Said(Progress.IN_TRANSIT),
        "settled": Said(Progress.PAID),
        "rejected": Said(Progress.FAILED),  # stated: no funds were debited
        # Stated final, but not that nothing was debited; "network timeouts" are among its causes. Never proof.
        "failed": Said(Progress.FAILED_UNPROVEN),
    },
)

# Words of payments, which the list of transactions shows beside payouts.
PAYMENT_STATUSES = ("charged", "authed")

# Section 6, numbers written as text. X-9: only 3, 4 and 5 refuse.
ERROR_CODE: Table[Refusal | NotProof] = Table(
    "plexy",
    "error code",
    {
        "1": NotProof("Plexy says that its service is unavailable"),
        "2": NotProof("Plexy says that something went wrong"),
        "3": Refusal(FailureCode.REJECTED_BY_PROVIDER),
        "4": Refusal(FailureCode.INVALID_DESTINATION, RefusalCause.RECIPIENT),  # the token is not known (section 13)
        "5": Refusal(FailureCode.REJECTED_BY_PROVIDER),
    },
)

# Section 6: decline codes of payouts are unknown; these are the card codes that the 2023 documentation lists for payments.
DECLINE_CODE = Table(
    "plexy",
    "decline code",
    {
        "05": FailureCode.REJECTED_BY_BANK,
        "12": FailureCode.REJECTED_BY_BANK,
        "13": FailureCode.AMOUNT_NOT_ALLOWED,
        "33": FailureCode.INVALID_DESTINATION,
        "41": FailureCode.INVALID_DESTINATION,
        "43": FailureCode.INVALID_DESTINATION,
        "51": FailureCode.INSUFFICIENT_PROVIDER_FUNDS,
        "54": FailureCode.INVALID_DESTINATION,
        "61": FailureCode.RECIPIENT_LIMIT,
        "62": FailureCode.INVALID_DESTINATION,
        "91": FailureCode.PROVIDER_UNAVAILABLE,
        "96": FailureCode.PROVIDER_UNAVAILABLE,
    },
)

# Section 8. Names of payments in the same account; they carry no payout status and are no news to us.
PAYMENT_EVENTS = frozenset(f"transaction.{name}" for name in ("created", "authorized", "charged", "cancelled", "refunded"))

TABLES = (PAYOUT_STATUS, ERROR_CODE, DECLINE_CODE)
