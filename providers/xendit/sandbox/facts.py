"""The numbers and words of the fact sheet `xendit.md`, with the sections (4) and assumptions (E-4) they come from.

Only data. Never decides anything: what a fact means for a request or a payout is said where it is used.
"""

from dataclasses import dataclass

from providers.sandbox import scenarios
from providers.sandbox.webhooks import RetryPolicy

TEST_KEY, LIVE_KEY = "xnd_development_", "xnd_production_"  # section 2: the key decides
DECIMALS = {"IDR": 0, "VND": 0, "PHP": 2, "MYR": 2, "THB": 2}  # section 1
START_BALANCE = "1000000000"
LIST_DEFAULT, LIST_MAX = 10, 100  # ASSUME: the sheet names `limit` and no number

REQUESTED_AFTER_MS = 500  # section 10, seen in the sandbox
SUCCEEDED_AFTER_MS = 79_500  # section 10: about 80 s in all
FAILED_AFTER_MS = 209_500  # section 10: about 3.5 min in all
ARRIVES_AFTER_MS = 15 * 60_000  # section 10: what `estimated_arrival_time` promises

# Section 2: requests a minute, by endpoint and account. The limit by address is not played.
TEST_RATE, LIVE_RATE = 60, 600

RETRIES = RetryPolicy(  # section 9: +15 min, +45 min, +2 h, +3 h, +6 h, +12 h; 30 s to answer
    waits_s=(900, 2700, 7200, 3 * 3600, 6 * 3600, 12 * 3600),
    timeout_s=30,
    accepted=lambda status: 200 <= status < 300,
    retried=lambda _status: True,
)

STATUSES = (
    "ACCEPTED",
    "PENDING_COMPLIANCE_ASSESSMENT",
    "COMPLIANCE_REJECTED",
    "REQUESTED",
    "SUCCEEDED",
    "FAILED",
    "CANCELLED",
    "REVERSED",
)
FINAL = frozenset({"COMPLIANCE_REJECTED", "SUCCEEDED", "FAILED", "CANCELLED", "REVERSED"})
# Statuses in which the balance has the money again.
GIVEN_BACK = frozenset({"COMPLIANCE_REJECTED", "FAILED", "CANCELLED", "REVERSED"})

# Section 6.
FAILURE_CODES = frozenset(
    {
        "INSUFFICIENT_BALANCE",
        "INVALID_DESTINATION",
        "REJECTED_BY_CHANNEL",
        "TEMPORARY_TRANSFER_ERROR",
        "TRANSFER_ERROR",
        "UNKNOWN_BANK_NETWORK_ERROR",
        "DESTINATION_MAXIMUM_LIMIT",
    }
)
NO_FUNDS = "INSUFFICIENT_BALANCE"


@dataclass(frozen=True, slots=True)
class Course:
    """What becomes of a payout: where it stays or ends, with which failure code, and what follows later."""

    end: str
    failure: str = ""
    then: str = ""
    reviewed: bool = False  # it passes through the compliance review


COURSES = {
    scenarios.PAID: Course("SUCCEEDED"),
    scenarios.RETURNED: Course("SUCCEEDED", then="REVERSED"),  # E-5
    scenarios.STUCK: Course("ACCEPTED"),  # section 5: may stay while the channel is offline
    scenarios.REJECTED: Course("FAILED", "INVALID_DESTINATION"),
    scenarios.FAILED: Course("FAILED", "TEMPORARY_TRANSFER_ERROR"),
    scenarios.NO_FUNDS: Course("FAILED", NO_FUNDS),
    scenarios.LIMIT: Course("FAILED", "DESTINATION_MAXIMUM_LIMIT"),
    scenarios.CANCELLED: Course("CANCELLED"),
    scenarios.HELD: Course("PENDING_COMPLIANCE_ASSESSMENT", reviewed=True),  # E-4
    scenarios.SANCTIONED: Course("COMPLIANCE_REJECTED", reviewed=True),  # E-4
}

# Section 10: account number -> what becomes of it. Any other number is paid.
MAGIC_ACCOUNTS = {
    "131313": Course("ACCEPTED"),
    "98018521": Course("FAILED", "TRANSFER_ERROR"),
    "123456": Course("FAILED", "TEMPORARY_TRANSFER_ERROR"),
    "999999": Course("FAILED", "REJECTED_BY_CHANNEL"),
    "121212": Course("FAILED", "INVALID_DESTINATION"),
}
# E-4: (holder, account number) -> what becomes of it.
SANCTIONS = {
    ("Walter Green", "72019761"): COURSES[scenarios.HELD],
    ("Walter White", "79018761"): COURSES[scenarios.SANCTIONED],
}

# Section 10: how long an account number is. Looked at only with the setting `checkAccountLengths`, since the magic
# numbers and the sheet's own example do not keep to it.
ACCOUNT_LENGTHS = {
    "ID_BCA": (10, 10),
    "ID_BRI": (13, 17),
    "ID_BNI": (7, 11),
    "ID_MANDIRI": (12, 17),
    "ID_PERMATA": (7, 16),
}

# Section 4.1.
ACCOUNT_TYPES = {
    "MY_DUITNOW": frozenset({"MOBILE_NO", "NATIONAL_ID", "PASSPORT", "BUSINESS_REGISTRATION", "BANK_ACCOUNT"}),
    "THB": frozenset({"MOBILE_NO", "NATIONAL_ID", "BANK_ACCOUNT"}),
}
MAX_EMAILS = 3
MAX_METADATA, MAX_METADATA_KEY, MAX_METADATA_VALUE = 50, 40, 500

# Where a body tells the amount, the currency and our reference.
ECHO_NAMES = {
    "amount": frozenset({"amount"}),
    "currency": frozenset({"currency"}),
    "reference": frozenset({"reference_id"}),
}
# Scenario -> the documented test value that asks for the same.
ALSO_BY = {
    scenarios.STUCK: "account 131313",
    scenarios.FAILED: "account 123456",
    scenarios.REJECTED: "account 121212",
    scenarios.NO_FUNDS: "an amount above the balance",
    scenarios.HELD: 'holder "Walter Green", account 72019761',
    scenarios.SANCTIONED: 'holder "Walter White", account 79018761',
}
