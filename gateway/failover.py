"""Failover: whether the next attempt of a payout may go to another connection, to which, and why that is safe.

Pure. It is asked only about payouts whose newest attempt has ended by evidence (`gateway.lifecycle.Ended`): whoever is not
sure whether money is out never gets here. The limits of the account's policy only make it stricter.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from gateway.lifecycle import Decision, Ended
from gateway.routing import Candidate, Route
from schemas.payout import AttemptState, Phase, Status
from schemas.policy import Failover

# Why the next provider cannot pay a second time (design section 4).
SAFE_BECAUSE: dict[Ended, str] = {
    Ended.NOT_SENT: "nothing left for the provider",
    Ended.REFUSED: "the provider refused it before it accepted anything",
    Ended.FAILED: "the provider reported its final failure, after which no money has moved",
    Ended.CANCELLED: "the provider confirmed to a read that it was cancelled",
}
# A connection that answered like this about a payout will not be asked again about the same one.
_HAD_ITS_SAY = frozenset({AttemptState.REFUSED, AttemptState.FAILED, AttemptState.CANCELLED, AttemptState.RETURNED})
_SEND_AGAIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Tried:
    """One attempt that this payout has had."""

    connection_id: str
    state: AttemptState


@dataclass(frozen=True, slots=True)
class Next:
    """Where the payout goes; `to` is None when it goes nowhere else, and `reason` says why either way."""

    to: Candidate | None
    reason: str
    tried_before: bool = False  # then it waits its turn: two connections that are both down must not be asked in a circle


def _limit(tried: Sequence[Tried], limits: Failover, age_s: float) -> str | None:
    if not limits.enabled:
        return "failover is switched off for this account"
    reached = sum(one.state is not AttemptState.NOT_SENT for one in tried)
    if reached >= limits.max_attempts:
        return f"it has reached the limit of {limits.max_attempts} attempts"
    if age_s > limits.max_age_seconds:
        return f"it is older than the limit of {limits.max_age_seconds} s"
    return None


def next_connection(ended: Ended, *, at: str, tried: Sequence[Tried], route: Route, limits: Failover, age_s: float) -> Next:
    """The next connection for a payout whose attempt at `at` has ended so. Never the same one."""
    if limit := _limit(tried, limits, age_s):
        return Next(None, f"no other provider is tried: {limit}")
    said = {one.connection_id for one in tried if one.state in _HAD_ITS_SAY}
    met = {one.connection_id for one in tried}
    fitting = [c for c in route.ordered if c.connection_id != at and c.connection_id not in said and _allowed(c, limits)]
    # One that works now and was never tried, else one that works and could not be reached earlier. What is down can wait here.
    chosen = next(_working(fitting, route, met, want_met=False), None) or next(
        _working(fitting, route, met, want_met=True), None
    )
    if chosen is None and ended is not Ended.NOT_SENT:
        chosen = next(iter(fitting), None)
    if chosen is None:
        return Next(None, "no other connection can carry it")
    return Next(
        chosen,
        f"it goes on through {chosen.contract.title} ({chosen.name}), which is safe since {SAFE_BECAUSE[ended]}",
        tried_before=chosen.connection_id in met,
    )


def _allowed(candidate: Candidate, limits: Failover) -> bool:
    return limits.providers is None or candidate.contract.provider in limits.providers


def _working(fitting: Sequence[Candidate], route: Route, met: set[str], *, want_met: bool) -> Iterator[Candidate]:
    return (c for c in fitting if c.connection_id not in route.behind and (c.connection_id in met) is want_met)


def follow(decision: Decision, onward: Next) -> Decision:
    """The decision with where the payout goes next: on through another connection, or as it was, with why."""
    reason = f"{decision.reason.rstrip('.')}; {onward.reason}"
    if onward.to is None and decision.ended is Ended.CANCELLED:
        # We had it cancelled there so as to move on, and nobody wants it cancelled.
        return replace(
            decision,
            phase=Phase.QUEUED,
            status=Status.PENDING,
            reason=f"{reason}; it is sent again where it was",
            move=None,
            review_reason=None,
            resend_after_s=_SEND_AGAIN_S,
        )
    if onward.to is None:
        return replace(decision, reason=reason)
    wait_s = decision.resend_after_s if onward.tried_before else onward.to.contract.batch_linger_s
    return replace(
        decision,
        phase=Phase.QUEUED,
        status=Status.PENDING,
        reason=reason,
        move=None,
        review_reason=None,
        failure_code=None,
        resend_after_s=wait_s,
        resend_alone=False,
    )
