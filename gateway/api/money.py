"""Money at the edge: balance, the default bank account, credits and the ledger."""

import asyncpg
from aiohttp import web

from gateway.api import cursor, views
from gateway.api.auth import LEDGER_READ, LEDGER_WRITE, PAYOUT_READ, PAYOUT_WRITE
from gateway.api.body import currency_of, fingerprint, limit_of, parse, query, read_body
from gateway.api.envelope import ApiError, ok, page
from gateway.api.parts import parts_of
from gateway.ids import new_id
from gateway.store import accounts, ledger
from gateway.store.rows import BalanceRow
from schemas import ids
from schemas.requests import CreditBalance, UpdateBankAccount


async def balance(request: web.Request) -> web.Response:
    """`GET /api/v1/payouts/balance`: the account's default currency, or `?currency=`; every other one beside it."""
    parts = parts_of(request)
    caller = await parts.auth.caller(request, PAYOUT_READ, await read_body(request))
    currency = currency_of(query(request)) or caller.default_currency
    rows = {row.currency: row for row in await ledger.balances(parts.pool, caller.account_id)}
    asked = rows.get(currency) or BalanceRow(currency=currency, available=0, in_transit=0, paid_out=0)
    return ok(request, {**views.balance(asked), "balances": [views.balance(row) for row in rows.values()]})


async def get_bank_account(request: web.Request) -> web.Response:
    """`GET /api/v1/payouts/bank-account`."""
    parts = parts_of(request)
    caller = await parts.auth.caller(request, PAYOUT_READ, await read_body(request))
    return ok(request, views.bank_account(await accounts.bank_account(parts.pool, caller.account_id)))


async def update_bank_account(request: web.Request) -> web.Response:
    """`PATCH /api/v1/payouts/bank-account`: replaces it; natural to repeat, so it needs no idempotency key."""
    parts = parts_of(request)
    body = await read_body(request)
    caller = await parts.auth.caller(request, PAYOUT_WRITE, body)
    value = parse(UpdateBankAccount, request, body).model_dump()
    await accounts.set_bank_account(parts.pool, caller.account_id, value)
    return ok(request, views.bank_account(value))


async def credit(request: web.Request) -> web.Response:
    """`POST /api/v1/ledger/credits`: books money that came in, once per reference."""
    parts = parts_of(request)
    body = await read_body(request)
    caller = await parts.auth.caller(request, LEDGER_WRITE, body)
    given = parse(CreditBalance, request, body)
    try:
        tx_id, outcome = await ledger.credit(
            parts.pool,
            account_id=caller.account_id,
            currency=given.currency,
            amount_minor=given.amount,
            reference=given.reference,
            fingerprint=fingerprint(request),
            tx_id=new_id(ids.LEDGER_TRANSACTION),
            memo=given.memo,
        )
    except asyncpg.NumericValueOutOfRangeError as error:
        raise ApiError(
            422, "balance_too_large", "The balance would be larger than the books can hold. Nothing was booked.", field="amount"
        ) from error
    if outcome == "reference_reused":
        raise ApiError(
            409, "credit_reference_taken", "This reference was used for another credit before. Nothing was booked.",
            field="reference",
        )  # fmt: skip
    answer = {"transactionId": tx_id, "amount": given.amount, "currency": given.currency, "reference": given.reference}
    return ok(request, answer, status=201, replayed=outcome == "replayed")


async def entries(request: web.Request) -> web.Response:
    """`GET /api/v1/ledger/entries`, newest first."""
    parts = parts_of(request)
    caller = await parts.auth.caller(request, LEDGER_READ, await read_body(request))
    given = query(request)
    limit = limit_of(given)
    place = cursor.decode(given.get("cursor"), ids.LEDGER_TRANSACTION, parts=2)
    rows = await ledger.entries(
        parts.pool,
        caller.account_id,
        currency=currency_of(given),
        payout_id=given.get("payoutId"),
        before=(place[0], int(place[1])) if place else None,
        limit=limit + 1,
    )
    last = rows[limit - 1] if len(rows) > limit else None
    shown = [views.entry(row) for row in rows[:limit]]
    return page(request, shown, limit=limit, cursor=cursor.encode(last.tx_id, last.line) if last else None)
