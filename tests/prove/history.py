"""The clients' own history: one JSON line for every call and how it ended. The checker reads it, nobody else does."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import orjson

Outcome = Literal["ok", "failed", "unknown"]


class History:
    """Append-only, one file a run."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)

    def close(self) -> None:
        self._file.close()

    def write(self, what: str, outcome: Outcome, *, key: str, **details: Any) -> None:
        line = {"at": round(time.time(), 3), "what": what, "outcome": outcome, "key": key, **details}
        self._file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Every line of a history."""
    with path.open("rb") as file:
        yield from map(orjson.loads, file)
