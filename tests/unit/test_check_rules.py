"""The table of rulings on checked destinations: complete, and no silence ever ends a payout."""

import pytest

from gateway.check_rules import OUTCOME, REASON, RULINGS, Ruling
from schemas.checks import CheckPolicy, Verdict

UNANSWERED = (Verdict.UNKNOWN, Verdict.PENDING, Verdict.NOT_OFFERED)


def test_every_policy_rules_on_every_verdict():
    assert set(RULINGS) == set(CheckPolicy)
    for policy, row in RULINGS.items():
        assert set(row) == set(Verdict), policy


@pytest.mark.parametrize("policy", CheckPolicy)
def test_a_valid_account_is_paid_and_silence_refuses_nothing(policy):
    assert RULINGS[policy][Verdict.VALID] is Ruling.GO
    for verdict in UNANSWERED:
        assert RULINGS[policy][verdict] is not Ruling.REFUSE


def test_a_stricter_policy_lets_nothing_more_through():
    order = [CheckPolicy.OFF, CheckPolicy.INVALID, CheckPolicy.WARNING]
    for verdict in Verdict:
        goes = [RULINGS[policy][verdict] is Ruling.GO for policy in order]
        assert goes == sorted(goes, reverse=True), verdict


def test_what_is_refused_or_waits_says_why():
    for row in RULINGS.values():
        for verdict, ruling in row.items():
            assert ruling is Ruling.GO or verdict is Verdict.NOT_OFFERED or REASON[verdict]
    assert set(OUTCOME) == {Verdict.VALID, Verdict.WARNING}
