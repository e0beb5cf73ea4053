"""Decision rules of others, for the comparison; production code contains none of them.

Each replaces functions in a gateway process before it starts, and nothing but the rule it is named for: what such a system
lacks besides (proof in the database, contradictions that reach a person, returns that are booked) it gets here for nothing.
`ours` replaces nothing. None of them needs a guard of the database to be off: a wrong belief is stored like a right one.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from gateway import apply, onward, reading_rules, reconciler, rerouter
from gateway.failover import Next
from gateway.lifecycle import Decision, Situation, decide
from schemas.contract import Contract
from schemas.failure import FailureCode
from schemas.payout import AttemptState
from schemas.report import NotFound, NotSent, Progress, RefusalCause, Refused, Report, Taken, Unclear

OURS = "ours"
_FOR_EVER_S = 1e9


@dataclass(frozen=True, slots=True)
class Policy:
    """A way to decide, and what it believes in one sentence."""

    tells: str
    adopt: Callable[[], None]


def _ours() -> None:
    pass


def _failover_on_timeout() -> None:
    """No clear answer to a send is a refusal: the next provider gets it at once; after the last one it has failed."""

    def hasty(report: Report, situation: Situation, **given: Any) -> Decision | None:
        if isinstance(report, Unclear) and situation.attempt_state is AttemptState.SENDING:
            report = Refused(FailureCode.PROVIDER_UNAVAILABLE, RefusalCause.PAYOUT)
        return decide(report, situation, **given)

    apply.decide = hasty


def _new_key_per_send() -> None:
    """No clear answer to a send: it is sent to the same provider again, as a new request with a key of its own."""

    def fresh(report: Report, situation: Situation, **given: Any) -> Decision | None:
        if not (isinstance(report, Unclear) and situation.attempt_state is AttemptState.SENDING):
            return decide(report, situation, **given)
        decision = decide(NotSent("no answer, so it is sent again"), situation, **given)
        return replace(decision, ended=None) if decision else None

    apply.decide = fresh


def _same_provider_for_ever() -> None:
    """One provider a payout, and the same key until there is an answer, whether or not that provider still knows the key.

    It reads before it repeats; a read that is not answered does not keep it from repeating.
    """
    read_back, mark_resent = reconciler.read_back, reconciler.mark_resent

    def insists(_contract: Contract, attempt: Any) -> bool:
        return attempt.state is AttemptState.UNCONFIRMED

    async def read(connection: Any, attempts: Any) -> list[Report]:
        reports = await read_back(connection, attempts)
        return [
            NotFound(r.reason) if isinstance(r, Unclear) and insists(connection.contract, a) else r
            for a, r in zip(attempts, reports, strict=True)
        ]

    reading_rules.may_resend = reconciler.may_resend = insists
    reconciler.read_back = read
    reconciler.mark_resent = lambda *given, within_s, **named: mark_resent(*given, within_s=_FOR_EVER_S, **named)
    onward.next_connection = rerouter.next_connection = lambda *_, **__: Next(None, "this policy knows one provider")


def _not_found_at_once() -> None:
    """A provider that does not know it has not got it, however young the question is."""
    apply.absence_believed = lambda contract, _attempt: contract.find_by_key
    reconciler.may_resend = lambda *_: False  # it is made anew instead


def _three_results() -> None:
    """A provider's answer is processed, pending or error, and a poller asks about what is pending.

    The realistic reading: an answer that is no clear success or refusal is pending, since it may have arrived; what the
    poller then asks about and the provider does not know is an error, which is the end of it. Polls without an answer are
    made again. Clear refusals are ours to handle, failover included.
    """

    def of_three(report: Report, situation: Situation, **given: Any) -> Decision | None:
        if not (isinstance(report, NotFound) and situation.attempt_state is AttemptState.UNCONFIRMED):
            return decide(report, situation, **given)
        decision = decide(Taken(Progress.FAILED, failure_code=FailureCode.UNEXPLAINED), situation, **given)
        return replace(decision, ended=None) if decision else None

    apply.decide = of_three
    reconciler.may_resend = lambda *_: False


POLICIES: dict[str, Policy] = {
    "failover_on_timeout": Policy("no answer = refused: the next provider at once", _failover_on_timeout),
    "new_key_per_send": Policy("no answer = sent again with a new key", _new_key_per_send),
    "same_provider_for_ever": Policy("one provider, the same key until it answers", _same_provider_for_ever),
    "not_found_at_once": Policy('"not found" = it did not happen', _not_found_at_once),
    "three_results": Policy("processed, pending or error, with a poller", _three_results),
    OURS: Policy("ours: only evidence ends an attempt", _ours),
}


def adopt(name: str) -> None:
    """Make this process decide by the policy with this name."""
    if name != OURS:
        # Nobody else stops a connection for good because it paid late: it would end their runs instead of showing them.
        apply.Apply._freeze = _go_on
    POLICIES[name].adopt()


async def _go_on(_self: apply.Apply, _attempt: Any) -> None:
    pass
