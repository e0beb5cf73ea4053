"""The numbers and words of the fact sheet `plexy.md`, with the sections (4) and assumptions (X-4) they come from.

Only data. Never decides anything: what a fact means for a request or a payout is said where it is used.
"""

import re
from dataclasses import dataclass

from providers.sandbox import scenarios
from providers.sandbox.webhooks import RetryPolicy

CURRENCY = "KZT"
MINIMUM_TENGE = 100  # section 4.1: a business minimum such as 100
PROCESSING_AFTER_MS = 500
SETTLED_AFTER_MS = 2500  # about 3 s in all
WEBHOOK_AFTER_MS = 3000  # section 9: posted 3 s after the last change
CARD_SAVED_AFTER_MS = 1000
START_BALANCE = "1000000000"
LIST_DEFAULT, LIST_MAX = 50, 200
AMOUNT = re.compile(r"[0-9]{1,15}(\.[0-9]{1,2})?")  # whole tenge, up to two decimals

RETRIES = RetryPolicy(
    waits_s=(60, 300, 1800, 2 * 3600, 6 * 3600, 24 * 3600),
    timeout_s=10,
    accepted=lambda status: 200 <= status < 300,
    retried=lambda _status: True,
)

# Section 10 and X-12: the only numbers that exist here. number -> (brand, is paid)
TEST_CARDS = {"4111111111111111": ("visa", True), "5105105105105100": ("mastercard", False)}

# every one must be there; only the number is looked at. It is plain base64 here, since nobody has Plexy's key.
CARD_FIELDS = (
    "encryptedCardNumber",
    "encryptedExpiryMonth",
    "encryptedExpiryYear",
    "encryptedCvv",
    "encryptedCardholderName",
)

STATUSES = ("new", "processing", "settled", "rejected", "failed")
FINAL = frozenset({"settled", "rejected", "failed"})
# error_code and error_message of section 4.3; the codes are those of the card networks (section 6), the words are ours.
DECLINES = {
    "05": "The recipient's bank does not honour this.",
    "12": "The transaction is not valid.",
    "13": "The amount is not valid.",
    "33": "The card has expired.",
    "41": "The card was reported lost.",
    "43": "The card was reported stolen.",
    "51": "The merchant's balance is too low.",
    "54": "The card has expired.",
    "61": "The recipient has reached a limit.",
    "62": "The card is restricted.",
    "91": "The recipient's bank cannot be reached.",
    "96": "A technical error on the way to the bank.",
}
DECLINED, NO_FUNDS, LIMIT_REACHED, TECHNICAL = "05", "51", "61", "96"


@dataclass(frozen=True, slots=True)
class Course:
    """What becomes of a payout: where it stays or ends, with which error, and what follows later."""

    end: str
    code: str = ""
    then: str = ""
    sent: bool = False  # the money goes although the status says that it did not


COURSES = {
    scenarios.PAID: Course("settled"),
    scenarios.RETURNED: Course("settled", then="failed"),  # never expected, so it must be testable
    scenarios.STUCK: Course("processing"),
    scenarios.REJECTED: Course("rejected", DECLINED),
    scenarios.FAILED: Course("failed", TECHNICAL),
    scenarios.NO_FUNDS: Course("rejected", NO_FUNDS),  # the only sign of an empty balance
    scenarios.LIMIT: Course("rejected", LIMIT_REACHED),
    scenarios.FAILED_BUT_SENT: Course("failed", TECHNICAL, sent=True),  # section 5: whether it was debited is not stated
}

# Where a body tells the amount, the currency and our reference.
ECHO_NAMES = {
    "amount": frozenset({"amount"}),
    "currency": frozenset({"currency"}),
    "reference": frozenset({"merchantReference", "orderReference"}),
}
# Scenario -> the documented test value that asks for the same.
ALSO_BY = {
    scenarios.PAID: "card 4111 1111 1111 1111",
    scenarios.REJECTED: "card 5105 1051 0510 5100",
    scenarios.NO_FUNDS: "an amount above the balance",
}
