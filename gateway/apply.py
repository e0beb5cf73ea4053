"""apply: the one way in which a report moves a payout.

Loads where the payout stands, lets `gateway.lifecycle` decide, writes by compare-and-set, and decides again when somebody
else was faster. Every report is kept, whether it changed anything or not. Never calls a provider.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import structlog

from gateway.gather import Gather
from gateway.ids import new_id
from gateway.lifecycle import Decision, Situation, decide, give_to_person, move_of, status_of
from gateway.metrics import Metrics
from gateway.store import attempts as attempt_store
from gateway.store.changes import Change, StoredReport, record_changes, record_reports
from gateway.store.database import Pool
from gateway.store.rows import AttemptRow, PayoutRow
from schemas import ids
from schemas.contract import Contract
from schemas.failure import FAILURE_MEANING, FailureCode
from schemas.payout import EXPOSURE, FINAL_PHASES, AttemptState, Exposure, Phase, Status
from schemas.report import Report, Taken, Unclear, Words

_log = structlog.get_logger(__name__)
_MAX_ROUNDS = 20


class MovedOnError(RuntimeError):
    """The payout kept moving while we tried to change it. Nothing was written; read it again and decide anew."""


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


def absence_believed(contract: Contract, attempt: AttemptRow) -> bool:
    """Whether "not found" is proof by now: their find is authoritative, its time has passed, and no repetition is due."""
    return contract.find_by_key and attempt.quiet_s >= contract.visibility_s and not may_resend(contract, attempt)


def may_resend(contract: Contract, attempt: AttemptRow) -> bool:
    """Whether the provider surely still knows the attempt's key, so that the same order again cannot pay twice."""
    return attempt.state is AttemptState.UNCONFIRMED and attempt.age_s < contract.replay_window_s


def next_check_s(contract: Contract, age_s: float) -> float | None:
    """Seconds until an open attempt of this age is read again; None when only a person can tell."""
    if contract.operator_marks:
        return None
    later = [at for at in contract.poll_after_s if at > age_s]
    return later[0] - age_s if later else contract.poll_after_s[-1]


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
    )


def _event_type(before: Situation, decision: Decision) -> str:
    if decision.is_note:
        return "payout.reference"
    if decision.review_reason and not before.reviewing:
        return "payout.contradicted" if decision.phase in FINAL_PHASES else "payout.needs_review"
    if decision.phase is Phase.QUEUED:
        return "payout.requeued"
    return f"payout.{decision.phase if decision.phase in FINAL_PHASES else decision.attempt_state}"


def change_of(attempt: AttemptRow, decision: Decision, contract: Contract, said: Said | None, source: str) -> Change:
    """A decision as the row change that carries it out."""
    words = decision.words
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
        event_type=_event_type(situation_of(attempt), decision),
        source=source,
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
        check_in_s=next_check_s(contract, attempt.age_s) if decision.exposure is Exposure.OPEN else None,
        words=_words(words),
        evidence=said.evidence if said else None,
        tx_id=new_id(ids.LEDGER_TRANSACTION) if decision.move else None,
        move=decision.move,
        amount_minor=attempt.amount_minor,
        currency=attempt.currency,
    )


def _detail(said: Said) -> dict[str, Any]:
    """What is kept of a report: all that it said, and what a person gave with it."""
    # Not `dataclasses.asdict`: it copies deeply, and orjson writes what is nested in a report as it is.
    given = {name: getattr(said.report, name) for name in said.report.__slots__}
    given |= {"evidence": said.evidence, "failure_text": said.failure_text}
    return {name: value for name, value in given.items() if value is not None}


class Apply:
    """Applies reports, many in one commit."""

    def __init__(
        self, pool: Pool, contract_of: Callable[[str], Contract], metrics: Metrics, on_queued: Callable[[], None]
    ) -> None:
        """`on_queued` is called when a payout went back to the queue, so that the dispatcher need not wait."""
        self._pool = pool
        self._contract_of = contract_of
        self._metrics = metrics
        self._on_queued = on_queued
        self._gather: Gather[Said, Decision | None] = Gather(self._flush)

    async def __call__(self, said: Said) -> Decision | None:
        """Apply one report together with whatever else is waiting; None when it changed nothing."""
        return await self._gather.submit(said)

    async def by_person(self, said: Said) -> Decision | None:
        """Apply a person's word alone, since its request key may turn out to be used; `asyncpg.UniqueViolationError` then."""
        return (await self._flush([said]))[0]

    async def to_person(self, attempt: AttemptRow, reason: str) -> None:
        """Put an attempt that nobody can explain on a person's desk. Its money stays reserved."""
        decision = give_to_person(situation_of(attempt), reason)
        if decision is None:
            return
        change = change_of(attempt, decision, self._contract_of(attempt.provider), None, "reconciler")
        if await record_changes(self._pool, [change]):
            self._count(attempt, decision)
            _log.error("payout.needs_review", payout=attempt.payout_id, attempt=attempt.id, reason=reason)

    async def cancel_queued(self, payout: PayoutRow, *, source: str, request_key: str, fingerprint: bytes) -> None:
        """Cancel a payout that was never sent. Raises `MovedOnError` when it has just gone out."""
        change = Change(
            account_id=payout.account_id,
            payout_id=payout.id,
            expected_seq=payout.seq,
            phase=Phase.CANCELLED,
            status=Status.CANCELLED,
            event_id=new_id(ids.EVENT),
            event_type="payout.cancelled",
            source=source,
            reason="cancelled before anything was sent",
            request_key=request_key,
            fingerprint=fingerprint.hex(),
            completed=True,
            tx_id=new_id(ids.LEDGER_TRANSACTION),
            move="release",
            amount_minor=payout.amount_minor,
            currency=payout.currency,
        )
        if not await record_changes(self._pool, [change]):
            raise MovedOnError(f"{payout.id} was sent while it was being cancelled")
        self._metrics.payouts.labels(Phase.CANCELLED, payout.provider, "").inc()

    async def ask_to_cancel(self, payout: PayoutRow, *, source: str, request_key: str, fingerprint: bytes) -> None:
        """Have the reconciler ask the provider to stop it; nothing moves before a read says so. `MovedOnError` if it moved."""
        if payout.attempt_state is None:
            raise MovedOnError(f"{payout.id} has no attempt that could be cancelled")
        change = Change(
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
            attempt_state=payout.attempt_state,
            exposure=EXPOSURE[payout.attempt_state],
            check_in_s=0.0,
            cancel_asked=True,
        )
        if not await record_changes(self._pool, [change]):
            raise MovedOnError(f"{payout.id} moved while its cancellation was being asked for")

    async def move_unsent(
        self,
        payout: Unsent,
        phase: Phase,
        *,
        event_type: str,
        source: str,
        reason: str,
        review_reason: str | None = None,
        failure_code: FailureCode | None = None,
    ) -> bool:
        """Move a payout that has no attempt at all: back to the queue, to a person, or to its end. False: it has moved on."""
        move = move_of(payout.phase, phase)
        change = Change(
            account_id=payout.account_id,
            payout_id=payout.id,
            expected_seq=payout.seq,
            phase=phase,
            status=status_of(phase, None),
            event_id=new_id(ids.EVENT),
            event_type=event_type,
            source=source,
            reason=reason,
            review_reason=review_reason,
            failure_code=failure_code,
            failure_text=reason if failure_code else None,
            completed=phase in FINAL_PHASES,
            tx_id=new_id(ids.LEDGER_TRANSACTION) if move else None,
            move=move,
            amount_minor=payout.amount_minor,
            currency=payout.currency,
        )
        if not await record_changes(self._pool, [change]):
            return False
        self._metrics.payouts.labels(phase, payout.provider, failure_code or "").inc()
        if phase is Phase.QUEUED:
            self._on_queued()
        return True

    async def drain(self) -> None:
        """Wait until everything that was submitted is written."""
        await self._gather.drain()

    async def _flush(self, batch: list[Said]) -> list[Decision | None]:
        decisions: list[Decision | None] = [None] * len(batch)
        attempts = await attempt_store.get_attempts(self._pool, {(s.account_id, s.attempt_id) for s in batch})
        learned: list[StoredReport] = []
        left = [index for index, said in enumerate(batch) if said.attempt_id in attempts]
        for _ in range(_MAX_ROUNDS):
            if not left:
                break
            left = await self._round(batch, left, attempts, decisions, learned)
            if left:
                attempts |= await attempt_store.get_attempts(
                    self._pool, {(batch[i].account_id, batch[i].attempt_id) for i in left}
                )
        if learned:
            await record_reports(self._pool, learned)
        if left:
            raise MovedOnError("payouts moved faster than we could decide about them; their reports will be read again")
        return decisions

    async def _round(
        self,
        batch: Sequence[Said],
        left: Sequence[int],
        attempts: Mapping[str, AttemptRow],
        decisions: list[Decision | None],
        learned: list[StoredReport],
    ) -> list[int]:
        """Decide and write once; returns the reports that have to be decided again."""
        again: list[int] = []
        changes: dict[str, tuple[int, AttemptRow, Change, Decision]] = {}
        for index in left:
            said, attempt = batch[index], attempts[batch[index].attempt_id]
            contract = self._contract_of(attempt.provider)
            if attempt.payout_id in changes:  # a second report about the same payout waits for the first
                again.append(index)
                continue
            if said.allowed_from is not None and attempt.state not in said.allowed_from:
                continue
            decision = decide(said.report, situation_of(attempt), absence_believed=absence_believed(contract, attempt))
            if decision is None:
                learned.append(self._stored(said, attempt, changed=False))
                continue
            if said.source.startswith("key:"):
                decision = replace(decision, reason=f"marked by an operator: {decision.attempt_state}")
            changes[attempt.payout_id] = (index, attempt, change_of(attempt, decision, contract, said, said.source), decision)

        if not changes:
            return again
        written = await record_changes(self._pool, [change for _, _, change, _ in changes.values()])
        for payout_id, (index, attempt, _, decision) in changes.items():
            if payout_id not in written:
                again.append(index)
                continue
            decisions[index] = decision
            learned.append(self._stored(batch[index], attempt, changed=True))
            self._count(attempt, decision)
            frees_slot = self._contract_of(attempt.provider).max_scheduled is not None
            if decision.phase is Phase.QUEUED or frees_slot:  # what waited for the slot need not wait for the next poll
                self._on_queued()
        return again

    def _stored(self, said: Said, attempt: AttemptRow, *, changed: bool) -> StoredReport:
        named = said.report if isinstance(said.report, (Taken, Unclear)) else None
        self._metrics.reports.labels(attempt.provider, type(said.report).__name__, str(changed).lower()).inc()
        contract = self._contract_of(attempt.provider)
        reads_again = attempt.exposure is Exposure.OPEN and attempt.state is not AttemptState.SENDING
        return StoredReport(
            account_id=said.account_id,
            attempt_id=said.attempt_id,
            source=said.source,
            kind=type(said.report).__name__,
            detail=_detail(said),
            changed=changed,
            provider_ref=named.provider_ref if named else None,
            submission_ref=named.submission_ref if named else None,
            check_in_s=next_check_s(contract, attempt.age_s) if reads_again else None,
        )

    def _count(self, attempt: AttemptRow, decision: Decision) -> None:
        if decision.is_note:
            return
        self._metrics.payouts_of(decision.phase, attempt.provider, decision.failure_code or "").inc()
        _log.info(
            "payout.moved",
            payout=attempt.payout_id,
            attempt=attempt.id,
            provider=attempt.provider,
            phase=decision.phase,
            attempt_state=decision.attempt_state,
        )
