"""The money files: what providers and the robot really paid, read from disk as they wrote it. Nobody is asked.

One value for all: a movement, with the key it was asked for under (providers) or the payout (the robot).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import orjson

from tests.prove.desks import DESKS, MANUAL

ROBOT_FILE = "robot.money.jsonl"
_MINOR = 100  # the world pays rupiah, which providers write whole


@dataclass(frozen=True, slots=True)
class Movement:
    """Money that left (`sent`) or came back (`returned`)."""

    at: float  # seconds, by the clock of whoever paid
    desk: str
    kind: str
    amount_minor: int
    currency: str
    destination: str | None  # as the money file names it, masked
    key: str | None = None
    payout_id: str | None = None


def of_sandbox(desk: str, file: Path) -> Iterator[Movement]:
    """The money file of one sandbox."""
    if not file.exists():
        return
    with file.open("rb") as lines:
        for line in map(orjson.loads, lines):
            yield Movement(
                at=datetime.fromisoformat(line["at"]).timestamp(),
                desk=desk,
                kind=line["kind"],
                amount_minor=int(line["amount"]) * _MINOR,
                currency=line["currency"],
                destination=line["destination"],
                key=line["ourRef"],
            )


def of_robot(file: Path) -> Iterator[Movement]:
    """The robot's own file."""
    if not file.exists():
        return
    with file.open("rb") as lines:
        for line in map(orjson.loads, lines):
            yield Movement(line["at"], MANUAL, "sent", line["amount"], line["currency"], None, payout_id=line["payout"])


def of_run(folder: Path) -> list[Movement]:
    """All money files of a run."""
    found = [
        movement for desk in DESKS for movement in of_sandbox(desk.name, folder / desk.name / f"{desk.provider}.money.jsonl")
    ]
    return found + list(of_robot(folder / ROBOT_FILE))
