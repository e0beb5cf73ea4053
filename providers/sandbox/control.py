"""The control surface under `/_sandbox/{provider}`: set up merchants, order misbehaviour, look at the money.

For tests and demos on loopback. Not part of any provider's API, and the gateway never calls it.

    POST   merchants          create, or update when the given credentials exist; answers the credentials.
                              plexy  {apiKey, webhookUrl, webhookToken, balance}
                              mollie {apiKey, webhookUrl, webhookSecret | webhookSecrets[1..2],
                                      balances: [{id, currency, available, status, bankAccount, mode}]}
                              pivot  {merchantId, merchantSecret, callbackUrl, callbackApiKey, balance}
                              What is missing is made up. Amounts: plexy tenge, pivot rupiah, mollie "10.00".
    GET    merchants          what exists, without secrets, with the balances of this moment
    GET    ledger             {lines: [{n, at, kind: sent|returned, merchant, providerRef, ourRef, otherRefs, amount,
                              currency, destination, effect}], next}; `?after=N&limit=`
    GET    ledger/summary     {lines, sent, returned, sums: {currency: {sent, returned}}, doublePayments, repeatedOtherRefs};
                              `doublePayments` lists each `ourRef` that was sent more than once: [{merchant, ourRef,
                              count, lines}]
    GET    settings           PATCH settings {name: value, ...}; null = back to the default. Holds for payouts made
                              from then on, and survives a restart.
    POST   faults             {operation, kind, when: before|after, times, probability, match: {contains}, params}
                              -> {id}; GET faults with `hits`; DELETE faults; DELETE faults/{id}
    POST   payouts/{ref}/advance   {to, reason, hold}: the provider's own status word, now, with money and webhook;
                              `ref` is the provider's id or our reference. A state that is not final goes on by itself
                              unless `hold` is true.
    GET    requests           {total, operations, answers, requests: [{n, at, method, path, operation,
                              idempotencyKey, status, fault}]}; `?limit=`
    GET    deliveries         {waiting, counts, deliveries: [{id, at, ref, event, attempt, status, outcome, forged}]}
    POST   reset              forget everything of this provider, money and settings too

Fault kinds for an operation (or "*"), with their params. `before`: nothing happened yet; `after`: the effect is real
and only the answer is spoilt.

    refuse              the provider's own refusal; params as the provider's `refusal_answer` says
    drop                the connection is cut without an answer
    hang                {ms}: silence, then cut (default: a day)
    half_body           the headers promise more than comes
    wrong_content_type  {status}: an HTML page
    status              {status, headers, body}: without `body` the provider's own error body
    slow                {ms}: late, but right
    redirect            {status, location}: 307
    not_found_for       {ms}: on a read operation: a payout younger than this is not known (`when` does not matter)

Fault kinds for operation "webhook" (`match.contains` looks into the webhook's body, for before_answer into the create):

    never, twice, late {ms}, before_answer (the payout runs to its end and its webhooks arrive before the create
    answers), forged (wrong proof, sent once), invented_status
"""

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import web
from pydantic import BaseModel, Field, ValidationError

from providers.sandbox.base import ControlError, Sandbox, reply
from providers.sandbox.faults import ANY, WEBHOOK, Fault

_PAGE = 1000


class Advance(BaseModel, extra="forbid"):
    to: str = Field(min_length=1)
    reason: str | None = None
    hold: bool = False


Call = Callable[[Sandbox[Any], web.Request], Awaitable[Any]]


async def _body(request: web.Request) -> dict[str, Any]:
    raw = await request.read()
    body = orjson.loads(raw) if raw else {}
    if not isinstance(body, dict):
        raise ControlError("the body must be a JSON object")
    return body


def _number(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, str(default))
    if not text.isdecimal():
        raise ControlError(f"{name} must be a whole number")
    return int(text)


async def _put_merchant(sandbox: Sandbox[Any], request: web.Request) -> Any:
    return sandbox.put_merchant(await _body(request))


async def _merchants(sandbox: Sandbox[Any], _request: web.Request) -> Any:
    return {"merchants": sandbox.show_merchants()}


async def _ledger(sandbox: Sandbox[Any], request: web.Request) -> Any:
    after = _number(request, "after", 0)
    lines = sandbox.ledger.page(after, _number(request, "limit", _PAGE))
    return {"lines": lines, "next": after + len(lines)}


async def _summary(sandbox: Sandbox[Any], _request: web.Request) -> Any:
    return sandbox.ledger.summary()


async def _settings(sandbox: Sandbox[Any], _request: web.Request) -> Any:
    return sandbox.settings.model_dump(mode="json", by_alias=True)


async def _patch_settings(sandbox: Sandbox[Any], request: web.Request) -> Any:
    sandbox.change_settings(await _body(request))
    return await _settings(sandbox, request)


def _operations(sandbox: Sandbox[Any]) -> set[str]:
    return {WEBHOOK, ANY}.union(*((route.operation, *route.operations) for route in sandbox.routes()))


async def _add_fault(sandbox: Sandbox[Any], request: web.Request) -> Any:
    fault = Fault.model_validate(await _body(request))
    known = _operations(sandbox)
    if fault.operation not in known:
        raise ControlError(f"operation must be one of {', '.join(sorted(known))}")
    return {"id": sandbox.faults.add(fault)}


async def _faults(sandbox: Sandbox[Any], _request: web.Request) -> Any:
    return {"faults": sandbox.faults.show()}


async def _clear_faults(sandbox: Sandbox[Any], _request: web.Request) -> Any:
    sandbox.faults.clear()
    return {"faults": []}


async def _remove_fault(sandbox: Sandbox[Any], request: web.Request) -> Any:
    if not sandbox.faults.remove(request.match_info["id"]):
        raise ControlError("there is no fault with this id")
    return {"faults": sandbox.faults.show()}


async def _advance(sandbox: Sandbox[Any], request: web.Request) -> Any:
    order = Advance.model_validate(await _body(request))
    return sandbox.advance(request.match_info["ref"], order.to, order.reason, hold=order.hold)


async def _requests(sandbox: Sandbox[Any], request: web.Request) -> Any:
    return sandbox.requests.show(_number(request, "limit", 100))


async def _deliveries(sandbox: Sandbox[Any], request: web.Request) -> Any:
    return sandbox.courier.show(_number(request, "limit", 100))


async def _reset(sandbox: Sandbox[Any], _request: web.Request) -> Any:
    sandbox.reset()
    return {"reset": True}


_CALLS: tuple[tuple[str, str, Call], ...] = (
    ("POST", "merchants", _put_merchant),
    ("GET", "merchants", _merchants),
    ("GET", "ledger", _ledger),
    ("GET", "ledger/summary", _summary),
    ("GET", "settings", _settings),
    ("PATCH", "settings", _patch_settings),
    ("POST", "faults", _add_fault),
    ("GET", "faults", _faults),
    ("DELETE", "faults", _clear_faults),
    ("DELETE", "faults/{id}", _remove_fault),
    ("POST", "payouts/{ref}/advance", _advance),
    ("GET", "requests", _requests),
    ("GET", "deliveries", _deliveries),
    ("POST", "reset", _reset),
)


def _guarded(sandbox: Sandbox[Any], call: Call) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        try:
            return reply(await call(sandbox, request))
        except ControlError as error:
            return reply({"error": str(error)}, 400)
        except orjson.JSONDecodeError:
            return reply({"error": "the body is not JSON"}, 400)
        except ValidationError as error:
            # Without the input: it may hold credentials.
            details = error.errors(include_url=False, include_context=False, include_input=False)
            return reply({"error": [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in details]}, 400)

    return handle


def mount(app: web.Application, sandbox: Sandbox[Any]) -> None:
    for method, path, call in _CALLS:
        app.router.add_route(method, f"/_sandbox/{sandbox.name}/{path}", _guarded(sandbox, call))
