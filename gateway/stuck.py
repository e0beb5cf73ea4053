"""Silent stuck states: which open attempts nobody explains or moves any more, and what a person should be told.

Pure, and it moves no money: the attempt stays as it is, and is read on.
"""

from gateway.store.rows import AttemptRow
from schemas.contract import Contract
from schemas.payout import AttemptState
from schemas.report import NotFound, Report, Taken, Unclear

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def stuck_reason(contract: Contract, attempt: AttemptRow, report: Report) -> str | None:
    """Why a person should look at an open attempt that was just read; None while it may take its time."""
    if isinstance(report, (NotFound, Unclear)):
        if attempt.age_s < contract.review_after_s:
            return None
        return f"{contract.title} could not say for {age_text(attempt.age_s)} what became of it: {report.reason}"
    alarm_s = {
        AttemptState.PENDING: contract.pending_alarm_s,
        AttemptState.IN_TRANSIT: contract.in_transit_alarm_s,
    }.get(attempt.state)
    if alarm_s is None or attempt.age_s < alarm_s:
        return None
    if not isinstance(report, Taken) or report.progress.value != attempt.state.value:
        return None  # it has just moved
    word = report.words.status or report.words.code or report.progress
    advice = contract.pending_advice if attempt.state is AttemptState.PENDING else "Ask the provider where the money is."
    return (
        f"{contract.title} has had it for {age_text(attempt.age_s)} and still calls it {word}; it may yet be paid, so its "
        f"money stays reserved. {advice}"
    )


def age_text(seconds: float) -> str:
    """3,900 s as "1 h 5 min": the two largest units."""
    left, parts = int(seconds), []
    for size, unit in _UNITS:
        many, left = divmod(left, size)
        if many:
            parts.append(f"{many} {unit}")
    return " ".join(parts[:2]) or f"{int(seconds)} s"
