"""Pivot's words and codes, as tables. Sources are sections of the Pivot sheet; V-n are its numbered assumptions."""

from providers.words import NotProof, Refusal, Said, Table
from schemas.checks import Verdict
from schemas.failure import FailureCode
from schemas.report import Progress, RefusalCause

IN_PROGRESS = "IN_PROGRESS"

# Section 6, first column. A request that is DONE says nothing about its rows.
REQUEST_STATUS = Table(
    "pivot",
    "request status",
    {
        IN_PROGRESS: Said(Progress.PENDING),
        "PROCESSING": Said(Progress.PENDING),  # only in the guide's overview table: the same as IN_PROGRESS
        "PENDING": Said(Progress.PENDING),  # the payout balance is too low; waits for a top-up, without any error
        "DONE": Said(Progress.PENDING),
    },
)

# Section 6, second column. REJECTED is listed there as never used, and nothing says what it would mean: not here.
ROW_STATUS = Table(
    "pivot",
    "row status",
    {
        "APPROVED": Said(Progress.PENDING),  # waits for a top-up; may still be paid at any time (V-10)
        "PENDING": Said(Progress.IN_TRANSIT),  # at the partner or the bank, also when the request is DONE
        "SUCCESS": Said(Progress.PAID),
        "FAILED": Said(Progress.FAILED),
        "CANCELLED": Said(Progress.CANCELLED),  # V-4: counted in the totals, missing in the row's list of values
        "CANCELED": Said(Progress.CANCELLED),  # V-4
        "RETURNED": Said(Progress.RETURNED, FailureCode.RETURNED),  # V-5: never documented, taken at its word
    },
)

# Section 6, the texts of `reason` on FAILED rows.
FAILURE_REASON = Table(
    "pivot",
    "failure reason",
    {
        "Invalid account": FailureCode.INVALID_DESTINATION,
        "Inactive account": FailureCode.INVALID_DESTINATION,
        "Dormant account": FailureCode.INVALID_DESTINATION,
        "Failed to process by Bank Network": FailureCode.REJECTED_BY_BANK,
        "Unknown Bank Network error": FailureCode.REJECTED_BY_BANK,
        "Declined due to beneficiary limit": FailureCode.RECIPIENT_LIMIT,
        "Feature not allowed at this time": FailureCode.CONFIGURATION,  # the merchant is not eligible
        "Insufficient Balance": FailureCode.INSUFFICIENT_PROVIDER_FUNDS,  # seen on APPROVED rows only
    },
)

ACCEPTED = "00"
CREDENTIALS = "credentials_invalid"
IN_PROCESS = "payouts_in_process"
MISSING = "resource_missing"

# Section 7: what a code means in the answer to a create, whatever the HTTP status is (V-1).
CREATE_CODE: Table[Refusal | NotProof] = Table(
    "pivot",
    "response code",
    {
        CREDENTIALS: Refusal(FailureCode.CONFIGURATION, RefusalCause.CONNECTION),
        "field_format_invalid": Refusal(FailureCode.REJECTED_BY_PROVIDER, about_row=True),
        "field_required": Refusal(FailureCode.REJECTED_BY_PROVIDER, about_row=True),
        "format_invalid": Refusal(FailureCode.REJECTED_BY_PROVIDER, about_row=True),
        "amount_below_limit": Refusal(FailureCode.AMOUNT_NOT_ALLOWED, about_row=True),
        "amount_above_limit": Refusal(FailureCode.AMOUNT_NOT_ALLOWED, about_row=True),
        "unsupported_channel_code": Refusal(FailureCode.INVALID_DESTINATION, about_row=True),
        # Rare: usually 00 and then PENDING. Of a batch it may be the sum that is too much, like the merchant's limit next: each
        # row is judged alone.
        "balance_insufficient": Refusal(FailureCode.INSUFFICIENT_PROVIDER_FUNDS, about_row=True),
        "daily_payout_limit_exceeded": Refusal(FailureCode.REJECTED_BY_PROVIDER, about_row=True),
        # Speaks of a payout id, which a create of ours does not carry, so the address is wrong; or of an inquiry that a row
        # names: see FIELD_REFUSAL.
        MISSING: Refusal(FailureCode.CONFIGURATION, RefusalCause.CONNECTION),
        # Section 9: a request id or a referenceId of ours is there already, so it may have been accepted: find it.
        "resource_already_exists": NotProof("the key exists at Pivot already; only a read can tell what became of it"),
        IN_PROCESS: NotProof("Pivot is working on these payouts"),
        "service_unavailable": NotProof("Pivot or its partner did not answer in time"),
        "general_error": NotProof("Pivot reports an error without saying what happened"),
    },
)

# Refines the codes that name a field: which of ours it was (last part of the path).
FIELD_REFUSAL: dict[str, Refusal] = {
    "accountNumber": Refusal(FailureCode.INVALID_DESTINATION, RefusalCause.RECIPIENT, about_row=True),
    "accountName": Refusal(FailureCode.INVALID_DESTINATION, RefusalCause.RECIPIENT, about_row=True),
    "channelCode": Refusal(FailureCode.INVALID_DESTINATION, about_row=True),
    "value": Refusal(FailureCode.AMOUNT_NOT_ALLOWED, about_row=True),
    "amount": Refusal(FailureCode.AMOUNT_NOT_ALLOWED, about_row=True),
    # The check that the row named is gone or not ours (resource_missing), not the account: nothing was processed, and the
    # payout's next attempt names the account itself.
    "inquiryId": Refusal(FailureCode.REJECTED_BY_PROVIDER, RefusalCause.ALONE, about_row=True),
}

# Section 8, `inquiryResult.status`.
INQUIRY_STATUS = Table(
    "pivot",
    "inquiry status",
    {
        "VALID": Verdict.VALID,
        "WARNING": Verdict.WARNING,  # the account exists, its holder has another name at the bank
        "INVALID": Verdict.INVALID,  # "Account number not found."
        "PENDING": Verdict.PENDING,
    },
)

# Fields of ours that an inquiry can refuse as they are: a payout to them would be refused in the same way.
UNPAYABLE = frozenset({("unsupported_channel_code", "channelCode"), ("field_format_invalid", "accountNumber")})

TABLES = (REQUEST_STATUS, ROW_STATUS, FAILURE_REASON, CREATE_CODE, INQUIRY_STATUS)
