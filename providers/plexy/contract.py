"""What the gateway may rely on with Plexy: very little. Fact numbers (X-n) are those of the Plexy sheet."""

from schemas.contract import DAY_S, HOUR_S, AmountRule, Contract, KeyFormat, Proof
from schemas.destination import DestinationType

CONTRACT = Contract(
    provider="plexy",
    title="Plexy card payouts (Kazakhstan)",
    method="plexy_card",
    destinations=frozenset({DestinationType.CARD}),
    amounts={"KZT": AmountRule()},  # the only currency we send
    key_format=KeyFormat.UUID4,
    proof=Proof.STATIC_SECRET,
    replay_window_s=0.0,  # no key is sent and nothing removes doubles, so a send is never repeated
    find_by_key=False,  # no reference of ours is kept for certain; their id is all we have
    return_window_s=DAY_S,  # ours: "settled" is called irreversible, and a later change is never expected
    poll_after_s=(10, 60, 600, HOUR_S),  # also polled after 10 min, since a notice can get lost
    saves_cards=True,
    lists_payouts=True,  # X-2; among payments, and in no order that can be relied on
    rate_per_s=2.0,
    countries=frozenset({"KZ"}),
)
