"""Payouts at the edge: create, read, list, timeline. Writes down and answers; sending is the dispatcher's work."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from aiohttp import web

from gateway.api import cursor, views
from gateway.api.auth import PAYOUT_READ, PAYOUT_WRITE, Caller
from gateway.api.body import fingerprint, idempotency_key, limit_of, parse, query, read_body
from gateway.api.envelope import PAYOUT_ID, ApiError, ok, page
from gateway.api.parts import Parts, parts_of
from gateway.gather import TooMuchWaitingError
from gateway.ids import new_id
from gateway.routing import Candidate, Exclusion, Wanted, Why, route
from gateway.store import accounts, cards, payouts
from gateway.store.cards import CardState
from gateway.store.payouts import CreateOutcome, NewPayout, PayoutFilter
from gateway.store.rows import PayoutRow
from schemas import ids
from schemas.destination import Balance, BankAccount, Card, DestinationType
from schemas.payout import Phase, Status
from schemas.requests import CreatePayout

# Which reason for having no route becomes which error: (code, field). The most telling reason wins.
_NO_ROUTE: dict[Why, tuple[str, str]] = {
    Why.PIN: ("no_route", "connectionId"),
    Why.DESTINATION: ("no_route", "destination"),
    Why.CURRENCY: ("no_route", "currency"),
    Why.CARD: ("no_route", "destination.cardId"),
    Why.BANK_CODE: ("bank_code_not_supported", "bankCode"),
    Why.DESCRIPTOR: ("statement_descriptor_not_supported", "statementDescriptor"),
    Why.AMOUNT: ("amount_not_supported", "amount"),
}
_TELLING = list(Why)


@dataclass(slots=True)
class _PaidTo:
    """Where the money goes, as the payout's row has it."""

    type: DestinationType
    bank_code: str | None = None
    bank_name: str | None = None
    bank_account_number: str | None = field(default=None, repr=False)
    bank_account_holder: str | None = field(default=None, repr=False)
    card_id: str | None = None


def _paid_to_account(account: BankAccount | CreatePayout) -> _PaidTo:
    """A bank account; a request that carries one flat has the same fields under the same rules."""
    return _PaidTo(
        DestinationType.BANK_ACCOUNT,
        account.bank_code,
        account.bank_name,
        account.bank_account_number,
        account.bank_account_holder,
    )


async def _paid_to(parts: Parts, caller: Caller, wanted: CreatePayout) -> _PaidTo:
    if wanted.bank_name is not None:
        return _paid_to_account(wanted)
    match wanted.destination:
        case BankAccount() as account:
            return _paid_to_account(account)
        case Card(card_id=card_id):
            return _PaidTo(DestinationType.CARD, card_id=card_id)
        case Balance():
            return _PaidTo(DestinationType.BALANCE)
    stored = await accounts.bank_account(parts.pool, caller.account_id)
    if stored is None:
        raise ApiError(
            422,
            "bank_account_unconfigured",
            "The payout names no destination and this account has no default bank account. Nothing was created.",
            field="destination",
        )
    return _paid_to_account(BankAccount.model_validate(stored))


async def _card_connection(parts: Parts, caller: Caller, card_id: str) -> str:
    row = await cards.get_card(parts.pool, caller.account_id, card_id)
    if row is None:
        raise ApiError(422, "card_not_found", "This account has no such card.", field="destination.cardId")
    if row.state != CardState.ACTIVE:
        raise ApiError(
            422, "card_not_ready", f"The card is {row.state}; it can be paid once it is active.", field="destination.cardId"
        )
    return row.connection_id


def _refuse_route(excluded: tuple[Exclusion, ...]) -> ApiError:
    if not excluded:
        return ApiError(422, "no_route", "This account has no connection to any provider yet. Nothing was created.")
    telling = max(excluded, key=lambda e: _TELLING.index(e.why))
    code, field = _NO_ROUTE[telling.why]
    details = [{"connectionId": e.connection_id, "reason": e.reason} for e in excluded if e.why is not Why.PIN]
    if telling.why is Why.PIN:
        message = "This account has no connection like the one that the request names."
    else:
        message = f"No connection can carry this payout: {telling.reason}."
    return ApiError(422, code, f"{message} Nothing was created.", field=field, details=details)


async def _choose(parts: Parts, caller: Caller, wanted: CreatePayout, paid_to: _PaidTo) -> Candidate:
    card_connection = await _card_connection(parts, caller, paid_to.card_id) if paid_to.card_id is not None else None
    found = route(
        Wanted(
            amount_minor=wanted.amount,
            currency=wanted.currency,
            destination_type=paid_to.type,
            bank_code=paid_to.bank_code,
            descriptor=wanted.statement_descriptor,
            card_connection_id=card_connection,
            provider=wanted.provider,
            connection_id=wanted.connection_id,
        ),
        await parts.connections.candidates(caller.account_id),
    )
    if not found.ordered:
        raise _refuse_route(found.excluded)
    return found.ordered[0]


def _row(caller: Caller, wanted: CreatePayout, paid_to: _PaidTo, chosen: Candidate) -> PayoutRow:
    now = datetime.now(UTC)
    return PayoutRow(
        account_id=caller.account_id,
        id=new_id(ids.PAYOUT),
        amount_minor=wanted.amount,
        currency=wanted.currency,
        destination_type=paid_to.type,
        bank_code=paid_to.bank_code,
        bank_name=paid_to.bank_name,
        bank_account_number=paid_to.bank_account_number,
        bank_account_holder=paid_to.bank_account_holder,
        card_id=paid_to.card_id,
        provider=chosen.contract.provider,
        connection_id=chosen.connection_id,
        method=chosen.contract.method,
        merchant_reference=wanted.merchant_reference,
        note=wanted.note,
        statement_descriptor=wanted.statement_descriptor,
        metadata=wanted.metadata,
        created_at=now,
        updated_at=now,
    )


def _created_reason(chosen: Candidate) -> str:
    """The first line of the timeline: the route, and what else the payout will change at the provider."""
    route_taken = f"created; goes out through {chosen.name} ({chosen.contract.title})"
    return ". Mind: ".join([route_taken, *chosen.contract.side_effects])


_REFUSALS: dict[CreateOutcome, tuple[int, str, str, str]] = {
    CreateOutcome.KEY_REUSED: (
        409,
        "idempotency_mismatch",
        "This Idempotency-Key was used for another request. Nothing was created; a new payout needs a new key.",
        "Idempotency-Key",
    ),
    CreateOutcome.REFERENCE_TAKEN: (
        409,
        "merchant_reference_taken",
        "Another payout of this account has this merchantReference. Nothing was created.",
        "merchantReference",
    ),
    CreateOutcome.INSUFFICIENT: (
        422,
        "insufficient_balance",
        "The amount is more than is available in this currency. Nothing was created.",
        "amount",
    ),
}


async def create(request: web.Request) -> web.Response:
    """`POST /api/v1/payouts`."""
    parts = parts_of(request)
    body = await read_body(request)
    caller = await parts.auth.caller(request, PAYOUT_WRITE, body)
    key = idempotency_key(request)
    wanted = parse(CreatePayout, request, body)
    mark = fingerprint(request, wanted)
    try:
        paid_to = await _paid_to(parts, caller, wanted)
        chosen = await _choose(parts, caller, wanted, paid_to)
    except ApiError as refusal:
        # What was accepted once stays accepted, even if cards or connections have changed since.
        return await _earlier(request, parts, caller, key, mark, refusal)
    row = _row(caller, wanted, paid_to, chosen)
    try:
        created = await parts.creates.submit(
            NewPayout(
                row=row,
                request_key=key,
                fingerprint=mark,
                linger_s=chosen.contract.batch_linger_s,
                source=caller.source,
                reason=_created_reason(chosen),
                event_id=new_id(ids.EVENT),
                tx_id=new_id(ids.LEDGER_TRANSACTION),
            )
        )
    except TooMuchWaitingError as error:
        raise ApiError(503, "service_unavailable", str(error), headers={"Retry-After": "1"}) from error
    if created.outcome is CreateOutcome.CREATED:
        request[PAYOUT_ID] = row.id
        parts.metrics.payouts_of(Phase.QUEUED, row.provider, "").inc()
        parts.dispatcher.wake()
        return ok(request, views.payout(row, chosen.contract), status=201)
    if created.outcome is CreateOutcome.REPLAYED and created.payout_id:
        return await _replay(request, parts, caller, created.payout_id)
    status, code, message, field = _REFUSALS[created.outcome]
    raise ApiError(status, code, message, field=field)


async def _earlier(
    request: web.Request, parts: Parts, caller: Caller, key: str, mark: bytes, refusal: ApiError
) -> web.Response:
    """Answer a request that can no longer be routed: with the payout it made before, or with why not."""
    used = await payouts.used_key(parts.pool, caller.account_id, key)
    if used is None:
        raise refusal
    if used.fingerprint != mark:
        status, code, message, field = _REFUSALS[CreateOutcome.KEY_REUSED]
        raise ApiError(status, code, message, field=field) from None
    return await _replay(request, parts, caller, used.payout_id)


async def _replay(request: web.Request, parts: Parts, caller: Caller, payout_id: str) -> web.Response:
    row = await payouts.get_payout(parts.pool, caller.account_id, payout_id)
    if row is None:
        raise ApiError(503, "service_unavailable", "The payout exists but cannot be read yet; repeat the request.")
    request[PAYOUT_ID] = row.id
    return ok(request, views.payout(row, parts.connections.contract(row.provider)), status=201, replayed=True)


async def load(parts: Parts, caller: Caller, request: web.Request) -> PayoutRow:
    """The payout that the path names, if it is the caller's. Another account's looks like one that never was."""
    payout_id = request.match_info["id"]
    row = None
    if ids.is_id(payout_id, ids.PAYOUT):
        row = await payouts.get_payout(parts.pool, caller.account_id, payout_id)
    if row is None:
        raise ApiError(404, "not_found", "This account has no such payout.")
    request[PAYOUT_ID] = row.id
    return row


async def get(request: web.Request) -> web.Response:
    """`GET /api/v1/payouts/{id}`."""
    parts = parts_of(request)
    caller = await parts.auth.caller(request, PAYOUT_READ, await read_body(request))
    row = await load(parts, caller, request)
    return ok(request, views.payout(row, parts.connections.contract(row.provider)))


async def timeline(request: web.Request) -> web.Response:
    """`GET /api/v1/payouts/{id}/timeline`."""
    parts = parts_of(request)
    caller = await parts.auth.caller(request, PAYOUT_READ, await read_body(request))
    row = await load(parts, caller, request)
    return ok(request, [views.step(e) for e in await payouts.timeline(parts.pool, caller.account_id, row.id)])


def _time(given: dict[str, str], name: str) -> datetime | None:
    if name not in given:
        return None
    try:
        moment = datetime.fromisoformat(given[name])
    except ValueError as error:
        raise ApiError(400, "validation_error", f"{name} must be an ISO 8601 time", field=name) from error
    if moment.tzinfo is None:
        raise ApiError(400, "validation_error", f"{name} needs a time zone, for example Z", field=name)
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:  # the first or last hours of the calendar, moved past its end by their time zone
        raise ApiError(400, "validation_error", f"{name} is outside the years 1 to 9999", field=name) from error


def _choice(given: dict[str, str], name: str, known: type[Status] | type[Phase]) -> str | None:
    if name in given and given[name] not in set(known):
        raise ApiError(400, "validation_error", f"{name} must be one of {', '.join(known)}", field=name)
    return given.get(name)


async def list_(request: web.Request) -> web.Response:
    """`GET /api/v1/payouts`, newest first."""
    parts = parts_of(request)
    caller = await parts.auth.caller(request, PAYOUT_READ, await read_body(request))
    given = query(
        request,
        *("limit", "cursor", "status", "phase", "provider", "connectionId", "currency", "merchantReference"),
        *("createdAfter", "createdBefore"),
    )
    limit = limit_of(given)
    place = cursor.decode(given.get("cursor"), ids.PAYOUT)
    wanted = PayoutFilter(
        status=_choice(given, "status", Status),
        phase=_choice(given, "phase", Phase),
        provider=given.get("provider"),
        connection_id=given.get("connectionId"),
        currency=given.get("currency"),
        merchant_reference=given.get("merchantReference"),
        created_after=_time(given, "createdAfter"),
        created_before=_time(given, "createdBefore"),
    )
    rows = await payouts.list_payouts(
        parts.pool, caller.account_id, wanted, before_id=place[0] if place else None, limit=limit + 1
    )
    shown = [views.payout(row, parts.connections.contract(row.provider)) for row in rows[:limit]]
    return page(request, shown, limit=limit, cursor=cursor.encode(rows[limit - 1].id) if len(rows) > limit else None)
