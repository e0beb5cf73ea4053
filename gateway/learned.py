"""Learned: how each connection does, from what this process sends and hears. In memory; it decides nothing and books nothing.

Averages forget: a hundred sends ago hardly counts. What is learned orders connections and never excludes one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.report import NotSent, RefusalCause, Refused, Report, Taken, Unclear

_KEEPS = 0.95  # of the average, with every new observation
# Refusals that say nothing about how the provider works: the recipient's data, and our own pace.
_NOT_ITS_FAULT = (RefusalCause.RECIPIENT, RefusalCause.PACING, RefusalCause.ALONE)


@dataclass(slots=True)
class Seen:
    """One connection, as this process has seen it."""

    account_id: str
    success: float | None = None
    paid_s: float | None = None


class Learned:
    """All connections that this process has sent through."""

    def __init__(self) -> None:
        self.seen: dict[str, Seen] = {}

    def sent(self, account_id: str, connection_id: str, reports: Sequence[Report]) -> None:
        """A send is over, with one report for each attempt in it."""
        one = self.seen.setdefault(connection_id, Seen(account_id))
        for report in reports:
            worked = _worked(report)
            if worked is not None:
                one.success = _blend(one.success, float(worked))

    def paid(self, account_id: str, connection_id: str, after_s: float) -> None:
        """A payout was paid, so many seconds after it was sent."""
        one = self.seen.setdefault(connection_id, Seen(account_id))
        one.paid_s = _blend(one.paid_s, after_s)


def _worked(report: Report) -> bool | None:
    """Whether the provider did its work; None when the report does not tell."""
    if isinstance(report, Taken):
        return True
    if isinstance(report, Refused):
        return None if report.cause in _NOT_ITS_FAULT else False
    return False if isinstance(report, (NotSent, Unclear)) else None


def _blend(average: float | None, value: float) -> float:
    return value if average is None else _KEEPS * average + (1 - _KEEPS) * value
