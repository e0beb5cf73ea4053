"""The books as they are read, and credits coming in. Reserving, settling and releasing happen with the changes they follow."""

from gateway.store.database import Pool
from gateway.store.rows import BalanceRow, EntryRow


async def credit(
    pool: Pool,
    *,
    account_id: str,
    currency: str,
    amount_minor: int,
    reference: str,
    fingerprint: bytes,
    tx_id: str,
    memo: str | None,
) -> tuple[str, str]:
    """Bring money in once per reference: (transaction id, 'credited' | 'replayed' | 'reference_reused')."""
    record = await pool.fetchrow(
        "select tx_id, outcome from credit_balance($1, $2, $3, $4, $5, $6, $7)",
        account_id,
        currency,
        amount_minor,
        reference,
        fingerprint,
        tx_id,
        memo,
    )
    if record is None:
        raise RuntimeError("credit_balance gave no answer; nobody may assume that it was booked")
    return record["tx_id"], record["outcome"]


async def balances(pool: Pool, account_id: str) -> list[BalanceRow]:
    """An account's balances, by currency."""
    records = await pool.fetch(
        "select currency, available, in_transit, paid_out from balance where account_id = $1 order by currency", account_id
    )
    return [BalanceRow(**record) for record in records]


async def entries(
    pool: Pool,
    account_id: str,
    *,
    currency: str | None,
    payout_id: str | None,
    before: tuple[str, int] | None,
    limit: int,
) -> list[EntryRow]:
    """An account's ledger entries, newest transaction first, after the (transaction id, line) `before`."""
    before_tx, before_line = before or (None, None)
    records = await pool.fetch(
        """select tx_id, line, kind, book, currency, debit, credit, payout_id, memo, posted_at from ledger_entry
            where account_id = $1 and ($2::text is null or currency = $2) and ($3::text is null or payout_id = $3)
              and ($4::text is null or (tx_id, line) < ($4, $5::smallint))
            order by tx_id desc, line desc limit $6""",
        account_id,
        currency,
        payout_id,
        before_tx,
        before_line,
        limit,
    )
    return [EntryRow(**record) for record in records]
