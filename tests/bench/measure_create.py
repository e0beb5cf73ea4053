"""Create with everything on, against the floor: the same load on both in turn, so that a drifting machine moves both."""

import statistics
from contextlib import AsyncExitStack
from typing import Any

from processes import Child, ChildError, Usage, memory_mb
from results import GOAL_CREATE_RATIO, Row
from stage import Account, Database, Stage

CONNECTIONS = 64
WARM_S = 0.5
_AMOUNT_MINOR = 15_000_000
_BODY = {
    "amount": _AMOUNT_MINOR,
    "currency": "IDR",
    "bankCode": "BCA",
    "bankName": "Bank Central Asia",
    "bankAccountNumber": "1234567890",
    "bankAccountHolder": "PT Contoh",
    "provider": "pivot",
}
_NOWHERE = "http://127.0.0.1:9"  # nothing is sent: the loops do not run in this process
_SECRETS = {"client_id": "c" * 16, "client_secret": "s" * 16, "callback_key": "k" * 16}


class Flood:
    """The same load on one server after the other. `others_cores`: what other people's processes used meanwhile."""

    def __init__(self, load: Child, seconds: float) -> None:
        self._load = load
        self._seconds = seconds
        self.others_cores: list[float] = []

    async def on(self, server: Child, auth: dict[str, str], row: Row, **beside: int) -> float:
        """Measure one run into `row`; `beside` are the process ids that work for the server. Returns answers a second."""
        job: dict[str, Any] = {"port": server.facts["port"], "connections": CONNECTIONS, "seconds": self._seconds}
        self._load.tell(kind="flood", warm_s=WARM_S, auth=[auth], bodies=[_BODY], **job)
        usage = Usage(server=server.pid, load=self._load.pid, **beside)
        await self._load.hear(WARM_S + 30)  # the warm-up is over
        usage.start()
        await self._load.hear(self._seconds + 30)  # the measured time is over
        usage.stop()
        result = await self._load.hear(60)
        if result["refused"] or not result["answers"]:
            raise ChildError(f"{result['refused']} of {result['answers']} requests were refused: {result['refusal']}")
        per_s: float = result["answers"] / self._seconds
        row.per_s.append(per_s)
        row.p50_ms.append(result["p50_ms"])
        row.p99_ms.append(result["p99_ms"])
        row.cpu.append(usage.cores["server"])
        row.cpu_us.append(usage.cores["server"] / per_s * 1e6)
        if beside:
            row.memory_mb.append(memory_mb(server.pid))
        self.others_cores.append(usage.others_cores)
        return per_s


async def account_with_connection(database: Database) -> Account:
    """The one account of this scenario, with one hot balance."""
    account = await database.account("IDR")
    await database.connect(account, "pivot", {"base_url": _NOWHERE}, _SECRETS)
    return account


async def check(database: Database, account: Account) -> int:
    """How many payouts were made. Every one has its money reserved, or the figures mean nothing."""
    made = await database.pool.fetchval("select count(*) from payout where account_id = $1 and phase = 'queued'", account.id)
    held = await database.pool.fetchval("select in_transit from balance where account_id = $1", account.id)
    if not made or held != made * _AMOUNT_MINOR:
        raise ChildError(f"{made} payouts, but {held} minor units are reserved")
    return int(made)


async def measure(stage: Stage, *, seconds: float, rounds: int) -> tuple[list[Row], list[str]]:
    """The rows of the floor, of Bearer and of signed creates; and what to say below the table."""
    floor_row = Row(name="floor: bare aiohttp handler, JSON in and out")
    bearer_row = Row(name="create, Bearer key", goal=f"{GOAL_CREATE_RATIO:.2f} of the floor")
    signed_row = Row(name="create, signed request")
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(await stage.database())
        account = await account_with_connection(database)
        gateway = await stack.enter_async_context(database.gateway("api"))
        floor = await stack.enter_async_context(Child("serve_floor.py"))
        load = await stack.enter_async_context(Child("load.py"))
        bearer, signed = {"bearer": account.bearer}, {"key_id": account.key_id, "secret": account.secret}
        flood = Flood(load, seconds)
        # Not counted: servers, plans and pools that are new are slower for some seconds, each in its own way.
        await flood.on(gateway, bearer, Row(name="warm-up"), postgres=stage.postgres.pid or 0)
        await flood.on(floor, bearer, Row(name="warm-up"))
        before = await flood.on(floor, bearer, floor_row)
        for number in range(rounds):
            kinds = [(bearer_row, bearer), (signed_row, signed)] if number % 2 == 0 else [(bearer_row, bearer)]
            for row, auth in kinds:
                per_s = await flood.on(gateway, auth, row, postgres=stage.postgres.pid or 0)
                after = await flood.on(floor, bearer, floor_row)
                row.ratio.append(per_s / statistics.mean((before, after)))
                before = after
        made = await check(database, account)
    bearer_row.is_reached = statistics.median(bearer_row.ratio) >= GOAL_CREATE_RATIO
    said = (
        f"create: {CONNECTIONS} connections, one account with one hot balance; every request is a new payout with its own "
        f"idempotency key and merchantReference. The gateway has role api: the loops run in other processes of a deployment. "
        f"{made:,} payouts made, all there, all reserved. The ratio is to the floor just before and just after."
    )
    others = f"other processes of this machine used up to {max(flood.others_cores):.1f} cores during the creates."
    return [floor_row, bearer_row, signed_row], [said, others]
