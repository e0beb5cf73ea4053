"""What was asked of a sandbox lately, and how often each operation was called: tests count calls on a real socket.

Keeps method, path, our idempotency header and the status; never a body, a credential or an account number.
"""

from collections import Counter, deque
from dataclasses import dataclass
from typing import Any

from providers.sandbox.clock import iso_micros, now_ms

_KEPT = 2000


@dataclass(slots=True)
class Entry:
    """One request, noted when it arrives. `status` stays None while there is no answer, and for ever if it was cut."""

    number: int
    at_ms: int
    method: str
    path: str
    operation: str
    key: str | None
    status: int | None = None
    fault: str | None = None


class RequestLog:
    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=_KEPT)
        self._count = 0
        self._operations: Counter[str] = Counter()
        self._answers: Counter[str] = Counter()

    def arrived(self, method: str, path: str, operation: str, key: str | None) -> Entry:
        self._count += 1
        self._operations[operation] += 1
        entry = Entry(self._count, now_ms(), method, path, operation, key)
        self._entries.append(entry)
        return entry

    def answered(self, entry: Entry, status: int | None) -> None:
        """`status` is what the client was sent; None when the connection was cut instead."""
        entry.status = status
        self._answers[f"{entry.operation} {status or 'cut'}"] += 1

    def show(self, limit: int) -> dict[str, Any]:
        """The newest entries, oldest first, and the counters since the start or the last reset."""
        newest = list(self._entries)[-limit:] if limit else []
        return {
            "total": self._count,
            "operations": dict(self._operations),
            "answers": dict(self._answers),
            "requests": [
                {
                    "n": entry.number,
                    "at": iso_micros(entry.at_ms * 1000),
                    "method": entry.method,
                    "path": entry.path,
                    "operation": entry.operation,
                    "idempotencyKey": entry.key,
                    "status": entry.status,
                    "fault": entry.fault,
                }
                for entry in newest
            ],
        }
