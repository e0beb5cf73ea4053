"""Opening the database: the pool, the JSON codec, and the migrations. Knows no table."""

from importlib.resources import as_file, files
from typing import Any, TypeAlias
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import orjson
from asyncpg.pool import PoolConnectionProxy
from yoyo import get_backend, read_migrations

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
Session: TypeAlias = "asyncpg.Connection | PoolConnectionProxy[asyncpg.Record]"

# A process that stands still (stopped, paged out, its network gone) may hold the locks of a transaction that others wait for.
# PostgreSQL ends its session: between two statements, and anywhere else in a transaction, which newer versions can do. There it
# takes longer than anything of ours may, and shorter than those who wait have patience.
_IDLE_IN_TRANSACTION_S = 10.0
_TRANSACTION_S = 20.0
_PATIENCE_S = 30.0
_ENDS_TRANSACTIONS = 17  # PostgreSQL's version


class UnsafeDatabaseError(RuntimeError):
    """The database may forget what it confirmed. Nothing is started: a forgotten attempt can be paid twice."""


async def _prepare(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=lambda v: orjson.dumps(v).decode(), decoder=orjson.loads
    )
    for name, value in transaction_limit(connection, _TRANSACTION_S).items():
        await connection.execute(f"set {name} = {value}")


def transaction_limit(connection: Session, within_s: float | None) -> dict[str, str]:
    """The setting, by name, that ends a session whose transaction takes longer (None: that ends none).

    Empty where PostgreSQL cannot do it. A limit that runs already is not made longer or shorter, only taken away.
    """
    can = connection.get_server_version().major >= _ENDS_TRANSACTIONS
    return {"transaction_timeout": f"{(within_s or 0) * 1000:.0f}"} if can else {}


async def _leave_as_it_is(_connection: asyncpg.Connection) -> None:
    """No use changes a session (no SET, LISTEN, cursor or advisory lock), so nothing has to be undone after each.

    asyncpg itself still rolls back a transaction that was left open. Its own reset would be one more round trip per query.
    """


async def open_pool(dsn: str, *, size: int) -> Pool:
    """A pool of `size` connections. Raises `UnsafeDatabaseError` when commits would not survive a crash (F10)."""
    pool = await asyncpg.create_pool(
        dsn,
        min_size=min(4, size),
        max_size=size,
        init=_prepare,
        reset=_leave_as_it_is,
        command_timeout=_PATIENCE_S,
        server_settings={
            "application_name": "payout-gateway",
            "idle_in_transaction_session_timeout": f"{_IDLE_IN_TRANSACTION_S * 1000:.0f}",
            # Every statement here touches few rows, by their keys. Plans are kept, and those that were made while the tables
            # were small would read whole tables or indexes for ever after (F16).
            "enable_seqscan": "off",
            "enable_hashjoin": "off",
            "enable_mergejoin": "off",
            "jit": "off",  # before PostgreSQL 18 what is switched off above looks so dear that compiling it would seem to pay
        },
    )
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):
        value = await pool.fetchval("select current_setting($1)", setting)
        if value == "off":
            await pool.close()
            raise UnsafeDatabaseError(
                f"PostgreSQL runs with {setting} = off, so a crash could forget payouts that were sent. Switch it on."
            )
    return pool


def migrate(dsn: str) -> int:
    """Bring the schema up to date, one process at a time; returns how many migrations ran. Blocking."""
    parts = urlsplit(dsn)
    backend: Any = get_backend(urlunsplit(parts._replace(scheme="postgresql+psycopg")))
    try:
        with as_file(files("gateway.store") / "migrations") as folder, backend.lock():
            waiting = backend.to_apply(read_migrations(str(folder)))
            backend.apply_migrations(waiting)
        return len(waiting)
    finally:
        backend.connection.close()
