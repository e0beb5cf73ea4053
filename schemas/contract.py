"""A provider's contract, as data: everything that the gateway may rely on, and nothing else about the provider.

Routing, validation before sending, the reconciler's schedule and `GET /api/v1/providers` all read it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from schemas.destination import DestinationType
from schemas.money import MAX_AMOUNT_MINOR

HOUR_S = 3600
DAY_S = 24 * HOUR_S


class KeyFormat(StrEnum):
    """The alphabet of the key that a provider takes; keys are minted in this form and never truncated."""

    UUID4 = "uuid4"
    HEX32 = "hex32"  # 32 letters and digits, no dash, no underscore


class Proof(StrEnum):
    """How a notice proves that the provider sent it."""

    SIGNATURE = "signature"  # binds the body: its content is a fact
    STATIC_SECRET = "static_secret"  # noqa: S105 - proves a sender, not a body: only a hint that triggers a read
    NONE = "none"  # no notices


class CancelRule(StrEnum):
    """When a payout can still be stopped after it was sent."""

    NEVER = "never"
    WHILE_PENDING = "while_pending"


@dataclass(frozen=True, slots=True)
class AmountRule:
    """What amounts a provider can express in one currency, in minor units."""

    step_minor: int = 1
    min_minor: int = 1
    max_minor: int = MAX_AMOUNT_MINOR


@dataclass(frozen=True, slots=True)
class BankCodes:
    """Which `bankCode`s a provider takes in one currency: those it lists, and those that fit its pattern in full."""

    listed: frozenset[str] = frozenset()
    pattern: str | None = None  # where nobody lists the codes, but all of them look alike

    def takes(self, code: str) -> bool:
        """Whether a payout may name this code."""
        return code in self.listed or (self.pattern is not None and re.fullmatch(self.pattern, code) is not None)


@dataclass(frozen=True, slots=True)
class Contract:
    """One provider's promises. Times in seconds."""

    provider: str
    title: str
    method: str  # what merchants see as a payout's `method`
    destinations: frozenset[DestinationType]
    amounts: dict[str, AmountRule]  # currency -> rule; a currency that is not here is not served
    key_format: KeyFormat
    proof: Proof
    batch_size: int = 1
    batch_linger_s: float = 0.0  # how long a queued payout waits for others to go out with it
    max_scheduled: int | None = None  # at most so many accepted, not yet executed payouts per connection
    cancel: CancelRule = CancelRule.NEVER
    replay_window_s: float = 0.0  # how long the same key surely gives the same payout; 0 = the key protects nothing
    find_by_key: bool = False  # a read by our own key is authoritative once `visibility_s` has passed
    visibility_s: float = 0.0  # "not found" is believed only this long after the last send
    return_window_s: float = 0.0  # `paid` is provisional for this long
    poll_after_s: tuple[float, ...] = (
        5,
        30,
        120,
        600,
        HOUR_S,
    )  # ages at which an open attempt is read; the last repeats
    # Ages at which an attempt that is paid, or was closed by what its provider said, is read once more: what it became later.
    # A paid one within the return window and at its end; a closed one to the last of these.
    watch_after_s: tuple[float, ...] = (HOUR_S, DAY_S, 3 * DAY_S, 7 * DAY_S)
    review_after_s: float = DAY_S  # an attempt nobody can explain goes to a person after this
    # Accepted and not moving, without any error: a person is told after this long, and what to do about it.
    pending_alarm_s: float = DAY_S
    in_transit_alarm_s: float = 7 * DAY_S
    pending_advice: str = "Ask the provider what it is waiting for."
    submit_timeout_s: float = 30.0  # connect and answer together; a lease must outlive it
    side_effects: tuple[str, ...] = ()  # what else a payout changes at the provider: shown before one is sent
    operator_marks: bool = False  # a person reports progress; nothing is sent over a network
    saves_cards: bool = False
    checks_destination: bool = False  # can say before a payout whether its bank account exists
    reads_balance: bool = False
    lists_channels: bool = False  # can say which banks and wallets it pays to
    lists_payouts: bool = False  # can list its payouts by time, those that we did not make too
    listing_is_payouts_only: bool = False  # that list holds nothing but payouts, so a row that is not ours is somebody's payout
    rate_per_s: float | None = None  # pacing of submits per connection; None = not paced
    countries: frozenset[str] = frozenset()
    # Currency -> the `bankCode`s that it takes there. In a currency that is not here none is asked for, and any passes.
    bank_codes: Mapping[str, BankCodes] = field(default_factory=dict)
    descriptor_pattern: str | None = None  # a statement descriptor must match this in full; None = any is accepted
