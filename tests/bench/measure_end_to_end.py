"""End to end: create to paid over Plexy, Mollie and Pivot, with the sandboxes' own ledgers as the witness at the end."""

import asyncio
import statistics
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
from measure_create import Flood
from processes import Child, ChildError, Usage, memory_mb
from results import FLOOR_OF_THE_GOAL, GOAL_PAID_PER_S, Row
from stage import Account, Database, Sandboxes, Stage

ACCOUNTS = 4
MOLLIE_PER_ACCOUNT = 24  # a balance takes one payout at a time, so many of them
WINDOW = 500
CONNECTIONS = 64
_FAST = {
    "plexy": {"processingAfterMs": 5, "settledAfterMs": 20, "webhookAfterMs": 5, "cardSavedAfterMs": 20},
    "mollie": {"initiatedAfterMs": 10, "atBankAfterMs": 10, "completedAfterMs": 10},
    "pivot": {"doneAfterMs": 50},
}
_AMOUNTS = {"KZT": 500_000, "EUR": 25_000, "IDR": 15_000_000}
_BANK = {
    "bankCode": "BCA",
    "bankName": "Bank Central Asia",
    "bankAccountNumber": "1234567890",
    "bankAccountHolder": "PT Contoh",
}
_ALL_PAID_WITHIN_S = 60.0
_FLOOR_S = 2.0
_NO_KEY = {"bearer": "the floor asks for none"}


async def _merchant(database: Database, sandboxes: Sandboxes, port: int) -> tuple[Account, list[dict[str, Any]]]:
    """An account with its connections, and the bodies of its creates: a third for each provider."""
    account = await database.account("KZT", "EUR", "IDR")
    for provider in ("plexy", "pivot", *["mollie"] * MOLLIE_PER_ACCOUNT):
        await sandboxes.connect(database, account, provider, port)
    card = await sandboxes.save_card(account, port)
    bodies: list[dict[str, Any]] = []
    for mollie in account.connections["mollie"]:
        bodies += [
            {"amount": _AMOUNTS["KZT"], "currency": "KZT", "destination": {"type": "card", "cardId": card}},
            {"amount": _AMOUNTS["EUR"], "currency": "EUR", "destination": {"type": "balance"}, "connectionId": mollie},
            {"amount": _AMOUNTS["IDR"], "currency": "IDR", **_BANK, "provider": "pivot"},
        ]
    return account, bodies


async def _until_all_paid(database: Database) -> None:
    """Raise `ChildError` with what is still open, and why it may be, when it takes too long."""
    try:
        async with asyncio.timeout(_ALL_PAID_WITHIN_S):
            while await database.pool.fetchval("select sum(in_transit) from balance"):
                await asyncio.sleep(0.1)
    except TimeoutError as error:
        payouts = await database.pool.fetch(
            """select p.id, p.provider, p.phase, p.due_at, a.state, a.provider_ref, a.check_at, a.sends, p.review_reason
                 from payout p left join attempt a on a.account_id = p.account_id and a.id = p.attempt_id
                where p.phase <> 'paid' limit 5"""
        )
        notices = await database.pool.fetch("select provider, tries, due_at, detail from notice where state = 'new' limit 5")
        held = await database.pool.fetchval("select count(*) from recovery_hold where released_second_at is null")
        still = "; ".join(str(dict(record)) for record in (*payouts, *notices))
        raise ChildError(f"not all paid within {_ALL_PAID_WITHIN_S:.0f} s, holds open: {held}; {still}") from error


async def _judge(database: Database, sandboxes: Sandboxes, answered: int) -> str:
    """The sandboxes say what was sent, the database what is paid: equal, and nothing twice."""
    payouts = await database.pool.fetchval("select count(*) from payout")
    paid = await database.pool.fetchval("select count(*) from payout where phase = 'paid'")
    sent = 0
    for provider in _FAST:
        summary = await sandboxes.control("GET", f"{provider}/ledger/summary")
        sent += summary["sent"] - summary["returned"]
        if summary["doublePayments"]:
            raise ChildError(f"{provider} paid twice: {summary['doublePayments'][:3]}")
    if not answered == payouts == paid == sent:
        raise ChildError(f"{answered} answered, {payouts} stored, {paid} paid, but {sent} sent by the sandboxes")
    return f"{paid:,} payouts created, paid and sent once each by the sandboxes' own ledgers"


async def measure(stage: Stage, *, seconds: float, rounds: int) -> tuple[list[Row], list[str]]:
    """The rows of create to paid, and what to say below the table. Each run stands between two of the floor."""
    two = Row(name="create to paid, API and loops in a process each", goal=f"{GOAL_PAID_PER_S:.0f} paid/s")
    one = Row(name="create to paid, all in one process", goal=f"{GOAL_PAID_PER_S:.0f} paid/s")
    about = (
        "create to paid: Plexy, Mollie and Pivot in turn; manual is left out, since a person marks it. Sandboxes, PostgreSQL "
        f"and load are on the same cores, {WINDOW} payouts open at any time. CPU is of all gateway processes. The goal was set "
        f"where the floor was {FLOOR_OF_THE_GOAL:,.0f} a second: there it is {GOAL_PAID_PER_S / FLOOR_OF_THE_GOAL:.3f} of the "
        "floor. The last runs:"
    )
    said: dict[str, str] = {}
    async with Child("serve_floor.py") as floor, Child("load.py") as load:
        flood = Flood(load, _FLOOR_S)
        before = await flood.on(floor, _NO_KEY, Row(name="floor"))
        for _ in range(rounds):
            for row, processes in ((two, (("api",), ("loops",))), (one, (("api", "loops"),))):
                said[row.name] = f"{row.name}: {await _measure(stage, row, processes, seconds)}"
                after = await flood.on(floor, _NO_KEY, Row(name="floor"))
                row.ratio.append(row.per_s[-1] / statistics.mean((before, after)))
                before = after
    for row in (two, one):
        row.is_reached = statistics.median(row.per_s) >= GOAL_PAID_PER_S
    return [two, one], [about, *said.values()]


async def _measure(stage: Stage, row: Row, processes: Sequence[Sequence[str]], seconds: float) -> str:
    """One run into `row`, with gateway processes of these roles, the first with the API; answers what happened."""
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(await stage.database())
        http = await stack.enter_async_context(aiohttp.ClientSession())
        sandbox_process = await stack.enter_async_context(Child("serve_sandboxes.py", str(stage.folder / database.name)))
        gateways = [await stack.enter_async_context(database.gateway(*roles)) for roles in processes]
        port = gateways[0].facts["port"]
        load = await stack.enter_async_context(Child("load.py"))
        sandboxes = Sandboxes(http, sandbox_process.facts["port"])
        for provider, settings in _FAST.items():
            await sandboxes.control("PATCH", f"{provider}/settings", settings)
        auth: list[dict[str, str]] = []
        bodies: list[dict[str, Any]] = []
        merchants = [await _merchant(database, sandboxes, port) for _ in range(ACCOUNTS)]
        for number in range(len(merchants[0][1])):  # accounts and providers in turn
            for account, its_bodies in merchants:
                auth.append({"bearer": account.bearer})
                bodies.append(its_bodies[number])
        served_by = {" and ".join(roles): gateway.pid for roles, gateway in zip(processes, gateways, strict=True)}
        others = {"load": load.pid, "sandboxes": sandbox_process.pid, "postgres": stage.postgres.pid or 0}
        usage = Usage(**served_by, **others)
        load.tell(
            kind="steady", port=port, connections=CONNECTIONS, seconds=seconds, auth=auth, bodies=bodies,
            dsn=database.dsn, amounts=_AMOUNTS, window=WINDOW,
        )  # fmt: skip
        await load.hear(30)  # it begins
        usage.start()
        offering = asyncio.create_task(load.hear(seconds + 60))
        while not offering.done():
            row.memory_mb.append(max(memory_mb(gateway.pid) for gateway in gateways))
            await asyncio.wait([offering], timeout=0.5)
        result = offering.result()
        usage.stop()
        if result["refused"]:
            raise ChildError(f"{result['refused']} of {result['answers']} requests were refused: {result['refusal']}")
        await _until_all_paid(database)
        judged = await _judge(database, sandboxes, result["answers"])
        figures = await database.pool.fetchrow(
            """select count(*) / extract(epoch from max(completed_at) - min(created_at))::float8 as per_s,
                      percentile_cont(array[0.5, 0.99]) within group (
                          order by extract(epoch from completed_at - created_at)::float8 * 1000) as ms
                 from payout where phase = 'paid'"""
        )
        shares = await database.pool.fetch(
            """select provider, count(*) as many, percentile_cont(0.5) within group (
                      order by extract(epoch from completed_at - created_at)::float8 * 1000) as p50
                 from payout group by provider order by provider"""
        )
    assert figures is not None
    gateway_cores = sum(usage.cores[name] for name in served_by)
    row.per_s.append(figures["per_s"])
    row.p50_ms.append(figures["ms"][0])
    row.p99_ms.append(figures["ms"][1])
    row.cpu.append(gateway_cores)
    row.cpu_us.append(gateway_cores / figures["per_s"] * 1e6)
    mix = ", ".join(f"{share['provider']} {share['many']} (p50 {share['p50']:.0f} ms)" for share in shares)
    used = ", ".join(f"{name} {cores:.0%}" for name, cores in usage.cores.items())
    return f"{judged}; {mix}. CPU: {used}, other processes of this machine {usage.others_cores:.0%}."
