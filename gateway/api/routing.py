"""Routing at the edge: an account's policy, and the route that a payout would take. Previewing creates and sends nothing."""

from collections.abc import Iterator

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


def _mistakes(policy: RoutingPolicy, providers: set[str]) -> Iterator[tuple[str, str]]:
    """(field, what is wrong there). Not rules of the schema: that also reads what was stored before these rules were made."""
    for place, rule in enumerate(policy.rules):
        lowest, highest = rule.when.amount_from, rule.when.amount_to
        if lowest is not None and highest is not None and lowest > highest:
            yield f"rules.{place}.when.amountFrom", "is more than amountTo: this rule would never decide"
    for where, strategy in policy.strategies():
        if strategy.connections and len(set(strategy.connections)) < len(strategy.connections):
            yield f"{where}.connections", "names a connection twice"
        if strategy.weights and not any(strategy.weights.values()):
            yield f"{where}.weights", "are all 0: at least one must be more"
    for name in sorted(set(policy.failover.providers or ()) - providers):
        yield "failover.providers", f"names {name}, which is none of {', '.join(sorted(providers))}"


async def put(request: web.Request) -> web.Response:
    """`PUT /api/v1/routing`: replaces the whole policy. Payouts that are queued already keep their route."""
    parts = parts_of(request)
    body = await read_body(request)
    caller = await parts.auth.caller(request, ROUTING_WRITE, body)
    policy = parse(RoutingPolicy, request, body)
    known = {candidate.connection_id for candidate in await parts.connections.candidates(caller.account_id)}
    unknown = [(where, named) for where, named in policy.connections() if named not in known]
    if unknown:
        raise ApiError(
            422,
            "unknown_connection",
            f"This account has no connection {unknown[0][1]}. The policy was not changed.",
            field=unknown[0][0],
            details=[{"field": where, "connectionId": named} for where, named in unknown],
        )
    mistakes = list(_mistakes(policy, {contract.provider for contract in parts.connections.contracts()}))
    if mistakes:
        where, message = mistakes[0]
        raise ApiError(
            400,
            "validation_error",
            f"{where} {message}. The policy was not changed.",
            field=where,
            details=[{"field": where, "message": message} for where, message in mistakes],
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
