"""Planted bugs (reliability guide, section 4): the table of all, and planting one by its number.

Production code contains none of them. A harness that has never seen red proves nothing, so each has to be seen by it.
"""

import operator

import asyncpg

from tests.prove import planted_answers, planted_books, planted_sends
from tests.prove.patching import Bug

BUGS: dict[str, Bug] = planted_answers.BUGS | planted_books.BUGS | planted_sends.BUGS


class _ForGood:
    """A process that is to have a bug until it ends."""

    setattr = staticmethod(setattr)
    setitem = staticmethod(operator.setitem)


def plant(name: str) -> None:
    """Plant the part that is code in this process."""
    BUGS[name].plant(_ForGood)


async def change(name: str, connection: asyncpg.Connection) -> None:
    """Plant the part that is in the database."""
    await BUGS[name].change(connection)
