"""What a provider can be asked besides paying: whether a destination exists, what is on our balance, which banks it reaches.

Answers, not decisions: whether a payout may go out after a check is the gateway's rule, by the connection's `CheckPolicy`.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from schemas.report import NO_WORDS, Words


class CheckPolicy(StrEnum):
    """A connection's setting `check_before_paying`: which answers keep a payout from being sent."""

    OFF = "off"  # nothing is asked: the provider takes a payout without a check, and most checks cost a fee
    INVALID = "invalid"  # only an account that does not exist
    WARNING = "warning"  # also an account whose holder has another name at the bank


class Verdict(StrEnum):
    """What a provider says of a destination."""

    VALID = "valid"
    WARNING = "warning"  # it exists; the bank's name of its holder differs
    INVALID = "invalid"  # it does not exist, or can never be paid through this provider
    PENDING = "pending"  # the provider is still looking: ask again with the reference
    UNKNOWN = "unknown"  # no answer that we can read
    NOT_OFFERED = "not_offered"  # this provider checks no destinations


@dataclass(frozen=True, slots=True)
class DestinationCheck:
    """The answer to one check."""

    verdict: Verdict
    reference: str | None = None  # theirs, of the check: a payout may name it instead of the destination
    reason: str = ""
    words: Words = NO_WORDS
    holder: str | None = field(default=None, repr=False)  # the bank's name of the holder: a person's data, never logged


@dataclass(frozen=True, slots=True)
class ProviderBalance:
    """What is on our balance at a provider in one currency, by its own word."""

    currency: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Channel:
    """A bank or wallet that a provider says it pays to. Limits of one payout in minor units; None where none can be read."""

    code: str  # the provider's own
    currency: str
    bank_code: str | None  # what a payout names to get there; None: our table does not know this channel
    name: str = ""
    category: str = ""  # in the provider's word
    min_minor: int | None = None
    max_minor: int | None = None
    step_minor: int | None = None
