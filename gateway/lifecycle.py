"""The lifecycle: what a report does to an attempt and its payout, as one pure table.

The only place that decides how a payout moves. No await, no clock, no network, no database: whoever calls it has already
worked out from clock and contract whether a "not found" may be believed (`Absent`) and passes the answer in.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from schemas.failure import FAILURE_MEANING, FailureCode
from schemas.payout import EXPOSURE, FINAL_PHASES, AttemptState, Exposure, Phase, Status
from schemas.report import NO_WORDS, NotFound, NotSent, Progress, RefusalCause, Refused, Report, Taken, Unclear, Words


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
    """One cell of the table: the attempt's next state (None = stays), and whether a person must look."""

    next_state: AttemptState | None = None
    review: bool = False


_S = AttemptState
KEEP = Cell()  # the report is stored and changes nothing
REVIEW = Cell(review=True)


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
        News.PAID: REVIEW,  # contradiction: the hold is released and the money is gone
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
        News.PAID: REVIEW,
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
            News.PAID: REVIEW,
            News.RETURNED: REVIEW,
            News.MISMATCH: REVIEW,
        }
        for state in (_S.NOT_SENT, _S.REFUSED)
    },
}

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


class Move(StrEnum):
    """What a change does to the books."""

    SETTLE = "settle"
    RELEASE = "release"
    RETURN = "return"


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


def decide(report: Report, situation: Situation, *, absence_believed: bool = False) -> Decision | None:
    """What a report changes; None when it is stored and changes nothing."""
    news = news_of(report, situation, absence_believed=absence_believed)
    cell = TABLE[situation.attempt_state][news]
    if cell == KEEP or (cell == REVIEW and situation.reviewing):
        return _reference_note(report, news, situation)

    state = cell.next_state or situation.attempt_state
    reason = _reason(report, news)
    phase = PHASE_OF[state] if situation.is_newest else situation.phase
    resend_after_s = None
    if situation.is_newest and state is AttemptState.REFUSED and isinstance(report, Refused) and report.cause in RESENDABLE:
        phase = Phase.QUEUED
        resend_after_s = RESENDABLE[report.cause] if report.retry_after_s is None else report.retry_after_s
    elif phase is Phase.QUEUED:
        resend_after_s = RESEND_AFTER_S[min(situation.attempt_number, len(RESEND_AFTER_S)) - 1]
    if cell.review and situation.phase in FINAL_PHASES:
        phase = situation.phase  # a final state is never reopened: the contradiction goes to a person beside it
    elif cell.review or (situation.reviewing and phase is Phase.PROCESSING):
        phase = Phase.NEEDS_REVIEW  # a person was asked: only a final fact answers for them

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
        review_reason=reason if cell.review else situation.review_reason if phase is Phase.NEEDS_REVIEW else None,
        move=move_of(situation.phase, phase),
        resend_after_s=resend_after_s,
        resend_alone=isinstance(report, Refused) and report.cause is RefusalCause.ALONE,
        failure_code=failure if phase in (Phase.FAILED, Phase.RETURNED) else None,
        reference=taken.reference if taken else None,
        provider_ref=named.provider_ref if named else None,
        submission_ref=named.submission_ref if named else None,
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
