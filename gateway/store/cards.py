"""Saved cards: our id, what may be shown of them, and the provider's token, sealed. Never a card number."""

from collections.abc import Sequence
from enum import StrEnum

from gateway.store.database import Pool
from gateway.store.rows import CardRow

_COLUMNS = "account_id, id, connection_id, state, brand, last4, failure_text, created_at, updated_at, token_sealed"


class CardState(StrEnum):
    """How far the saving of a card has come."""

    SAVING = "saving"
    ACTIVE = "active"
    FAILED = "failed"
    DELETED = "deleted"


async def create_card(
    pool: Pool, *, account_id: str, card_id: str, connection_id: str, request_key: str, fingerprint: bytes
) -> tuple[CardRow | None, bool]:
    """Store a card as `saving`: (row, is new). Row None: the key was used for another card."""
    record = await pool.fetchrow(
        f"""insert into card (account_id, id, connection_id, request_key, fingerprint, state)
            values ($1, $2, $3, $4, $5, 'saving') on conflict (account_id, request_key) do nothing returning {_COLUMNS}""",
        account_id,
        card_id,
        connection_id,
        request_key,
        fingerprint,
    )
    if record:
        return CardRow(**record), True
    earlier = await pool.fetchrow(
        f"select {_COLUMNS} from card where account_id = $1 and request_key = $2 and fingerprint = $3",
        account_id,
        request_key,
        fingerprint,
    )
    return (CardRow(**earlier) if earlier else None), False


async def get_cards(pool: Pool, wanted: Sequence[tuple[str, str]]) -> list[CardRow | None]:
    """Cards by (account, card), in order; None for one that is not there or was deleted."""
    records = await pool.fetch(
        f"""select {_COLUMNS} from card
             where (account_id, id) in (select * from unnest($1::text[], $2::text[])) and state <> 'deleted'""",
        [account_id for account_id, _ in wanted],
        [card_id for _, card_id in wanted],
    )
    found = {(record["account_id"], record["id"]): CardRow(**record) for record in records}
    return [found.get(one) for one in wanted]


async def list_cards(pool: Pool, account_id: str, *, before_id: str | None, limit: int) -> list[CardRow]:
    """Newest first, older than `before_id`."""
    records = await pool.fetch(
        f"""select {_COLUMNS} from card where account_id = $1 and state <> 'deleted' and ($2::text is null or id < $2)
             order by id desc limit $3""",
        account_id,
        before_id,
        limit,
    )
    return [CardRow(**record) for record in records]


async def activate_card(
    pool: Pool,
    *,
    account_id: str,
    connection_id: str,
    card_id: str,
    token_sealed: bytes,
    brand: str | None,
    last4: str | None,
    customer_ref: str | None,
) -> bool:
    """Keep the token of a card that is being saved at this connection; False when there is no such card."""
    tag = await pool.execute(
        """update card set state = 'active', token_sealed = $4, brand = $5, last4 = $6, failure_text = null,
                  customer_ref = coalesce($7, customer_ref), updated_at = now()
            where account_id = $1 and connection_id = $2 and id = $3 and state in ('saving', 'failed', 'active')""",
        account_id,
        connection_id,
        card_id,
        token_sealed,
        brand,
        last4,
        customer_ref,
    )
    return tag.endswith(" 1")


async def keep_customer(pool: Pool, account_id: str, card_id: str, customer_ref: str) -> None:
    """Remember whom the provider made of a card that is being saved: its notice may name nobody else."""
    await pool.execute(
        "update card set customer_ref = coalesce(customer_ref, $3) where account_id = $1 and id = $2",
        account_id,
        card_id,
        customer_ref,
    )


async def card_of_customer(pool: Pool, account_id: str, connection_id: str, customer_ref: str) -> str | None:
    """The one card that is being saved at this connection for their customer; None when there is none, or more than one."""
    records = await pool.fetch(
        """select id from card where account_id = $1 and connection_id = $2 and customer_ref = $3
              and state in ('saving', 'failed') limit 2""",
        account_id,
        connection_id,
        customer_ref,
    )
    return records[0]["id"] if len(records) == 1 else None


async def fail_card(pool: Pool, account_id: str, card_id: str, reason: str) -> None:
    """Saving did not work; the card can be saved again under a new request."""
    await pool.execute(
        """update card set state = 'failed', failure_text = $3, updated_at = now()
            where account_id = $1 and id = $2 and state = 'saving'""",
        account_id,
        card_id,
        reason,
    )


async def expire_saving(pool: Pool, *, older_than_s: float) -> int:
    """Fail cards whose saving was cut off; a notice that still comes makes them active all the same."""
    tag = await pool.execute(
        """update card set state = 'failed', failure_text = 'the provider did not confirm it in time', updated_at = now()
            where state = 'saving' and created_at < now() - make_interval(secs => $1)""",
        older_than_s,
    )
    return int(tag.rpartition(" ")[2])


async def delete_card(pool: Pool, account_id: str, card_id: str) -> bool:
    """Forget a card and its token; False when there is no such card."""
    tag = await pool.execute(
        """update card set state = 'deleted', token_sealed = null, updated_at = now()
            where account_id = $1 and id = $2 and state <> 'deleted'""",
        account_id,
        card_id,
    )
    return tag.endswith(" 1")
