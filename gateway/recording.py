"""Recording: a decision as the row change that carries it out, with the report behind it as its evidence.

Pure. What is decided comes from `gateway.lifecycle` and `gateway.failover`; writing it is `gateway.store.changes`.
"""

from dataclasses import dataclass, replace
from typing import Any, Protocol

from gateway.failover import Next
from gateway.ids import new_id
from gateway.lifecycle import Decision, Situation, move_of, status_of
from gateway.reading_rules import next_look_s
from gateway.routing import Candidate, Route
from gateway.store.changes import Change
from gateway.store.routes import RoutablePayout
from gateway.store.rows import AttemptRow, PayoutRow
from schemas import ids
from schemas.contract import Contract
from schemas.failure import FAILURE_MEANING, FailureCode
from schemas.payout import EXPOSURE, FINAL_PHASES, AttemptState, Exposure, Phase, Status
from schemas.report import Report, Words

TIME_IS_OVER = "reconciler"


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A report about one attempt, and who said it. A person's word carries the request that brought it."""

    account_id: str
    attempt_id: str
    report: Report
    source: str
    request_key: str | None = None
    fingerprint: bytes | None = None
    failure_text: str | None = None
    evidence: str | None = None  # how the person knows
    allowed_from: tuple[AttemptState, ...] | None = None  # a person may say this only in these states
    quiet_s: float | None = None  # of a read: how long ago the last send was when the provider was asked


def _words(words: Words) -> dict[str, str] | None:
    given = {"status": words.status, "code": words.code, "text": words.text}
    return {name: value for name, value in given.items() if value} or None


def situation_of(attempt: AttemptRow) -> Situation:
    """An attempt's row as the lifecycle sees it."""
    return Situation(
        phase=attempt.phase,
        attempt_state=attempt.state,
        attempt_number=attempt.number,
        is_newest=attempt.id == attempt.newest_attempt_id,
        amount_minor=attempt.amount_minor,
        currency=attempt.currency,
        review_reason=attempt.review_reason,
        has_reference=attempt.has_reference,
        cancel_asked=attempt.cancel_asked and not attempt.moves_on,
        moves_on=attempt.moves_on,
        paid_late=attempt.paid_late,
        paid_elsewhere=attempt.paid_elsewhere,
    )


def as_asked(said: Said, attempt: AttemptRow) -> AttemptRow:
    """The attempt with no more quiet than the provider had when it was asked: this process may have stood still since.

    "Not found" before the visibility time stays too early, however late it is told.
    """
    if said.quiet_s is None or said.quiet_s >= attempt.quiet_s:
        return attempt
    return replace(attempt, quiet_s=said.quiet_s)


def _event_type(before: Situation, decision: Decision) -> str:
    if decision.is_note:
        return "payout.reference"
    if decision.paid_late:
        return "payout.paid_late"
    if decision.review_reason and not before.reviewing:
        return "payout.contradicted" if decision.phase in FINAL_PHASES else "payout.needs_review"
    if decision.phase is Phase.QUEUED:
        return "payout.requeued"
    return f"payout.{decision.phase if decision.phase in FINAL_PHASES else decision.attempt_state}"


def change_of(
    attempt: AttemptRow,
    decision: Decision,
    contract: Contract,
    said: Said | None,
    onward: tuple[Next, Route] | None = None,
) -> Change:
    """A decision as the row change that carries it out, with where the payout goes on if it leaves its connection."""
    words = decision.words
    to = onward[0].to if onward else None
    # It had ended and the payout had moved on: its money turned out to be here.
    paid_after_all = decision.attempt_state is AttemptState.PAID and attempt.exposure is Exposure.CLOSED
    failure_text = None
    if decision.failure_code:
        given = said.failure_text if said else None
        failure_text = given or words.text or words.code or FAILURE_MEANING[decision.failure_code].happened
    return Change(
        account_id=attempt.account_id,
        payout_id=attempt.payout_id,
        expected_seq=attempt.seq,
        phase=decision.phase,
        status=decision.status,
        event_id=new_id(ids.EVENT),
        event_type="payout.failed_over" if to else _event_type(situation_of(attempt), decision),
        source=said.source if said else TIME_IS_OVER,
        reason=decision.reason,
        request_key=said.request_key if said else None,
        fingerprint=said.fingerprint.hex() if said and said.fingerprint else None,
        due_in_s=decision.resend_after_s,
        alone=decision.resend_alone,
        review_reason=decision.review_reason,
        failure_code=decision.failure_code,
        failure_text=failure_text,
        failure_provider_code=words.code if decision.failure_code else None,
        failure_provider_text=words.text if decision.failure_code else None,
        reference=decision.reference,
        processed=decision.attempt_state in (AttemptState.IN_TRANSIT, AttemptState.PAID),
        completed=decision.phase in FINAL_PHASES,
        final_in_s=contract.return_window_s if decision.phase is Phase.PAID and attempt.phase is not Phase.PAID else None,
        attempt_id=attempt.id,
        attempt_state=decision.attempt_state,
        exposure=decision.exposure,
        provider_ref=decision.provider_ref,
        submission_ref=decision.submission_ref,
        check_in_s=next_look_s(contract, attempt, decision.attempt_state, decision.exposure, said.report if said else None),
        paid_late=decision.paid_late,
        provider=to.contract.provider if to else attempt.provider if paid_after_all else None,
        connection_id=to.connection_id if to else attempt.connection_id if paid_after_all else None,
        method=to.contract.method if to else contract.method if paid_after_all else None,
        route=onward[1].codes() if onward and to else None,
        report_kind=type(said.report).__name__ if said else None,
        report_detail=detail_of(said) if said else None,
        words=_words(words),
        evidence=said.evidence if said else None,
        tx_id=new_id(ids.LEDGER_TRANSACTION) if decision.move else None,
        move=decision.move,
        amount_minor=attempt.amount_minor,
        currency=attempt.currency,
    )


class Unsent(Protocol):
    """A payout without an attempt, as far as moving it needs."""

    @property
    def account_id(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def seq(self) -> int: ...
    @property
    def phase(self) -> Phase: ...
    @property
    def provider(self) -> str: ...
    @property
    def amount_minor(self) -> int: ...
    @property
    def currency(self) -> str: ...


def unsent_change(
    payout: Unsent,
    phase: Phase,
    *,
    event_type: str,
    source: str,
    reason: str,
    review_reason: str | None = None,
    failure_code: FailureCode | None = None,
    request_key: str | None = None,
    fingerprint: bytes | None = None,
) -> Change:
    """The move of a payout of which nothing is out, with what it does to the books."""
    move = move_of(payout.phase, phase)
    return Change(
        account_id=payout.account_id,
        payout_id=payout.id,
        expected_seq=payout.seq,
        phase=phase,
        status=status_of(phase, None),
        event_id=new_id(ids.EVENT),
        event_type=event_type,
        source=source,
        reason=reason,
        request_key=request_key,
        fingerprint=fingerprint.hex() if fingerprint else None,
        review_reason=review_reason,
        failure_code=failure_code,
        failure_text=reason if failure_code else None,
        completed=phase in FINAL_PHASES,
        tx_id=new_id(ids.LEDGER_TRANSACTION) if move else None,
        move=move,
        amount_minor=payout.amount_minor,
        currency=payout.currency,
    )


def cancel_request(
    payout: PayoutRow, attempt_state: AttemptState, *, source: str, request_key: str, fingerprint: bytes
) -> Change:
    """That the provider is to be asked to cancel a payout's attempt: nothing moves before a read says so."""
    return Change(
        account_id=payout.account_id,
        payout_id=payout.id,
        expected_seq=payout.seq,
        phase=payout.phase,
        status=payout.status,
        event_id=new_id(ids.EVENT),
        event_type="payout.cancel_requested",
        source=source,
        reason="the provider will be asked to cancel it; it may be too late, and then the payout goes on",
        request_key=request_key,
        fingerprint=fingerprint.hex(),
        review_reason=payout.review_reason,
        attempt_id=payout.attempt_id,
        attempt_state=attempt_state,
        exposure=EXPOSURE[attempt_state],
        check_in_s=0.0,
        cancel_asked=True,
    )


def move_request(attempt: AttemptRow, reason: str) -> Change:
    """The same of a stuck attempt, so that its payout can go on through another connection."""
    return Change(
        account_id=attempt.account_id,
        payout_id=attempt.payout_id,
        expected_seq=attempt.seq,
        phase=attempt.phase,
        status=status_of(attempt.phase, attempt.state),
        event_id=new_id(ids.EVENT),
        event_type="payout.move_requested",
        source=TIME_IS_OVER,
        reason=reason,
        review_reason=attempt.review_reason,
        attempt_id=attempt.id,
        attempt_state=attempt.state,
        exposure=attempt.exposure,
        check_in_s=0.0,
        cancel_asked=True,
        moves_on=True,
    )


def rerouted_change(payout: RoutablePayout, to: Candidate, reason: str, found: Route, source: str) -> Change:
    """A queued payout's move to another connection."""
    return Change(
        account_id=payout.account_id,
        payout_id=payout.id,
        expected_seq=payout.seq,
        phase=Phase.QUEUED,
        status=Status.PENDING,
        event_id=new_id(ids.EVENT),
        event_type="payout.rerouted",
        source=source,
        reason=reason,
        due_in_s=to.contract.batch_linger_s,
        provider=to.contract.provider,
        connection_id=to.connection_id,
        method=to.contract.method,
        route=found.codes(),
    )


def detail_of(said: Said) -> dict[str, Any]:
    """What is kept of a report: all that it said, and what a person gave with it."""
    # Not `dataclasses.asdict`: it copies deeply, and orjson writes what is nested in a report as it is.
    given = {name: getattr(said.report, name) for name in said.report.__slots__}
    given |= {"evidence": said.evidence, "failure_text": said.failure_text}
    return {name: value for name, value in given.items() if value is not None}
