"""Misbehaviour on order: which request or webhook goes wrong, how, and how often.

Only decides; `spoil` carries out what happens to answers and `webhooks` what happens to webhooks. Chance is drawn from
the seed, the fault and what it is drawn for, and from nothing else: the same seed and the same sequence of requests
meet the same faults, whatever the clock and the other faults do in between.
"""

import random
from collections import Counter
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from providers.sandbox.steps import ANSWER, MEMORY, WEBHOOK, Step, step_of, steps_of

WEBHOOKS = "webhook"  # the operation that stands for everything the provider sends
ANY = "*"


class Match(BaseModel):
    """Narrows a fault to some requests. `contains` is looked for in the request line and body, or in the webhook's body."""

    model_config = ConfigDict(extra="forbid")
    contains: str | None = None

    def fits(self, text: str) -> bool:
        return (self.contains or "") in text


def _check_place(step: Step, operation: str) -> None:
    if not step.touches(WEBHOOK) if operation == WEBHOOKS else not (step.touches(ANSWER) or step.touches(MEMORY)):
        raise ValueError(f"kind {step.kind} does not go with operation {operation}")


class Fault(BaseModel):
    """One standing order to misbehave."""

    model_config = ConfigDict(extra="forbid")
    operation: str
    kind: str
    when: Literal["before", "after"] | None = None
    times: Annotated[int, Field(ge=1)] | None = None
    probability: Annotated[float, Field(ge=0, le=1)] = 1.0
    match: Match = Match()
    params: dict[str, Any] = {}
    id: str = ""
    hits: int = 0
    _step: Step = PrivateAttr()

    @model_validator(mode="after")
    def _makes_sense(self) -> "Fault":
        self._step = step_of(self.kind, self.when, self.params)
        self.when = "before" if self._step.when == "before" else "after"
        _check_place(self._step, self.operation)
        return self

    @property
    def step(self) -> Step:
        return self._step

    @property
    def spent(self) -> bool:
        return self.times is not None and self.hits >= self.times


class WrittenStep(BaseModel):
    """A script's step as an object, for parameters that words cannot hold."""

    model_config = ConfigDict(extra="forbid")
    kind: str
    when: Literal["before", "after"] | None = None
    params: dict[str, Any] = {}


class Script(BaseModel):
    """Steps that are used up one after the other, one request (or webhook) each; `ok` lets one pass."""

    model_config = ConfigDict(extra="forbid")
    operation: str
    steps: Annotated[list[str | WrittenStep], Field(min_length=1)]
    repeat: bool = False
    match: Match = Match()
    id: str = ""
    done: int = 0
    _steps: list[list[Step]] = PrivateAttr()

    @model_validator(mode="after")
    def _makes_sense(self) -> "Script":
        self._steps = [
            steps_of(step) if isinstance(step, str) else [step_of(step.kind, step.when, step.params)] for step in self.steps
        ]
        for step in [step for steps in self._steps for step in steps]:
            # A script of an operation may also say what becomes of the webhooks of the payout that it makes.
            if self.operation == WEBHOOKS:
                _check_place(step, WEBHOOKS)
        return self

    @property
    def spent(self) -> bool:
        return not self.repeat and self.done >= len(self.steps)

    def take(self) -> list[Step]:
        steps = self._steps[self.done % len(self._steps)]
        self.done += 1
        return steps


class FaultPlan:
    """The faults and scripts in force for one provider."""

    def __init__(self, seed: str) -> None:
        self.reseed(seed)
        self.clear()

    def reseed(self, seed: str) -> None:
        """Draw from now on as a run with this seed draws from its first request on."""
        self.seed = seed
        self._drawn: Counter[tuple[str, str]] = Counter()
        self._numbers: dict[str, int] = {}

    def clear(self) -> None:
        self._faults: list[Fault] = []
        self._scripts: list[Script] = []
        self._made = 0
        self.reseed(self.seed)

    def add(self, fault: Fault) -> str:
        fault.id, fault.hits = self._name("fault"), 0
        self._faults.append(fault)
        return fault.id

    def add_script(self, script: Script) -> str:
        script.id, script.done = self._name("script"), 0
        self._scripts.append(script)
        return script.id

    def _name(self, what: str) -> str:
        self._made += 1
        return f"{what}_{self._made}"

    def remove(self, order_id: str) -> bool:
        before = len(self._faults) + len(self._scripts)
        self._faults = [fault for fault in self._faults if fault.id != order_id]
        self._scripts = [script for script in self._scripts if script.id != order_id]
        return len(self._faults) + len(self._scripts) < before

    def show(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "faults": [fault.model_dump(mode="json") for fault in self._faults],
            "scripts": [script.model_dump(mode="json") for script in self._scripts],
        }

    @property
    def any(self) -> bool:
        """False means: nobody needs to gather what a match would look at."""
        return bool(self._faults or self._scripts)

    # --- asked with every request

    def on_arrival(self, operation: str, text: str) -> list[Step]:
        """The next step of the first script that this request fits; it is used up."""
        for script in self._scripts:
            if not script.spent and script.operation in (operation, ANY) and script.match.fits(text):
                return script.take()
        return []

    def for_request(self, operation: str, when: str, text: str) -> Step | None:
        """The first fault that hits this request at this moment."""
        return self._take(
            text, lambda f: f.operation in (operation, ANY) and f.when == when and f.step.touches(ANSWER), lambda _fault: ""
        )

    # --- asked where a payout is concerned

    def hides(self, operation: str, text: str, ref: str, age_ms: int) -> bool:
        """Whether a read must pretend not to know a payout of this age yet. Drawn once for each payout."""
        hit = self._take(
            text,
            lambda f: f.kind == "not_found_for" and f.operation in (operation, ANY) and age_ms < f.params.get("ms", 1000),
            lambda _fault: self._number(ref),
            once=True,
        )
        return hit is not None

    def forgets(self, operation: str, text: str, age_ms: int) -> bool:
        """Whether a key of this age is forgotten already."""
        hit = self._take(
            text,
            lambda f: f.kind == "forget_key" and f.operation in (operation, ANY) and age_ms >= f.params.get("ms", 0),
            lambda _fault: "",
        )
        return hit is not None

    def for_webhook(self, text: str, ref: str) -> list[Step]:
        """What the next script and the first fault say about this webhook. Drawn by payout: webhooks come in any order."""
        for script in self._scripts:
            if not script.spent and script.operation == WEBHOOKS and script.match.fits(text):
                return script.take()
        step = self._take(
            text, lambda f: f.operation == WEBHOOKS and f.kind != "before_answer", lambda _fault: self._number(ref)
        )
        return [step] if step else []

    def before_answer(self, text: str) -> bool:
        return self._take(text, lambda f: f.kind == "before_answer", lambda _fault: "") is not None

    # --- chance

    def _number(self, ref: str) -> str:
        """Payouts by the order in which they came: their ids are different in every run."""
        return str(self._numbers.setdefault(ref, len(self._numbers)))

    def made(self, ref: str) -> None:
        self._number(ref)

    def _take(
        self, text: str, fits: Callable[[Fault], bool], subject: Callable[[Fault], str], *, once: bool = False
    ) -> Step | None:
        for fault in self._faults:
            if fault.spent or not fits(fault) or not fault.match.fits(text):
                continue
            if fault.probability < 1 and not self._hits(fault, subject(fault), once=once):
                continue
            fault.hits += 1
            return fault.step
        return None

    def _hits(self, fault: Fault, subject: str, *, once: bool) -> bool:
        turn = 0 if once else self._drawn[fault.id, subject]
        self._drawn[fault.id, subject] += 1
        # Repeatable on purpose: this draws faults, not secrets.
        return random.Random(f"{self.seed}/{fault.id}/{subject}/{turn}").random() < fault.probability  # noqa: S311 - see above
