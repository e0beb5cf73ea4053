"""The rules of `invariants.sql`: reading them, and running one on a snapshot of its own. Reads only, and judges nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from gateway.store.database import Pool, transaction_limit

NAME = "-- name: "
NAMED_AT_MOST = 20  # offenders; how many there are is always counted
# One process at a time is enough. The number names this work among all advisory locks, and means nothing else.
_ALONE = 4_106_110
# The opposite of what a session of the gateway has: these queries read whole tables, each of them once. One process of
# PostgreSQL each, so that the payouts keep the rest.
_FOR_WHOLE_TABLES = {
    "enable_seqscan": "on",
    "enable_hashjoin": "on",
    "enable_mergejoin": "on",
    "max_parallel_workers_per_gather": "0",
    "work_mem": "64MB",
}
_SETTLE_S = 5.0  # the database gives up first, and says so


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: its name is the label of its metric."""

    name: str
    meaning: str
    query: str


@dataclass(frozen=True, slots=True)
class Finding:
    """How many rows break a rule, and (id, account) of the first of them."""

    many: int
    offenders: Sequence[tuple[str, str]]


@cache
def rules() -> tuple[Rule, ...]:
    """All rules, in the order of the file."""
    text = (files("gateway.store") / "invariants.sql").read_text()
    found = []
    for part in text.split(NAME)[1:]:
        head, _, query = part.partition("\n")
        name, _, meaning = head.partition(" ")
        found.append(Rule(name, meaning.strip(), query[: query.rindex(";")]))
    return tuple(found)


async def check_rule(pool: Pool, rule: Rule, *, timeout_s: float, alone: bool = False) -> Finding | None:
    """What breaks a rule, in one read-only snapshot; None when `alone` and another process is checking now.

    Raises what PostgreSQL says when it takes longer than `timeout_s`: then nobody knows whether the rule holds.
    """
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        if alone and not await connection.fetchval("select pg_try_advisory_xact_lock($1)", _ALONE):
            return None
        limits = {"statement_timeout": f"{timeout_s * 1000:.0f}", **transaction_limit(connection, None)}
        settings = _FOR_WHOLE_TABLES | limits
        await connection.execute(
            "select set_config(name, value, true) from unnest($1::text[], $2::text[]) as s(name, value)",
            list(settings),
            list(settings.values()),
        )
        records = await connection.fetch(
            f"select id, account_id, count(*) over () as many from ({rule.query}) offender limit {NAMED_AT_MOST}",
            timeout=timeout_s + _SETTLE_S,
        )
    many = records[0]["many"] if records else 0
    return Finding(many, [(record["id"], record["account_id"]) for record in records])
