"""Comparing a provider's own list of payouts with our attempts: what it has that we never made, lacks, or shows differently.

Pure, and it believes nothing: an amount or a missing payout is for a person, another state is a reason to read again.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from schemas.contract import Contract
from schemas.incident import IncidentKind
from schemas.listing import Listed, Listing
from schemas.money import to_decimal
from schemas.payout import EXPOSURE, AttemptState, Exposure
from schemas.report import Progress

_NO_MONEY = frozenset({AttemptState.NOT_SENT, AttemptState.REFUSED, AttemptState.FAILED, AttemptState.CANCELLED})
_NO_MONEY_THERE = frozenset({Progress.FAILED, Progress.CANCELLED})
_UNANSWERED = frozenset({AttemptState.SENDING, AttemptState.UNCONFIRMED})


@dataclass(frozen=True, slots=True, kw_only=True)
class OurAttempt:
    """One of our attempts at this provider, as far as it can be compared."""

    id: str
    payout_id: str
    key: str
    provider_ref: str | None
    state: AttemptState
    amount_minor: int
    currency: str
    sent_at: datetime
    last_sent_at: datetime
    here: bool  # at the connection that is compared; others only explain rows of a list that they share
    adopted: bool  # taken over after a restore: when it was sent is not known exactly

    @property
    def was_taken(self) -> bool:
        """Whether the provider has acknowledged it: only then must it be on the list."""
        return self.provider_ref is not None or self.state not in _UNANSWERED


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Something for a person. `subject` names it the same in every comparison."""

    kind: IncidentKind
    subject: str
    ours: OurAttempt | None
    amount_minor: int | None
    currency: str | None
    detail: str


@dataclass(frozen=True, slots=True)
class Doubt:
    """An attempt that the list shows in another state: to be read again, and a difference only if that explains nothing."""

    ours: OurAttempt
    theirs: Progress


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was found. `seen` are the attempts that the list shows."""

    differences: tuple[Difference, ...]
    doubts: tuple[Doubt, ...]
    seen: frozenset[str]


def compare(
    listing: Listing, ours: Sequence[OurAttempt], contract: Contract, *, since: datetime, until: datetime
) -> Comparison:
    """Compare what lies between the two moments. Rows and attempts beyond them only help to recognise each other."""
    own, unknown = _matched(listing.rows, ours)
    differences = [
        _unknown(row, attempt, contract) for row, attempt in unknown if _counts(row, attempt, ours, contract, since, until)
    ]
    doubts = []
    here = {attempt.id: attempt for attempt in ours if attempt.here}
    for attempt_id, row in own.items():
        attempt = here.get(attempt_id)
        if attempt is None:
            continue
        if _other_amount(row, attempt):
            differences.append(_different_amount(row, attempt, contract))
        if row.progress is not None and says_another(attempt.state, row.progress):
            doubts.append(Doubt(attempt, row.progress))
    if listing.complete:
        differences += [
            _missing(attempt, contract)
            for attempt in here.values()
            if attempt.id not in own and _must_be_there(attempt, since, until)
        ]
    return Comparison(tuple(differences), tuple(doubts), frozenset(own) & here.keys())


def says_another(state: AttemptState, progress: Progress) -> bool:
    """Whether a provider's word for an attempt contradicts what we know of it."""
    if state is AttemptState.SENDING:
        return False  # whoever sends it will hear more
    if progress is Progress.FAILED_UNPROVEN:
        return EXPOSURE[state] is Exposure.SPENT or state is AttemptState.RETURNED
    if state in _NO_MONEY:
        return progress not in _NO_MONEY_THERE
    return progress.value != state.value


def still_different(doubt: Doubt, contract: Contract) -> Difference:
    """A doubt that was read again since an earlier comparison, and stands."""
    ours = doubt.ours
    detail = (
        f"{contract.title} lists {_ref(ours)} as {doubt.theirs} and we know it as {ours.state}, also after it was read again. "
        "Nothing was changed. Ask the provider which is true."
    )
    return Difference(
        kind=IncidentKind.DIFFERENT_PAYOUT,
        subject=ours.id,
        ours=ours,
        amount_minor=ours.amount_minor,
        currency=ours.currency,
        detail=detail,
    )


def _matched(
    rows: Sequence[Listed], ours: Sequence[OurAttempt]
) -> tuple[dict[str, Listed], list[tuple[Listed, OurAttempt | None]]]:
    """The row of each attempt, and the rows that are nobody's: with the attempt whose reference they carry all the same."""
    by_id = {attempt.id: attempt for attempt in ours}
    by_key = {attempt.key: attempt for attempt in ours}
    by_ref = {attempt.provider_ref: attempt for attempt in ours if attempt.provider_ref is not None}
    rows_of: dict[str, list[Listed]] = defaultdict(list)
    unknown: list[tuple[Listed, OurAttempt | None]] = []
    for row in rows:
        attempt = by_id.get(row.attempt_id or "") or by_key.get(row.key or "") or by_ref.get(row.provider_ref)
        if attempt is None:
            unknown.append((row, None))
        else:
            rows_of[attempt.id].append(row)
    own: dict[str, Listed] = {}
    for attempt_id, candidates in rows_of.items():
        attempt = by_id[attempt_id]
        # One attempt is one payout there: what carries its reference under another id is one more.
        theirs = next((r for r in candidates if attempt.provider_ref in (None, r.provider_ref)), None)
        if theirs is not None:
            own[attempt_id] = theirs
        unknown += [(row, attempt) for row in candidates if row is not theirs]
    return own, unknown


def _counts(
    row: Listed, attempt: OurAttempt | None, ours: Sequence[OurAttempt], contract: Contract, since: datetime, until: datetime
) -> bool:
    """Whether a row that is nobody's is surely a payout that we did not make."""
    if row.created_at is not None and not since <= row.created_at <= until:
        return False
    if attempt is not None or row.attempt_id is not None:
        return True
    if not contract.listing_is_payouts_only:
        return False
    return contract.find_by_key or not any(_perhaps(row, one) for one in ours)


def _perhaps(row: Listed, attempt: OurAttempt) -> bool:
    """Whether a row may be what an attempt came to whose answer we never got; such a list does not show our reference."""
    if attempt.state not in _UNANSWERED or attempt.provider_ref is not None:
        return False
    return row.amount_minor is None or not _other_amount(row, attempt)


def _other_amount(row: Listed, attempt: OurAttempt) -> bool:
    return row.amount_minor is not None and (row.amount_minor, row.currency) != (attempt.amount_minor, attempt.currency)


def _must_be_there(attempt: OurAttempt, since: datetime, until: datetime) -> bool:
    if EXPOSURE[attempt.state] is Exposure.CLOSED or not attempt.was_taken or attempt.adopted:
        return False
    return since <= attempt.sent_at and attempt.last_sent_at <= until


def _ref(attempt: OurAttempt) -> str:
    return attempt.provider_ref or f"the payout with our reference {attempt.id}"


def _unknown(row: Listed, attempt: OurAttempt | None, contract: Contract) -> Difference:
    whose = ""
    if attempt is not None:
        known = attempt.provider_ref or "another one"
        whose = f" It carries the reference of our attempt {attempt.id}, which is {known} there: perhaps it was paid twice."
    elif row.attempt_id is not None:
        whose = f" It carries {row.attempt_id}, which looks like an attempt of ours that this database has forgotten."
    word = row.words.status or row.progress or "something unreadable"
    detail = (
        f"{contract.title} lists {row.provider_ref} as {word}, and we never made it.{whose} Its money is not in our books. "
        "Find out who made it; if nobody here did, change the credentials."
    )
    return Difference(
        kind=IncidentKind.UNKNOWN_PAYOUT,
        subject=row.provider_ref,
        ours=attempt,
        amount_minor=row.amount_minor,
        currency=row.currency,
        detail=detail,
    )


def _missing(attempt: OurAttempt, contract: Contract) -> Difference:
    detail = (
        f"{contract.title} took {_ref(attempt)}, which we know as {attempt.state}, and its whole list of that time lacks it. "
        "Nothing was changed, and its money stays where it is booked. Ask the provider what became of it."
    )
    return Difference(
        kind=IncidentKind.MISSING_PAYOUT,
        subject=attempt.id,
        ours=attempt,
        amount_minor=attempt.amount_minor,
        currency=attempt.currency,
        detail=detail,
    )


def _different_amount(row: Listed, attempt: OurAttempt, contract: Contract) -> Difference:
    there = f"{row.currency} {row.amount_minor} in minor units"
    if row.currency is not None and row.amount_minor is not None and row.currency == attempt.currency:
        there = f"{row.currency} {to_decimal(row.amount_minor, row.currency):,f}"
    here = f"{attempt.currency} {to_decimal(attempt.amount_minor, attempt.currency):,f}"
    detail = (
        f"{contract.title} lists {_ref(attempt)} with {there}, and we sent it with {here}. Nothing was changed. Ask the "
        "provider what has really moved."
    )
    return Difference(
        kind=IncidentKind.DIFFERENT_PAYOUT,
        subject=attempt.id,
        ours=attempt,
        amount_minor=row.amount_minor,
        currency=row.currency,
        detail=detail,
    )
