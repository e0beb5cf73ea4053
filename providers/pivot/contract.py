"""What the gateway may rely on with Pivot. Fact numbers (V-n) are those of the Pivot sheet."""

from providers.pivot.channels import CHANNEL_CODES
from schemas.contract import DAY_S, HOUR_S, AmountRule, BankCodes, Contract, KeyFormat, Proof
from schemas.destination import DestinationType

DESCRIPTION_PATTERN = r"[A-Za-z0-9]{1,20}"  # sheet section 4

CONTRACT = Contract(
    provider="pivot",
    title="Pivot local payouts (Indonesia)",
    method="pivot_disbursement",
    destinations=frozenset({DestinationType.BANK_ACCOUNT}),
    # Whole rupiah only, while IDR has two decimals in ISO 4217. Minimum and maximum are unknown (V-3): not pre-checked.
    amounts={"IDR": AmountRule(step_minor=100, min_minor=100)},
    key_format=KeyFormat.HEX32,
    proof=Proof.STATIC_SECRET,
    batch_size=1000,
    batch_linger_s=0.2,  # ours: long enough to gather a burst, short enough that a single payout hardly waits
    # X-REQUEST-ID is forgotten after 24 h, but our key is the row's referenceId, which is unique for ever: a late
    # repetition is refused as existing, never paid. Ten years stands for "for ever" and stays a number that SQL takes.
    replay_window_s=3650 * DAY_S,
    find_by_key=True,
    checks_destination=True,
    reads_balance=True,
    visibility_s=120.0,  # ours: an answer can time out after 60 s (sheet section 2), and the same again for safety
    return_window_s=7 * DAY_S,  # ours: nothing is documented about money coming back (V-5)
    # V-10: a payout balance that is too low is no error at Pivot. The payout waits in silence, and may be paid at any time.
    pending_alarm_s=HOUR_S,
    pending_advice=(
        "If Pivot calls it APPROVED or PENDING, the payout balance (or the master wallet, for the fee) is too low: top it up, "
        "then retry or cancel it in Pivot's dashboard under Local Payout > Need Action > Waiting for Top Up. "
        "Do not pay it in another way meanwhile."
    ),
    submit_timeout_s=120.0,  # token, submit, and both again when the token was refused
    rate_per_s=5.0,  # V-2
    countries=frozenset({"ID"}),
    bank_codes={"IDR": BankCodes(listed=CHANNEL_CODES)},
    descriptor_pattern=DESCRIPTION_PATTERN,
)
