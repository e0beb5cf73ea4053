"""Failures as merchants read them: the common code and its meaning, the provider's own words beside it, the money back."""

import asyncio

import pytest
from world import BANK, FAILING_CARD

from schemas.failure import FAILURE_MEANING, FailureCode


def explained(code, provider_code, provider_text):
    """What `failure` must be, word for word."""
    meaning = FAILURE_MEANING[code]
    return {
        "code": code,
        "happened": meaning.happened,
        "nextStep": meaning.next_step,
        "retryCanHelp": meaning.retry_can_help,
        "providerCode": provider_code,
        "providerText": provider_text,
    }


async def failed(world, shop, provider, currency="IDR", **asked):
    """A payout that fails for certain: nothing was sent, and all of its money is available again."""
    start = await shop.balance(currency)
    made = await shop.pay(provider=provider, currency=currency, **asked)
    assert made["failure"] is None
    ended = await shop.until(made["id"], "failed", "paid")
    assert ended["status"] == "failed", await shop.timeline(made["id"])
    assert await shop.balance(currency) == start
    assert start["locked"] == 0
    assert await world.sent(provider) == []
    return ended


@pytest.mark.parametrize(
    ("account", "reason"),
    [("999966660002", "Inactive account"), ("999966660003", "Invalid account"), ("999966660006", "Dormant account")],
)
async def test_an_account_that_cannot_be_paid(world, shop, account, reason):
    ended = await failed(world, shop, "pivot", **BANK | {"bankAccountNumber": account})
    assert ended["failure"] == explained(FailureCode.INVALID_DESTINATION, None, reason)  # Pivot's rows carry no code
    assert (ended["failureCode"], ended["failureReason"]) == ("invalid_destination", reason)


async def test_a_refusal_before_acceptance(world, shop):
    await world.control("POST", "mollie", "faults", {"operation": "create_payout", "kind": "refuse"})
    ended = await failed(world, shop, "mollie", currency="EUR", amount=250_00, destination={"type": "balance"})
    text = "The balance has insufficient funds."
    assert ended["failure"] == explained(FailureCode.INSUFFICIENT_PROVIDER_FUNDS, "amount", text)
    assert (ended["failureCode"], ended["failureReason"]) == ("insufficient_provider_funds", text)


async def test_a_card_that_is_declined(world, shop):
    card = {"type": "card", "cardId": await shop.save_card(FAILING_CARD)}
    ended = await failed(world, shop, "plexy", currency="KZT", amount=5_000_00, destination=card)
    text = "The recipient's bank does not honour this."
    assert ended["failure"] == explained(FailureCode.REJECTED_BY_BANK, "05", text)
    assert (ended["failureCode"], ended["failureReason"]) == ("rejected_by_bank", text)


async def test_what_a_person_says_is_not_put_into_a_providers_mouth(shop):
    made = await shop.pay(provider="manual", **BANK)
    status, answer = await shop.call("POST", f"/api/v1/payouts/{made['id']}/mark-failed", {"failureReason": "bounced"})
    assert (status, answer["data"]["failureReason"]) == (200, "bounced")
    assert answer["data"]["failure"] == explained(FailureCode.OPERATOR, None, None)


async def test_a_later_contradiction_does_not_take_the_explanation_away(world, shop):
    ended = await failed(world, shop, "pivot", **BANK | {"bankAccountNumber": "999966660003"})
    key = await world.gateways[0].pool.fetchval("select key from attempt")
    await world.control("POST", "pivot", f"payouts/{key}/advance", {"to": "SUCCESS"})
    async with asyncio.timeout(10):
        while (contradicted := await shop.payout(ended["id"]))["reviewReason"] is None:
            await asyncio.sleep(0.02)
    assert contradicted["status"] == "failed"
    assert contradicted["failure"] == ended["failure"]
