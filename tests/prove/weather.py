"""What goes wrong for a while: the kinds of faults, and the swarm that draws a subset with rates for each run and each spell.

Only draws and describes. `nemesis` carries it out and writes down what hit when.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.prove.desks import Desk, Fault
from tests.prove.quick import LATE_EFFECT_S, LIE_S

# Highest chance of each kind; what a run uses is drawn between a fifth of it and all of it.
# `{create}` stands for the create, `{read}` for every read, `webhook` for what the provider sends.
_KINDS: dict[str, tuple[str, Fault, float]] = {
    "refused before": ("{create}", {"kind": "refuse"}, 0.03),
    "cut before": ("{create}", {"kind": "drop", "when": "before"}, 0.05),
    "cut after": ("{create}", {"kind": "drop", "when": "after"}, 0.08),
    "hangs before": ("{create}", {"kind": "hang", "when": "before", "params": {"ms": 4000}}, 0.02),
    "hangs after": ("{create}", {"kind": "hang", "when": "after", "params": {"ms": 4000}}, 0.03),
    "half a body after": ("{create}", {"kind": "half_body", "when": "after"}, 0.05),
    "HTML after": ("{create}", {"kind": "wrong_content_type", "when": "after"}, 0.05),
    "HTML before": ("{create}", {"kind": "wrong_content_type", "when": "before"}, 0.05),
    "500 after": ("{create}", {"kind": "status", "when": "after", "params": {"status": 500}}, 0.08),
    "503 before": ("{create}", {"kind": "status", "when": "before", "params": {"status": 503}}, 0.08),
    "504 after": ("{create}", {"kind": "status", "when": "after", "params": {"status": 504}}, 0.05),
    "408 after": ("{create}", {"kind": "status", "when": "after", "params": {"status": 408}}, 0.03),
    "429 before": ("{create}", {"kind": "rate_limited", "params": {"s": 1}}, 0.08),
    "redirect before": ("{create}", {"kind": "redirect", "when": "before"}, 0.02),
    "effect seconds late": ("{create}", {"kind": "slow", "when": "before", "params": {"ms": LATE_EFFECT_S * 1000}}, 0.03),
    "answer seconds late": ("{create}", {"kind": "slow", "when": "after", "params": {"ms": 3000}}, 0.03),
    "tells another amount": ("{create}", {"kind": "wrong_echo", "params": {"field": "amount"}}, 0.002),
    "reads cut": ("{read}", {"kind": "drop", "when": "before"}, 0.2),
    "reads 500": ("{read}", {"kind": "status", "when": "before", "params": {"status": 500}}, 0.3),
    "reads HTML": ("{read}", {"kind": "wrong_content_type", "when": "before"}, 0.2),
    "reads late": ("{read}", {"kind": "slow", "when": "before", "params": {"ms": 700}}, 0.2),
    "reads do not know yet": ("{read}", {"kind": "not_found_for", "params": {"ms": LIE_S * 1000}}, 0.4),
    "webhook never": ("webhook", {"kind": "never"}, 0.3),
    "webhook twice": ("webhook", {"kind": "twice", "params": {"ms": 30}}, 0.5),
    "webhook late": ("webhook", {"kind": "late", "params": {"ms": 3000}}, 0.3),
    "webhook out of order": ("webhook", {"kind": "out_of_order", "params": {"ms": 1000}}, 0.3),
    "webhook forged": ("webhook", {"kind": "forged", "params": {"extra": True}}, 0.2),
    "webhook with an invented status": ("webhook", {"kind": "invented_status"}, 0.2),
    "webhook before the answer": ("webhook", {"kind": "before_answer"}, 0.1),
    "webhook tells another amount": ("webhook", {"kind": "wrong_echo", "params": {"field": "amount"}}, 0.1),
}


@dataclass(frozen=True, slots=True)
class Swarm:
    """The kinds that one run uses, each with its highest chance."""

    kinds: dict[str, float]

    def spell(self, rng: random.Random, desk: Desk) -> Iterator[tuple[str, Fault]]:
        """What goes wrong at this desk for the next while: (name of the kind, order for the sandbox)."""
        for name in sorted(self.kinds):
            if rng.random() < 0.5:
                where, fault, _ = _KINDS[name]
                probability = self.kinds[name] * rng.uniform(0.2, 1.0)
                for operation in _operations(where, desk):
                    yield name, {**fault, "operation": operation, "probability": round(probability, 4)}


def draw(rng: random.Random) -> Swarm:
    """A subset of the kinds: half of them or more, so that they also meet each other."""
    names = sorted(_KINDS)
    chosen = rng.sample(names, rng.randint(len(names) // 2, len(names)))
    return Swarm({name: _KINDS[name][2] for name in chosen})


def _operations(where: str, desk: Desk) -> tuple[Any, ...]:
    return {"{create}": ("create_payout",), "{read}": desk.reads}.get(where, (where,))


def brownout(desk: Desk) -> list[Fault]:
    """A provider that takes the money of every create and tells nobody anything."""
    silent = {"kind": "status", "params": {"status": 503}}
    return [
        {**silent, "operation": "create_payout", "when": "after"},
        *({**silent, "operation": operation, "when": "before"} for operation in desk.reads),
        {"operation": "webhook", "kind": "never"},
    ]
