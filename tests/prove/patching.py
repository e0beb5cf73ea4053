"""What a planted bug consists of: code that is replaced in a process, and SQL that is replaced in a database."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

import asyncpg


class Patching(Protocol):
    """Replaces what it is told to; `pytest.MonkeyPatch` does, and puts it back."""

    def setattr(self, target: Any, name: str, value: Any) -> None: ...
    def setitem(self, mapping: Any, key: Any, value: Any) -> None: ...


def _nothing_in_code(_patch: Patching) -> None:
    pass


async def _nothing_in_sql(_connection: asyncpg.Connection) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Bug:
    """One bug. The database's guards that would keep it from doing harm are off with it, and `change` says which."""

    tells: str
    plant: Callable[[Patching], None] = _nothing_in_code
    change: Callable[[asyncpg.Connection], Awaitable[None]] = _nothing_in_sql


class GoneError(RuntimeError):
    """The text that a bug replaces is not there any more: it must follow."""


async def rewrite(connection: asyncpg.Connection, function: str, *replacements: tuple[str, str]) -> None:
    """Replace parts of one of the database's functions."""
    text = await connection.fetchval("select pg_get_functiondef($1::regproc)", function)
    for before, after in replacements:
        if text.count(before) != 1:
            raise GoneError(f"{function} holds {text.count(before)} times: {before}")
        text = text.replace(before, after)
    await connection.execute(text)
