"""Routing and failover: pure functions, asked directly."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.failover import Tried, next_connection
from gateway.lifecycle import Ended
from gateway.route_order import Behind, Health, fee_minor
from gateway.routing import Candidate, Wanted, Why, route
from providers.registry import PROVIDERS
from schemas.destination import DestinationType
from schemas.payout import AttemptState
from schemas.policy import Failover, Fee, RoutingPolicy

A, B, C = (f"conn_{letter * 32}" for letter in "abc")
CONTRACT = PROVIDERS["manual"].contract


def candidate(connection_id, *, priority=100, provider="manual", **extra):
    return Candidate(
        connection_id=connection_id, name=connection_id[-1], priority=priority,
        contract=replace(CONTRACT, provider=provider), **extra,
    )  # fmt: skip


def wanted(**extra):
    return Wanted(
        **{"amount_minor": 100_00, "currency": "IDR", "destination_type": DestinationType.BANK_ACCOUNT, "stable_key": "po_1"}
        | extra
    )


THREE = [candidate(A, priority=2), candidate(B, priority=1), candidate(C, priority=3)]


def order(policy=None, candidates=THREE, **extra):
    given = RoutingPolicy() if policy is None else RoutingPolicy.model_validate(policy)
    return [c.connection_id for c in route(wanted(**extra), candidates, given).ordered]


def test_by_priority_when_nobody_says_otherwise():
    assert order() == [B, A, C]
    assert order({"otherwise": {"connections": [C, A]}}) == [C, A, B]


def test_a_pin_leaves_only_what_it_names():
    found = route(wanted(), THREE, RoutingPolicy.model_validate({"otherwise": {"by": "pin", "connections": [C, A]}}))
    assert [c.connection_id for c in found.ordered] == [C, A]
    assert [(e.connection_id, e.why) for e in found.excluded] == [(B, Why.POLICY)]


def test_a_split_follows_its_weights_and_keeps_each_payout_where_it_is():
    policy = {"otherwise": {"by": "split", "weights": {A: 70, B: 30}}}
    first = Counter(order(policy, stable_key=f"po_{n}")[0] for n in range(4000))
    assert 0.66 < first[A] / 4000 < 0.74
    assert first[C] == 0
    for n in range(50):
        full = order(policy, stable_key=f"po_{n}")
        assert full == order(policy, stable_key=f"po_{n}")
        assert order(policy, THREE[:2], stable_key=f"po_{n}") == [c for c in full if c != C], "others keep their order"


def test_cheapest_by_the_fee_table():
    fees = {A: {"IDR": {"fixed": 2500_00}}, B: {"IDR": {"fixed": 0, "basisPoints": 150}}}
    policy = {"otherwise": {"by": "cheapest"}, "fees": fees}
    assert order(policy, amount_minor=100_000_00) == [B, A, C], "1.5 % of 100,000 is 1,500"
    assert order(policy, amount_minor=1_000_000_00) == [A, B, C]


@given(st.integers(0, 10**9), st.integers(0, 10_000), st.integers(1, 10**15))
def test_a_broken_fee_is_rounded_up(fixed, points, amount):
    fee = fee_minor(Fee(fixed=fixed, basisPoints=points), amount)
    assert (fee - fixed) * 10_000 >= amount * points > (fee - fixed - 1) * 10_000 or points == 0


def test_fastest_and_healthiest_by_what_was_learned():
    learned = [
        candidate(A, health=Health(paid_s=90, success=0.999)),
        candidate(B, health=Health(paid_s=30, success=0.80)),
        candidate(C),
    ]
    assert order({"otherwise": {"by": "fastest"}}, learned) == [B, A, C]
    assert order({"otherwise": {"by": "healthiest"}}, learned) == [A, C, B]


@pytest.mark.parametrize(
    ("candidate_b", "behind"),
    [
        (candidate(B, priority=1, paused=True), Behind.PAUSED),
        (candidate(B, priority=1, health=Health(circuit_open=True)), Behind.CIRCUIT_OPEN),
        (candidate(B, priority=1, health=Health(funds_minor={"IDR": 99_99})), Behind.SHORT_OF_FUNDS),
        (candidate(B, priority=1, health=Health(saturated=True)), Behind.SATURATED),
    ],
)
def test_what_does_not_work_now_stands_last_and_is_never_out(candidate_b, behind):
    found = route(wanted(), [THREE[0], candidate_b])
    assert [c.connection_id for c in found.ordered] == [A, B]
    assert found.behind == {B: behind}
    assert [c.connection_id for c in route(wanted(), [candidate_b]).ordered] == [B]
    rich = candidate(B, priority=1, health=Health(funds_minor={"IDR": 100_00, "EUR": 0}))
    assert route(wanted(), [THREE[0], rich]).ordered[0] is rich


@pytest.mark.parametrize(
    ("when", "asked"),
    [
        ({"currencies": ["EUR"]}, {"currency": "EUR"}),
        ({"countries": ["ID"]}, {"country": "ID"}),
        ({"amountFrom": 500_00}, {"amount_minor": 500_00}),
        ({"amountTo": 50_00}, {"amount_minor": 50_00}),
        ({"bankCodes": ["BCA"]}, {"bank_code": "BCA"}),
        ({"destinationTypes": ["bank_account"], "amountFrom": 500_00}, {"amount_minor": 600_00}),
        ({"metadata": {"tier": "gold"}}, {"metadata": {"tier": "gold", "other": "x"}}),
    ],
)
def test_rules_pick_the_strategy(when, asked):
    policy = {"rules": [{"name": "special", "when": when, "use": {"by": "pin", "connections": [C]}}]}
    given = RoutingPolicy.model_validate(policy)
    assert [c.connection_id for c in route(wanted(**asked), THREE, given).ordered] == [C]
    assert route(wanted(**asked), THREE, given).rule == "special"
    assert [c.connection_id for c in route(wanted(), THREE, given).ordered] == [B, A, C]


def test_the_first_rule_that_holds_decides():
    rules = [
        {"name": "one", "when": {"currencies": ["IDR"]}, "use": {"by": "pin", "connections": [A]}},
        {"name": "two", "when": {"currencies": ["IDR"]}, "use": {"by": "pin", "connections": [C]}},
    ]
    assert order({"rules": rules}) == [A]


def test_countries_of_the_contract_count_only_when_the_payout_names_one():
    only_ph = replace(THREE[0], contract=replace(CONTRACT, countries=frozenset({"PH"})))
    assert route(wanted(), [only_ph]).ordered
    assert [e.why for e in route(wanted(country="ID"), [only_ph]).excluded] == [Why.COUNTRY]


def onward(ended=Ended.REFUSED, *, tried=(), candidates=THREE, limits=None, age_s=1.0):
    before = [Tried(B, AttemptState(ended.value)), *tried]
    return next_connection(
        ended, at=B, tried=before, route=route(wanted(), candidates), limits=limits or Failover(), age_s=age_s
    )


def test_the_next_is_the_first_that_works_and_has_not_had_its_say():
    assert onward().to.connection_id == A
    assert onward(tried=[Tried(A, AttemptState.REFUSED)]).to.connection_id == C
    assert onward(tried=[Tried(A, AttemptState.FAILED), Tried(C, AttemptState.REFUSED)]).to is None
    assert onward(candidates=[replace(THREE[0], paused=True), *THREE[1:]]).to.connection_id == C


def test_one_that_could_not_be_reached_comes_after_one_that_was_not_tried():
    found = onward(Ended.NOT_SENT, tried=[Tried(A, AttemptState.NOT_SENT)])
    assert (found.to.connection_id, found.tried_before) == (C, False)
    both = onward(Ended.NOT_SENT, tried=[Tried(A, AttemptState.NOT_SENT), Tried(C, AttemptState.NOT_SENT)])
    assert (both.to.connection_id, both.tried_before) == (A, True)


def test_what_was_not_sent_waits_rather_than_goes_where_nothing_works():
    down = [replace(c, paused=True) for c in (THREE[0], THREE[2])]
    assert onward(Ended.NOT_SENT, candidates=[THREE[1], *down]).to is None
    assert onward(Ended.REFUSED, candidates=[THREE[1], *down]).to is not None, "here nobody would take it back"


def test_limits():
    assert onward(limits=Failover(enabled=False)).to is None
    assert onward(limits=Failover(maxAttempts=1)).to is None
    assert onward(limits=Failover(maxAgeSeconds=10), age_s=11).to is None
    assert onward(limits=Failover(providers=["other"])).to is None
    assert onward(Ended.NOT_SENT, limits=Failover(maxAttempts=1)).to is not None, "nothing reached a provider yet"


@given(
    st.lists(st.tuples(st.sampled_from([A, B, C]), st.sampled_from(AttemptState)), max_size=6),
    st.sampled_from(Ended),
)
def test_never_back_to_where_it_is_or_to_who_refused(history, ended):
    tried = [Tried(connection_id, state) for connection_id, state in history]
    to = onward(ended, tried=tried).to
    if to:
        assert to.connection_id != B
        assert AttemptState.REFUSED not in {one.state for one in tried if one.connection_id == to.connection_id}
