"""A report: what a provider told us about one attempt. A send result, a poll and a notice all become one of these.

A report states facts; it never decides. `gateway.lifecycle` is the only reader that draws conclusions.
"""

from dataclasses import dataclass
from enum import StrEnum

from schemas.failure import FailureCode


@dataclass(frozen=True, slots=True)
class Words:
    """The provider's own words, kept beside our translation. Free of secrets and account numbers."""

    status: str | None = None
    code: str | None = None
    text: str | None = None


NO_WORDS = Words()


class Progress(StrEnum):
    """How far a provider says the money has come."""

    PENDING = "pending"
    IN_TRANSIT = "in_transit"
    PAID = "paid"
    FAILED = "failed"
    FAILED_UNPROVEN = "failed_unproven"  # "failed", but not proof that no money left (Plexy sheet, section 5)
    CANCELLED = "cancelled"
    RETURNED = "returned"


class RefusalCause(StrEnum):
    """What a refusal was about: decides whether the same payout may be tried again, and where."""

    PAYOUT = "payout"  # the content: amount, balance, limits
    RECIPIENT = "recipient"  # the recipient's own data: no other provider will do better
    CONNECTION = "connection"  # our credentials or configuration: the payout is not to blame and stays queued
    PACING = "pacing"  # too many requests, documented as not processed
    ALONE = "alone"  # a batch was refused for the content of a row we cannot name: not processed, send again by itself


@dataclass(frozen=True, slots=True)
class NotSent:
    """Nothing left this process: breaker open, DNS, connection refused, connect timeout (the allow-list of two)."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A synchronous answer that the contract lists as given before acceptance: no payout exists at the provider."""

    failure_code: FailureCode
    cause: RefusalCause
    words: Words = NO_WORDS
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """The provider has this payout and says how far it is."""

    progress: Progress
    provider_ref: str | None = None  # their id of this payout
    submission_ref: str | None = None  # their id of the batch that carried it
    words: Words = NO_WORDS
    failure_code: FailureCode | None = None  # set when progress is failed or returned
    reference: str | None = None  # a tracking number of the rail (RRN, bank reference)
    amount_minor: int | None = None  # what they say the amount is, when they say it: compared, never believed
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class Unclear:
    """We do not know whether the provider acted. Not failed, never retried with a new key, never sent elsewhere."""

    reason: str
    words: Words = NO_WORDS
    provider_ref: str | None = None  # their ids, when the answer named them: a later read can settle it by them
    submission_ref: str | None = None


@dataclass(frozen=True, slots=True)
class NotFound:
    """The provider knows nothing of it at this moment. Believed only after the contract's visibility time."""

    reason: str


Report = NotSent | Refused | Taken | Unclear | NotFound
