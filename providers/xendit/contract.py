"""What the gateway may rely on with Xendit. Fact numbers (E-n) are those of the Xendit sheet."""

from providers.xendit.channels import BANK_CODES
from schemas.contract import DAY_S, HOUR_S, AmountRule, CancelRule, Contract, KeyFormat, Proof
from schemas.destination import DestinationType

DESCRIPTION_PATTERN = r".{1,100}"  # sheet section 4.1

# Amounts are JSON numbers, which the far side may hold as floats: 15 digits survive that, a sixteenth may not.
_TWO_DECIMALS = AmountRule(max_minor=10**15 - 1)

CONTRACT = Contract(
    provider="xendit",
    title="Xendit payouts v2 (South-East Asia)",
    method="xendit_disbursement",  # Plugipay's word for its automatic mode, which runs on this rail
    destinations=frozenset({DestinationType.BANK_ACCOUNT}),
    # Section 1. Whole rupiah only, while IDR has two decimals in ISO 4217. The limits of a channel are told by Xendit
    # alone (`/payouts_channels`) and not pre-checked; the cap of BI-FAST is none of ours, since RTGS has no cap.
    amounts={
        "IDR": AmountRule(step_minor=100, min_minor=100),
        "PHP": _TWO_DECIMALS,
        "MYR": _TWO_DECIMALS,
        "THB": _TWO_DECIMALS,
        "VND": AmountRule(),
    },
    key_format=KeyFormat.UUID4,
    proof=Proof.STATIC_SECRET,
    cancel=CancelRule.WHILE_PENDING,  # only from ACCEPTED
    # E-2: an SDK's comment says that keys never expire, nothing else says anything. Keys of providers that do forget
    # live 24 h or longer as a rule; we stop at half of that.
    replay_window_s=12 * HOUR_S,
    find_by_key=True,  # our key is the `reference_id` too, and the list can be asked for it
    visibility_s=120.0,  # ours: nothing is said about when the list shows a new payout
    return_window_s=14 * DAY_S,  # ours: SUCCEEDED may become REVERSED, and nobody says until when
    # Section 5: ACCEPTED lasts while a channel is offline, and an assessment as long as it lasts; neither says a word. Ours:
    # long enough for a bank's maintenance at night.
    pending_alarm_s=6 * HOUR_S,
    pending_advice=(
        "ACCEPTED: the bank's channel may be offline, and Xendit sends it when that is back; until then it can be cancelled. "
        "PENDING_COMPLIANCE_ASSESSMENT: Xendit's compliance is looking at it; ask them. Do not pay it in another way meanwhile."
    ),
    reads_balance=True,  # where the connection's settings say in which currency
    lists_channels=True,
    rate_per_s=10.0,  # section 2: 600 a minute for each endpoint and account in live mode, 60 in test mode
    countries=frozenset({"ID", "PH", "MY", "TH", "VN"}),
    bank_codes=BANK_CODES,
    descriptor_pattern=DESCRIPTION_PATTERN,
)
