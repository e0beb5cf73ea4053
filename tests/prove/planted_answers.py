"""Planted bugs of what an answer means: B3 to B7, B15. Each makes one kind of answer say more than it does."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from gateway import apply, dispatcher, lifecycle, reconciler
from schemas.failure import FailureCode
from schemas.payout import AttemptState
from schemas.report import Progress, RefusalCause, Refused, Report, Taken, Unclear
from tests.prove.patching import Bug, Patching

_FAILED = Taken(Progress.FAILED, failure_code=FailureCode.PROVIDER_UNAVAILABLE)
_IN_TIME = re.compile("in time")
_5XX = re.compile(r"HTTP 5\d\d")
_UNREADABLE_2XX = re.compile(r"HTTP 2\d\d with|ClientPayloadError")


def _every_send_says(meaning: Callable[[Report], Report]) -> Callable[[Patching], None]:
    """What sends are answered goes through `meaning`."""

    def plant(patch: Patching) -> None:
        for loop in (dispatcher, reconciler):
            submit_all = loop.submit_all

            async def submit(*given: Any, submit_all: Any = submit_all, **named: Any) -> Sequence[Report]:
                return [meaning(report) for report in await submit_all(*given, **named)]

            patch.setattr(loop, "submit_all", submit)

    return plant


def _unclear(like: re.Pattern[str], meaning: Report) -> Callable[[Report], Report]:
    """Answers that are not clear, and whose reason is like this, are taken for `meaning`."""
    return lambda report: meaning if isinstance(report, Unclear) and like.search(report.reason) else report


def _b5_failover_on_unconfirmed(patch: Patching) -> None:
    def hasty(report: Report, situation: lifecycle.Situation, **given: Any) -> lifecycle.Decision | None:
        if isinstance(report, Unclear) and situation.attempt_state is AttemptState.SENDING:
            report = Refused(FailureCode.PROVIDER_UNAVAILABLE, RefusalCause.PAYOUT)
        return lifecycle.decide(report, situation, **given)

    patch.setattr(apply, "decide", hasty)


def _b7_pace_is_failure(report: Report) -> Report:
    is_pace = isinstance(report, Refused) and report.cause is RefusalCause.PACING
    return replace(report, cause=RefusalCause.RECIPIENT, retry_after_s=None) if is_pace else report


def _b15_amount_ignored(patch: Patching) -> None:
    def blind(report: Report, situation: lifecycle.Situation, **given: Any) -> lifecycle.Decision | None:
        if isinstance(report, Taken):
            report = replace(report, amount_minor=None, currency=None)
        return lifecycle.decide(report, situation, **given)

    patch.setattr(apply, "decide", blind)


BUGS: dict[str, Bug] = {
    "B3": Bug("no answer in time = failed", _every_send_says(_unclear(_IN_TIME, _FAILED))),
    "B4": Bug("5xx = failed", _every_send_says(_unclear(_5XX, _FAILED))),
    "B5": Bug("failover while unconfirmed", _b5_failover_on_unconfirmed),
    "B6": Bug("an unreadable 200 = paid", _every_send_says(_unclear(_UNREADABLE_2XX, Taken(Progress.PAID)))),
    "B7": Bug("429 = failed", _every_send_says(_b7_pace_is_failure)),
    "B15": Bug("the amount in a notice is ignored", _b15_amount_ignored),
}
