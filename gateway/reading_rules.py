"""When an attempt is read again, sent again, watched, and when "not found" counts: each read out of its contract.

Pure: the ages come with the row, measured by the database's clock.
"""

from gateway.store.rows import AttemptRow
from schemas.contract import CancelRule, Contract
from schemas.payout import AttemptState, Exposure
from schemas.report import NotSent, Refused, Report, Unclear


def absence_believed(contract: Contract, attempt: AttemptRow) -> bool:
    """Whether "not found" is proof by now: their find is authoritative, its time has passed, and no repetition is due.

    Never of an attempt that was taken over after a restore: it stands for others, which may be somewhere else.
    """
    if attempt.adopted:
        return False
    return contract.find_by_key and attempt.quiet_s >= contract.visibility_s and not may_resend(contract, attempt)


def may_resend(contract: Contract, attempt: AttemptRow) -> bool:
    """Whether the provider surely still knows the attempt's key, so that the same order again cannot pay twice."""
    is_ours = attempt.state is AttemptState.UNCONFIRMED and not attempt.adopted
    return is_ours and attempt.age_s < contract.replay_window_s


def may_cancel(contract: Contract, attempt: AttemptRow) -> bool:
    """Whether the provider can still be asked to stop the attempt, and was not asked yet."""
    pending = attempt.state is AttemptState.PENDING and not contract.operator_marks
    return pending and contract.cancel is CancelRule.WHILE_PENDING and not attempt.cancel_asked


def next_check_s(contract: Contract, age_s: float) -> float | None:
    """Seconds until an open attempt of this age is read again; None when only a person can tell."""
    if contract.operator_marks:
        return None
    later = [at for at in contract.poll_after_s if at > age_s]
    return later[0] - age_s if later else contract.poll_after_s[-1]


def next_watch_s(contract: Contract, state: AttemptState, age_s: float, final_in_s: float | None) -> float | None:
    """Seconds until an attempt that is over is read once more, for what may come late; None when it is left alone.

    `final_in_s`: until a paid one is final; it is read a last time when that is over.
    """
    if contract.operator_marks:
        return None
    later = [at - age_s for at in contract.watch_after_s if at > age_s]
    if state is AttemptState.PAID:
        if final_in_s is None or final_in_s <= 0:
            return None
        return min(*later, final_in_s) if later else final_in_s
    return later[0] if later else None


def next_look_s(
    contract: Contract, attempt: AttemptRow, state: AttemptState, exposure: Exposure, report: Report | None
) -> float | None:
    """Seconds until an attempt that is now in this state is looked at again."""
    if exposure is Exposure.OPEN:
        return next_check_s(contract, attempt.age_s)
    if state is AttemptState.RETURNED or isinstance(report, (NotSent, Refused)):
        return None  # nothing of it was ever there, or everything is over
    if isinstance(report, Unclear) and not contract.operator_marks:
        return contract.poll_after_s[-1]  # nobody answered, so nobody has looked: also the last look has to see something
    final_in_s = attempt.final_in_s
    if state is AttemptState.PAID and attempt.state is not AttemptState.PAID:
        final_in_s = contract.return_window_s
    return next_watch_s(contract, state, attempt.age_s, final_in_s)
