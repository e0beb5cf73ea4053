"""What the gateway may rely on with Mollie. Fact numbers (M-n) are those of the Mollie sheet."""

from schemas.contract import DAY_S, AmountRule, CancelRule, Contract, KeyFormat, Proof
from schemas.destination import DestinationType

# Sheet section 5.2, what a balance can be held in.
CURRENCIES = ("EUR", "GBP", "CHF", "DKK", "NOK", "PLN", "SEK", "USD", "CZK", "HUF", "AUD", "CAD", "RON")
MAX_DESCRIPTION = 255  # sheet section 4
ATTEMPT_ID_LENGTH = 35  # "pa_" and 32 digits: our own reference travels in the description, after a space
MAX_DESCRIPTOR = MAX_DESCRIPTION - ATTEMPT_ID_LENGTH - 1

CONTRACT = Contract(
    provider="mollie",
    title="Mollie balance payouts (Europe)",
    method="mollie_payout",
    destinations=frozenset({DestinationType.BALANCE}),
    amounts={currency: AmountRule() for currency in CURRENCIES},
    key_format=KeyFormat.UUID4,
    proof=Proof.SIGNATURE,
    max_scheduled=1,  # section 4: one per balance and business day; M-11
    reads_balance=True,
    lists_payouts=True,  # section 3: newest first
    listing_is_payouts_only=True,  # section 3: of this balance, whoever made them
    cancel=CancelRule.WHILE_PENDING,  # only from `requested`
    replay_window_s=3000.0,  # M-3: the key lives an hour; we stop ten minutes earlier
    find_by_key=True,  # through the balance's list: the description carries our attempt id
    visibility_s=300.0,  # ours: nothing is said about when the list shows a new payout, and at one a day time is cheap
    return_window_s=14 * DAY_S,  # ours: how long a completed payout may still come back is unknown (M-7)
    # `requested` until the next scheduled business day. The longest wait of an ordinary year is Thursday afternoon to
    # Tuesday morning, at Easter.
    pending_alarm_s=5 * DAY_S,
    pending_advice=(
        "Mollie executes a requested payout on the next business day; look in Mollie's dashboard why this one waits. "
        "Until it is executed or cancelled there, Mollie takes no other payout of this balance."
    ),
    side_effects=(
        "it sets the balance's automatic settlement to never, until somebody switches that on again in Mollie's dashboard",
        "Mollie takes one payout per balance and business day: others wait here until it is executed",
    ),
    descriptor_pattern=rf".{{1,{MAX_DESCRIPTOR}}}",
)
