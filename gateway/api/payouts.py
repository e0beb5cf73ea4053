"""Payouts at the edge: create, read, list, timeline. Writes down and answers; sending is the dispatcher's work."""

from datetime import UTC, datetime

from aiohttp import web

from gateway.api import cursor, views
from gateway.api.auth import PAYOUT_READ, PAYOUT_WRITE, Caller
from gateway.api.body import currency_of, fingerprint, idempotency_key, limit_of, parse, query, read_body
from gateway.api.envelope import PAYOUT_ID, ApiError, ok, page
from gateway.api.parts import Parts, parts_of
from gateway.api.route_choice import PaidTo, no_route, paid_to_of, route_of
from gateway.gather import TooMuchWaitingError
from gateway.ids import lineage, new_id, payout_id_of
from gateway.points import point
from gateway.routing import Candidate, Route
from gateway.store import payouts
from gateway.store.payouts import CreateOutcome, NewPayout, PayoutFilter
from gateway.store.rows import PayoutRow
from schemas import ids
from schemas.payout import Phase, Status
from schemas.requests import CreatePayout


def _row(payout_id: str, caller: Caller, wanted: CreatePayout, paid_to: PaidTo, chosen: Candidate) -> PayoutRow:
    now = datetime.now(UTC)
    return PayoutRow(
        account_id=caller.account_id,
        id=payout_id,
        amount_minor=wanted.amount,
        currency=wanted.currency,
        destination_type=paid_to.type,
        bank_code=paid_to.bank_code,
        bank_name=paid_to.bank_name,
        bank_account_number=paid_to.bank_account_number,
        bank_account_holder=paid_to.bank_account_holder,
        bank_country=paid_to.bank_country,
        pin_provider=wanted.provider,
        pin_connection_id=wanted.connection_id,
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


def _created_reason(found: Route) -> str:
    """The first line of the timeline: the route, and what else the payout will change at the provider."""
    chosen = found.ordered[0]
    route_taken = f"created; goes out through {chosen.name} ({chosen.contract.title})"
    if len(found.ordered) > 1:
        ruled = f"rule {found.rule}, by {found.by}" if found.rule else f"by {found.by}"
        route_taken = f"{route_taken}, the first of {len(found.ordered)} connections that can carry it, {ruled}"
    return ". Mind: ".join([route_taken, *chosen.contract.side_effects])


_YES_OR_NO = {"true": True, "false": False}

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
    mark = fingerprint(request)
    payout_id = payout_id_of(caller.account_id, key)
    try:
        paid_to = await paid_to_of(parts, caller, wanted)
        found = await route_of(parts, caller, wanted, paid_to, lineage(payout_id))
        if not found.ordered:
            raise no_route(found.excluded, wanted)
    except ApiError as refusal:
        # What was accepted once stays accepted, even if cards or connections have changed since.
        return await _earlier(request, parts, caller, key, mark, refusal)
    chosen = found.ordered[0]
    row = _row(payout_id, caller, wanted, paid_to, chosen)
    point("create_asked")
    try:
        created = await parts.creates.submit(
            NewPayout(
                row=row,
                request_key=key,
                fingerprint=mark,
                linger_s=chosen.contract.batch_linger_s,
                source=caller.source,
                reason=_created_reason(found),
                route=found.codes(),
                event_id=new_id(ids.EVENT),
                tx_id=new_id(ids.LEDGER_TRANSACTION),
            )
        )
    except TooMuchWaitingError as error:
        raise ApiError(503, "service_unavailable", str(error), headers={"Retry-After": "1"}) from error
    point("create_committed")
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


def _yes_or_no(given: dict[str, str], name: str) -> bool | None:
    if name in given and given[name] not in _YES_OR_NO:
        raise ApiError(400, "validation_error", f"{name} must be true or false", field=name)
    return _YES_OR_NO.get(given.get(name, ""))


async def list_(request: web.Request) -> web.Response:
    """`GET /api/v1/payouts`, newest first."""
    parts = parts_of(request)
    caller = await parts.auth.caller(request, PAYOUT_READ, await read_body(request))
    given = query(request)
    limit = limit_of(given)
    place = cursor.decode(given.get("cursor"), ids.PAYOUT)
    wanted = PayoutFilter(
        status=_choice(given, "status", Status),
        phase=_choice(given, "phase", Phase),
        provider=given.get("provider"),
        connection_id=given.get("connectionId"),
        currency=currency_of(given),
        merchant_reference=given.get("merchantReference"),
        created_after=_time(given, "createdAfter"),
        created_before=_time(given, "createdBefore"),
        needs_person=_yes_or_no(given, "needsPerson"),
    )
    rows = await payouts.list_payouts(
        parts.pool, caller.account_id, wanted, before_id=place[0] if place else None, limit=limit + 1
    )
    shown = [views.payout(row, parts.connections.contract(row.provider)) for row in rows[:limit]]
    return page(request, shown, limit=limit, cursor=cursor.encode(rows[limit - 1].id) if len(rows) > limit else None)
