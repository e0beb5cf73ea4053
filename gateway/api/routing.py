"""Routing at the edge: an account's policy, and the route that a payout would take. Previewing creates and sends nothing."""

from aiohttp import web

from gateway.api import views
from gateway.api.auth import PAYOUT_READ, ROUTING_WRITE
from gateway.api.body import parse, read_body
from gateway.api.envelope import ApiError, ok
from gateway.api.parts import parts_of
from gateway.api.route_choice import paid_to_of, route_of
from gateway.ids import new_id
from gateway.store.routes import put_policy
from schemas import ids
from schemas.policy import RoutingPolicy
from schemas.requests import CreatePayout


async def get(request: web.Request) -> web.Response:
    """`GET /api/v1/routing`."""
    parts = parts_of(request)
    caller = await parts.auth.caller(request, PAYOUT_READ, await read_body(request))
    return ok(request, views.policy(await parts.connections.policy(caller.account_id)))


async def put(request: web.Request) -> web.Response:
    """`PUT /api/v1/routing`: replaces the whole policy. Payouts that are queued already keep their route."""
    parts = parts_of(request)
    body = await read_body(request)
    caller = await parts.auth.caller(request, ROUTING_WRITE, body)
    policy = parse(RoutingPolicy, request, body)
    known = {candidate.connection_id for candidate in await parts.connections.candidates(caller.account_id)}
    unknown = sorted(policy.connections() - known)
    if unknown:
        raise ApiError(
            422,
            "unknown_connection",
            f"This account has no connection {unknown[0]}. The policy was not changed.",
            field="connections",
            details=[{"connectionId": connection_id} for connection_id in unknown],
        )
    stored = policy.model_dump(mode="json", by_alias=True, exclude_none=True)
    await put_policy(parts.pool, caller.account_id, stored)
    parts.connections.forget_policies()
    return ok(request, views.policy(policy))


async def preview(request: web.Request) -> web.Response:
    """`POST /api/v1/routing/preview`: the route of a payout that is not sent. A split would order each payout differently."""
    parts = parts_of(request)
    body = await read_body(request)
    caller = await parts.auth.caller(request, PAYOUT_READ, body)
    wanted = parse(CreatePayout, request, body)
    paid_to = await paid_to_of(parts, caller, wanted)
    found = await route_of(parts, caller, wanted, paid_to, new_id(ids.PAYOUT))
    policy = await parts.connections.policy(caller.account_id)
    return ok(request, views.route(found, policy, wanted.amount, wanted.currency))
