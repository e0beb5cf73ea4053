"""What must hold when everything has ended: the sandboxes' own ledgers beside our books. It asks no gateway what was paid."""

from collections import Counter
from decimal import Decimal

from tests.kill.stage import Stage
from tests.prove import books

_EFFECTS = {"paid": 1, "failed": 0, "cancelled": 0}  # on a person's desk: none or one


async def judge(stage: Stage) -> Counter[str]:
    """Raise unless every payout had the one effect that we say it had; answers how many ended in which phase."""
    effects = await effects_of(stage)
    rows = await stage.pool.fetch("select id, phase from payout")
    wrong = [row for row in rows if effects[row["id"]] != _EFFECTS.get(row["phase"], min(effects[row["id"]], 1))]
    assert not wrong, "\n".join([await tell(stage, row["id"], effects[row["id"]]) for row in wrong])
    assert set(effects) <= {row["id"] for row in rows}, f"money left that no attempt asked for (I10): {effects}"
    assert {asked.payout_id for asked in stage.client.made} <= {row["id"] for row in rows}, "an answered payout is lost (I4)"
    of_key = {asked.key: asked.payout_id for asked in stage.client.made}
    assert len(rows) == len(of_key), "one payout a key, however often it was asked for (I2)"
    assert {(asked.key, asked.payout_id) for asked in stage.client.made} == set(of_key.items()), "one key, two answers (I21)"
    assert await books.broken(stage.pool) == []
    return Counter(row["phase"] for row in rows)


async def effects_of(stage: Stage) -> Counter[str]:
    """How often money left for each payout; under what it was asked for, where no attempt has that."""
    of_key = {row["key"]: row["payout_id"] for row in await stage.pool.fetch("select key, payout_id from attempt")}
    # Plexy is told nothing of ours, so that every payout to a card has an amount of its own.
    cards = await stage.pool.fetch("select id, amount_minor from payout where destination_type = 'card'")
    of_amount = {row["amount_minor"]: row["id"] for row in cards}
    keyed = await stage.sent("xendit") + await stage.sent("pivot")
    found = Counter(of_key.get(line["ourRef"], line["ourRef"]) for line in keyed)
    for line in await stage.sent("plexy"):
        amount_minor = int(Decimal(line["amount"]) * 100)
        found[of_amount.get(amount_minor, f"a card payout of {amount_minor}")] += 1
    return found


async def tell(stage: Stage, payout_id: str, effects: int) -> str:
    events = await stage.pool.fetch(
        "select seq, type, source, reason, created_at from event where payout_id = $1 order by seq", payout_id
    )
    steps = "".join(f"\n    {e['created_at']:%S.%f} {e['type']} by {e['source']}: {e['reason']}" for e in events)
    return f"{payout_id}: money left {effects} times, and we say{steps}"
