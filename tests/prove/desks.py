"""The providers that stand in for each other, each with a personality: settings and faults that it has for good.

A personality breaks no promise of the quick contract, or no gateway could be safe: keys are kept longer than the replay
window, and reads lie for less than the visibility time.
"""

from dataclasses import dataclass, field
from typing import Any

from tests.prove.quick import KEYS_KEPT_S, LATE_EFFECT_S, LIE_S

SPEED = 300.0  # what is not set here goes so much faster than in real life: a webhook's first retry after 1 to 3 s

Fault = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Desk:
    """One provider as it behaves at one place."""

    name: str
    provider: str
    tells: str
    settings: dict[str, Any]
    faults: tuple[Fault, ...] = ()
    reads: tuple[str, ...] = field(default=())  # the sandbox's names of the reads that the gateway makes


_PIVOT = {"doneAfterMs": 80, "rowAfterMs": 120, "returnedAfterMs": 1500, "callbackMode": "by_count"}
_XENDIT = {"requestedAfterMs": 60, "succeededAfterMs": 120, "failedAfterMs": 120, "returnedAfterMs": 1500}
_PIVOT_READS = ("find_payout", "get_payout")
_XENDIT_READS = ("find_payout", "get_payout")

DESKS = (
    Desk(
        "shy",
        "pivot",
        "for four seconds its reads do not know what it has taken; some effects come seconds after we gave up waiting",
        _PIVOT,
        (
            {"operation": "find_payout", "kind": "not_found_for", "params": {"ms": LIE_S * 1000}, "probability": 0.3},
            {"operation": "create_payout", "kind": "slow", "params": {"ms": LATE_EFFECT_S * 1000}, "probability": 0.02},
        ),
        _PIVOT_READS,
    ),
    Desk(
        "mumbler",
        "pivot",
        "drops, halves or garbles its answer after the money moved",
        _PIVOT,
        (
            {"operation": "create_payout", "kind": "drop", "when": "after", "probability": 0.05},
            {"operation": "create_payout", "kind": "half_body", "when": "after", "probability": 0.02},
            {"operation": "create_payout", "kind": "wrong_content_type", "when": "after", "probability": 0.02},
        ),
        _PIVOT_READS,
    ),
    Desk(
        "forgetful",
        "xendit",
        f"forgets idempotency keys after {KEYS_KEPT_S:.0f} s: the same order again is paid again",
        {**_XENDIT, "idemTtlMs": KEYS_KEPT_S * 1000},
        ({"operation": "create_payout", "kind": "drop", "when": "after", "probability": 0.03},),
        _XENDIT_READS,
    ),
    Desk(
        "late",
        "xendit",
        "its list shows a new payout up to four seconds late, and some effects come seconds after we gave up waiting",
        _XENDIT,
        (
            {"operation": "find_payout", "kind": "not_found_for", "params": {"ms": LIE_S * 1000}, "probability": 0.5},
            {"operation": "create_payout", "kind": "slow", "params": {"ms": LATE_EFFECT_S * 1000}, "probability": 0.03},
            {"operation": "create_payout", "kind": "status", "params": {"status": 502}, "when": "after", "probability": 0.03},
        ),
        _XENDIT_READS,
    ),
)
BY_NAME = {desk.name: desk for desk in DESKS}
MANUAL = "manual"  # the desk of the robot operator, after all others
