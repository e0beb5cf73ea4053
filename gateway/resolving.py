"""Resolving: what people at the desk say, as the row changes that carry it out, with both of them as the evidence.

Pure. What follows from an outcome is `gateway.lifecycle`; who may confirm whom is `gateway.desk`.
"""

from dataclasses import dataclass, replace
from typing import Final

from gateway import recording
from gateway.failover import Next
from gateway.ids import new_id
from gateway.lifecycle import Decision
from gateway.routing import Route
from gateway.store.changes import Change
from gateway.store.rows import AttemptRow, PayoutRow, ProposalRow
from schemas import ids
from schemas.contract import Contract

DECISION: Final = "Decision"  # the kind of report that is the evidence of what two people found out


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What one person says at the desk, and the request that brought it."""

    account_id: str
    key_id: str
    person: str
    outcome: str
    evidence: str
    reason: str
    request_key: str
    fingerprint: bytes

    @property
    def source(self) -> str:
        """How it appears in timelines."""
        return f"key:{self.key_id}"


def is_same_person(one: str, other: str) -> bool:
    """Whether two names are of one person, however they are written."""
    return one.casefold() == other.casefold()


def _who(person: str, key_id: str) -> str:
    return f"{person} ({key_id})"


def _step(payout: PayoutRow, word: Word, event_type: str, reason: str, evidence: str) -> Change:
    """A step of the timeline that moves nothing."""
    return Change(
        account_id=payout.account_id,
        payout_id=payout.id,
        expected_seq=payout.seq,
        phase=payout.phase,
        status=payout.status,
        event_id=new_id(ids.EVENT),
        event_type=event_type,
        source=word.source,
        reason=reason,
        evidence=evidence,
        review_reason=payout.review_reason,
        attempt_id=payout.attempt_id,
        request_key=word.request_key,
        fingerprint=word.fingerprint.hex(),
    )


def proposed(payout: PayoutRow, word: Word) -> Change:
    """The step that shows what a first person found out."""
    reason = f"{_who(word.person, word.key_id)} found out: {word.outcome}. {word.reason}. A second person has to confirm it"
    return _step(payout, word, "payout.resolution_proposed", reason, word.evidence)


def withdrawn(payout: PayoutRow, word: Word, proposal: ProposalRow) -> Change:
    """The step that shows that the first person has taken it back."""
    reason = f"{_who(word.person, word.key_id)} takes back what they proposed: {proposal.outcome}. {word.reason}"
    return _step(payout, word, "payout.resolution_withdrawn", reason, word.evidence)


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a second person has confirmed."""

    proposal: ProposalRow
    word: Word

    def change_of(
        self, attempt: AttemptRow, decision: Decision, contract: Contract, onward: tuple[Next, Route] | None
    ) -> Change:
        """The decision as the row change that carries it out."""
        first, second = self.proposal, self.word
        by = f"found out by {_who(first.proposed_person, first.proposed_by)}, confirmed by {_who(second.person, second.key_id)}"
        change = recording.change_of(attempt, decision, contract, None, onward)
        stands = (attempt.phase, attempt.state) == (decision.phase, decision.attempt_state)
        return replace(
            change,
            event_type="payout.resolved" if stands else change.event_type,
            source=second.source,
            reason=f"{decision.reason}; {by}: {first.reason}",
            evidence=first.evidence if first.evidence == second.evidence else f"{first.evidence}; {second.evidence}",
            failure_text=first.reason if decision.failure_code else None,
            request_key=second.request_key,
            fingerprint=second.fingerprint.hex(),
            report_kind=DECISION,
            report_detail={
                "decision": first.id,
                "outcome": first.outcome,
                "evidence": first.evidence,
                "reason": first.reason,
                "proposed_by": first.proposed_by,
                "proposed_person": first.proposed_person,
                "proposed_at": first.proposed_at.isoformat(),
                "confirmed_by": second.key_id,
                "confirmed_person": second.person,
                "confirmed_evidence": second.evidence,
                "confirmed_reason": second.reason,
            },
        )
