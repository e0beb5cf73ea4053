"""What the answers about a payout that a restored database may have forgotten mean: pure, the most dangerous case first.

"Not found" counts only where a provider's find is authoritative, and only once nothing can still be on its way to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from schemas.contract import Contract
from schemas.report import NotFound, Progress, Report, Taken

# After these no money is out, so the payout may have gone on with a later attempt.
_ENDED = frozenset({Progress.FAILED, Progress.CANCELLED})


@dataclass(frozen=True, slots=True)
class Place:
    """A connection through which a forgotten attempt may have gone out."""

    connection_id: str
    name: str
    contract: Contract

    @property
    def title(self) -> str:
        """How a person finds it."""
        return f"{self.contract.title} ({self.name})"


@dataclass(frozen=True, slots=True)
class Asked:
    """One attempt that there may have been, and what its provider says of it."""

    place: Place
    number: int
    attempt_id: str
    key: str
    report: Report

    @property
    def taken(self) -> Taken | None:
        """What the provider says of it if it has it."""
        return self.report if isinstance(self.report, Taken) else None

    @property
    def may_be_out(self) -> bool:
        """Whether the provider has it and its money may have left."""
        return self.taken is not None and self.taken.progress not in _ENDED


class Ruling(StrEnum):
    """What follows from the answers."""

    TAKE_OVER = "take_over"  # the provider has it: it goes on as what it is
    ASK_AGAIN = "ask_again"
    ASK_PERSON = "ask_person"
    CLEAR = "clear"  # it was not sent anywhere


@dataclass(frozen=True, slots=True)
class Ruled:
    """A ruling and why. `about`: the attempt to take over; `also`: others that may have moved money; `at`: where to ask."""

    ruling: Ruling
    reason: str
    about: Asked | None = None
    also: tuple[Asked, ...] = ()
    at: Place | None = None


def is_settled(asked: Asked, *, quiet_s: float, margin_s: float) -> bool:
    """Whether an answer can be relied on. `quiet_s`: how long nothing has been sent; `margin_s`: how long a send may last."""
    contract = asked.place.contract
    if asked.taken:
        return True
    return isinstance(asked.report, NotFound) and contract.find_by_key and quiet_s >= contract.visibility_s + margin_s


def rule(answers: Sequence[tuple[Asked, bool]], blind: Sequence[Place], *, accepts_unknown: bool) -> Ruled:
    """What to do about a payout. `answers`: each with whether it is settled; `blind`: where no question gets an answer."""
    taken = [asked for asked, _ in answers if asked.taken]
    moving = [asked for asked in taken if asked.may_be_out]
    if moving:
        newest = max(moving, key=lambda asked: asked.number)
        return Ruled(Ruling.TAKE_OVER, _found(newest), newest, tuple(asked for asked in moving if asked is not newest))
    unsettled = [asked for asked, is_settled in answers if not is_settled and asked.place not in blind]
    if unsettled and not accepts_unknown:
        return Ruled(Ruling.ASK_AGAIN, f"{unsettled[0].place.title}: {_said(unsettled[0].report)}")
    unknown = [*blind, *(asked.place for asked in unsettled)]
    if unknown:
        return Ruled(Ruling.ASK_PERSON, _to_person(unknown), at=unknown[0])
    if taken:
        newest = max(taken, key=lambda asked: asked.number)
        return Ruled(Ruling.TAKE_OVER, _found(newest), newest)
    titles = ", ".join(dict.fromkeys(asked.place.title for asked, _ in answers))
    return Ruled(Ruling.CLEAR, f"not found at {titles}" if titles else "no connection could have carried it")


def _found(asked: Asked) -> str:
    return (
        f"the database had forgotten attempt {asked.number} through {asked.place.title}, and the provider has it: it is taken "
        "over as it is there, and nothing is sent"
    )


def _said(report: Report) -> str:
    reason = getattr(report, "reason", type(report).__name__)
    return f"too early to believe: {reason}" if isinstance(report, NotFound) else f"no clear answer: {reason}"


def _to_person(unknown: Sequence[Place]) -> str:
    titles = ", ".join(dict.fromkeys(place.title for place in unknown))
    return (
        f"after a restore nobody can tell by machine whether it was sent through {titles}: look there by its amount, recipient "
        "and day, then say how it ended. Its money stays reserved and nothing is sent meanwhile."
    )
