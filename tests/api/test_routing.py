"""Routing at the edge: the policy, and the preview of a route, which sends nothing."""

import json

import pytest

from tests.api.asking import PAYOUTS, ask, everything

BANK = {"bankCode": "BCA", "bankName": "Bank Central Asia", "bankAccountNumber": "1234567890", "bankAccountHolder": "PT Contoh"}
PAYOUT = {"amount": 150_000_00, "currency": "IDR", **BANK}
ROUTING = "/api/v1/routing"
PREVIEW = f"{ROUTING}/preview"
STRANGER = "conn_" + "f" * 32


async def test_without_a_policy_it_is_by_priority_with_failover(shop):
    answer = await ask(shop, "GET", ROUTING)
    assert answer.status == 200
    assert answer.data["otherwise"]["by"] == "priority"
    assert answer.data["failover"] == {"enabled": True, "maxAttempts": 5, "maxAgeSeconds": 86400, "providers": None}


async def test_a_put_without_a_body_is_refused_and_changes_nothing(shop):
    policy = {"failover": {"enabled": False}}
    assert (await ask(shop, "PUT", ROUTING, policy)).status == 200
    for headers in ({}, {"Content-Type": "application/json"}, {"Content-Type": None}):
        refused = await ask(shop, "PUT", ROUTING, headers=headers)
        assert refused.refusal == (400, "validation_error", None)
        assert "has no body" in refused.error["message"]
    assert (await ask(shop, "GET", ROUTING)).data["failover"]["enabled"] is False
    assert (await ask(shop, "PUT", ROUTING, {})).status == 200, "an empty policy is one that was written down"


async def test_preview_tells_the_order_and_every_exclusion_and_changes_nothing(shop, world):
    before = await everything(world.gateways[0].pool)
    answer = await ask(shop, "POST", PREVIEW, PAYOUT)
    assert answer.status == 200
    assert [place["connectionId"] for place in answer.data["ordered"]] == [
        shop.connections["pivot"],
        shop.connections["manual"],
    ]
    assert {e["connectionId"]: e["why"] for e in answer.data["excluded"]} == {
        shop.connections["plexy"]: "destination",
        shop.connections["mollie"]: "destination",
    }
    assert await everything(world.gateways[0].pool) == before


async def test_preview_says_what_create_does(shop):
    policy = {
        "rules": [
            {
                "name": "by hand from 100,000",
                "when": {"amountFrom": 100_000_00, "currencies": ["IDR"]},
                "use": {"by": "pin", "connections": [shop.connections["manual"]]},
            }
        ],
        "fees": {shop.connections["manual"]: {"IDR": {"fixed": 6500_00}}},
    }
    put = await ask(shop, "PUT", ROUTING, policy)
    assert put.status == 200
    assert (await ask(shop, "GET", ROUTING)).data == put.data
    preview = (await ask(shop, "POST", PREVIEW, PAYOUT)).data
    assert (preview["rule"], preview["ordered"][0]["fee"]) == ("by hand from 100,000", 6500_00)
    assert {e["why"] for e in preview["excluded"] if e["connectionId"] == shop.connections["pivot"]} == {"policy"}
    made = await ask(shop, "POST", PAYOUTS, PAYOUT)
    assert made.data["connectionId"] == preview["ordered"][0]["connectionId"] == shop.connections["manual"]
    small = await ask(shop, "POST", PAYOUTS, PAYOUT | {"amount": 50_000_00})
    assert small.data["connectionId"] == shop.connections["pivot"]


async def test_a_country_is_a_wish_that_the_contract_can_refuse(shop):
    account = {"type": "bank_account", **BANK}
    here = {"amount": 150_000_00, "currency": "IDR", "destination": {**account, "country": "ID"}}
    elsewhere = {"amount": 150_000_00, "currency": "IDR", "destination": {**account, "country": "NL"}}
    assert (await ask(shop, "POST", PREVIEW, here)).data["ordered"][0]["provider"] == "pivot"
    answer = (await ask(shop, "POST", PREVIEW, elsewhere)).data
    assert answer["ordered"][0]["provider"] == "manual"
    assert {e["connectionId"]: e["why"] for e in answer["excluded"]}[shop.connections["pivot"]] == "country"


@pytest.mark.parametrize(
    ("policy", "field"),
    [
        ({"otherwise": {"by": "cleverest"}}, "otherwise.by"),
        ({"otherwise": {"by": "pin"}}, "otherwise"),
        ({"otherwise": {"by": "split"}}, "otherwise"),
        ({"otherwise": {"weights": {STRANGER: 1}}}, "otherwise"),
        ({"otherwise": {"by": "split", "weights": {STRANGER: 0.5}}}, f"otherwise.weights.{STRANGER}"),
        ({"otherwise": {"by": "split", "weights": {STRANGER: -1}}}, f"otherwise.weights.{STRANGER}"),
        ({"rules": [{"name": "x", "when": {"amountFrom": 1.5}, "use": {}}]}, "rules.0.when.amountFrom"),
        ({"rules": [{"name": "x", "when": {"countries": ["id"]}, "use": {}}]}, "rules.0.when.countries.0"),
        ({"rules": [{"name": "", "when": {}, "use": {}}]}, "rules.0.name"),
        ({"failover": {"maxAttempts": 0}}, "failover.maxAttempts"),
        ({"failover": {"maxAttempts": True}}, "failover.maxAttempts"),
        ({"failovers": {}}, "failovers"),
        ({"failover": {"providers": ["pivot", "xendti"]}}, "failover.providers"),
        ({"rules": [{"name": "x", "when": {"amountFrom": 2, "amountTo": 1}, "use": {}}]}, "rules.0.when.amountFrom"),
        ({"otherwise": {"by": "split", "weights": {"MANUAL": 0, "PIVOT": 0}}}, "otherwise.weights"),
        ({"otherwise": {"by": "pin", "connections": ["MANUAL", "PIVOT", "MANUAL"]}}, "otherwise.connections"),
        (
            {"rules": [{"name": "x", "when": {}, "use": {"by": "pin", "connections": ["PIVOT", "PIVOT"]}}]},
            "rules.0.use.connections",
        ),
    ],
)
async def test_a_policy_that_makes_no_sense_is_refused(shop, policy, field):
    text = json.dumps(policy).replace("MANUAL", shop.connections["manual"]).replace("PIVOT", shop.connections["pivot"])
    answer = await ask(shop, "PUT", ROUTING, json.loads(text))
    assert answer.refusal == (400, "validation_error", field)
    assert (await ask(shop, "GET", ROUTING)).data["otherwise"]["by"] == "priority"


async def test_a_policy_names_connections_of_its_own_account_only(shop, world):
    other = await world.merchant(providers=("manual",))
    own = {"name": "own", "when": {}, "use": {"connections": [shop.connections["manual"]]}}
    for stranger in (STRANGER, other.connections["manual"]):
        for policy, field in (
            ({"otherwise": {"connections": [stranger]}}, "otherwise.connections"),
            ({"otherwise": {"by": "split", "weights": {stranger: 1}}}, "otherwise.weights"),
            ({"rules": [own, own | {"use": {"connections": [stranger]}}]}, "rules.1.use.connections"),
            ({"fees": {stranger: {}}}, "fees"),
        ):
            answer = await ask(shop, "PUT", ROUTING, policy)
            assert answer.refusal == (422, "unknown_connection", field)
            assert answer.error["details"] == [{"field": field, "connectionId": stranger}]


async def test_limits_that_meet_and_one_weight_are_enough(shop):
    when = {"amountFrom": 5, "amountTo": 5}
    weights = {shop.connections["manual"]: 0, shop.connections["pivot"]: 1}
    policy = {
        "rules": [{"name": "x", "when": when, "use": {"by": "split", "weights": weights}}],
        "failover": {"providers": ["manual", "xendit"]},
    }
    assert (await ask(shop, "PUT", ROUTING, policy)).status == 200


@pytest.mark.parametrize("body", [{}, PAYOUT | {"amount": 0}, PAYOUT | {"surprise": 1}])
async def test_preview_checks_the_request_as_create_does(shop, body):
    assert (await ask(shop, "POST", PREVIEW, body)).refusal == (await ask(shop, "POST", PAYOUTS, body)).refusal


async def test_nobody_to_carry_it_is_an_answer_and_no_error(shop):
    answer = await ask(shop, "POST", PREVIEW, {"amount": 1000, "currency": "JPY", **BANK})
    assert answer.status == 200
    assert "pivot" not in {place["provider"] for place in answer.data["ordered"]}
    assert "currency" in {exclusion["why"] for exclusion in answer.data["excluded"]}
