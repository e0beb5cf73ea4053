"""What becomes of a payout after its destination was checked, as one pure table. Nothing was sent before any of this."""

from enum import StrEnum

from schemas.checks import CheckPolicy, Verdict


class CheckOutcome(StrEnum):
    """With which answer a payout was cleared to be sent."""

    VALID = "valid"
    WARNING = "warning"
    UNANSWERED = "unanswered"  # nobody could say, and that is no reason to hold it back


class Ruling(StrEnum):
    """What to do with a payout that waits for its check."""

    GO = "go"
    REFUSE = "refuse"
    ASK_PERSON = "ask_person"  # it stays unsent and cancelable; a later answer takes it off the desk


# UNKNOWN and PENDING stand here for "not answered after several tries over some minutes".
#
# Without an answer the two policies part. "invalid" guards against accounts that do not exist, and the bank refuses those
# by itself, with the money back: holding wages for the outage of a mere question would do more harm than a failed payout.
# "warning" guards against paying a stranger, which nothing later undoes: there the payout waits for the answer, or for a
# person who takes it back.
RULINGS: dict[CheckPolicy, dict[Verdict, Ruling]] = {
    CheckPolicy.OFF: dict.fromkeys(Verdict, Ruling.GO),  # switched off while it waited
    CheckPolicy.INVALID: {
        Verdict.VALID: Ruling.GO,
        Verdict.WARNING: Ruling.GO,
        Verdict.INVALID: Ruling.REFUSE,
        Verdict.PENDING: Ruling.GO,
        Verdict.UNKNOWN: Ruling.GO,
        Verdict.NOT_OFFERED: Ruling.GO,
    },
    CheckPolicy.WARNING: {
        Verdict.VALID: Ruling.GO,
        Verdict.WARNING: Ruling.REFUSE,
        Verdict.INVALID: Ruling.REFUSE,
        Verdict.PENDING: Ruling.ASK_PERSON,
        Verdict.UNKNOWN: Ruling.ASK_PERSON,
        Verdict.NOT_OFFERED: Ruling.ASK_PERSON,
    },
}

OUTCOME: dict[Verdict, CheckOutcome] = {
    Verdict.VALID: CheckOutcome.VALID,
    Verdict.WARNING: CheckOutcome.WARNING,
}

# Why a payout ends unsent, or waits, in the timeline. Without the bank's name of the holder: that is a person's data, and
# whoever can name an account number is not thereby entitled to it.
REASON: dict[Verdict, str] = {
    Verdict.INVALID: "the provider says that this account does not exist or cannot be paid",
    Verdict.WARNING: "the account exists, but the bank knows its holder by another name",
    Verdict.PENDING: "the provider is still looking whether the account exists",
    Verdict.UNKNOWN: "the provider does not answer whether the account exists",
}
