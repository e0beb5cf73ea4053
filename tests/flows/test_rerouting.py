"""Moving what waits at connections that take nothing: one payout that cannot be moved keeps no other waiting."""

import asyncio

from world import BANK

from gateway import rerouter

MAY_NOT_MOVE = """
    create function refuse() returns trigger language plpgsql as $$ begin raise 'this one may not move'; end $$;
    create trigger refuse before update on payout for each row
      when (new.id = '{}' and new.connection_id <> old.connection_id) execute function refuse()"""


async def test_one_payout_whose_move_fails_keeps_no_other_from_being_moved(world, monkeypatch):
    """It is the first of the first connection; behind it are the rest of its page, further pages and the next connection."""
    monkeypatch.setattr(rerouter, "_PAGE", 2)
    gateway = await world.start_gateway()
    merchants = [await world.merchant(providers=("pivot", "xendit")) for _ in range(2)]
    merchants.sort(key=lambda merchant: merchant.connections["pivot"])
    await gateway.pool.execute("update connection set priority = 1 where provider = 'pivot'")
    gateway.connections._by_account.clear()
    await gateway.dispatcher.close()
    made = [(merchant, await merchant.pay(**BANK)) for merchant in merchants for _ in range(5)]
    assert {payout["provider"] for _, payout in made} == {"pivot"}
    (owner, broken), *others = made
    await gateway.pool.execute(MAY_NOT_MOVE.format(broken["id"]))
    await gateway.pool.execute("update connection set paused_until = 'infinity' where provider = 'pivot'")

    async def until_moved(merchant, payout):
        async with asyncio.timeout(8):
            while (await merchant.payout(payout["id"]))["provider"] != "xendit":
                await asyncio.sleep(0.05)

    for merchant, payout in others:
        await until_moved(merchant, payout)
    assert (await owner.payout(broken["id"]))["provider"] == "pivot"
    assert gateway.metrics.registry.get_sample_value("gateway_rounds_total", {"loop": "rerouter", "outcome": "error"}) >= 1
    await gateway.pool.execute("drop trigger refuse on payout")
    await until_moved(owner, broken)
