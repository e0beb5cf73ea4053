"""One payout of each shape, over real sockets, until it is final; the sandbox's own ledger says what was paid."""

from world import BANK


async def test_bank_batch_through_pivot(world, shop):
    before = await shop.balance()
    made = await shop.pay(provider="pivot", **BANK)
    assert (made["status"], made["phase"], made["provider"]) == ("pending", "queued", "pivot")
    paid = await shop.until(made["id"], "paid", "failed")
    assert paid["status"] == "paid"
    assert paid["ledgerTransactionId"].startswith("ltx_")
    [line] = await world.sent("pivot")
    assert line["amount"] == "150000"
    after = await shop.balance()
    assert before["ledgerBalance"] - after["ledgerBalance"] == 150_000_00
    assert after["locked"] == 0


async def test_card_token_through_plexy(world, shop):
    card = await shop.save_card()
    made = await shop.pay(amount=5_000_00, currency="KZT", destination={"type": "card", "cardId": card})
    paid = await shop.until(made["id"], "paid", "failed")
    assert paid["status"] == "paid", await shop.timeline(made["id"])
    [line] = await world.sent("plexy")
    assert line["amount"] == "5000"


async def test_balance_through_mollie(world, shop):
    made = await shop.pay(amount=250_00, currency="EUR", destination={"type": "balance"}, provider="mollie")
    paid = await shop.until(made["id"], "paid", "failed")
    assert paid["status"] == "paid", await shop.timeline(made["id"])
    [line] = await world.sent("mollie")
    assert line["amount"] == "250.00"


async def test_manual_marked_by_an_operator(shop):
    made = await shop.pay(provider="manual", **BANK)
    path = f"/api/v1/payouts/{made['id']}"
    status, answer = await shop.call("POST", f"{path}/mark-in-transit", {"reference": "WIRE-1"})
    assert (status, answer["data"]["status"]) == (200, "in_transit"), answer
    status, answer = await shop.call("POST", f"{path}/mark-paid", {"reference": None})
    assert (status, answer["data"]["status"], answer["data"]["reference"]) == (200, "paid", "WIRE-1")
    types = [step["type"] for step in await shop.timeline(made["id"])]
    assert types[0] == "payout.created"
    assert types[-2:] == ["payout.in_transit", "payout.paid"]
