"""Plexy's notices: the reference number that only they carry, and cards that only their customer names."""

import asyncio
from dataclasses import replace

import orjson
import pytest
from world import QUICK, card_fields

from gateway.sealing import connection_place
from gateway.store.accounts import find_connection

_PLEXY = QUICK["plexy"]
BY_NOTICE = QUICK | {"plexy": replace(_PLEXY, contract=replace(_PLEXY.contract, poll_after_s=(60.0,)))}


@pytest.mark.parametrize("providers", [QUICK, BY_NOTICE], ids=["read first", "notice first"])
async def test_the_reference_number_of_a_notice_is_kept(world, providers):
    """Reads show none (sheet section 3); the notice only shows a static secret, so its status is read, its number kept."""
    await world.start_gateway(providers)
    shop = await world.merchant()
    card = await shop.save_card()
    made = await shop.pay(amount=5_000_00, currency="KZT", destination={"type": "card", "cardId": card})
    await shop.until(made["id"], "paid")
    async with asyncio.timeout(5):
        while (await shop.payout(made["id"]))["reference"] is None:
            await asyncio.sleep(0.02)
    reference = (await shop.payout(made["id"]))["reference"]
    assert len(reference) == 12
    assert reference.isdigit()
    steps = [step["type"] for step in await shop.timeline(made["id"])]
    assert steps.count("payout.paid") == 1
    assert steps.count("payout.reference") <= 1


async def _webhook_token(gateway, connection_id):
    row = await find_connection(gateway.pool, connection_id)
    return orjson.loads(gateway.seal.open(row.secrets_sealed, connection_place(row.account_id, row.id)))["webhook_token"]


async def test_a_card_is_matched_by_its_customer(world, shop):
    """X-10b: our id is missing in the notice; the customer is the one that the answer to the save named."""
    gateway = world.gateways[0]
    await world.control("POST", "plexy", "faults", {"operation": "webhook", "kind": "never", "times": 9})
    _, answer = await shop.call("POST", "/api/v1/cards", {"cardFields": card_fields()})
    card_id = answer["data"]["id"]
    async with asyncio.timeout(5):
        while (customer := await gateway.pool.fetchval("select customer_ref from card")) is None:
            await asyncio.sleep(0.02)
    connection_id = shop.connections["plexy"]
    headers = {"Authorization": f"Bearer {await _webhook_token(gateway, connection_id)}"}

    async def tell(**data):
        body = {"name": "card.saved", "data": {"last4": "1111", "brand": "visa", **data}}
        status, _ = await shop.call("POST", f"/webhooks/plexy/{connection_id}", body, headers=headers)
        assert status == 200

    await tell(cardTokenId="token-of-a-stranger", customerId="somebody-else")
    await tell(cardTokenId="token-of-ours", customerId={"Value": customer})
    async with asyncio.timeout(5):
        while (await shop.call("GET", f"/api/v1/cards/{card_id}"))[1]["data"]["state"] != "active":
            await asyncio.sleep(0.02)

    async def states():
        return [row["state"] for row in await gateway.pool.fetch("select state from notice order by received_at")]

    async with asyncio.timeout(5):
        while (await states())[1] == "new":
            await asyncio.sleep(0.02)
    assert await states() == ["new", "done"], "the stranger's card waits, and then is for a person"
