"""The control surface under `/_sandbox/{provider}`: set up merchants, order misbehaviour, look at the money.

Not part of any provider's API, and the gateway never calls it. The README tells what each call takes and answers;
`_CALLS` at the end lists them.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import web
from pydantic import BaseModel, Field, ValidationError

from providers.sandbox.base import ControlError, Sandbox, reply
from providers.sandbox.faults import ANY, WEBHOOKS, Fault, Script
from providers.sandbox.orders import FAULT_HEADER, SCENARIO_HEADER
from providers.sandbox.scenarios import BY_NAME, SCENARIOS, Choice
from providers.sandbox.steps import KINDS

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
    return {WEBHOOKS, ANY}.union(*((route.operation, *route.operations) for route in sandbox.routes()))


def _check_operation(sandbox: Sandbox[Any], operation: str) -> None:
    known = _operations(sandbox)
    if operation not in known:
        raise ControlError(f"operation must be one of {', '.join(sorted(known))}")


async def _add_fault(sandbox: Sandbox[Any], request: web.Request) -> Any:
    fault = Fault.model_validate(await _body(request))
    _check_operation(sandbox, fault.operation)
    return {"id": sandbox.faults.add(fault)}


async def _add_script(sandbox: Sandbox[Any], request: web.Request) -> Any:
    script = Script.model_validate(await _body(request))
    _check_operation(sandbox, script.operation)
    return {"id": sandbox.faults.add_script(script)}


async def _faults(sandbox: Sandbox[Any], _request: web.Request) -> Any:
    return sandbox.faults.show()


async def _fault_kinds(sandbox: Sandbox[Any], _request: web.Request) -> Any:
    kinds = [
        {
            "kind": name,
            "tells": kind.tells,
            "touches": sorted(kind.touches),
            "params": sorted(kind.params),
            "bareValue": kind.value or None,
            "when": [kind.when] if kind.fixed else ["before", "after"],
        }
        for name, kind in KINDS.items()
    ]
    return {"operations": sorted(_operations(sandbox)), "header": FAULT_HEADER, "kinds": kinds}


async def _behave(sandbox: Sandbox[Any], _request: web.Request) -> Any:
    sandbox.behave()
    return {"faults": [], "scripts": []}


async def _remove_fault(sandbox: Sandbox[Any], request: web.Request) -> Any:
    if not sandbox.faults.remove(request.match_info["id"]):
        raise ControlError("there is no fault or script with this id")
    return sandbox.faults.show()


class Seed(BaseModel, extra="forbid"):
    seed: int


async def _reseed(sandbox: Sandbox[Any], request: web.Request) -> Any:
    sandbox.faults.reseed(f"{Seed.model_validate(await _body(request)).seed}/{sandbox.name}")
    return {"seed": sandbox.faults.seed}


async def _scenarios(sandbox: Sandbox[Any], _request: web.Request) -> Any:
    lines = [
        {
            "name": scenario.name,
            "tells": scenario.tells,
            "amount": sandbox.scenario_amount(scenario.number),
            "alsoBy": sandbox.also_by.get(scenario.name),
        }
        for scenario in SCENARIOS
        if sandbox.offers(scenario)
    ]
    return {"header": SCENARIO_HEADER, "scenarios": lines, "chosen": sandbox.choices.show()}


async def _choose(sandbox: Sandbox[Any], request: web.Request) -> Any:
    choice = Choice.model_validate(await _body(request))
    if not sandbox.offers(BY_NAME[choice.name]):
        raise ControlError(f"this provider cannot express {choice.name}")
    sandbox.choices.add(choice)
    return {"chosen": sandbox.choices.show()}


async def _unchoose(sandbox: Sandbox[Any], _request: web.Request) -> Any:
    sandbox.choices.clear()
    return {"chosen": []}


async def _advance(sandbox: Sandbox[Any], request: web.Request) -> Any:
    order = Advance.model_validate(await _body(request))
    return sandbox.advance(request.match_info["ref"], order.to, order.reason, hold=order.hold)


async def _make_payout(sandbox: Sandbox[Any], request: web.Request) -> Any:
    return sandbox.make_payout(await _body(request))


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
    ("GET", "faults/kinds", _fault_kinds),
    ("DELETE", "faults", _behave),
    ("DELETE", "faults/{id}", _remove_fault),
    ("POST", "scripts", _add_script),
    ("POST", "seed", _reseed),
    ("GET", "scenarios", _scenarios),
    ("POST", "scenarios", _choose),
    ("DELETE", "scenarios", _unchoose),
    ("POST", "payouts/{ref}/advance", _advance),
    ("POST", "payouts", _make_payout),
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
