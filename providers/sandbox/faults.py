"""Misbehaviour on order: which request or webhook goes wrong, how, and how often.

Only decides; `spoil` carries out what happens to answers and `webhooks` what happens to webhooks. Chance comes from one
seeded generator, so a run with the same seed and the same order of requests goes wrong in the same places.
"""

import random
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

AnswerKind = Literal[
    "refuse",
    "drop",
    "hang",
    "half_body",
    "wrong_content_type",
    "status",
    "slow",
    "redirect",
    "not_found_for",
]
WebhookKind = Literal["never", "twice", "late", "before_answer", "forged", "invented_status"]

WEBHOOK = "webhook"
ANY = "*"
_WEBHOOK_KINDS = frozenset(WebhookKind.__args__)  # type: ignore[attr-defined] # Literal keeps its words here


class Match(BaseModel):
    """Narrows a fault to some requests. `contains` is looked for in the request line and body, or in the webhook's body."""

    model_config = ConfigDict(extra="forbid")
    contains: str | None = None


class Fault(BaseModel):
    """One order to misbehave."""

    model_config = ConfigDict(extra="forbid")
    operation: str
    kind: AnswerKind | WebhookKind
    when: Literal["before", "after"] = "before"
    times: Annotated[int, Field(ge=1)] | None = None
    probability: Annotated[float, Field(ge=0, le=1)] = 1.0
    match: Match = Match()
    params: dict[str, Any] = {}
    id: str = ""
    hits: int = 0

    @model_validator(mode="after")
    def _kind_fits(self) -> "Fault":
        if (self.kind in _WEBHOOK_KINDS) != (self.operation == WEBHOOK):
            raise ValueError(f"kind {self.kind} does not go with operation {self.operation}")
        return self

    @property
    def spent(self) -> bool:
        return self.times is not None and self.hits >= self.times


class FaultPlan:
    """The faults in force for one provider."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self.clear()

    def add(self, fault: Fault) -> str:
        self._made += 1
        fault.id = f"fault_{self._made}"
        fault.hits = 0
        self._faults.append(fault)
        return fault.id

    def clear(self) -> None:
        self._faults: list[Fault] = []
        self._made = 0
        # Repeatable on purpose: this draws faults, not secrets.
        self._random = random.Random(self._seed)  # noqa: S311 - see the line above

    def remove(self, fault_id: str) -> bool:
        kept = [fault for fault in self._faults if fault.id != fault_id]
        found = len(kept) < len(self._faults)
        self._faults = kept
        return found

    def show(self) -> list[dict[str, Any]]:
        return [fault.model_dump(mode="json") for fault in self._faults]

    @property
    def any(self) -> bool:
        """False means: nobody needs to gather what a match would look at."""
        return bool(self._faults)

    def for_request(self, operation: str, when: str, text: str) -> Fault | None:
        """The first fault that hits this request at this moment."""
        return self._take(text, lambda f: f.operation in (operation, ANY) and f.when == when and f.kind != "not_found_for")

    def hides(self, operation: str, text: str, age_ms: int) -> bool:
        """Whether a read must pretend not to know a payout of this age yet."""
        if not self._faults:
            return False
        hit = self._take(
            text,
            lambda f: f.kind == "not_found_for" and f.operation in (operation, ANY) and age_ms < f.params.get("ms", 1000),
        )
        return hit is not None

    def for_webhook(self, text: str) -> Fault | None:
        if not self._faults:
            return None
        return self._take(text, lambda f: f.operation == WEBHOOK and f.kind != "before_answer")

    def before_answer(self, text: str) -> Fault | None:
        if not self._faults:
            return None
        return self._take(text, lambda f: f.kind == "before_answer")

    def _take(self, text: str, fits: Any) -> Fault | None:
        for fault in self._faults:
            if fault.spent or not fits(fault) or (fault.match.contains or "") not in text:
                continue
            if fault.probability < 1 and self._random.random() >= fault.probability:
                continue
            fault.hits += 1
            return fault
        return None
