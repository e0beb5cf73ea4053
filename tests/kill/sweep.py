"""How much of the sweep a run does: in small, several points share a stage, and the seed chooses at which pass each is killed;
in full (`KILL_SWEEP=full`) each has its own, at all of more passes."""

import os
from collections.abc import Iterable

from gateway.points import POINTS

FULL = os.environ.get("KILL_SWEEP") == "full"
KILL_HITS = (1, 2, 5, 9) if FULL else (1, 2)
PAUSE_HITS = (1, 2) if FULL else (1,)
_TOGETHER = 1 if FULL else 9


def groups(points: Iterable[str] = POINTS) -> list[tuple[str, ...]]:
    """Points that share a stage, as far from each other in the flow as can be."""
    listed = list(points)
    many = -(-len(listed) // _TOGETHER)
    return [tuple(listed[first::many]) for first in range(many)]


def name_of(points: tuple[str, ...]) -> str:
    return "+".join(points)
