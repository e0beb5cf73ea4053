"""What routing reads and writes: policies, what payouts ask of their route, and how connections do. Chooses nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from asyncpg import Record

from gateway.failover import Tried
from gateway.ids import lineage
from gateway.route_order import Health
from gateway.routing import Wanted
from gateway.store.database import Pool
from schemas.destination import DestinationType
from schemas.payout import AttemptState, Phase


@dataclass(frozen=True, slots=True)
class RoutablePayout:
    """A payout as routing sees it, with what was tried for it. `age_s` since it was created."""

    account_id: str
    id: str
    seq: int
    phase: Phase
    connection_id: str
    provider: str
    amount_minor: int
    currency: str
    wanted: Wanted
    tried: tuple[Tried, ...]
    age_s: float


_ROUTABLE = """
    select p.account_id, p.id, p.seq, p.phase, p.connection_id, p.provider, p.amount_minor, p.currency, p.destination_type,
           p.bank_code, p.bank_country, p.statement_descriptor, p.pin_provider, p.pin_connection_id, p.metadata,
           card.connection_id as card_connection_id, extract(epoch from now() - p.created_at)::float8 as age_s,
           tried.connections, tried.states
      from payout p
      left join card on card.account_id = p.account_id and card.id = p.card_id
      left join lateral (
           select array_agg(a.connection_id order by a.number) as connections, array_agg(a.state order by a.number) as states
             from attempt a where a.account_id = p.account_id and a.payout_id = p.id
      ) tried on true
"""


def _routable(record: Record) -> RoutablePayout:
    pairs = zip(record["connections"] or (), record["states"] or (), strict=True)
    return RoutablePayout(
        account_id=record["account_id"],
        id=record["id"],
        seq=record["seq"],
        phase=Phase(record["phase"]),
        connection_id=record["connection_id"],
        provider=record["provider"],
        amount_minor=record["amount_minor"],
        currency=record["currency"],
        wanted=Wanted(
            amount_minor=record["amount_minor"],
            currency=record["currency"],
            destination_type=DestinationType(record["destination_type"]),
            bank_code=record["bank_code"],
            country=record["bank_country"],
            descriptor=record["statement_descriptor"],
            card_connection_id=record["card_connection_id"],
            provider=record["pin_provider"],
            connection_id=record["pin_connection_id"],
            metadata=record["metadata"],
            stable_key=lineage(record["id"]),
        ),
        tried=tuple(Tried(connection_id, AttemptState(state)) for connection_id, state in pairs),
        age_s=record["age_s"],
    )


async def routable_payouts(pool: Pool, ids: Sequence[tuple[str, str]]) -> dict[str, RoutablePayout]:
    """Payouts by (account, id), as they stand now."""
    records = await pool.fetch(
        f"{_ROUTABLE} where (p.account_id, p.id) in (select * from unnest($1::text[], $2::text[]))",
        [account_id for account_id, _ in ids],
        [payout_id for _, payout_id in ids],
    )
    return {record["id"]: _routable(record) for record in records}


async def waiting_at(pool: Pool, connection_id: str, *, after_id: str, limit: int) -> list[RoutablePayout]:
    """Queued payouts of a connection that are due and not pinned to it, by id, the next after `after_id`."""
    records = await pool.fetch(
        f"""{_ROUTABLE} where p.connection_id = $1 and p.phase = 'queued' and p.due_at <= now() and p.id > $2
               and p.pin_connection_id is null and p.card_id is null order by p.id limit $3""",
        connection_id,
        after_id,
        limit,
    )
    return [_routable(record) for record in records]


async def get_policy(pool: Pool, account_id: str) -> dict[str, Any] | None:
    """An account's routing policy as it was put; None while it has none."""
    policy: dict[str, Any] | None = await pool.fetchval("select routing from account where id = $1", account_id)
    return policy


async def put_policy(pool: Pool, account_id: str, policy: dict[str, Any]) -> None:
    """Replace an account's routing policy."""
    await pool.execute("update account set routing = $2 where id = $1", account_id, policy)


async def health_of(pool: Pool, account_id: str, *, fresh_s: float, funds_fresh_s: float) -> dict[str, Health]:
    """How an account's connections do, as the loops of all processes have learned, and what is on their balances."""
    learned = await pool.fetch(
        """select connection_id, success, paid_s,
                  circuit_open and learned_at > now() - make_interval(secs => $2) as circuit_open,
                  saturated and learned_at > now() - make_interval(secs => $2) as saturated
             from connection_health where account_id = $1""",
        account_id,
        fresh_s,
    )
    funds: dict[str, dict[str, int]] = {}
    for record in await pool.fetch(
        """select connection_id, currency, amount_minor from provider_balance
            where account_id = $1 and read_at > now() - make_interval(secs => $2)""",
        account_id,
        funds_fresh_s,
    ):
        funds.setdefault(record["connection_id"], {})[record["currency"]] = record["amount_minor"]
    health = {
        record["connection_id"]: Health(
            circuit_open=record["circuit_open"],
            saturated=record["saturated"],
            success=record["success"],
            paid_s=record["paid_s"],
            funds_minor=funds.pop(record["connection_id"], {}),
        )
        for record in learned
    }
    return health | {connection_id: Health(funds_minor=amounts) for connection_id, amounts in funds.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedHealth:
    """How one connection does, as this process has seen it."""

    account_id: str
    connection_id: str
    circuit_open: bool
    saturated: bool
    success: float | None
    paid_s: float | None


async def share_health(pool: Pool, learned: Sequence[LearnedHealth]) -> None:
    """Tell all processes how connections do. Who tells last is believed: they all look at the same providers."""
    await pool.execute(
        """insert into connection_health as h (account_id, connection_id, circuit_open, saturated, success, paid_s, learned_at)
           select g.*, now() from unnest($1::text[], $2::text[], $3::bool[], $4::bool[], $5::float8[], $6::float8[])
               as g(account_id, connection_id, circuit_open, saturated, success, paid_s) order by 1, 2
           on conflict (account_id, connection_id) do update set circuit_open = excluded.circuit_open,
               saturated = excluded.saturated, success = coalesce(excluded.success, h.success),
               paid_s = coalesce(excluded.paid_s, h.paid_s), learned_at = now()""",
        [one.account_id for one in learned],
        [one.connection_id for one in learned],
        [one.circuit_open for one in learned],
        [one.saturated for one in learned],
        [one.success for one in learned],
        [one.paid_s for one in learned],
    )
