"""Mollie's words, as tables. Sources are sections of the Mollie sheet; M-n are its numbered assumptions."""

from providers.words import Refusal, Said, Table
from schemas.failure import FailureCode
from schemas.report import Progress

# Section 6. Hyphens in statuses, underscores in reason codes.
PAYOUT_STATUS = Table(
    "mollie",
    "payout status",
    {
        "requested": Said(Progress.PENDING),
        "initiated": Said(Progress.IN_TRANSIT),
        "processing-at-bank": Said(Progress.IN_TRANSIT),
        "completed": Said(Progress.PAID),  # sent to the bank account; may still come back (M-7)
        "canceled": Said(Progress.CANCELLED),  # one l
        "failed": Said(Progress.FAILED),  # or returned: see `reading`
    },
)

RETURNED = "returned"

# Section 6, `statusReason.code` of a failed payout.
FAILURE_REASON = Table(
    "mollie",
    "status reason",
    {
        "insufficient_funds": FailureCode.INSUFFICIENT_PROVIDER_FUNDS,
        RETURNED: FailureCode.RETURNED,
        "invalid_request": FailureCode.REJECTED_BY_PROVIDER,
        "organization_inactive": FailureCode.CONFIGURATION,
        "payouts_blocked": FailureCode.COMPLIANCE,
        "bank_processing_failed": FailureCode.REJECTED_BY_BANK,
        "balance_not_found": FailureCode.CONFIGURATION,
        "expired": FailureCode.PROVIDER_UNAVAILABLE,
        "canceled": FailureCode.REJECTED_BY_PROVIDER,  # cancelled after submission shows as failed (section 10)
        "failed": FailureCode.UNEXPLAINED,  # documented as: cause unknown
    },
)

# Section 9. Anything else is for somebody else: answered with 200 and not read (M-6).
EVENT_TYPE = Table(
    "mollie",
    "event type",
    dict.fromkeys(
        (
            "payout.initiated",
            "payout.processing-at-bank",
            "payout.completed",
            "payout.canceled",
            "payout.failed",
        ),
        True,
    ),
)

# M-1: the `field` of a 422. Reasons other than too little funds all come as balanceId and differ only in free text.
REFUSED_FIELD = Table(
    "mollie",
    "refused field",
    {
        "amount": Refusal(FailureCode.INSUFFICIENT_PROVIDER_FUNDS),
        "balanceId": Refusal(FailureCode.REJECTED_BY_PROVIDER),
        "description": Refusal(FailureCode.REJECTED_BY_PROVIDER),
        "testmode": Refusal(FailureCode.CONFIGURATION),  # M-8
    },
)

TABLES = (PAYOUT_STATUS, FAILURE_REASON, EVENT_TYPE, REFUSED_FIELD)
