"""Accounts, their keys and their connections. Secrets come in and go out sealed; nothing here can open them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.store.database import Pool
from gateway.store.rows import ConnectionRow


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRow:
    """One active row of `api_key`, with what of its account every request needs."""

    account_id: str
    id: str
    kind: str
    person: str
    secret_sealed: bytes | None = field(repr=False)
    scopes: frozenset[str]
    default_currency: str


async def create_account(pool: Pool, account_id: str, name: str, default_currency: str) -> bool:
    """Create an account; False when this id exists already."""
    tag = await pool.execute(
        "insert into account (id, name, default_currency) values ($1, $2, $3) on conflict do nothing",
        account_id,
        name,
        default_currency,
    )
    return tag.endswith(" 1")


async def list_accounts(pool: Pool) -> list[tuple[str, str, str]]:
    """(id, name, default currency) of every account: for the operator's command line only."""
    return [(r["id"], r["name"], r["default_currency"]) for r in await pool.fetch("select * from account order by id")]


async def account_exists(pool: Pool, account_id: str) -> bool:
    """Whether there is such an account."""
    return bool(await pool.fetchval("select exists (select from account where id = $1)", account_id))


async def create_key(
    pool: Pool,
    *,
    account_id: str,
    key_id: str,
    kind: str,
    lookup: str,
    person: str,
    secret_sealed: bytes | None,
    scopes: list[str],
) -> bool:
    """Store a key; False when its lookup exists already."""
    tag = await pool.execute(
        """insert into api_key (account_id, id, kind, lookup, person, secret_sealed, scopes)
           values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing""",
        account_id,
        key_id,
        kind,
        lookup,
        person,
        secret_sealed,
        scopes,
    )
    return tag.endswith(" 1")


async def revoke_key(pool: Pool, account_id: str, key_id: str) -> bool:
    """Revoke at once; False when this account has no such active key."""
    tag = await pool.execute(
        "update api_key set revoked_at = now() where account_id = $1 and id = $2 and revoked_at is null", account_id, key_id
    )
    return tag.endswith(" 1")


async def list_keys(pool: Pool, account_id: str) -> list[tuple[str, str, str, list[str], bool]]:
    """(id, kind, person, scopes, revoked) of an account's keys."""
    records = await pool.fetch(
        """select id, kind, person, scopes, revoked_at is not null as revoked from api_key
            where account_id = $1 order by id""",
        account_id,
    )
    return [(r["id"], r["kind"], r["person"], r["scopes"], r["revoked"]) for r in records]


async def find_key(pool: Pool, lookup: str) -> KeyRow | None:
    """The active key behind a lookup: a signing key's public id, or the keyed hash of a Bearer key."""
    record = await pool.fetchrow(
        """select k.account_id, k.id, k.kind, k.person, k.secret_sealed, k.scopes, a.default_currency
             from api_key k join account a on a.id = k.account_id where k.lookup = $1 and k.revoked_at is null""",
        lookup,
    )
    return KeyRow(**{**record, "scopes": frozenset(record["scopes"])}) if record else None


_CONNECTION = """select account_id, id, provider, name, priority, currencies, rate_per_s, settings, secrets_sealed,
    case when paused_until > now() then paused_reason end as paused_reason from connection"""


async def create_connection(
    pool: Pool,
    *,
    account_id: str,
    connection_id: str,
    provider: str,
    name: str,
    priority: int,
    currencies: list[str],
    rate_per_s: float | None,
    settings: dict[str, Any],
    secrets_sealed: bytes,
) -> None:
    """Store a connection, or replace the settings and secrets of the one with this id."""
    await pool.execute(
        """insert into connection (account_id, id, provider, name, priority, settings, secrets_sealed, currencies,
                                   rate_per_s)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
           on conflict (account_id, id) do update set name = $4, priority = $5, settings = $6, secrets_sealed = $7,
               currencies = $8, rate_per_s = $9, paused_until = null, paused_reason = null""",
        account_id,
        connection_id,
        provider,
        name,
        priority,
        settings,
        secrets_sealed,
        currencies,
        rate_per_s,
    )


async def connections_of(pool: Pool, account_id: str) -> list[ConnectionRow]:
    """An account's connections, the preferred first."""
    records = await pool.fetch(f"{_CONNECTION} where account_id = $1 order by priority, id", account_id)
    return [ConnectionRow(**record) for record in records]


async def find_connection(pool: Pool, connection_id: str) -> ConnectionRow | None:
    """A connection by its id alone: for notices and loops, which belong to no request."""
    record = await pool.fetchrow(f"{_CONNECTION} where id = $1", connection_id)
    return ConnectionRow(**record) if record else None


async def find_connections(pool: Pool, connection_ids: Sequence[str]) -> list[ConnectionRow | None]:
    """The same for many, one answer per id."""
    records = await pool.fetch(f"{_CONNECTION} where id = any($1)", connection_ids)
    found = {record["id"]: ConnectionRow(**record) for record in records}
    return [found.get(connection_id) for connection_id in connection_ids]


async def any_sealed_connection(pool: Pool) -> ConnectionRow | None:
    """Some connection, to try the master key on; None while there is none."""
    record = await pool.fetchrow(f"{_CONNECTION} limit 1")
    return ConnectionRow(**record) if record else None


async def has_master_key_proof(pool: Pool) -> bool:
    """Whether something was sealed once to tell this database's key by."""
    return bool(await pool.fetchval("select exists (select from master_key_proof)"))


async def keep_master_key_proof(pool: Pool, sealed: bytes) -> bytes:
    """What is sealed under the key that this database goes with: `sealed`, unless there was something before."""
    await pool.execute("insert into master_key_proof (sealed) values ($1) on conflict do nothing", sealed)
    kept: bytes = await pool.fetchval("select sealed from master_key_proof")
    return kept


async def pause_connection(pool: Pool, account_id: str, connection_id: str, *, for_s: float, reason: str) -> None:
    """Send nothing more through a connection for a while; its payouts stay queued. A longer pause is left as it is."""
    await pool.execute(
        """update connection set paused_until = now() + make_interval(secs => $3), paused_reason = $4
            where account_id = $1 and id = $2
              and (paused_until is null or paused_until <= now() + make_interval(secs => $3))""",
        account_id,
        connection_id,
        for_s,
        reason,
    )


async def resume_connection(pool: Pool, connection_id: str) -> None:
    """Let a connection send again, for whatever reason it was paused."""
    await pool.execute("update connection set paused_until = null, paused_reason = null where id = $1", connection_id)


async def paused_connections(pool: Pool) -> list[tuple[str, str]]:
    """(connection id, provider) of what is paused now."""
    records = await pool.fetch("select id, provider from connection where paused_until > now()")
    return [(r["id"], r["provider"]) for r in records]


async def bank_account(pool: Pool, account_id: str) -> dict[str, Any] | None:
    """An account's default bank account, as its model dumps it."""
    value: dict[str, Any] | None = await pool.fetchval("select bank_account from account where id = $1", account_id)
    return value


async def set_bank_account(pool: Pool, account_id: str, value: dict[str, Any]) -> None:
    """Replace an account's default bank account."""
    await pool.execute("update account set bank_account = $2 where id = $1", account_id, value)
