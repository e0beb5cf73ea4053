"""What is on our balances at providers, by their own word, as it was last read. Shown and measured; no decision rests on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.store.database import Pool
from schemas.checks import ProviderBalance


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceAtProvider:
    """One row of `provider_balance`."""

    connection_id: str
    currency: str
    amount_minor: int
    read_at: datetime
    age_s: float


async def claim_readings(
    pool: Pool, providers: Sequence[str], *, every_s: float, used_since_id: str, limit: int
) -> list[tuple[str, str]]:
    """(account, connection) whose balance is to be read now: those that payouts were made for, whose id is later."""
    records = await pool.fetch(
        """update connection c set balance_read_at = now()
             from (select k.account_id, k.id from connection k
                    where k.provider = any ($1)
                      and coalesce(k.balance_read_at, '-infinity') < now() - make_interval(secs => $2)
                      and exists (select from payout p
                                   where p.account_id = k.account_id and p.id > $3 and p.connection_id = k.id)
                    order by k.balance_read_at nulls first limit $4 for no key update skip locked) due
            where c.account_id = due.account_id and c.id = due.id returning c.account_id, c.id""",
        list(providers),
        every_s,
        used_since_id,
        limit,
    )
    return [(r["account_id"], r["id"]) for r in records]


async def keep_balances(pool: Pool, account_id: str, connection_id: str, balances: Sequence[ProviderBalance]) -> None:
    """Replace what was read before."""
    await pool.execute(
        """insert into provider_balance (account_id, connection_id, currency, amount_minor, read_at)
           select $1, $2, currency, amount_minor, now() from unnest($3::text[], $4::bigint[]) as g(currency, amount_minor)
           on conflict (account_id, connection_id, currency) do update
              set amount_minor = excluded.amount_minor, read_at = excluded.read_at""",
        account_id,
        connection_id,
        [balance.currency for balance in balances],
        [balance.amount_minor for balance in balances],
    )


async def balances_of(pool: Pool, account_id: str) -> list[BalanceAtProvider]:
    """All that is known of an account's balances, however old."""
    records = await pool.fetch(
        """select connection_id, currency, amount_minor, read_at, extract(epoch from now() - read_at)::float8 as age_s
             from provider_balance where account_id = $1 order by connection_id, currency""",
        account_id,
    )
    return [BalanceAtProvider(**record) for record in records]


async def lowest_balances(pool: Pool, *, younger_than_s: float) -> list[tuple[str, str, int]]:
    """(provider, currency, lowest amount in minor units over its connections) of what was read lately."""
    records = await pool.fetch(
        """select c.provider, b.currency, min(b.amount_minor) as lowest
             from provider_balance b join connection c on c.account_id = b.account_id and c.id = b.connection_id
            where b.read_at > now() - make_interval(secs => $1) group by c.provider, b.currency""",
        younger_than_s,
    )
    return [(r["provider"], r["currency"], r["lowest"]) for r in records]
