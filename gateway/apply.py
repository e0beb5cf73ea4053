"""apply: the one way in which a report moves a payout.

Loads where the payout stands, lets `gateway.lifecycle` decide and `gateway.failover` say where it goes next, writes by
compare-and-set together with the report as evidence, and decides again when somebody else was faster. Every report is kept,
whether it changed anything or not. Never calls a provider.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from gateway.failover import Next, follow
from gateway.gather import Gather
from gateway.learned import Learned
from gateway.lifecycle import Decision, Ended, Move, decide, give_to_person
from gateway.metrics import Metrics
from gateway.points import point
from gateway.reading_rules import absence_believed, next_look_s
from gateway.recording import (
    Said,
    Unsent,
    as_asked,
    cancel_request,
    change_of,
    detail_of,
    move_request,
    rerouted_change,
    situation_of,
    unsent_change,
)
from gateway.resolving import DECISION, Resolved
from gateway.routing import Route
from gateway.store import attempts as attempt_store
from gateway.store.accounts import pause_connection
from gateway.store.attempts import Transacting
from gateway.store.changes import Change, StoredReport, WaitsForLookupError, record_changes, record_reports
from gateway.store.database import Pool
from gateway.store.routes import RoutablePayout
from gateway.store.rows import AttemptRow, PayoutRow
from schemas.contract import Contract
from schemas.failure import FailureCode
from schemas.payout import AttemptState, Phase
from schemas.report import Taken, Unclear

_log = structlog.get_logger(__name__)
_MAX_ROUNDS = 20
_UNTIL_RESUMED_S = 10 * 365 * 86_400.0


class MovedOnError(RuntimeError):
    """The payout kept moving while we tried to change it. Nothing was written; read it again and decide anew."""


class Onward(Protocol):
    """Says where payouts may go whose newest attempt has ended: `gateway.onward`."""

    async def __call__(self, ended: Sequence[tuple[AttemptRow, Ended]]) -> Mapping[str, tuple[Next, Route]]:
        """By payout id."""
        ...


@dataclass(slots=True)
class _Decided:
    """What one report of a batch changes."""

    index: int
    attempt: AttemptRow
    decision: Decision
    onward: tuple[Next, Route] | None = None


class Apply:
    """Applies reports, many in one commit."""

    def __init__(
        self,
        pool: Pool,
        contract_of: Callable[[str], Contract],
        metrics: Metrics,
        on_queued: Callable[[], None],
        onward: Onward,
        learned: Learned,
    ) -> None:
        """`on_queued` is called when a payout went back to the queue, so that the dispatcher need not wait."""
        self._pool = pool
        self._contract_of = contract_of
        self._metrics = metrics
        self._on_queued = on_queued
        self._onward = onward
        self._learned = learned
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
        change = change_of(attempt, decision, self._contract_of(attempt.provider), None)
        if await record_changes(self._pool, [change]):
            self._count(attempt, decision)

    async def cancel_queued(self, payout: PayoutRow, *, source: str, request_key: str, fingerprint: bytes) -> None:
        """Cancel a payout that was never sent. Raises `MovedOnError` when it has just gone out, and `WaitsForLookupError`."""
        change = unsent_change(
            payout,
            Phase.CANCELLED,
            event_type="payout.cancelled",
            source=source,
            reason="cancelled before anything was sent",
            request_key=request_key,
            fingerprint=fingerprint,
        )
        if not await record_changes(self._pool, [change]):
            raise MovedOnError(f"{payout.id} was sent while it was being cancelled")
        self._metrics.payouts.labels(Phase.CANCELLED, payout.provider, "").inc()

    async def ask_to_cancel(self, payout: PayoutRow, *, source: str, request_key: str, fingerprint: bytes) -> None:
        """Have the reconciler ask the provider to stop it; nothing moves before a read says so. `MovedOnError` if it moved."""
        if payout.attempt_state is None:
            raise MovedOnError(f"{payout.id} has no attempt that could be cancelled")
        change = cancel_request(payout, payout.attempt_state, source=source, request_key=request_key, fingerprint=fingerprint)
        if not await record_changes(self._pool, [change]):
            raise MovedOnError(f"{payout.id} moved while its cancellation was being asked for")

    async def ask_to_move_on(self, attempt: AttemptRow, reason: str) -> bool:
        """Have a stuck attempt cancelled at its provider, so as to pay through another. False: nobody else can, or it moved.

        Nothing moves before a read says that it is cancelled; if it is too late, it goes on where it is.
        """
        onward, _ = (await self._onward([(attempt, Ended.CANCELLED)]))[attempt.payout_id]
        if onward.to is None:
            return False
        there = f"The provider is asked to cancel it, so that it can go on through {onward.to.contract.title}."
        change = move_request(attempt, f"{reason} {there}")
        return bool(await record_changes(self._pool, [change]))

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
        """Move a payout that has no attempt at all: back to the queue, to a person, or to its end.

        False: it has moved on, or it may have been sent after all and is looked up first.
        """
        change = unsent_change(
            payout,
            phase,
            event_type=event_type,
            source=source,
            reason=reason,
            review_reason=review_reason,
            failure_code=failure_code,
        )
        try:
            if not await record_changes(self._pool, [change]):
                return False
        except WaitsForLookupError:
            return False
        self._metrics.payouts.labels(phase, payout.provider, failure_code or "").inc()
        if phase is Phase.QUEUED:
            self._on_queued()
        return True

    async def reroute(self, payout: RoutablePayout, onward: Next, found: Route, *, source: str) -> bool:
        """Move a queued payout to another connection. False: it has moved on, or there is none."""
        if onward.to is None:
            return False
        change = rerouted_change(payout, onward.to, f"its connection takes nothing at present; {onward.reason}", found, source)
        if not await record_changes(self._pool, [change]):
            return False
        self._on_queued()
        return True

    async def at_desk(self, change: Change, also: Callable[[Transacting], Awaitable[bool]]) -> None:
        """Write a change and what people said with it in one commit. Raises `MovedOnError` if either no longer fits."""
        async with self._pool.acquire() as connection, connection.transaction():
            if not await record_changes(connection, [change]) or not await also(connection):
                raise MovedOnError(f"{change.payout_id} moved while people were deciding about it")

    async def resolve(
        self, resolved: Resolved, attempt: AttemptRow, decision: Decision, also: Callable[[Transacting], Awaitable[bool]]
    ) -> None:
        """Carry out what two people found out; that they did is the evidence. Raises `MovedOnError` if it moved meanwhile."""
        onward = None
        if decision.ended:
            onward = (await self._onward([(attempt, decision.ended)])).get(attempt.payout_id)
        if onward:
            decision = follow(decision, onward[0])
        contract = self._contract_of(attempt.provider)
        await self.at_desk(resolved.change_of(attempt, decision, contract, onward), also)
        self._metrics.reports.labels(attempt.provider, DECISION, "true").inc()
        self._moved(attempt, decision)  # nothing is learned from it: people take longer than providers

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
        decided, again = self._decide(batch, left, attempts, learned)
        if not decided:
            return again
        await self._send_on(decided)
        changes = [
            change_of(d.attempt, d.decision, self._contract_of(d.attempt.provider), batch[d.index], d.onward)
            for d in decided.values()
        ]
        point("before_apply")
        written = await record_changes(self._pool, changes)
        point("after_apply")
        for payout_id, one in decided.items():
            if payout_id not in written:
                again.append(one.index)
                continue
            if one.onward and one.onward[0].to:
                point("failover_written")
            decisions[one.index] = one.decision
            await self._after(batch[one.index], one.attempt, one.decision)
        return again

    def _decide(
        self,
        batch: Sequence[Said],
        left: Sequence[int],
        attempts: Mapping[str, AttemptRow],
        learned: list[StoredReport],
    ) -> tuple[dict[str, _Decided], list[int]]:
        """What each report changes, by payout; and the reports that have to wait, since theirs is being changed."""
        decided: dict[str, _Decided] = {}
        again: list[int] = []
        for index in left:
            said, attempt = batch[index], attempts[batch[index].attempt_id]
            contract = self._contract_of(attempt.provider)
            if attempt.payout_id in decided:
                again.append(index)
                continue
            if said.allowed_from is not None and attempt.state not in said.allowed_from:
                continue
            absent = absence_believed(contract, as_asked(said, attempt))
            decision = decide(said.report, situation_of(attempt), absence_believed=absent)
            if decision is None:
                learned.append(self._stored(said, attempt))
                continue
            if said.source.startswith("key:"):
                because = f". {said.failure_text}" if said.failure_text else ""
                decision = replace(decision, reason=f"marked by an operator: {decision.attempt_state}{because}")
            decided[attempt.payout_id] = _Decided(index, attempt, decision)
        return decided, again

    async def _send_on(self, decided: Mapping[str, _Decided]) -> None:
        """Let failover say where those go whose attempt has ended."""
        ended = [(d.attempt, d.decision.ended) for d in decided.values() if d.decision.ended]
        onward = await self._onward(ended) if ended else {}
        for payout_id, found in onward.items():
            one = decided[payout_id]
            one.onward, one.decision = found, follow(one.decision, found[0])
            if found[0].to:
                point("failover_decided")

    async def _after(self, said: Said, attempt: AttemptRow, decision: Decision) -> None:
        """What follows a change that is written."""
        self._count_report(said, attempt, changed=True)
        self._moved(attempt, decision)
        if decision.move is Move.SETTLE:
            self._learned.paid(attempt.account_id, attempt.connection_id, attempt.age_s)
        if decision.paid_late:
            await self._freeze(attempt)

    def _moved(self, attempt: AttemptRow, decision: Decision) -> None:
        self._count(attempt, decision)
        frees_slot = self._contract_of(attempt.provider).max_scheduled is not None
        if decision.phase is Phase.QUEUED or frees_slot:  # what waited for the slot need not wait for the next poll
            self._on_queued()

    async def _freeze(self, attempt: AttemptRow) -> None:
        """Send nothing more through a connection whose word turned out wrong, until a person has looked."""
        reason = f"attempt {attempt.id} paid although its provider had ended it; send nothing more before this is understood"
        await pause_connection(self._pool, attempt.account_id, attempt.connection_id, for_s=_UNTIL_RESUMED_S, reason=reason)
        _log.error("payout.paid_late", **_named(attempt), provider=attempt.provider)

    def _stored(self, said: Said, attempt: AttemptRow) -> StoredReport:
        """A report that changes nothing, and when its attempt is read again."""
        self._count_report(said, attempt, changed=False)
        named = said.report if isinstance(said.report, (Taken, Unclear)) else None
        contract = self._contract_of(attempt.provider)
        sending = attempt.state is AttemptState.SENDING  # whoever sends it holds a lease on it
        return StoredReport(
            account_id=said.account_id,
            attempt_id=said.attempt_id,
            source=said.source,
            kind=type(said.report).__name__,
            detail=detail_of(said),
            provider_ref=named.provider_ref if named else None,
            submission_ref=named.submission_ref if named else None,
            check_in_s=next_look_s(contract, attempt, attempt.state, attempt.exposure, said.report),
            keeps_check=sending,
        )

    def _count_report(self, said: Said, attempt: AttemptRow, *, changed: bool) -> None:
        self._metrics.reports.labels(attempt.provider, type(said.report).__name__, str(changed).lower()).inc()

    def _count(self, attempt: AttemptRow, decision: Decision) -> None:
        if decision.is_note:
            return
        self._metrics.payouts_of(decision.phase, attempt.provider, decision.failure_code or "").inc()
        _log.info(
            "payout.moved",
            **_named(attempt),
            provider=attempt.provider,
            phase=decision.phase,
            attempt_state=decision.attempt_state,
        )
        if decision.review_reason not in (None, attempt.review_reason):  # whatever the phase: a final one stays beside it
            _log.error("payout.needs_review", **_named(attempt), phase=decision.phase, reason=decision.review_reason)


def _named(attempt: AttemptRow) -> dict[str, str]:
    """What a log line calls it: everything that somebody may search for."""
    return {"account": attempt.account_id, "payout": attempt.payout_id, "attempt": attempt.id}
