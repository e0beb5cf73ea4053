"""The lifecycle: what a report does to an attempt and its payout, as one pure table.

The only place that decides how a payout moves. No await, no clock, no network, no database: whoever calls it has already
worked out from clock and contract whether a "not found" may be believed (`Absent`) and passes the answer in.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never

from schemas.failure import FAILURE_MEANING, FailureCode
from schemas.payout import EXPOSURE, FINAL_PHASES, AttemptState, Exposure, Phase, Status
from schemas.report import NO_WORDS, NotFound, NotSent, Progress, RefusalCause, Refused, Report, Taken, Unclear, Words
from schemas.resolution import Outcome


class News(StrEnum):
    """What a report means to the table. Every state has a cell for every one of these."""

    NOT_SENT = "not_sent"
    REFUSED = "refused"
    UNCLEAR = "unclear"
    NOT_FOUND = "not_found"  # too early to be believed
    ABSENT = "absent"  # not found, after the provider's visibility time: believed
    PENDING = "pending"
    IN_TRANSIT = "in_transit"
    PAID = "paid"
    FAILED = "failed"
    FAILED_UNPROVEN = "failed_unproven"
    CANCELLED = "cancelled"
    RETURNED = "returned"
    MISMATCH = "mismatch"  # they have something under our key, with another amount or currency


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of the table: the attempt's next state (None = stays), and whether a person must look.

    `paid_late`: money left for an attempt whose exposure had been closed.
    """

    next_state: AttemptState | None = None
    review: bool = False
    paid_late: bool = False


_S = AttemptState
KEEP = Cell()  # the report is stored and changes nothing
REVIEW = Cell(review=True)
PAID_LATE = Cell(review=True, paid_late=True)


def _to(state: AttemptState) -> Cell:
    return Cell(next_state=state)


# Facts about money that any open attempt takes over as they are.
_MOVES_ON = {
    News.PENDING: _to(_S.PENDING),
    News.IN_TRANSIT: _to(_S.IN_TRANSIT),
    News.PAID: _to(_S.PAID),
    News.FAILED: _to(_S.FAILED),
    News.CANCELLED: _to(_S.CANCELLED),
    News.RETURNED: _to(_S.RETURNED),
}
# What says nothing once the provider has acknowledged the attempt, or once it is closed.
_SAYS_NOTHING = dict.fromkeys((News.NOT_SENT, News.REFUSED, News.UNCLEAR, News.NOT_FOUND), KEEP)

TABLE: dict[AttemptState, dict[News, Cell]] = {
    _S.SENDING: {
        **_MOVES_ON,
        News.NOT_SENT: _to(_S.NOT_SENT),
        News.REFUSED: _to(_S.REFUSED),
        News.UNCLEAR: _to(_S.UNCONFIRMED),
        News.NOT_FOUND: KEEP,  # somebody read before the send was through
        News.ABSENT: KEEP,  # same: a send is under way, so absence proves nothing yet
        News.FAILED_UNPROVEN: Cell(_S.UNCONFIRMED, review=True),
        News.MISMATCH: Cell(_S.UNCONFIRMED, review=True),
    },
    _S.UNCONFIRMED: {
        **_MOVES_ON,
        News.NOT_SENT: KEEP,  # this repetition did not leave, an earlier send may have
        News.REFUSED: KEEP,  # a repetition was refused: says nothing about the first send
        News.UNCLEAR: KEEP,
        News.NOT_FOUND: KEEP,
        News.ABSENT: _to(_S.NOT_SENT),  # evidence: an authoritative read after the visibility time
        News.FAILED_UNPROVEN: REVIEW,
        News.MISMATCH: REVIEW,
    },
    _S.PENDING: {
        **_MOVES_ON,
        **_SAYS_NOTHING,
        News.PENDING: KEEP,
        News.ABSENT: REVIEW,  # they had it and now they do not know it
        News.FAILED_UNPROVEN: REVIEW,
        News.MISMATCH: REVIEW,
    },
    _S.IN_TRANSIT: {
        **_MOVES_ON,
        **_SAYS_NOTHING,
        News.PENDING: KEEP,  # a lower fact after a higher one
        News.IN_TRANSIT: KEEP,
        News.ABSENT: REVIEW,
        News.FAILED_UNPROVEN: REVIEW,
        News.MISMATCH: REVIEW,
    },
    _S.PAID: {
        **_SAYS_NOTHING,
        News.PENDING: KEEP,
        News.IN_TRANSIT: KEEP,
        News.PAID: KEEP,
        News.RETURNED: _to(_S.RETURNED),
        News.ABSENT: REVIEW,
        News.FAILED: REVIEW,  # contradiction: only "returned" takes money back
        News.FAILED_UNPROVEN: REVIEW,
        News.CANCELLED: REVIEW,
        News.MISMATCH: REVIEW,
    },
    _S.RETURNED: {
        **_SAYS_NOTHING,
        News.ABSENT: KEEP,
        News.PENDING: KEEP,
        News.IN_TRANSIT: KEEP,
        News.PAID: KEEP,  # the earlier fact, arriving late
        News.FAILED: KEEP,  # another word for what we know
        News.FAILED_UNPROVEN: KEEP,
        News.CANCELLED: KEEP,
        News.RETURNED: KEEP,
        News.MISMATCH: REVIEW,
    },
    _S.FAILED: {
        **_SAYS_NOTHING,
        News.ABSENT: KEEP,
        News.PENDING: KEEP,
        News.IN_TRANSIT: KEEP,
        News.PAID: PAID_LATE,  # contradiction: the hold is released, or spent by another attempt
        News.FAILED: KEEP,
        News.FAILED_UNPROVEN: KEEP,
        News.CANCELLED: KEEP,
        News.RETURNED: KEEP,
        News.MISMATCH: REVIEW,
    },
    _S.CANCELLED: {
        **_SAYS_NOTHING,
        News.ABSENT: KEEP,
        News.PENDING: KEEP,
        News.IN_TRANSIT: REVIEW,  # cancelled means before execution: this must not happen
        News.PAID: PAID_LATE,
        News.FAILED: KEEP,
        News.FAILED_UNPROVEN: KEEP,
        News.CANCELLED: KEEP,
        News.RETURNED: REVIEW,
        News.MISMATCH: REVIEW,
    },
    # We hold proof that these two never reached the provider, so any sign of life contradicts it.
    **{
        state: {
            **_SAYS_NOTHING,
            News.ABSENT: KEEP,
            News.FAILED: KEEP,
            News.FAILED_UNPROVEN: REVIEW,
            News.CANCELLED: KEEP,
            News.PENDING: REVIEW,
            News.IN_TRANSIT: REVIEW,
            News.PAID: PAID_LATE,
            News.RETURNED: REVIEW,
            News.MISMATCH: REVIEW,
        }
        for state in (_S.NOT_SENT, _S.REFUSED)
    },
}

# Paid after all, while the payout's money is still held and no other attempt was made: then it is simply paid.
REOPENED = (_S.NOT_SENT, _S.REFUSED, _S.FAILED)

# The phase that a payout is in because of its newest attempt's state, when nobody has to review it.
PHASE_OF: dict[AttemptState, Phase] = {
    _S.SENDING: Phase.PROCESSING,
    _S.UNCONFIRMED: Phase.PROCESSING,
    _S.PENDING: Phase.PROCESSING,
    _S.IN_TRANSIT: Phase.PROCESSING,
    _S.PAID: Phase.PAID,
    _S.RETURNED: Phase.RETURNED,
    _S.FAILED: Phase.FAILED,
    _S.CANCELLED: Phase.CANCELLED,
    _S.NOT_SENT: Phase.QUEUED,
    _S.REFUSED: Phase.FAILED,  # unless the refusal was not about the payout: see `RESENDABLE`
}

# Refusals that are not about the payout: it stays queued and goes out again. Seconds to wait when nobody says better.
RESENDABLE: dict[RefusalCause, float] = {
    RefusalCause.CONNECTION: 60.0,
    RefusalCause.PACING: 1.0,
    RefusalCause.ALONE: 0.0,
}

# How long a payout waits after an attempt that provably left nothing, by the attempt's number; the last repeats.
RESEND_AFTER_S = (1.0, 2.0, 5.0, 15.0, 60.0)


class Ended(StrEnum):
    """How an attempt ended so that another one is safe (design section 4). Everything else is not in this list."""

    NOT_SENT = "not_sent"
    REFUSED = "refused"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Move(StrEnum):
    """What a change does to the books."""

    SETTLE = "settle"
    RELEASE = "release"
    RETURN = "return"
    PAID_LATE = "paid_late"  # money left for an attempt that was closed: somebody owes it to us


_RELEASED = frozenset({Phase.FAILED, Phase.CANCELLED, Phase.RETURNED})


def move_of(before: Phase, after: Phase) -> Move | None:
    """How the books follow a payout from one phase to another; None when the money stays where it is."""
    if before in FINAL_PHASES:
        return Move.RETURN if before is Phase.PAID and after is Phase.RETURNED else None
    if after is Phase.PAID:
        return Move.SETTLE
    return Move.RELEASE if after in _RELEASED else None


def status_of(phase: Phase, state: AttemptState | None) -> Status:
    """What a merchant sees: the small set, from the payout's phase and its newest attempt's state."""
    if phase in FINAL_PHASES:
        return Status(phase.value)
    return Status.IN_TRANSIT if state is AttemptState.IN_TRANSIT else Status.PENDING


@dataclass(frozen=True, slots=True)
class Situation:
    """Where the payout and the attempt that a report is about stand now."""

    phase: Phase
    attempt_state: AttemptState
    attempt_number: int
    is_newest: bool
    amount_minor: int
    currency: str
    review_reason: str | None = None  # why a person has been asked to look
    has_reference: bool = True  # a tracking number is known; False lets a later report bring it
    cancel_asked: bool = False  # it is to be cancelled: nothing of it goes out any more
    moves_on: bool = False  # the gateway itself asked to cancel the attempt, so as to send through another connection
    paid_late: bool = False  # the attempt is known to have paid after it was closed
    paid_elsewhere: bool = False  # another attempt of the payout is: whatever this one becomes, a person decides what follows

    @property
    def reviewing(self) -> bool:
        """Whether a person has been asked to look."""
        return self.review_reason is not None


@dataclass(frozen=True, slots=True)
class Decision:
    """What to write. `reason` is the sentence that the timeline shows."""

    attempt_state: AttemptState
    exposure: Exposure
    phase: Phase
    status: Status
    reason: str
    words: Words = NO_WORDS
    review_reason: str | None = None
    move: Move | None = None
    resend_after_s: float | None = None
    resend_alone: bool = False
    failure_code: FailureCode | None = None
    reference: str | None = None
    provider_ref: str | None = None
    submission_ref: str | None = None
    is_note: bool = False  # nothing moved: only the reference number is new
    ended: Ended | None = None  # set when the next attempt may go elsewhere: see `gateway.failover`
    paid_late: bool = False


def news_of(report: Report, situation: Situation, *, absence_believed: bool) -> News:
    """What `report` means here. `absence_believed`: the contract's visibility time has passed and its find is authoritative."""
    match report:
        case NotSent():
            return News.NOT_SENT
        case Refused():
            return News.REFUSED
        case Unclear():
            return News.UNCLEAR
        case NotFound():
            return News.ABSENT if absence_believed else News.NOT_FOUND
        case Taken():
            other_amount = report.amount_minor is not None and report.amount_minor != situation.amount_minor
            other_currency = report.currency is not None and report.currency != situation.currency
            return News.MISMATCH if other_amount or other_currency else News(report.progress.value)
        case _:
            assert_never(report)


def _reason_of_taken(report: Taken, news: News) -> str:
    if news is News.MISMATCH:
        return "the provider names another amount or currency than we sent; the money stays reserved"
    if news is News.FAILED_UNPROVEN:
        return "the provider says failed, which does not prove that no money left; the money stays reserved"
    said = f"the provider says {report.words.status or report.progress.value}"
    return f"{said}. {FAILURE_MEANING[report.failure_code].happened}" if report.failure_code else said


def _reason(report: Report, news: News) -> str:
    match report:
        case NotSent(reason=reason):
            return f"nothing was sent: {reason}"
        case Unclear(reason=reason):
            return f"the outcome is unknown: {reason}"
        case NotFound(reason=reason):
            believed = "believed, its visibility time has passed" if news is News.ABSENT else "too early to believe"
            return f"the provider does not know it ({believed}): {reason}"
        case Refused(failure_code=code):
            return f"the provider refused it before acceptance. {FAILURE_MEANING[code].happened}"
        case Taken():
            return _reason_of_taken(report, news)
        case _:
            assert_never(report)


def ended_by(report: Report, state: AttemptState, situation: Situation) -> Ended | None:
    """How the newest attempt has just ended, if another connection may be tried now; None when it may not."""
    if not situation.is_newest or situation.phase in FINAL_PHASES or situation.cancel_asked or situation.paid_elsewhere:
        return None
    # What is wrong with the recipient's own data, or what a person decided, is wrong at every provider.
    code = report.failure_code if isinstance(report, (Refused, Taken)) else None
    hopeless = code is not None and (FAILURE_MEANING[code].recipient_fault or code is FailureCode.OPERATOR)
    match state:
        case AttemptState.NOT_SENT:
            return Ended.NOT_SENT
        case AttemptState.REFUSED if isinstance(report, Refused) and not hopeless:
            return Ended.REFUSED if report.cause in (RefusalCause.PAYOUT, RefusalCause.CONNECTION) else None
        case AttemptState.FAILED if not hopeless:
            return Ended.FAILED
        case AttemptState.CANCELLED if situation.moves_on:
            return Ended.CANCELLED
        case _:
            return None


def _cell(news: News, situation: Situation) -> Cell:
    held = situation.is_newest and situation.phase not in FINAL_PHASES
    if news is News.PAID and held and situation.attempt_state in REOPENED:
        return _to(AttemptState.PAID)
    return TABLE[situation.attempt_state][news]


def _changes_nothing(cell: Cell, situation: Situation) -> bool:
    if cell == PAID_LATE:
        return situation.paid_late
    return cell == KEEP or (cell == REVIEW and situation.reviewing)


_WITHOUT_MONEY = (Phase.QUEUED, Phase.FAILED, Phase.CANCELLED)


def _phase(cell: Cell, state: AttemptState, situation: Situation) -> Phase:
    phase = PHASE_OF[state] if situation.is_newest else situation.phase
    if cell.review and situation.phase in FINAL_PHASES:
        return situation.phase  # a final state is never reopened: the contradiction goes to a person beside it
    if cell.review or (situation.reviewing and phase is Phase.PROCESSING):
        return Phase.NEEDS_REVIEW  # a person was asked: only a final fact answers for them
    if situation.paid_elsewhere and situation.is_newest and phase in _WITHOUT_MONEY:
        return Phase.NEEDS_REVIEW  # the recipient has it: neither a third attempt nor the merchant's money back by itself
    if phase is Phase.QUEUED and situation.cancel_asked:
        return Phase.CANCELLED  # nothing of it is out, and nothing of it is wanted
    return phase


def _resend_after_s(report: Report | None, phase: Phase, situation: Situation) -> float | None:
    if phase is not Phase.QUEUED or not situation.is_newest:
        return None
    if isinstance(report, Refused):
        return RESENDABLE[report.cause] if report.retry_after_s is None else report.retry_after_s
    return RESEND_AFTER_S[min(situation.attempt_number, len(RESEND_AFTER_S)) - 1]


def decide(report: Report, situation: Situation, *, absence_believed: bool = False) -> Decision | None:
    """What a report changes; None when it is stored and changes nothing."""
    news = news_of(report, situation, absence_believed=absence_believed)
    cell = _cell(news, situation)
    if _changes_nothing(cell, situation):
        return _reference_note(report, news, situation)

    state = cell.next_state or situation.attempt_state
    reason = _reason(report, news)
    if cell.paid_late:
        reason = f"{reason}, although this attempt had ended: its money is booked as receivable"
    phase = _phase(cell, state, situation)
    waits = isinstance(report, Refused) and report.cause in RESENDABLE and situation.is_newest
    if phase is Phase.FAILED and waits:
        phase = Phase.CANCELLED if situation.cancel_asked else Phase.QUEUED

    taken = report if isinstance(report, Taken) else None
    named = report if isinstance(report, (Taken, Unclear)) else None
    failure = report.failure_code if isinstance(report, (Refused, Taken)) else None
    return Decision(
        attempt_state=state,
        exposure=EXPOSURE[state],
        phase=phase,
        status=status_of(phase, state),
        reason=reason,
        words=report.words if isinstance(report, (Refused, Taken, Unclear)) else NO_WORDS,
        review_reason=reason if cell.review else (situation.review_reason or reason) if phase is Phase.NEEDS_REVIEW else None,
        move=Move.PAID_LATE if cell.paid_late else move_of(situation.phase, phase),
        resend_after_s=_resend_after_s(report, phase, situation),
        resend_alone=isinstance(report, Refused) and report.cause is RefusalCause.ALONE,
        failure_code=failure if phase in (Phase.FAILED, Phase.RETURNED) else None,
        reference=taken.reference if taken else None,
        provider_ref=named.provider_ref if named else None,
        submission_ref=named.submission_ref if named else None,
        ended=None if cell.review else ended_by(report, state, situation),
        paid_late=cell.paid_late,
    )


def _reference_note(report: Report, news: News, situation: Situation) -> Decision | None:
    """A tracking number that comes after the state it belongs to is written down, and moves nothing."""
    if not isinstance(report, Taken) or report.reference is None or situation.has_reference or not situation.is_newest:
        return None
    if news.value != situation.attempt_state.value or EXPOSURE[situation.attempt_state] is Exposure.CLOSED:
        return None
    return Decision(
        attempt_state=situation.attempt_state,
        exposure=EXPOSURE[situation.attempt_state],
        phase=situation.phase,
        status=status_of(situation.phase, situation.attempt_state),
        reason="the provider names its reference number",
        words=report.words,
        review_reason=situation.review_reason,
        reference=report.reference,
        is_note=True,
    )


def give_to_person(situation: Situation, reason: str) -> Decision | None:
    """What to write when nobody could explain an open attempt in time; None when a person has been asked already."""
    if situation.reviewing:
        return None
    return Decision(
        attempt_state=situation.attempt_state,
        exposure=EXPOSURE[situation.attempt_state],
        phase=Phase.NEEDS_REVIEW,
        status=status_of(Phase.NEEDS_REVIEW, situation.attempt_state),
        reason=reason,
        review_reason=reason,
    )


# What a person may say of a manual payout, and in which states of its attempt (Plugipay sheet, section 8 and P-6).
_MARKABLE = (AttemptState.SENDING, AttemptState.UNCONFIRMED, AttemptState.PENDING)
MARKS: dict[Progress, tuple[AttemptState, ...]] = {
    Progress.IN_TRANSIT: _MARKABLE,
    Progress.PAID: (AttemptState.IN_TRANSIT,),
    Progress.FAILED: (*_MARKABLE, AttemptState.IN_TRANSIT),
    Progress.RETURNED: (AttemptState.PAID,),
    Progress.CANCELLED: _MARKABLE,
}


# What each outcome makes of an attempt. For one that is over, only what does not reopen it.
_OPEN_OUTCOMES = {
    Outcome.PAID: _S.PAID,
    Outcome.FAILED: _S.FAILED,
    Outcome.RETURNED: _S.RETURNED,
    Outcome.NOT_SENT: _S.NOT_SENT,
}
RESOLVED: dict[AttemptState, dict[Outcome, AttemptState]] = {
    _S.SENDING: {},  # somebody is sending it: wait until the answer or the lease is over
    _S.UNCONFIRMED: _OPEN_OUTCOMES,
    _S.PENDING: _OPEN_OUTCOMES,
    _S.IN_TRANSIT: _OPEN_OUTCOMES,
    _S.PAID: {Outcome.PAID: _S.PAID, Outcome.RETURNED: _S.RETURNED},
    _S.RETURNED: {Outcome.RETURNED: _S.RETURNED},
    _S.FAILED: {Outcome.FAILED: _S.FAILED, Outcome.PAID: _S.PAID},
    _S.NOT_SENT: {Outcome.NOT_SENT: _S.NOT_SENT, Outcome.PAID: _S.PAID},
    _S.REFUSED: {Outcome.FAILED: _S.REFUSED, Outcome.PAID: _S.PAID},
    _S.CANCELLED: {Outcome.FAILED: _S.CANCELLED},
}


class Unresolvable(StrEnum):
    """Why the desk cannot say this of an attempt."""

    OFF_DESK = "off_desk"  # no person was asked
    SENDING = "sending"  # it is on its way out, so nobody can know yet
    OVERTAKEN = "overtaken"  # another attempt was made after it: a late fact belongs to its own attempt
    IMPOSSIBLE = "impossible"  # it is over, and this is not how
    PAID_LATE = "paid_late"  # its hold is released: money that left all the same is an incident, with books of its own
    PAID_ELSEWHERE = "paid_elsewhere"  # another attempt paid after it had ended: going out again would pay twice


_FOUND_OUT = {
    Outcome.PAID: "that it was paid",
    Outcome.FAILED: "that it is over and no money has moved",
    Outcome.RETURNED: "that it was paid and the money is back",
    Outcome.NOT_SENT: "that the provider never had it",
}
_FAILURE_AT_DESK = {Phase.FAILED: FailureCode.OPERATOR, Phase.RETURNED: FailureCode.RETURNED}


def _unresolvable(outcome: Outcome, situation: Situation, *, being_sent: bool, paid_elsewhere: bool) -> Unresolvable | None:
    if not situation.reviewing:
        return Unresolvable.OFF_DESK
    if being_sent or situation.attempt_state is AttemptState.SENDING:
        return Unresolvable.SENDING
    reopens = outcome is Outcome.PAID and situation.attempt_state in REOPENED
    if reopens and (situation.phase in FINAL_PHASES or not situation.is_newest):
        return Unresolvable.PAID_LATE
    if not situation.is_newest:
        return Unresolvable.OVERTAKEN
    if outcome not in RESOLVED[situation.attempt_state]:
        return Unresolvable.IMPOSSIBLE
    goes_out_again = outcome is Outcome.NOT_SENT and situation.phase not in FINAL_PHASES
    return Unresolvable.PAID_ELSEWHERE if goes_out_again and paid_elsewhere else None


def resolve(
    outcome: Outcome, situation: Situation, *, being_sent: bool = False, paid_elsewhere: bool = False
) -> Decision | Unresolvable:
    """What two people at the desk change by finding out how the newest attempt ended; or why they cannot say so.

    `being_sent`: a repetition with the same key may still be on its way. `paid_elsewhere`: another attempt of the payout is
    known to have paid after it had ended.
    """
    if why := _unresolvable(outcome, situation, being_sent=being_sent, paid_elsewhere=paid_elsewhere):
        return why
    state = RESOLVED[situation.attempt_state][outcome]
    stands = state is situation.attempt_state
    decided = replace(situation, paid_elsewhere=False)  # these are the people whom that was waiting for
    phase = situation.phase if stands and situation.phase in FINAL_PHASES else _phase(_to(state), state, decided)
    return Decision(
        attempt_state=state,
        exposure=EXPOSURE[state],
        phase=phase,
        status=status_of(phase, state),
        reason=f"two people found out {_FOUND_OUT[outcome]}{', as it stood' if stands else ''}",
        move=move_of(situation.phase, phase),
        resend_after_s=_resend_after_s(None, phase, situation),
        failure_code=_FAILURE_AT_DESK.get(phase),
        ended=Ended.NOT_SENT if phase is Phase.QUEUED else None,
    )


def is_unsent(phase: Phase, state: AttemptState | None) -> bool:
    """Whether nothing of an unfinished payout is out: it is queued, or waits for a person before its first attempt."""
    return phase is Phase.QUEUED or (phase is Phase.NEEDS_REVIEW and state is None)


def is_cancelable(
    phase: Phase, state: AttemptState | None, *, operator_marks: bool, at_provider: bool = False, asked: bool = False
) -> bool:
    """Whether cancel will be tried now: nothing was sent, nobody has started to send it, or the provider can be asked.

    `at_provider`: the contract lets a pending payout be cancelled there; `asked`: it has been asked for already.
    """
    if is_unsent(phase, state):
        return True
    if at_provider and not operator_marks:
        return state is AttemptState.PENDING and phase not in FINAL_PHASES and not asked
    return operator_marks and phase is Phase.PROCESSING and state in MARKS[Progress.CANCELLED]
