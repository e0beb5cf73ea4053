"""Xendit's words and codes, as tables. Sources are sections of the Xendit sheet; E-n are its numbered assumptions."""

from providers.words import NotProof, Refusal, Said, Table
from schemas.failure import FailureCode
from schemas.report import Progress, RefusalCause

# Section 5. READY, LOCKED and EXPIRED belong to cash payouts and PENDING to other products: not here.
PAYOUT_STATUS = Table(
    "xendit",
    "payout status",
    {
        "ACCEPTED": Said(Progress.PENDING),  # stored; may stay so while the channel is offline
        "PENDING_COMPLIANCE_ASSESSMENT": Said(Progress.PENDING),  # somebody at Xendit is looking at it
        "REQUESTED": Said(Progress.IN_TRANSIT),
        "SUCCEEDED": Said(Progress.PAID),  # sent by the sender's bank; may turn into REVERSED
        "FAILED": Said(Progress.FAILED),
        "COMPLIANCE_REJECTED": Said(Progress.FAILED, FailureCode.COMPLIANCE),  # the word is the reason
        "CANCELLED": Said(Progress.CANCELLED),
        "REVERSED": Said(Progress.RETURNED, FailureCode.RETURNED),  # bounced after success, money back on our balance
    },
)

# Section 6, `failure_code` of a FAILED payout.
FAILURE_CODE = Table(
    "xendit",
    "failure code",
    {
        "INSUFFICIENT_BALANCE": FailureCode.INSUFFICIENT_PROVIDER_FUNDS,
        "INVALID_DESTINATION": FailureCode.INVALID_DESTINATION,
        "REJECTED_BY_CHANNEL": FailureCode.REJECTED_BY_BANK,  # an error of the receiving channel
        "TEMPORARY_TRANSFER_ERROR": FailureCode.PROVIDER_UNAVAILABLE,  # the channel's network was down
        "TRANSFER_ERROR": FailureCode.REJECTED_BY_PROVIDER,  # fatal: fields that this channel does not take
        "UNKNOWN_BANK_NETWORK_ERROR": FailureCode.UNEXPLAINED,  # documented as undocumented: a person decides
        "DESTINATION_MAXIMUM_LIMIT": FailureCode.RECIPIENT_LIMIT,
        # The rest is documented for v3 only and taken at its word should v2 say it too.
        "ACCOUNT_NAME_MISMATCH": FailureCode.INVALID_DESTINATION,
        "SLS_SENDER": FailureCode.COMPLIANCE,  # our reading: screened against a sanction list
        "SLS_RECIPIENT": FailureCode.COMPLIANCE,  # the same
    },
)

_KEY_EXISTS = NotProof("the key exists at Xendit already; only a read can tell what became of it")

# Section 7: what `error_code` means in the answer to a create. What is not here refuses nothing.
ERROR_CODE: Table[Refusal | NotProof] = Table(
    "xendit",
    "error code",
    {
        "API_VALIDATION_ERROR": Refusal(FailureCode.REJECTED_BY_PROVIDER),  # E-7 too; see FIELD_REFUSAL
        "CHANNEL_CODE_NOT_SUPPORTED": Refusal(FailureCode.INVALID_DESTINATION),
        "CHANNEL_CODE_NOT_SUPPORTED_ERROR": Refusal(FailureCode.INVALID_DESTINATION),  # an older page's spelling
        "MINIMUM_TRANSFER_LIMIT_ERROR": Refusal(FailureCode.AMOUNT_NOT_ALLOWED),
        "MAXIMUM_TRANSFER_LIMIT_ERROR": Refusal(FailureCode.AMOUNT_NOT_ALLOWED),
        "AMOUNT_INCREMENT_NOT_SUPPORTED": Refusal(FailureCode.AMOUNT_NOT_ALLOWED),
        "INVALID_API_KEY": Refusal(FailureCode.CONFIGURATION, RefusalCause.CONNECTION),
        "REQUEST_FORBIDDEN_ERROR": Refusal(FailureCode.CONFIGURATION, RefusalCause.CONNECTION),
        # Speaks of a payout's id; a create of ours carries none, so the address is wrong.
        "DATA_NOT_FOUND": Refusal(FailureCode.CONFIGURATION, RefusalCause.CONNECTION),
        "RATE_LIMIT_EXCEEDED": Refusal(FailureCode.PROVIDER_UNAVAILABLE, RefusalCause.PACING),
        # Section 8: documented as 400, observed as 409. Another body came with our key before: it may be a payout.
        "DUPLICATE_ERROR": _KEY_EXISTS,
        "DUPLICATE_PAYOUT_ERROR": _KEY_EXISTS,  # the payouts guide's name
        "DUPLICATE_TRANSACTION_ERROR": _KEY_EXISTS,  # an older page's name
        "SERVER_ERROR": NotProof("Xendit reports an error without saying what happened"),
        # The older page's other names, never seen in v2.
        "INVALID_JSON_FORMAT": Refusal(FailureCode.REJECTED_BY_PROVIDER),
        "RECIPIENT_ACCOUNT_NUMBER_ERROR": Refusal(FailureCode.INVALID_DESTINATION, RefusalCause.RECIPIENT),
        "RECIPIENT_AMOUNT_ERROR": Refusal(FailureCode.AMOUNT_NOT_ALLOWED),
    },
)

# Refines API_VALIDATION_ERROR when it names one field of ours (the last part of `errors[].path`).
FIELD_REFUSAL: dict[str, Refusal] = {
    "account_number": Refusal(FailureCode.INVALID_DESTINATION, RefusalCause.RECIPIENT),
    "account_holder_name": Refusal(FailureCode.INVALID_DESTINATION, RefusalCause.RECIPIENT),
    "channel_code": Refusal(FailureCode.INVALID_DESTINATION),
    "amount": Refusal(FailureCode.AMOUNT_NOT_ALLOWED),
}

# Section 9. The name decides nothing, `data.status` does (E-6): a new name is counted, and its payout read all the same.
EVENT = Table(
    "xendit",
    "event",
    dict.fromkeys(
        (
            "payout.succeeded",
            "payout.failed",
            "payout.reversed",
            "payout.cancelled",  # E-3: not documented
        ),
        True,
    ),
)

TABLES = (PAYOUT_STATUS, FAILURE_CODE, ERROR_CODE, EVENT)
