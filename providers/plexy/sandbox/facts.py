"""The numbers and words of the fact sheet `plexy.md`, with the sections (4) and assumptions (X-4) they come from.

Only data. Never decides anything: what a fact means for a request or a payout is said where it is used.
"""

import re

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
# error_code and error_message of section 4.3; the codes are those of the card networks (section 6).
DECLINED = ("05", "The recipient's bank does not honour this.")
NO_FUNDS = ("51", "The merchant's balance is too low.")
TECHNICAL = ("96", "A technical error on the way to the bank.")
