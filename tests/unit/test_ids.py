"""Ids: those of payouts sort by time and derive from their request; attempts' ids and keys derive from payouts'."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import ids as making
from gateway.ids import attempt_id, attempt_key, bare, lineage, new_id, payout_id_of
from schemas import ids
from schemas.contract import KeyFormat

ACCOUNT, CONNECTION = new_id(ids.ACCOUNT), new_id(ids.CONNECTION)
KEYS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=255)


@pytest.fixture
def at(monkeypatch):
    """Sets the clock, in milliseconds."""

    def set_clock(ms):
        monkeypatch.setattr(making.time, "time_ns", lambda: ms * 1_000_000 + 999_999)

    return set_clock


def test_a_request_that_is_made_again_later_is_sent_with_the_same_keys(at):
    at(1_700_000_000_000)
    before = payout_id_of(ACCOUNT, "k")
    at(1_700_000_360_000)
    again = payout_id_of(ACCOUNT, "k")
    assert before < again
    assert lineage(before) == lineage(again)
    for key_format in KeyFormat:
        assert attempt_key(key_format, before, CONNECTION, 1) == attempt_key(key_format, again, CONNECTION, 1)


def test_attempts_of_other_requests_connections_and_numbers_have_other_keys():
    requests = [(ACCOUNT, "k"), (ACCOUNT, "k2"), (new_id(ids.ACCOUNT), "k")]
    payouts = [payout_id_of(*request) for request in requests]
    places = [(payout, connection, n) for payout in payouts for connection in (CONNECTION, "conn_2") for n in (1, 2)]
    assert len({attempt_key(KeyFormat.UUID4, *place) for place in places}) == len(places)
    assert len({attempt_id(*place) for place in places}) == len(places)


@given(key=KEYS, ms=st.integers(1, 2**48 - 1))
def test_a_payouts_id_is_one_of_ours_and_tells_its_time(key, ms):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(making.time, "time_ns", lambda: ms * 1_000_000)
        made = payout_id_of(ACCOUNT, key)
    assert ids.is_id(made, ids.PAYOUT)
    as_uuid = UUID(bare(made))
    assert (as_uuid.version, as_uuid.variant) == (7, "specified in RFC 4122")
    assert as_uuid.int >> 80 == ms
    assert ids.is_id(attempt_id(made, CONNECTION, 1), ids.ATTEMPT)
    assert bare(attempt_id(made, CONNECTION, 1))[:12] == bare(made)[:12], "ids of attempts sort as their payouts do"
