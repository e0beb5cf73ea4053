"""What the clients ask for: every payout of a run, drawn from its seed before it begins.

An ordinary payout has an amount of its own, so that money can be told by its amount when its key is not known.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_BANKS = ("BCA", "BNI", "BRI", "MANDIRI", "PERMATA")
_FIRST_AMOUNT = 1_000_000  # whole rupiah; above all amounts that ask a sandbox for a scenario
_RUPIAH = 100  # minor units

# What becomes of a payout at its provider, by the amount that asks for it (providers/sandbox/README.md), and how many do.
_SCENARIOS: dict[str, tuple[int, float]] = {
    "paid then returned": (77702, 0.01),
    "stuck": (77703, 0.002),
    "rejected by bank": (77704, 0.01),
    "failed": (77705, 0.02),
    "no funds": (77706, 0.002),
    "slow": (77712, 0.01),
}
_MANUAL_SHARE = 0.01  # pinned to a person from the start
_CANCEL_SHARE = 0.03
_TWIN_SHARE = 0.03  # sent twice at the same moment, to two gateways
_LATEST_CANCEL_S = 1.5


@dataclass(frozen=True, slots=True)
class Wanted:
    """One payout as its merchant wants it."""

    number: int
    account: int  # whose: an index of the run's accounts
    key: str
    amount_minor: int
    bank_code: str
    account_number: str
    scenario: str | None = None
    manual: bool = False
    cancel_after_s: float | None = None
    twin: bool = False

    def body(self) -> dict[str, Any]:
        return {
            "amount": self.amount_minor,
            "currency": "IDR",
            "bankCode": self.bank_code,
            "bankName": f"Bank {self.bank_code}",
            "bankAccountNumber": self.account_number,
            "bankAccountHolder": f"PT Contoh {self.number}",
            "merchantReference": f"order-{self.number}",
            **({"provider": "manual"} if self.manual else {}),
        }


def draw(seed: int, payouts: int, accounts: int) -> Iterator[Wanted]:
    """All payouts of the run with this seed."""
    rng = random.Random(f"{seed}/orders")
    for number in range(payouts):
        scenario = _scenario(rng)
        rupiah = _SCENARIOS[scenario][0] if scenario else _FIRST_AMOUNT + number
        yield Wanted(
            number=number,
            account=rng.randrange(accounts),
            key=f"key-{seed}-{number}",
            amount_minor=rupiah * _RUPIAH,
            bank_code=rng.choice(_BANKS),
            account_number=f"{rng.randrange(10**9, 10**10)}",
            scenario=scenario,
            manual=rng.random() < _MANUAL_SHARE,
            cancel_after_s=rng.uniform(0, _LATEST_CANCEL_S) if rng.random() < _CANCEL_SHARE else None,
            twin=rng.random() < _TWIN_SHARE,
        )


def _scenario(rng: random.Random) -> str | None:
    drawn = rng.random()
    for name, (_, share) in _SCENARIOS.items():
        if drawn < share:
            return name
        drawn -= share
    return None
