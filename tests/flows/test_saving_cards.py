"""Cards on their way to the provider: one error, one slow provider or a stop costs no other card more than it must."""

import asyncio
import base64
import time

import pytest
from world import TEST_CARD

from gateway import card_expiry, card_saver

UNKNOWN_CARD = "4000000000000000"  # the sandbox refuses it
NO_CARD_MAY_FAIL = """
    create function refuse() returns trigger language plpgsql as $$ begin raise 'no card may fail'; end $$;
    create trigger refuse before update on card for each row when (new.state = 'failed') execute function refuse()"""


def _sealed(text):
    return base64.b64encode(text.encode()).decode()


async def _ask_to_save(merchant, number=TEST_CARD, *, holder="ANA"):
    """The id of a card that is being saved."""
    fields = dict.fromkeys(("encryptedExpiryMonth", "encryptedExpiryYear", "encryptedCvv"), _sealed("12"))
    fields |= {"encryptedCardNumber": _sealed(number), "encryptedCardholderName": _sealed(holder)}
    status, answer = await merchant.call("POST", "/api/v1/cards", {"cardFields": fields})
    assert status == 201, answer
    return answer["data"]["id"]


async def _until_saved(merchant, card_id, state, timeout_s=5.0):
    """The card, once it is no longer being saved."""
    async with asyncio.timeout(timeout_s):
        while True:
            _, answer = await merchant.call("GET", f"/api/v1/cards/{card_id}")
            if answer["data"]["state"] != "saving":
                assert answer["data"]["state"] == state, answer
                return answer["data"]
            await asyncio.sleep(0.02)


@pytest.fixture
async def ana(world):
    await world.start_gateway()
    return await world.merchant(providers=("plexy",))


async def test_one_error_of_the_database_does_not_end_the_saving_of_cards(world, ana):
    gateway = world.gateways[0]
    await gateway.pool.execute(NO_CARD_MAY_FAIL)
    refused = await _ask_to_save(ana, UNKNOWN_CARD)
    await _until_saved(ana, await _ask_to_save(ana), "active")
    assert await gateway.pool.fetchval("select state from card where id = $1", refused) == "saving"
    async with asyncio.timeout(2):
        await gateway.card_saver.close()


async def test_one_error_of_the_database_does_not_end_the_expiry_of_cards(world, monkeypatch):
    monkeypatch.setattr(card_expiry, "_EVERY_S", 0.05)
    gateway = await world.start_gateway()
    merchant = await world.merchant(providers=("plexy",))
    await world.control("POST", "plexy", "faults", {"operation": "webhook", "kind": "never"})
    await gateway.pool.execute(NO_CARD_MAY_FAIL)
    card_id = await _ask_to_save(merchant)
    await gateway.pool.execute("update card set created_at = now() - interval '1 hour'")
    errors = {"loop": "expiring_cards", "outcome": "error"}
    async with asyncio.timeout(5):
        while not gateway.metrics.registry.get_sample_value("gateway_rounds_total", errors):
            await asyncio.sleep(0.02)
    await gateway.pool.execute("drop trigger refuse on card")
    card = await _until_saved(merchant, card_id, "failed")
    assert "did not confirm it in time" in card["failureReason"]


async def test_a_stop_does_not_wait_for_a_provider_that_does_not_answer(world, ana, monkeypatch):
    """What is still in memory then is gone, so those cards fail at once: the merchant is not left waiting for them."""
    monkeypatch.setattr(card_saver, "_CLOSE_WITHIN_S", 0.3)
    await world.control("POST", "plexy", "faults", {"operation": "save_card", "kind": "hang"})
    waiting = [await _ask_to_save(ana) for _ in range(5)]
    started = time.monotonic()
    await world.gateways[0].card_saver.close()
    assert time.monotonic() - started < 2
    for card_id in waiting:
        card = await _until_saved(ana, card_id, "failed")
        assert "stopped" in card["failureReason"]


async def test_a_slow_provider_keeps_no_other_connection_waiting(world, ana, monkeypatch):
    """And takes two places at most, so that some are left for the others."""
    monkeypatch.setattr(card_saver, "_CLOSE_WITHIN_S", 0.1)
    ben = await world.merchant(providers=("plexy",))
    slow = {"operation": "save_card", "kind": "hang", "match": {"contains": _sealed("ANA")}}
    await world.control("POST", "plexy", "faults", slow)
    silent = [await _ask_to_save(ana, holder="ANA") for _ in range(40)]
    await _until_saved(ben, await _ask_to_save(ben, holder="BEN"), "active", timeout_s=2)
    requests = await world.control("GET", "plexy", "requests")
    assert requests["operations"]["save_card"] == 3, "two of Ana's, and Ben's"
    assert len(silent) == len(world.gateways[0].card_saver._saving)


async def test_cards_of_one_connection_are_all_saved_two_at_a_time(world, ana):
    slow = {"operation": "save_card", "kind": "slow", "params": {"ms": 200}}
    await world.control("POST", "plexy", "faults", slow)
    started = time.monotonic()
    cards = [await _ask_to_save(ana) for _ in range(6)]
    for card_id in cards:
        await _until_saved(ana, card_id, "active")
    assert time.monotonic() - started > 0.6
    assert not world.gateways[0].card_saver._saving
    assert not world.gateways[0].card_saver._turns
