"""The rules that our own database must keep by itself: those that a running gateway watches, as queries that find nothing."""

import asyncpg

from gateway.store.invariants import rules

_SHOWN = 5


async def broken(connection: "asyncpg.Connection | asyncpg.Pool") -> list[tuple[str, str]]:
    """(rule, row) of what breaks one; of each rule the first few."""
    return [(rule.name, str(dict(row))) for rule in rules() for row in (await connection.fetch(rule.query))[:_SHOWN]]
