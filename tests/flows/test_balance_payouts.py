"""Payouts of a balance (Mollie): what a create changes there is shown first, and events of every shape lead to the truth."""

from dataclasses import replace

import pytest
from world import QUICK

from gateway.onboarding import create_connection
from providers.registry import PROVIDERS

# Reads only after a notice, so that the notice is what brings the news.
_MOLLIE = QUICK["mollie"]
BY_NOTICE = QUICK | {"mollie": replace(_MOLLIE, contract=replace(_MOLLIE.contract, poll_after_s=(60.0,)))}
PAYOUT = {"amount": 250_00, "currency": "EUR", "destination": {"type": "balance"}, "provider": "mollie"}


async def test_side_effects_are_shown_before_anything_is_sent(shop):
    status, answer = await shop.call("GET", "/api/v1/providers")
    assert status == 200
    [mollie] = [provider for provider in answer["data"] if provider["provider"] == "mollie"]
    assert "automatic settlement" in mollie["sideEffects"][0]
    assert "one payout per balance and business day" in mollie["sideEffects"][1]
    assert [p["sideEffects"] for p in answer["data"] if p["provider"] == "pivot"] == [[]]
    made = await shop.pay(**PAYOUT)
    created = (await shop.timeline(made["id"]))[0]
    assert created["type"] == "payout.created"
    assert "automatic settlement" in created["reason"]


@pytest.mark.parametrize("shape", [{}, {"simplePayload": True}, {"barePayload": True}])
async def test_an_event_with_or_without_its_payout(world, shape):
    await world.control("PATCH", "mollie", "settings", shape)
    await world.start_gateway(BY_NOTICE)
    shop = await world.merchant()
    made = await shop.pay(**PAYOUT)
    paid = await shop.until(made["id"], "paid", "failed", "needs_review")
    assert paid["phase"] == "paid", await shop.timeline(made["id"])
    reads = (await world.control("GET", "mollie", "requests"))["operations"].get("get_payout", 0)
    assert (reads > 0) == bool(shape), "an event that carries its payout needs no read; the others do"


async def test_testmode_of_an_organisations_token(world):
    """M-8: `access_` tokens name the mode in the body and in the query; test payouts are unknown to live reads."""
    gateway = await world.start_gateway()
    shop = await world.merchant(providers=())
    token, balance_id = "access_organisation1", "bal_organisation1"
    await world.control("POST", "mollie", "merchants", {
        "apiKey": token, "webhookSecret": "s", "balances": [{"id": balance_id, "currency": "EUR", "available": "1000.00"}],
    })  # fmt: skip
    await create_connection(
        gateway.pool, gateway.seal, PROVIDERS, account_id=shop.account_id, provider="mollie", name="test mode",
        settings={"base_url": f"{world.sandbox_url}/mollie", "balance_id": balance_id, "testmode": True},
        secret_values={"api_key": token}, currencies=["EUR"],
    )  # fmt: skip
    made = await shop.pay(**PAYOUT)
    paid = await shop.until(made["id"], "paid", "failed", "needs_review")
    assert paid["phase"] == "paid", await shop.timeline(made["id"])
