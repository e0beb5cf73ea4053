"""A provider's own list of payouts over a stretch of time: what it holds, whoever made it.

It is for comparing a provider's books with ours: what it shows that no attempt of ours explains, and what it does not show.
A listing states what was seen; what follows from it is for the gateway to decide, and from absence only while `complete`.
"""

from dataclasses import dataclass
from datetime import datetime

from schemas.report import Progress, Words


@dataclass(frozen=True, slots=True)
class Listed:
    """One payout of the list. Its id is sure; None stands for what the list did not say, or not readably.

    It need not be ours: the same account may pay by the provider's dashboard, its schedule or another program, and there are
    lists that show incoming payments too (the provider's README says so).
    """

    provider_ref: str
    key: str | None  # the order's key, where the list shows it
    amount_minor: int | None  # exact, and with its currency, or not at all: told as it is, compared and never believed
    currency: str | None
    progress: Progress | None  # None: the list's word for it is none of a payout's that we know
    words: Words
    created_at: datetime | None  # aware, UTC; a row without it is in every listing, since nobody can say that it is too old
    attempt_id: str | None = None  # our attempt's id, where the provider keeps that and not the key


@dataclass(frozen=True, slots=True)
class Listing:
    """What the list showed between two moments, both included, each payout once.

    `complete` is about absence alone. True: whatever the provider lists for that stretch is in `rows`, so a payout that is
    missing was not on the list when it was read; one that is younger than the contract's `visibility_s` may still come.
    False: reading ended early, `reason` says why, and absence proves nothing; the rows are as good as in a complete one.
    A list that could not be read at all is `Unclear` and never an empty listing.
    """

    rows: tuple[Listed, ...]
    complete: bool
    reason: str = ""  # why it is not complete; empty when it is
