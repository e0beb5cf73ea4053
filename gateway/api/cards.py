"""Cards at the edge. Encrypted fields are handed on from memory; a card number or a token is never stored here or shown."""

from aiohttp import web

from gateway.api import cursor, views
from gateway.api.auth import CARD_READ, CARD_WRITE, Caller
from gateway.api.body import fingerprint, idempotency_key, limit_of, parse, query, read_body
from gateway.api.envelope import ApiError, ok, page
from gateway.api.parts import Parts, parts_of
from gateway.card_saver import SaveJob
from gateway.ids import new_id
from gateway.store import cards
from gateway.store.rows import CardRow
from schemas import ids
from schemas.requests import SaveCard


async def _connection_id(parts: Parts, caller: Caller, given: SaveCard) -> str:
    for candidate in await parts.connections.candidates(caller.account_id):
        wanted = (given.connection_id or candidate.connection_id, given.provider or candidate.contract.provider)
        if candidate.contract.saves_cards and wanted == (candidate.connection_id, candidate.contract.provider):
            return candidate.connection_id
    raise ApiError(422, "no_route", "This account has no such connection that saves cards.", field="connectionId")


async def save(request: web.Request) -> web.Response:
    """`POST /api/v1/cards`: answers a card that is `saving`, and `active` once the provider's notice brought the token."""
    parts = parts_of(request)
    body = await read_body(request)
    caller = await parts.auth.caller(request, CARD_WRITE, body)
    key = idempotency_key(request)
    given = parse(SaveCard, request, body)
    connection_id = await _connection_id(parts, caller, given)
    connection = await parts.connections.usable(connection_id)
    if connection and (problem := connection.connector.card_problem(given.card_fields)):
        raise ApiError(400, "validation_error", f"cardFields {problem}. Nothing was saved or kept.", field="cardFields")
    row, is_new = await cards.create_card(
        parts.pool,
        account_id=caller.account_id,
        card_id=new_id(ids.CARD),
        connection_id=connection_id,
        request_key=key,
        fingerprint=fingerprint(request),
    )
    if row is None:
        raise ApiError(409, "idempotency_mismatch", "This Idempotency-Key was used for another card.", field="Idempotency-Key")
    if is_new and not parts.card_saver.add(SaveJob(caller.account_id, row.id, connection_id, given.card_fields)):
        await cards.fail_card(parts.pool, caller.account_id, row.id, "too many cards were being saved")
        raise ApiError(503, "service_unavailable", "Too many cards are being saved. Try again with a new key.")
    return ok(request, views.card(row), status=201, replayed=not is_new)


async def _load(parts: Parts, caller: Caller, request: web.Request) -> CardRow:
    card_id = request.match_info["id"]
    row = await parts.cards.submit((caller.account_id, card_id)) if ids.is_id(card_id, ids.CARD) else None
    if row is None:
        raise ApiError(404, "not_found", "This account has no such card.")
    return row


async def get(request: web.Request) -> web.Response:
    """`GET /api/v1/cards/{id}`."""
    parts = parts_of(request)
    caller = await parts.auth.caller(request, CARD_READ, await read_body(request))
    return ok(request, views.card(await _load(parts, caller, request)))


async def list_(request: web.Request) -> web.Response:
    """`GET /api/v1/cards`, newest first."""
    parts = parts_of(request)
    caller = await parts.auth.caller(request, CARD_READ, await read_body(request))
    given = query(request)
    limit = limit_of(given)
    place = cursor.decode(given.get("cursor"), ids.CARD)
    rows = await cards.list_cards(parts.pool, caller.account_id, before_id=place[0] if place else None, limit=limit + 1)
    shown = [views.card(row) for row in rows[:limit]]
    return page(request, shown, limit=limit, cursor=cursor.encode(rows[limit - 1].id) if len(rows) > limit else None)


async def delete(request: web.Request) -> web.Response:
    """`DELETE /api/v1/cards/{id}`: forgets the card and its token."""
    parts = parts_of(request)
    caller = await parts.auth.caller(request, CARD_WRITE, await read_body(request))
    row = await _load(parts, caller, request)
    await cards.delete_card(parts.pool, caller.account_id, row.id)
    return web.Response(status=204)
