"""The numbers and words of the fact sheet `mollie.md`, with the sections (4) and assumptions (M-4) they come from.

Only data. Never decides anything: what a fact means for a request or a payout is said where it is used.
"""

import re
from dataclasses import dataclass, field

from providers.sandbox import scenarios
from providers.sandbox.webhooks import RetryPolicy

HAL = "application/hal+json"
IDEMPOTENCY_TTL_MS = 3600 * 1000  # section 8: one hour
RUN_HOUR_UTC = 6  # M-6: initiated at 06:00 of the next business day
AT_BANK_AFTER_MS = 60_000  # M-6
COMPLETED_AFTER_MS = (4 * 60 + 29) * 60_000  # M-6: 10:30, counted from at-bank
DAY_MS = 24 * 3600 * 1000
AMOUNT = re.compile(r"(0|[1-9][0-9]{0,12})\.([0-9]{2})")  # every currency of section 5.2 has two decimals
MAX_DESCRIPTION = 255
LIST_DEFAULT, LIST_MAX = 50, 250
START_BALANCE = "1000000.00"
API_HOST = "https://api.mollie.com"
DOCS = "https://docs.mollie.com"

RETRIES = RetryPolicy(  # M-4: the classic table; slower than 15 s is a failure
    waits_s=(60, 120, 240, 480, 960, 1740, 3600, 7200, 22 * 3600),
    timeout_s=15,
    accepted=lambda status: 200 <= status < 300,
    retried=lambda _status: True,
)

TITLES = {
    400: "Bad Request",
    401: "Unauthorized Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    409: "Conflict",
    422: "Unprocessable Entity",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}

STATUSES = ("requested", "initiated", "processing-at-bank", "completed", "canceled", "failed")
FINAL = frozenset({"completed", "canceled", "failed"})
NEXT = {"requested": "initiated", "initiated": "processing-at-bank", "processing-at-bank": "completed"}
# Statuses in which the balance has given the money away or holds it back (section 6: reserved at initiation).
TAKEN_FROM_BALANCE = frozenset({"initiated", "processing-at-bank", "completed"})

# `statusReason.code` (section 6). The texts are ours: the code is what counts.
REASONS = {
    "requested": "The payout has been requested.",
    "initiated": "The payout is on its way.",
    "processing_at_bank": "The bank has the payout.",
    "completed": "The payout was sent to the bank account.",
    "canceled": "The payout was canceled on request.",
    "failed": "The payout did not work.",
    "insufficient_funds": "The balance did not hold enough.",
    "returned": "The bank sent the payout back.",
    "invalid_request": "The payout could not be carried out as asked.",
    "organization_inactive": "The organization is not active.",
    "payouts_blocked": "Payouts are blocked.",
    "bank_processing_failed": "The bank did not process the payout.",
    "balance_not_found": "The balance is gone.",
    "expired": "The payout took too long.",
}

# Section 4: what else forbids a payout of a balance. M-1: all are told in the same way.
OBSTACLES = {
    "payouts_blocked": "Payouts of this organization are blocked.",
    "queued_refunds": "The balance has queued refunds.",
    "negative_balance": "Another balance of the organization is too far below zero.",
    "bank_account": "The bank account of the balance is missing or not valid.",
}

# Section 2: what an advanced token must be allowed to do, by operation. A plain API key may do the first four alone.
PERMISSIONS = {
    "create_payout": "payouts.write",
    "cancel_payout": "payouts.write",
    "list_payouts": "payouts.read",
    "get_payout": "payouts.read",
    "list_balances": "balances.read",
    "get_balance": "balances.read",
    "create_webhook": "webhooks.write",
    "change_webhook": "webhooks.write",
    "delete_webhook": "webhooks.write",
    "ping_webhook": "webhooks.write",
    "list_webhooks": "webhooks.read",
    "get_webhook": "webhooks.read",
    "get_event": "events.read",
}
API_KEY_MAY = frozenset({"create_payout", "cancel_payout", "list_payouts", "get_payout"})

MAX_SUBSCRIPTIONS = {"test": 2, "live": 3}  # section 9, enabled ones per organization
EVENTS_KEPT = 10_000
EVENT_TYPE = re.compile(r"\*|[a-z-]+\.[a-z*-]+")
PING = "hook.ping"  # M-6: an event with a type that nobody knows


@dataclass(frozen=True, slots=True)
class Course:
    """What becomes of a payout: from which status it turns off the straight way, and where to. ("", "") = it stays."""

    turns: dict[str, tuple[str, str]] = field(default_factory=dict)


COURSES = {
    scenarios.PAID: Course(),
    scenarios.RETURNED: Course({"completed": ("failed", "returned")}),  # M-7
    scenarios.STUCK: Course({"requested": ("", "")}),
    scenarios.REJECTED: Course({"processing-at-bank": ("failed", "bank_processing_failed")}),
    scenarios.FAILED: Course({"initiated": ("failed", "failed")}),
    scenarios.NO_FUNDS: Course({"requested": ("failed", "insufficient_funds")}),  # M-13
    scenarios.CANCELLED: Course({"requested": ("canceled", "canceled")}),
}

# Where a body tells the amount, the currency and our reference.
ECHO_NAMES = {"amount": frozenset({"value"}), "currency": frozenset({"currency"}), "reference": frozenset({"description"})}
# Scenario -> the documented test value that asks for the same. Mollie documents none.
ALSO_BY = {scenarios.NO_FUNDS: "a balance that is lowered by `merchants` before the payout is initiated"}
