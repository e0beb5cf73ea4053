"""Comparing a provider's list with ours: every planted difference is found, and nothing else, whatever else is on the list."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.compare_listing import Difference, OurAttempt, compare, says_another
from providers.registry import PROVIDERS
from schemas.incident import IncidentKind
from schemas.listing import Listed, Listing
from schemas.payout import AttemptState
from schemas.report import NO_WORDS, Progress

MOLLIE = PROVIDERS["mollie"].contract  # shows our reference, lists payouts only
PLEXY = PROVIDERS["plexy"].contract  # shows neither for certain
BLIND = replace(PLEXY, listing_is_payouts_only=True)  # a list of payouts that shows no reference of ours
SINCE = datetime(2026, 1, 2, tzinfo=UTC)
UNTIL = datetime(2026, 1, 3, tzinfo=UTC)
INSIDE = SINCE + timedelta(hours=6)


def ours(number=1, state=AttemptState.PAID, **fields):
    made = OurAttempt(
        id=f"pa_{number:032x}", payout_id=f"po_{number}", key=f"key{number}", provider_ref=f"ref{number}", state=state,
        amount_minor=100 + number, currency="EUR", sent_at=INSIDE, last_sent_at=INSIDE, here=True, adopted=False,
    )  # fmt: skip
    return replace(made, **fields)


def row_of(attempt, **fields):
    theirs = Progress(attempt.state) if attempt.state in set(Progress) else Progress.PENDING
    row = Listed(
        f"ref{int(attempt.id[3:], 16)}", None, attempt.amount_minor, attempt.currency, theirs, NO_WORDS, INSIDE, attempt.id
    )
    return replace(row, **fields)


def found(rows, attempts, contract=MOLLIE, *, complete=True):
    """({(kind, subject)}, {attempts in doubt})."""
    comparison = compare(Listing(tuple(rows), complete=complete), attempts, contract, since=SINCE, until=UNTIL)
    kinds = [(difference.kind, difference.subject) for difference in comparison.differences]
    assert len(set(kinds)) == len(kinds)
    return set(kinds), {doubt.ours.id for doubt in comparison.doubts}


FATES = ["same", "same", "hidden", "amount", "currency", "state", "double", "elsewhere", "failed long ago", "adopted"]


@given(fates=st.lists(st.sampled_from(FATES), max_size=12), strangers=st.integers(0, 4), complete=st.booleans(), data=st.data())
def test_exactly_what_was_planted_is_found(fates, strangers, complete, data):
    attempts, rows, planted, in_doubt = [], [], set(), set()
    for number, fate in enumerate(fates, 1):
        attempt = ours(number, data.draw(st.sampled_from([AttemptState.PENDING, AttemptState.IN_TRANSIT, AttemptState.PAID])))
        row = row_of(attempt)
        match fate:
            case "hidden":
                row = None
                planted |= {(IncidentKind.MISSING_PAYOUT, attempt.id)} if complete else set()
            case "amount":
                row = replace(row, amount_minor=row.amount_minor + data.draw(st.sampled_from([-1, 1, 10_000])))
                planted.add((IncidentKind.DIFFERENT_PAYOUT, attempt.id))
            case "currency":
                row = replace(row, currency="USD")
                planted.add((IncidentKind.DIFFERENT_PAYOUT, attempt.id))
            case "state":
                row = replace(row, progress=Progress.RETURNED)
                in_doubt.add(attempt.id)
            case "double":
                rows.append(replace(row, provider_ref=f"double{number}"))
                planted.add((IncidentKind.UNKNOWN_PAYOUT, f"double{number}"))
            case "elsewhere":
                attempt = replace(attempt, here=False)
                row = data.draw(st.sampled_from([row, None]))
            case "failed long ago":
                attempt, row = replace(attempt, state=AttemptState.FAILED), None
            case "adopted":
                attempt, row = replace(attempt, adopted=True), None
        attempts.append(attempt)
        rows += [row] if row else []
    for number in range(strangers):
        rows.append(Listed(f"stranger{number}", None, 1, "EUR", Progress.PAID, NO_WORDS, INSIDE))
        planted.add((IncidentKind.UNKNOWN_PAYOUT, f"stranger{number}"))
    rows = data.draw(st.permutations(rows))
    attempts = data.draw(st.permutations(attempts))
    assert found(rows, attempts, complete=complete) == (planted, in_doubt)


@pytest.mark.parametrize("by", ["attempt_id", "key", "provider_ref"])
def test_a_row_is_ours_by_any_of_three_names(by):
    attempt = ours(provider_ref="ref1" if by == "provider_ref" else None)
    row = row_of(attempt, attempt_id=attempt.id if by == "attempt_id" else None, key=attempt.key if by == "key" else None)
    assert found([row], [attempt]) == (set(), set())


@pytest.mark.parametrize(
    ("contract", "attempt_id", "told"),
    [
        (MOLLIE, None, True),
        (PLEXY, None, False),  # may be a payment
        (PLEXY, f"pa_{9:032x}", True),  # nobody but us writes such a reference: this database has forgotten it
        (BLIND, None, True),
    ],
)
def test_what_we_never_made_is_told_where_it_is_surely_a_payout(contract, attempt_id, told):
    row = Listed("theirs", None, 7, "KZT", Progress.PAID, NO_WORDS, INSIDE, attempt_id)
    assert found([row], [], contract)[0] == ({(IncidentKind.UNKNOWN_PAYOUT, "theirs")} if told else set())


@pytest.mark.parametrize("state", [AttemptState.SENDING, AttemptState.UNCONFIRMED])
@pytest.mark.parametrize(("amount_minor", "told"), [(101, False), (None, False), (102, True)])
def test_where_our_reference_is_not_shown_it_may_be_what_became_of_an_unanswered_send(state, amount_minor, told):
    attempt = ours(state=state, provider_ref=None)
    row = Listed("theirs", None, amount_minor, amount_minor and "EUR", Progress.PAID, NO_WORDS, INSIDE)
    assert bool(found([row], [attempt], BLIND)[0]) is told
    assert found([row], [attempt], MOLLIE)[0], "a list that shows our reference would show it"


@pytest.mark.parametrize(
    ("created_at", "told"),
    [(SINCE, True), (UNTIL, True), (None, True), (SINCE - timedelta(1), False), (UNTIL + timedelta(1), False)],
)
def test_rows_beyond_the_window_are_for_another_comparison(created_at, told):
    row = Listed("theirs", None, 7, "EUR", Progress.PAID, NO_WORDS, created_at)
    assert bool(found([row], [])[0]) is told


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, True),
        ({"sent_at": SINCE - timedelta(1)}, False),
        ({"last_sent_at": UNTIL + timedelta(1)}, False),
        ({"state": AttemptState.UNCONFIRMED}, True),  # their id is known, so they had taken it
        ({"state": AttemptState.UNCONFIRMED, "provider_ref": None}, False),
        ({"state": AttemptState.SENDING, "provider_ref": None}, False),
        ({"state": AttemptState.RETURNED}, False),
    ],
)
def test_only_what_they_had_taken_in_that_time_can_be_missing(fields, told):
    assert bool(found([], [ours(**fields)])[0]) is told
    assert not found([], [ours(**fields)], complete=False)[0]


def test_another_payout_under_our_reference_does_not_stand_for_ours():
    assert found([row_of(ours(), provider_ref="other")], [ours()])[0] == {
        (IncidentKind.UNKNOWN_PAYOUT, "other"),
        (IncidentKind.MISSING_PAYOUT, ours().id),
    }


SAME_ENOUGH = {
    (AttemptState.NOT_SENT, Progress.FAILED), (AttemptState.NOT_SENT, Progress.CANCELLED),
    (AttemptState.REFUSED, Progress.FAILED), (AttemptState.REFUSED, Progress.CANCELLED),
    (AttemptState.FAILED, Progress.CANCELLED), (AttemptState.CANCELLED, Progress.FAILED),
}  # fmt: skip


@pytest.mark.parametrize("state", AttemptState)
@pytest.mark.parametrize("progress", Progress)
def test_when_their_word_contradicts_ours(state, progress):
    if state is AttemptState.SENDING:
        expected = False
    elif progress is Progress.FAILED_UNPROVEN:
        expected = state in (AttemptState.PAID, AttemptState.RETURNED)
    else:
        expected = state.value != progress.value and (state, progress) not in SAME_ENOUGH
    assert says_another(state, progress) is expected


def test_a_difference_says_what_happened_and_what_to_do():
    comparison = compare(Listing((row_of(ours(), amount_minor=5),), complete=True), [ours()], MOLLIE, since=SINCE, until=UNTIL)
    [difference] = comparison.differences
    assert isinstance(difference, Difference)
    assert difference.detail == (
        "Mollie balance payouts (Europe) lists ref1 with EUR 0.05, and we sent it with EUR 1.01. Nothing was changed. Ask the "
        "provider what has really moved."
    )
