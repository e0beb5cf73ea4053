"""What was ordered for one payout: its scenario, and the steps that outlive the request which made it.

The scenario is chosen when the payout is made; the steps are remembered in the journal, and asked for whenever the
payout is read, its key is seen again, or a webhook of it is to be sent. Knows no provider's words.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import orjson
from aiohttp import web

from providers.sandbox import scenarios
from providers.sandbox.answering import Refused, reply
from providers.sandbox.clock import now_ms
from providers.sandbox.echo import Names, misquote
from providers.sandbox.faults import FaultPlan
from providers.sandbox.journal import Table
from providers.sandbox.scenarios import Choices, Scenario
from providers.sandbox.steps import ANSWER, ECHOED, WEBHOOK, Step

FAULT_HEADER = "X-Sandbox-Fault"
SCENARIO_HEADER = "X-Sandbox-Scenario"

STEPS = web.RequestKey("steps", list[Step])  # what was ordered for this request


@dataclass(slots=True)
class PayoutOrder:
    """Steps that outlive the request: they concern the webhooks, the reads and the key of one payout."""

    steps: list[dict[str, Any]]


@dataclass(slots=True)
class LostTry:
    """An order whose first try was lost on purpose, so that the second one is not."""

    at_ms: int


class Spoilt(Exception):  # noqa: N818 - a scenario's way out of a handler, not a mistake in the program
    """Ends a handler before anything has happened, with a step."""

    def __init__(self, step: Step) -> None:
        super().__init__(step.kind)
        self.step = step


class Orders(ABC):
    """The part of a sandbox that remembers what was ordered."""

    idempotency_header: ClassVar[str | None] = None
    echo_names: ClassVar[Names] = {name: frozenset({name}) for name in ECHOED}
    courses: ClassVar[Collection[str]] = (scenarios.PAID,)  # what this provider can have happen to a payout
    faults: FaultPlan
    choices: Choices
    orders: Table[PayoutOrder]
    lost_tries: Table[LostTry]

    # --- what the whole sandbox adds

    @property
    @abstractmethod
    def speed(self) -> float: ...

    @property
    @abstractmethod
    def amounts_choose(self) -> bool:
        """Whether an amount may ask for a scenario."""

    @abstractmethod
    def step(self, key: str) -> bool:
        """Do the payout's next step now, however far off it is. False when it has none."""

    @abstractmethod
    async def send_webhooks_now(self, ref: str) -> None: ...

    def caller_key(self, request: web.Request) -> str:
        """Whose requests belong together."""
        return request.headers.get("Authorization", "")

    # --- when a payout is made

    async def scenes(self, request: web.Request, minors: Sequence[int]) -> list[Scenario | None]:
        """The scenario of each row that this create asks for. May end the handler with `Spoilt`.

        Called when nothing has happened yet and the request is known not to be a replay.
        """
        chosen = await self._chosen(request, minors)
        for scenario in scenarios.distinct(chosen):
            steps = [self._in_time(step) for step in scenario.steps]
            before = [step for step in steps if step.touches(ANSWER) and step.when == "before"]
            if before and not (scenario.once and self._was_lost(request, await text_of(request))):
                raise Spoilt(before[0])
            request[STEPS] = [*request.get(STEPS, []), *(step for step in steps if step not in before)]
        return chosen

    async def _chosen(self, request: web.Request, minors: Sequence[int]) -> list[Scenario | None]:
        name = request.headers.get(SCENARIO_HEADER)
        if name is not None:
            try:
                asked: Scenario | None = scenarios.named(name)
            except ValueError as error:
                raise Refused(reply({"error": str(error)}, 400)) from None
        else:
            asked = self.choices.take(await text_of(request)) if self.choices.any else None
        if asked is not None:
            return [self._offered(asked)] * len(minors)
        if not self.amounts_choose:
            return [None] * len(minors)
        marked = [scenarios.by_amount(minor) for minor in minors]
        return [scenario if scenario and self.offers(scenario) else None for scenario in marked]

    def offers(self, scenario: Scenario) -> bool:
        """Whether this provider can express it."""
        return scenario.course in self.courses and (self.idempotency_header is not None or not scenario.needs_key)

    def _offered(self, scenario: Scenario) -> Scenario:
        if not self.offers(scenario):
            raise Refused(reply({"error": f"this provider cannot express {scenario.name}"}, 400))
        return scenario

    def _in_time(self, step: Step) -> Step:
        """A scenario's times are those of speed 1."""
        if "ms" not in step.params:
            return step
        return replace(step, params={**step.params, "ms": step.params["ms"] / self.speed})

    def _was_lost(self, request: web.Request, text: str) -> bool:
        """Whether the first try of this order was lost already. Without a key, every second try is a second one."""
        key = request.headers.get(self.idempotency_header, "") if self.idempotency_header else ""
        order = hashlib.blake2b(f"{self.caller_key(request)}\n{key or text}".encode(), digest_size=16).hexdigest()
        if order not in self.lost_tries.rows:
            self.lost_tries.add(order, LostTry(now_ms()))
            return False
        if not key:
            self.lost_tries.remove(order)
        return True

    def bind(self, request: web.Request, ref: str) -> None:
        """Remember for a new payout what its request asked for beyond its own answer. Goes with the payout's own write."""
        if self.faults.any:
            self.faults.made(ref)
        lasting = [asdict(step) for step in request.get(STEPS, []) if step.outlives_request]
        if lasting:
            self.orders.add(ref, PayoutOrder(lasting))

    def _standing_orders(self, ref: str) -> Iterator[Step]:
        order = self.orders.rows.get(ref)
        return iter(()) if order is None else (Step(**step) for step in order.steps)

    # --- afterwards

    async def before_answer(self, key: str, ref: str, request: web.Request) -> None:
        """Where it was asked for: run the payout to its end and deliver the webhooks before the create answers."""
        ordered = any(step.kind == "before_answer" for step in self._standing_orders(ref))
        if not ordered and not (self.faults.any and self.faults.before_answer(await text_of(request))):
            return
        while self.step(key):
            pass
        await self.send_webhooks_now(ref)

    def may_hide(self, request: web.Request) -> bool:
        """Whether it is worth asking `hidden` for each row of a list."""
        return self.faults.any or bool(self.orders.rows) or FAULT_HEADER in request.headers

    async def hidden(self, operation: str, request: web.Request, created_ms: int, ref: str = "") -> bool:
        """Whether this read must lie about a payout made at `created_ms`; `ref` as it was given to `bind`."""
        age_ms = now_ms() - created_ms
        for step in (*self._standing_orders(ref), *request.get(STEPS, [])):
            if step.kind == "not_found_for" and age_ms < step.params.get("ms", 1000):
                return True
        return self.faults.any and self.faults.hides(operation, await text_of(request), ref, age_ms)

    async def forgets_key(self, operation: str, request: web.Request, ref: str, made_ms: int) -> bool:
        """Whether the provider has lost the idempotency key that it saw at `made_ms`."""
        age_ms = now_ms() - made_ms
        for step in (*self._standing_orders(ref), *request.get(STEPS, [])):
            if step.kind == "forget_key" and age_ms >= step.params.get("ms", 0):
                return True
        return self.faults.any and self.faults.forgets(operation, await text_of(request), age_ms)

    def webhook_steps(self, ref: str, text: str) -> list[Step]:
        """What becomes of one webhook of this payout."""
        steps = [step for step in self._standing_orders(ref) if step.touches(WEBHOOK) and step.kind != "before_answer"]
        return [*steps, *self.faults.for_webhook(text, ref)] if self.faults.any else steps

    def misquote(self, text: str, field: str) -> str:
        """A webhook's body, wrong in this field."""
        return orjson.dumps(misquote(orjson.loads(text), self.echo_names, field)).decode()


async def text_of(request: web.Request) -> str:
    """What a match looks at: the request line and the body, no headers."""
    body = await request.read()
    return f"{request.method} {request.path_qs}\n{body.decode('utf-8', 'replace')}"
