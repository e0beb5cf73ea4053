"""Why a payout failed, in one vocabulary for all providers, and what a merchant can do about it.

Providers translate their codes to these; nobody else invents one.
"""

from dataclasses import dataclass
from enum import StrEnum


class FailureCode(StrEnum):
    """The common failure codes that merchants see as `failureCode`."""

    INVALID_DESTINATION = "invalid_destination"
    INSUFFICIENT_PROVIDER_FUNDS = "insufficient_provider_funds"
    RECIPIENT_LIMIT = "recipient_limit"
    AMOUNT_NOT_ALLOWED = "amount_not_allowed"
    COMPLIANCE = "compliance"
    PROVIDER_UNAVAILABLE = "provider_unavailable"
    REJECTED_BY_BANK = "rejected_by_bank"
    REJECTED_BY_PROVIDER = "rejected_by_provider"
    RETURNED = "returned"
    CONFIGURATION = "configuration"
    OPERATOR = "marked_failed_by_operator"
    UNEXPLAINED = "unexplained"  # failed for certain, for a reason that is not in the provider's tables


@dataclass(frozen=True, slots=True)
class FailureMeaning:
    """What a merchant reads beside the code."""

    happened: str
    next_step: str
    retry_can_help: bool
    recipient_fault: bool


FAILURE_MEANING: dict[FailureCode, FailureMeaning] = {
    FailureCode.INVALID_DESTINATION: FailureMeaning(
        "The destination does not exist or cannot receive money.",
        "Correct the destination and make a new payout.",
        False,
        True,
    ),
    FailureCode.INSUFFICIENT_PROVIDER_FUNDS: FailureMeaning(
        "The balance at the provider was too low.",
        "Top up the balance at the provider, then make a new payout.",
        True,
        False,
    ),
    FailureCode.RECIPIENT_LIMIT: FailureMeaning(
        "The recipient's own limit was reached.", "Try again tomorrow or pay another account.", True, True
    ),
    FailureCode.AMOUNT_NOT_ALLOWED: FailureMeaning(
        "The provider does not take this amount.", "Use an amount inside the provider's limits.", False, False
    ),
    FailureCode.COMPLIANCE: FailureMeaning(
        "The payout was stopped by a compliance check.", "Ask the provider; a repetition will not help.", False, True
    ),
    FailureCode.PROVIDER_UNAVAILABLE: FailureMeaning(
        "The provider or its network did not work.", "Try again later.", True, False
    ),
    FailureCode.REJECTED_BY_BANK: FailureMeaning(
        "The bank refused the transfer.", "Check the details with the recipient before trying again.", True, False
    ),
    FailureCode.REJECTED_BY_PROVIDER: FailureMeaning(
        "The provider refused the payout before any money moved.",
        "Read the provider's words, correct, try again.",
        True,
        False,
    ),
    FailureCode.RETURNED: FailureMeaning(
        "The money came back after it had been paid.", "Check the destination; decide whether to pay again.", True, True
    ),
    FailureCode.CONFIGURATION: FailureMeaning(
        "The connection to the provider is not set up correctly.", "Correct the connection's settings.", True, False
    ),
    FailureCode.OPERATOR: FailureMeaning(
        "A person marked this payout as failed.",
        "Read the reason; make a new payout if it should still be paid.",
        True,
        False,
    ),
    FailureCode.UNEXPLAINED: FailureMeaning(
        "The provider reported a failure and gave no reason that we know.",
        "Read the provider's words or ask the provider before trying again.",
        True,
        False,
    ),
}
