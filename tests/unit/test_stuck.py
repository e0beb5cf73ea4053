"""When a person is told that an attempt does not move, and in which words."""

from datetime import UTC, datetime

import pytest

from gateway.store.rows import AttemptRow
from gateway.stuck import age_text, stuck_reason
from providers.registry import PROVIDERS
from schemas.contract import DAY_S, HOUR_S
from schemas.payout import EXPOSURE, AttemptState, Phase
from schemas.report import NotFound, Progress, Taken, Unclear, Words

PIVOT, MOLLIE = PROVIDERS["pivot"].contract, PROVIDERS["mollie"].contract
APPROVED = Taken(Progress.PENDING, words=Words("APPROVED", text="Insufficient Balance"))


def attempt(state=AttemptState.PENDING, age_s=0.0):
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return AttemptRow(
        account_id="acct_1", id="pa_1", payout_id="po_1", number=1, connection_id="conn_1", provider="pivot", key="k",
        submission_id="bat_1", state=state, exposure=EXPOSURE[state], provider_ref=None, submission_ref=None, checks=1, sends=1,
        sent_at=now, last_sent_at=now, amount_minor=1, currency="IDR", phase=Phase.PROCESSING, seq=1, review_reason=None,
        has_reference=False, cancel_asked=False, moves_on=False, paid_late=False, paid_elsewhere=False, adopted=False,
        final_in_s=None, newest_attempt_id="pa_1", statement_descriptor=None, age_s=age_s,
        quiet_s=age_s,
    )  # fmt: skip


def test_pending_too_long_names_state_age_and_what_to_do():
    assert stuck_reason(PIVOT, attempt(age_s=HOUR_S - 1), APPROVED) is None
    reason = stuck_reason(PIVOT, attempt(age_s=HOUR_S + 300), APPROVED)
    assert "APPROVED" in reason
    assert "1 h 5 min" in reason
    assert "top it up" in reason
    assert "stays reserved" in reason


def test_an_ordinary_weekend_at_mollie_is_no_alarm():
    requested = Taken(Progress.PENDING, words=Words("requested"))
    assert stuck_reason(MOLLIE, attempt(age_s=3 * DAY_S), requested) is None
    assert "next business day" in stuck_reason(MOLLIE, attempt(age_s=5 * DAY_S), requested)


def test_what_has_just_moved_is_not_stuck():
    assert stuck_reason(PIVOT, attempt(age_s=DAY_S), Taken(Progress.PAID)) is None
    assert stuck_reason(PIVOT, attempt(age_s=DAY_S), Taken(Progress.IN_TRANSIT)) is None


def test_on_its_way_for_too_long():
    still = Taken(Progress.IN_TRANSIT, words=Words("PENDING"))
    assert stuck_reason(PIVOT, attempt(AttemptState.IN_TRANSIT, 6 * DAY_S), still) is None
    assert "where the money is" in stuck_reason(PIVOT, attempt(AttemptState.IN_TRANSIT, 7 * DAY_S), still)


@pytest.mark.parametrize("report", [NotFound("404"), Unclear("timeout")])
@pytest.mark.parametrize("state", [AttemptState.UNCONFIRMED, AttemptState.PENDING, AttemptState.IN_TRANSIT])
def test_nobody_can_say(report, state):
    assert stuck_reason(PIVOT, attempt(state, PIVOT.review_after_s - 1), report) is None
    assert report.reason in stuck_reason(PIVOT, attempt(state, PIVOT.review_after_s), report)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59, "59 s"), (60, "1 min"), (3900, "1 h 5 min"), (90_000, "1 d 1 h"), (172_800, "2 d")]
)
def test_ages(seconds, text):
    assert age_text(seconds) == text
