"""Payouts: creating many in one commit, and reading them back. Changing them belongs to `gateway.store.changes`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import orjson

from gateway.store.database import Pool
from gateway.store.decisions import open_proposals
from gateway.store.rows import EventRow, PayoutRow, payout_row

_COLUMNS = """p.account_id, p.id, p.amount_minor, p.currency, p.destination_type, p.bank_code, p.bank_name,
    p.bank_account_number, p.bank_account_holder, p.card_id, p.provider, p.connection_id, p.method, p.merchant_reference,
    p.note, p.statement_descriptor, p.metadata, p.created_at, p.updated_at, p.phase, p.status, p.seq, p.attempt_id,
    p.due_at, p.review_reason, p.failure_code, p.failure_text, p.failure_provider_code, p.failure_provider_text,
    p.reference, p.ledger_tx_id, p.processed_at, p.completed_at, p.final_at, p.bank_country, p.pin_provider,
    p.pin_connection_id, a.state as attempt_state,
    coalesce(a.cancel_asked_at is not null and not a.moves_on, false) as cancel_asked"""
_FROM = "from payout p left join attempt a on a.account_id = p.account_id and a.id = p.attempt_id"


class CreateOutcome(StrEnum):
    """What became of one row of a gathered create."""

    CREATED = "created"
    REPLAYED = "replayed"
    KEY_REUSED = "key_reused"
    REFERENCE_TAKEN = "reference_taken"
    INSUFFICIENT = "insufficient"


_OUTCOMES = {outcome.value: outcome for outcome in CreateOutcome}  # a table answers faster than the enum


@dataclass(slots=True, kw_only=True)
class NewPayout:
    """A payout to be created, and the request that asks for it."""

    row: PayoutRow
    request_key: str
    fingerprint: bytes
    linger_s: float  # how long to wait for others that go out in the same submission
    source: str
    reason: str
    event_id: str
    tx_id: str
    route: dict[str, Any]  # why this connection, in codes


@dataclass(slots=True)
class Created:
    """The answer to one row: `payout_id` is the earlier payout when the request was replayed."""

    outcome: CreateOutcome
    payout_id: str | None


# The rows come as one JSON text, since asyncpg needs eight times as long to write 24 arrays as orjson does for one text.
_CREATE = """
    select c.ord, c.outcome, c.payout_id
      from (select array_agg(account_id order by ord) as account_id, array_agg(key order by ord) as key,
                   array_agg(decode(fingerprint, 'hex') order by ord) as fingerprint, array_agg(id order by ord) as id,
                   array_agg(amount order by ord) as amount, array_agg(currency order by ord) as currency,
                   array_agg(destination_type order by ord) as destination_type,
                   array_agg(bank_code order by ord) as bank_code, array_agg(bank_name order by ord) as bank_name,
                   array_agg(bank_number order by ord) as bank_number, array_agg(bank_holder order by ord) as bank_holder,
                   array_agg(card_id order by ord) as card_id, array_agg(provider order by ord) as provider,
                   array_agg(connection_id order by ord) as connection_id, array_agg(method order by ord) as method,
                   array_agg(reference order by ord) as reference, array_agg(note order by ord) as note,
                   array_agg(descriptor order by ord) as descriptor, array_agg(metadata order by ord) as metadata,
                   array_agg(linger_s order by ord) as linger_s, array_agg(source order by ord) as source,
                   array_agg(reason order by ord) as reason, array_agg(event_id order by ord) as event_id,
                   array_agg(tx_id order by ord) as tx_id, array_agg(country order by ord) as country,
                   array_agg(pin_provider order by ord) as pin_provider,
                   array_agg(pin_connection order by ord) as pin_connection, array_agg(route order by ord) as route
              from json_to_recordset($1::text::json) as r(ord integer, account_id text, key text, fingerprint text, id text,
                   amount bigint, currency text, destination_type text, bank_code text, bank_name text, bank_number text,
                   bank_holder text, card_id text, provider text, connection_id text, method text, reference text, note text,
                   descriptor text, metadata text, linger_s double precision, source text, reason text, event_id text,
                   tx_id text, country text, pin_provider text, pin_connection text, route text)) g,
           create_payouts(g.account_id, g.key, g.fingerprint, g.id, g.amount, g.currency, g.destination_type, g.bank_code,
                          g.bank_name, g.bank_number, g.bank_holder, g.card_id, g.provider, g.connection_id, g.method,
                          g.reference, g.note, g.descriptor, g.metadata, g.linger_s, g.source, g.reason, g.event_id,
                          g.tx_id, g.country, g.pin_provider, g.pin_connection, g.route, $2) c
"""


async def create_payouts(pool: Pool, news: Sequence[NewPayout]) -> list[Created]:
    """Create all in one commit; one exact answer per row, in order."""
    rows = [
        {
            "ord": ord_,
            "account_id": new.row.account_id,
            "key": new.request_key,
            "fingerprint": new.fingerprint.hex(),
            "id": new.row.id,
            "amount": new.row.amount_minor,
            "currency": new.row.currency,
            "destination_type": new.row.destination_type,
            "bank_code": new.row.bank_code,
            "bank_name": new.row.bank_name,
            "bank_number": new.row.bank_account_number,
            "bank_holder": new.row.bank_account_holder,
            "card_id": new.row.card_id,
            "provider": new.row.provider,
            "connection_id": new.row.connection_id,
            "method": new.row.method,
            "reference": new.row.merchant_reference,
            "note": new.row.note,
            "descriptor": new.row.statement_descriptor,
            "metadata": new.row.metadata,
            "linger_s": new.linger_s,
            "source": new.source,
            "reason": new.reason,
            "event_id": new.event_id,
            "tx_id": new.tx_id,
            "country": new.row.bank_country,
            "pin_provider": new.row.pin_provider,
            "pin_connection": new.row.pin_connection_id,
            "route": new.route,
        }
        for ord_, new in enumerate(news, 1)
    ]
    records = await pool.fetch(_CREATE, orjson.dumps(rows).decode(), news[0].row.created_at)
    answers: list[Created | None] = [None] * len(news)
    for record in records:
        answers[record["ord"] - 1] = Created(_OUTCOMES[record["outcome"]], record["payout_id"])
    if None in answers:
        raise RuntimeError("create_payouts left a row without an answer; nobody may assume that it was written")
    return [answer for answer in answers if answer is not None]


async def get_payout(pool: Pool, account_id: str, payout_id: str) -> PayoutRow | None:
    """One payout of this account."""
    record = await pool.fetchrow(f"select {_COLUMNS} {_FROM} where p.account_id = $1 and p.id = $2", account_id, payout_id)
    if record is None:
        return None
    row = payout_row(record)
    await _with_proposals(pool, account_id, [row])
    return row


async def _with_proposals(pool: Pool, account_id: str, rows: Sequence[PayoutRow]) -> None:
    """Put what was proposed beside the payouts that are on the desk. The others, nearly all, cost no query."""
    on_desk = [row.id for row in rows if row.review_reason is not None]
    proposals = await open_proposals(pool, account_id, on_desk) if on_desk else {}
    for row in rows:
        row.proposal = proposals.get(row.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutFilter:
    """What a list is narrowed to; None = everything."""

    status: str | None = None
    phase: str | None = None
    provider: str | None = None
    connection_id: str | None = None
    currency: str | None = None
    merchant_reference: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    needs_person: bool | None = None


# Part of the statement and no parameter: a kept plan could not know that the index `payout_review` has them all.
_WAITING = {None: "", True: "and p.review_reason is not null", False: "and p.review_reason is null"}


async def list_payouts(
    pool: Pool, account_id: str, wanted: PayoutFilter, *, before_id: str | None, limit: int
) -> list[PayoutRow]:
    """Newest first, older than `before_id`; up to `limit` rows."""
    records = await pool.fetch(
        f"""select {_COLUMNS} {_FROM}
             where p.account_id = $1 and ($2::text is null or p.id < $2)
               and ($3::text is null or p.status = $3) and ($4::text is null or p.phase = $4)
               and ($5::text is null or p.provider = $5) and ($6::text is null or p.connection_id = $6)
               and ($7::text is null or p.currency = $7) and ($8::text is null or p.merchant_reference = $8)
               and ($9::timestamptz is null or p.created_at >= $9) and ($10::timestamptz is null or p.created_at < $10)
               {_WAITING[wanted.needs_person]}
             order by p.id desc limit $11""",
        account_id,
        before_id,
        wanted.status,
        wanted.phase,
        wanted.provider,
        wanted.connection_id,
        wanted.currency,
        wanted.merchant_reference,
        wanted.created_after,
        wanted.created_before,
        limit,
    )
    rows = [payout_row(record) for record in records]
    await _with_proposals(pool, account_id, rows)
    return rows


async def timeline(pool: Pool, account_id: str, payout_id: str) -> list[EventRow]:
    """Every step of a payout, first to last."""
    records = await pool.fetch(
        """select e.id, e.payout_id, e.seq, e.type, e.phase, e.status, e.attempt_id, e.source, e.reason, e.words, e.evidence,
                  e.report_digest, e.hash, a.route, e.created_at
             from event e
             left join attempt a on a.account_id = e.account_id and a.id = e.attempt_id and e.type = 'payout.sending'
            where e.account_id = $1 and e.payout_id = $2 order by e.seq""",
        account_id,
        payout_id,
    )
    return [EventRow(**record) for record in records]


@dataclass(frozen=True, slots=True)
class UsedKey:
    """An idempotency key that this account has used before."""

    fingerprint: bytes
    payout_id: str


async def used_key(pool: Pool, account_id: str, key: str) -> UsedKey | None:
    """What a key was used for, if it ever was."""
    record = await pool.fetchrow(
        "select fingerprint, payout_id from request_key where account_id = $1 and key = $2", account_id, key
    )
    return UsedKey(record["fingerprint"], record["payout_id"]) if record else None


async def phase_counts(pool: Pool) -> list[tuple[str, str, int, float]]:
    """(provider, phase, how many, age of the oldest in seconds) of the payouts that are not final."""
    records = await pool.fetch(
        """select provider, phase, count(*) as many, extract(epoch from now() - min(created_at))::float8 as oldest_s
             from payout where phase in ('queued', 'processing', 'needs_review') group by provider, phase"""
    )
    return [(r["provider"], r["phase"], r["many"], r["oldest_s"]) for r in records]
