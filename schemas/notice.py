"""A notice (inbound webhook) and the facts read from it.

`Fact` says which attempt is meant and what was said; whether that may be believed as it stands is the contract's `proof`.
"""

from dataclasses import dataclass, field

from schemas.report import Report


@dataclass(frozen=True, slots=True)
class AboutKey:
    """The attempt is named by the key we sent."""

    key: str


@dataclass(frozen=True, slots=True)
class AboutPayout:
    """The attempt is named by the provider's id of the payout."""

    provider_ref: str


@dataclass(frozen=True, slots=True)
class AboutSubmission:
    """Every attempt of a batch, named by the provider's id of the batch."""

    submission_ref: str


@dataclass(frozen=True, slots=True)
class PayoutFact:
    """Something was said about a payout. `report` is None when the notice only says that there is something to read."""

    about: AboutKey | AboutPayout | AboutSubmission
    report: Report | None


@dataclass(frozen=True, slots=True)
class CardSavedFact:
    """A card that we asked to save has its token.

    `card_id` is our id, sent along as the external user id; without it the card is the one that was saved for `customer_ref`.
    """

    card_id: str | None
    token: str = field(repr=False)
    brand: str | None = None
    last4: str | None = None
    customer_ref: str | None = None


Fact = PayoutFact | CardSavedFact
