"""The lifecycle table: complete, and true to the rules that no provider may bend."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.lifecycle import (
    KEEP,
    MARKS,
    PAID_LATE,
    PHASE_OF,
    REOPENED,
    REVIEW,
    TABLE,
    Ended,
    Move,
    News,
    Situation,
    Unresolvable,
    decide,
    give_to_person,
    move_of,
    resolve,
)
from schemas.failure import FailureCode
from schemas.payout import EXPOSURE, FINAL_PHASES, AttemptState, Exposure, Phase, Status
from schemas.report import NotFound, NotSent, Progress, RefusalCause, Refused, Taken, Unclear
from schemas.resolution import Outcome

S = AttemptState
CLOSED = [state for state in S if EXPOSURE[state] is Exposure.CLOSED]
OPEN = [state for state in S if EXPOSURE[state] is Exposure.OPEN]

reports = st.one_of(
    st.builds(NotSent, st.just("dns")),
    st.builds(Refused, st.sampled_from(FailureCode), st.sampled_from(RefusalCause)),
    st.builds(Unclear, st.just("timeout")),
    st.builds(NotFound, st.just("404")),
    st.builds(
        Taken,
        st.sampled_from(Progress),
        amount_minor=st.sampled_from([None, 100, 101]),
        currency=st.sampled_from([None, "IDR", "EUR"]),
    ),
)


def situation(state, *, phase=None, newest=True, number=1, review_reason=None):
    return Situation(
        phase=phase or PHASE_OF[state],
        attempt_state=state,
        attempt_number=number,
        is_newest=newest,
        amount_minor=100,
        currency="IDR",
        review_reason=review_reason,
    )


def test_every_state_has_a_cell_for_all_news():
    assert set(TABLE) == set(S)
    for state, row in TABLE.items():
        assert set(row) == set(News), state


@pytest.mark.parametrize("state", CLOSED)
def test_a_closed_attempt_is_never_opened_again(state):
    for news, cell in TABLE[state].items():
        assert cell.next_state is None, (state, news)


@pytest.mark.parametrize("news", [News.UNCLEAR, News.NOT_FOUND])
def test_not_knowing_never_closes_anything(news):
    for state in OPEN:
        target = TABLE[state][news].next_state
        assert target is None or EXPOSURE[target] is Exposure.OPEN


@pytest.mark.parametrize("news", [News.NOT_SENT, News.REFUSED])
def test_only_the_first_send_can_be_not_sent_or_refused(news):
    """A repetition that did not leave, or was refused, says nothing about the send before it."""
    assert [state for state in S if TABLE[state][news].next_state] == [S.SENDING]


def test_absence_counts_only_while_nobody_has_acknowledged_the_attempt():
    assert TABLE[S.UNCONFIRMED][News.ABSENT].next_state is S.NOT_SENT
    assert TABLE[S.SENDING][News.ABSENT] == KEEP
    for state in (S.PENDING, S.IN_TRANSIT, S.PAID):
        assert TABLE[state][News.ABSENT] == REVIEW


@pytest.mark.parametrize("state", [s for s in CLOSED if s is not S.RETURNED])
def test_paid_after_closed_goes_to_a_person(state):
    assert TABLE[state][News.PAID] == PAID_LATE


def test_after_paid_only_returned_moves_anything():
    assert {news for news, cell in TABLE[S.PAID].items() if cell.next_state} == {News.RETURNED}


@given(st.sampled_from(S), reports, st.booleans())
def test_another_amount_never_moves_money(state, report, believed):
    if isinstance(report, Taken) and (report.amount_minor == 101 or report.currency == "EUR"):
        decision = decide(report, situation(state), absence_believed=believed)
        if decision:
            assert decision.move is None
            assert decision.review_reason


@given(st.sampled_from(S), reports, st.booleans(), st.booleans(), st.sampled_from(Phase))
def test_final_phases_stay_final(state, report, believed, newest, phase):
    decision = decide(report, situation(state, phase=phase, newest=newest), absence_believed=believed)
    if decision and phase in FINAL_PHASES and not newest:
        assert decision.phase is phase
    if decision and phase is PHASE_OF[state] and phase in FINAL_PHASES:
        assert decision.phase is phase or (phase, decision.phase) == (Phase.PAID, Phase.RETURNED)


@given(st.sampled_from(OPEN), st.lists(reports, max_size=12), st.booleans())
def test_the_books_follow_any_history(state, history, believed):
    """Whatever is said in whatever order: the reservation ends at most once, and only paid money comes back."""
    now = situation(state)
    reserved, paid_out, released = 1, 0, 0
    for report in history:
        decision = decide(report, now, absence_believed=believed)
        if decision is None:
            continue
        match decision.move:
            case Move.SETTLE:
                reserved, paid_out = reserved - 1, paid_out + 1
            case Move.RELEASE:
                reserved, released = reserved - 1, released + 1
            case Move.PAID_LATE:
                assert now.phase in FINAL_PHASES
            case Move.RETURN:
                paid_out, released = paid_out - 1, released + 1
        assert min(reserved, paid_out, released) >= 0
        assert reserved + paid_out + released == 1
        assert paid_out == (decision.phase is Phase.PAID)
        assert released == (decision.phase in {Phase.FAILED, Phase.CANCELLED, Phase.RETURNED})
        now = situation(decision.attempt_state, phase=decision.phase, review_reason=decision.review_reason)
        now = replace(now, paid_late=now.paid_late or decision.paid_late)
        if now.phase is Phase.QUEUED:
            now = situation(S.SENDING)  # the next attempt


def test_a_refusal_that_is_not_about_the_payout_keeps_it_queued():
    for cause in (RefusalCause.CONNECTION, RefusalCause.PACING, RefusalCause.ALONE):
        decision = decide(Refused(FailureCode.CONFIGURATION, cause), situation(S.SENDING))
        assert (decision.phase, decision.move, decision.attempt_state) == (Phase.QUEUED, None, S.REFUSED)
        assert decision.resend_after_s is not None
    assert decision.resend_alone


def test_a_refusal_of_the_payout_fails_it_and_releases_the_money():
    decision = decide(Refused(FailureCode.INVALID_DESTINATION, RefusalCause.RECIPIENT), situation(S.SENDING))
    assert (decision.phase, decision.status, decision.move) == (Phase.FAILED, Status.FAILED, Move.RELEASE)


def test_unproven_failure_keeps_the_money_reserved():
    decision = decide(Taken(Progress.FAILED_UNPROVEN), situation(S.PENDING))
    assert (decision.phase, decision.move, decision.exposure) == (Phase.NEEDS_REVIEW, None, Exposure.OPEN)


def test_paid_after_it_failed_is_booked_as_receivable_once():
    decision = decide(Taken(Progress.PAID), situation(S.FAILED))
    assert (decision.phase, decision.move, decision.exposure) == (Phase.FAILED, Move.PAID_LATE, Exposure.CLOSED)
    assert decision.review_reason
    assert decision.paid_late
    again = replace(situation(S.FAILED, review_reason="earlier"), paid_late=True)
    assert decide(Taken(Progress.PAID), again) is None


def test_paid_late_by_an_earlier_attempt_stops_the_payout_and_leaves_the_newest_alone():
    """F27: failed at A, sent through B, then "paid" from A: a person, and no third move."""
    decision = decide(Taken(Progress.PAID), situation(S.FAILED, phase=Phase.PROCESSING, newest=False))
    assert (decision.phase, decision.move, decision.ended) == (Phase.NEEDS_REVIEW, Move.PAID_LATE, None)


@pytest.mark.parametrize(
    ("state", "report", "believed"),
    [
        (S.SENDING, NotSent("dns"), False),
        (S.UNCONFIRMED, NotFound("404"), True),
        (S.SENDING, Refused(FailureCode.CONFIGURATION, RefusalCause.CONNECTION), False),
        (S.SENDING, Refused(FailureCode.INSUFFICIENT_PROVIDER_FUNDS, RefusalCause.PAYOUT), False),
        (S.PENDING, Taken(Progress.FAILED), False),
        (S.PENDING, Taken(Progress.CANCELLED), False),
    ],
)
def test_f27_no_third_move_by_itself(state, report, believed):
    overpaid = replace(situation(state, phase=Phase.NEEDS_REVIEW, review_reason="A paid late"), paid_elsewhere=True)
    decision = decide(report, overpaid, absence_believed=believed)
    assert (decision.phase, decision.ended, decision.move) == (Phase.NEEDS_REVIEW, None, None)
    assert decision.review_reason == "A paid late"
    assert decide(Taken(Progress.PAID), overpaid).phase is Phase.PAID


@pytest.mark.parametrize("state", REOPENED)
@pytest.mark.parametrize("phase", [Phase.QUEUED, Phase.NEEDS_REVIEW])
def test_paid_after_all_before_anything_else_was_tried_is_simply_paid(state, phase):
    decision = decide(Taken(Progress.PAID), situation(state, phase=phase))
    assert (decision.attempt_state, decision.phase, decision.move) == (S.PAID, Phase.PAID, Move.SETTLE)


def test_a_person_who_was_asked_is_not_asked_again():
    assert decide(Taken(Progress.IN_TRANSIT), situation(S.CANCELLED, review_reason="earlier")) is None
    assert give_to_person(situation(S.UNCONFIRMED, review_reason="earlier"), "again") is None


REFUSED_FOR = {cause: Refused(FailureCode.REJECTED_BY_PROVIDER, cause) for cause in RefusalCause}


@pytest.mark.parametrize(
    ("state", "report", "ended"),
    [
        (S.SENDING, NotSent("dns"), Ended.NOT_SENT),
        (S.SENDING, REFUSED_FOR[RefusalCause.PAYOUT], Ended.REFUSED),
        (S.SENDING, REFUSED_FOR[RefusalCause.CONNECTION], Ended.REFUSED),
        (S.SENDING, REFUSED_FOR[RefusalCause.RECIPIENT], None),
        (S.SENDING, REFUSED_FOR[RefusalCause.PACING], None),
        (S.SENDING, REFUSED_FOR[RefusalCause.ALONE], None),
        (S.SENDING, Refused(FailureCode.INVALID_DESTINATION, RefusalCause.PAYOUT), None),
        (S.PENDING, Taken(Progress.FAILED, failure_code=FailureCode.INSUFFICIENT_PROVIDER_FUNDS), Ended.FAILED),
        (S.PENDING, Taken(Progress.FAILED, failure_code=FailureCode.INVALID_DESTINATION), None),
        (S.PENDING, Taken(Progress.FAILED, failure_code=FailureCode.OPERATOR), None),
        (S.PENDING, Taken(Progress.CANCELLED), None),
    ],
)
def test_which_ends_allow_another_provider(state, report, ended):
    """Design section 4, line by line."""
    assert decide(report, situation(state)).ended is ended
    assert decide(report, situation(state, newest=False)).ended is None


@given(st.sampled_from(OPEN), reports, st.booleans(), st.sampled_from([Phase.PROCESSING, Phase.NEEDS_REVIEW]))
def test_i12_no_other_provider_while_money_may_be_out(state, report, believed, phase):
    decision = decide(report, situation(state, phase=phase), absence_believed=believed)
    if decision and decision.ended:
        assert decision.exposure is Exposure.CLOSED
        assert not isinstance(report, Unclear)


def test_cancelled_so_as_to_move_on_allows_another_provider():
    assert decide(Taken(Progress.CANCELLED), replace(situation(S.PENDING), moves_on=True)).ended is Ended.CANCELLED


def test_what_is_to_be_cancelled_never_goes_out_again():
    asked = replace(situation(S.UNCONFIRMED), cancel_asked=True)
    decision = decide(NotFound("404"), asked, absence_believed=True)
    assert (decision.phase, decision.move, decision.ended) == (Phase.CANCELLED, Move.RELEASE, None)


def test_progress_does_not_take_a_payout_off_the_desk_but_an_end_does():
    waiting = situation(S.PENDING, phase=Phase.NEEDS_REVIEW, review_reason="why")
    moved = decide(Taken(Progress.IN_TRANSIT), waiting)
    assert (moved.phase, moved.review_reason) == (Phase.NEEDS_REVIEW, "why")
    ended = decide(Taken(Progress.PAID), waiting)
    assert (ended.phase, ended.review_reason) == (Phase.PAID, None)


def test_waiting_grows_with_every_attempt_that_left_nothing():
    waits = [decide(NotSent("dns"), situation(S.SENDING, number=n)).resend_after_s for n in range(1, 9)]
    assert waits == sorted(waits)
    assert waits[-1] == waits[-2]


def test_moves_of_the_books():
    assert move_of(Phase.PROCESSING, Phase.PAID) is Move.SETTLE
    assert move_of(Phase.NEEDS_REVIEW, Phase.FAILED) is Move.RELEASE
    assert move_of(Phase.PROCESSING, Phase.RETURNED) is Move.RELEASE
    assert move_of(Phase.PAID, Phase.RETURNED) is Move.RETURN
    assert move_of(Phase.PROCESSING, Phase.QUEUED) is None
    assert move_of(Phase.PAID, Phase.PAID) is None


def test_a_person_cannot_mark_paid_what_never_left():
    assert MARKS[Progress.PAID] == (S.IN_TRANSIT,)


def test_a_reference_number_that_comes_late_is_written_down_and_moves_nothing():
    unknown = replace(situation(S.PAID), has_reference=False)
    note = decide(Taken(Progress.PAID, reference="000123"), unknown)
    assert (note.is_note, note.reference, note.phase, note.move) == (True, "000123", Phase.PAID, None)
    assert decide(Taken(Progress.PAID, reference="000123"), situation(S.PAID)) is None, "known already"
    assert decide(Taken(Progress.IN_TRANSIT, reference="000123"), unknown) is None, "they do not say the same"
    assert decide(Taken(Progress.PAID), unknown) is None
    on_desk = replace(situation(S.PENDING, phase=Phase.NEEDS_REVIEW, review_reason="why"), has_reference=False)
    note = decide(Taken(Progress.PENDING, reference="000123"), on_desk)
    assert (note.phase, note.review_reason) == (Phase.NEEDS_REVIEW, "why")


# --- the desk ---

O = Outcome  # noqa: E741 - as S above
_OPEN_ENDS = {
    O.PAID: (S.PAID, Phase.PAID, Move.SETTLE),
    O.FAILED: (S.FAILED, Phase.FAILED, Move.RELEASE),
    O.RETURNED: (S.RETURNED, Phase.RETURNED, Move.RELEASE),
    O.NOT_SENT: (S.NOT_SENT, Phase.QUEUED, None),
}
# While the payout's money is held. What is not here cannot be said.
HELD = {
    S.SENDING: {},
    S.UNCONFIRMED: _OPEN_ENDS,
    S.PENDING: _OPEN_ENDS,
    S.IN_TRANSIT: _OPEN_ENDS,
    S.FAILED: {O.FAILED: (S.FAILED, Phase.FAILED, Move.RELEASE), O.PAID: (S.PAID, Phase.PAID, Move.SETTLE)},
    S.NOT_SENT: {O.NOT_SENT: (S.NOT_SENT, Phase.QUEUED, None), O.PAID: (S.PAID, Phase.PAID, Move.SETTLE)},
    S.REFUSED: {O.FAILED: (S.REFUSED, Phase.FAILED, Move.RELEASE), O.PAID: (S.PAID, Phase.PAID, Move.SETTLE)},
    S.CANCELLED: {O.FAILED: (S.CANCELLED, Phase.CANCELLED, Move.RELEASE)},
}
# Beside a final state that was contradicted: it stands, or the money is back.
FINAL = {
    (S.PAID, Phase.PAID): {O.PAID: (S.PAID, Phase.PAID, None), O.RETURNED: (S.RETURNED, Phase.RETURNED, Move.RETURN)},
    (S.RETURNED, Phase.RETURNED): {O.RETURNED: (S.RETURNED, Phase.RETURNED, None)},
    (S.FAILED, Phase.FAILED): {O.FAILED: (S.FAILED, Phase.FAILED, None)},
    (S.REFUSED, Phase.FAILED): {O.FAILED: (S.REFUSED, Phase.FAILED, None)},
    (S.CANCELLED, Phase.CANCELLED): {O.FAILED: (S.CANCELLED, Phase.CANCELLED, None)},
    (S.NOT_SENT, Phase.CANCELLED): {O.NOT_SENT: (S.NOT_SENT, Phase.CANCELLED, None)},  # cancelled while it was queued again
    (S.NOT_SENT, Phase.FAILED): {O.NOT_SENT: (S.NOT_SENT, Phase.FAILED, None)},
}
SAID = [(state, Phase.NEEDS_REVIEW, outcome, HELD[state].get(outcome)) for state in HELD for outcome in O]
SAID += [(state, phase, outcome, ends.get(outcome)) for (state, phase), ends in FINAL.items() for outcome in O]


def test_every_state_is_asked_about():
    assert {state for state, *_ in SAID} == set(S)


@pytest.mark.parametrize(("state", "phase", "outcome", "expected"), SAID)
def test_what_people_may_find_out(state, phase, outcome, expected):
    decision = resolve(outcome, situation(state, phase=phase, review_reason="why"))
    if expected is None:
        assert decision in set(Unresolvable) - {Unresolvable.OFF_DESK, Unresolvable.OVERTAKEN, Unresolvable.PAID_ELSEWHERE}
        return
    assert (decision.attempt_state, decision.phase, decision.move) == expected
    assert decision.exposure is EXPOSURE[decision.attempt_state]
    assert decision.status is (Status.PENDING if decision.phase is Phase.QUEUED else Status(decision.phase.value))
    assert decision.review_reason is None
    assert not decision.paid_late
    goes_out_again = decision.phase is Phase.QUEUED
    assert (decision.ended is Ended.NOT_SENT) == goes_out_again
    assert (decision.resend_after_s is not None) == goes_out_again
    assert ("as it stood" in decision.reason) == (decision.attempt_state is state)


@pytest.mark.parametrize("state", S)
@pytest.mark.parametrize("outcome", O)
def test_people_are_asked_first_and_never_about_what_is_being_sent(state, outcome):
    assert resolve(outcome, situation(state)) is Unresolvable.OFF_DESK
    on_desk = situation(state, phase=Phase.NEEDS_REVIEW, review_reason="why")
    assert resolve(outcome, on_desk, being_sent=True) is Unresolvable.SENDING
    if state is S.SENDING:
        assert resolve(outcome, on_desk) is Unresolvable.SENDING


@pytest.mark.parametrize("state", S)
@pytest.mark.parametrize("outcome", O)
@pytest.mark.parametrize("phase", Phase)
def test_an_attempt_that_is_not_the_newest_is_nobodys_to_resolve(state, outcome, phase):
    assert isinstance(resolve(outcome, situation(state, phase=phase, newest=False, review_reason="why")), Unresolvable)


@pytest.mark.parametrize("state", REOPENED)
@pytest.mark.parametrize("changes", [{"phase": Phase.FAILED}, {"phase": Phase.PROCESSING, "newest": False}])
def test_money_that_left_after_the_release_is_an_incident(state, changes):
    assert resolve(O.PAID, situation(state, review_reason="why", **changes)) is Unresolvable.PAID_LATE


@pytest.mark.parametrize("state", [S.UNCONFIRMED, S.PENDING, S.IN_TRANSIT, S.NOT_SENT])
def test_what_another_attempt_has_paid_does_not_go_out_again(state):
    on_desk = situation(state, phase=Phase.NEEDS_REVIEW, review_reason="why")
    assert resolve(O.NOT_SENT, on_desk, paid_elsewhere=True) is Unresolvable.PAID_ELSEWHERE
    assert resolve(O.PAID, on_desk, paid_elsewhere=True).phase is Phase.PAID


def test_what_is_to_be_cancelled_does_not_go_out_again_by_the_desk_either():
    asked = replace(situation(S.PENDING, phase=Phase.NEEDS_REVIEW, review_reason="why"), cancel_asked=True)
    decision = resolve(O.NOT_SENT, asked)
    assert (decision.phase, decision.move, decision.ended) == (Phase.CANCELLED, Move.RELEASE, None)


def test_what_people_found_out_is_said_in_the_failure():
    on_desk = situation(S.PENDING, phase=Phase.NEEDS_REVIEW, review_reason="why")
    assert resolve(O.FAILED, on_desk).failure_code is FailureCode.OPERATOR
    assert resolve(O.RETURNED, on_desk).failure_code is FailureCode.RETURNED
    assert resolve(O.PAID, on_desk).failure_code is None
