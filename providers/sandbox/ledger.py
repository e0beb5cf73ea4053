"""The money file: one line for every amount that this provider really sent, or that really came back.

The witness of every test: a line is on disk (one `os.write` on an append-only file) before any answer, read or
webhook can show what it tells. Never rewritten, never read from the gateway, holds no secret and no full account number.
"""

import os
import time
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import orjson

from providers.sandbox.clock import iso_micros
from providers.sandbox.journal import read_lines

Kind = Literal["sent", "returned"]


def last4(number: str) -> str:
    return f"****{number[-4:]}"


@dataclass(frozen=True, slots=True)
class Money:
    """One movement. `effect` names it for ever: written again after a kill, it stays one line."""

    effect: str
    kind: Kind
    merchant: str
    provider_ref: str
    our_ref: str | None  # what the gateway gave the provider to know the payout by, if anything
    amount: str  # as on this provider's wire
    currency: str
    destination: str  # masked
    other_refs: dict[str, str] = field(default_factory=dict)  # weaker references, e.g. a description


class MoneyLedger:
    """Append and count; the lines themselves stay in the file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._forget()
        for line in read_lines(path):
            self._count(line, len(orjson.dumps(line)) + 1)
        # O_RDWR: pages are read back through the same descriptor by position.
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, movements: Sequence[Money]) -> None:
        """Put the movements on disk in one write. A movement that is already there is not written again."""
        at = iso_micros(time.time_ns() // 1000)
        chunks = []
        for money in movements:
            if money.effect in self._effects:
                continue
            line = {
                "at": at,
                "kind": money.kind,
                "merchant": money.merchant,
                "providerRef": money.provider_ref,
                "ourRef": money.our_ref,
                "otherRefs": money.other_refs,
                "amount": money.amount,
                "currency": money.currency,
                "destination": money.destination,
                "effect": money.effect,
            }
            chunk = orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
            self._count(line, len(chunk))
            chunks.append(chunk)
        if chunks:
            os.write(self._file, b"".join(chunks))

    def page(self, after: int, limit: int) -> list[dict[str, Any]]:
        """Lines `after + 1` and following, numbered from 1."""
        end = min(len(self._starts) - 1, after + limit)
        if after >= end:
            return []
        start = self._starts[after]
        block = os.pread(self._file, self._starts[end] - start, start)
        return [{"n": after + n, **orjson.loads(line)} for n, line in enumerate(block.splitlines(), 1)]

    def summary(self) -> dict[str, Any]:
        """Counts, sums, and every reference that was paid more than once."""
        sums: dict[str, dict[str, str]] = {}
        for (currency, kind), total in self._sums.items():
            sums.setdefault(currency, {"sent": "0", "returned": "0"})[kind] = format(total, "f")
        return {
            "lines": len(self._starts) - 1,
            "sent": self._kinds["sent"],
            "returned": self._kinds["returned"],
            "sums": sums,
            "doublePayments": self._repeated("ourRef"),
            # A repeated description is only a hint: two payouts may rightly carry the same words.
            "repeatedOtherRefs": [item for name in self._other_names for item in self._repeated(name)],
        }

    def clear(self) -> None:
        os.ftruncate(self._file, 0)
        self._forget()

    def close(self) -> None:
        os.close(self._file)

    def _forget(self) -> None:
        self._starts = array("Q", [0])  # where each line begins, and where the next one will
        self._effects: set[str] = set()
        self._kinds: Counter[str] = Counter()
        self._sums: dict[tuple[str, str], Decimal] = {}
        self._first: dict[tuple[str, str, str], int] = {}
        self._lines_of: dict[tuple[str, str, str], list[int]] = {}
        self._other_names: list[str] = []

    def _count(self, line: dict[str, Any], size: int) -> None:
        number = len(self._starts)
        self._starts.append(self._starts[-1] + size)
        self._effects.add(line["effect"])
        self._kinds[line["kind"]] += 1
        key = (line["currency"], line["kind"])
        self._sums[key] = self._sums.get(key, Decimal(0)) + Decimal(line["amount"])
        if line["kind"] != "sent":
            return
        if line["ourRef"] is not None:
            self._seen(("ourRef", line["merchant"], line["ourRef"]), number)
        for name, value in line["otherRefs"].items():
            if name not in self._other_names:
                self._other_names.append(name)
            self._seen((name, line["merchant"], value), number)

    def _seen(self, ref: tuple[str, str, str], number: int) -> None:
        first = self._first.setdefault(ref, number)
        if first != number:
            self._lines_of.setdefault(ref, [first]).append(number)

    def _repeated(self, name: str) -> list[dict[str, Any]]:
        return [
            {"ref": kind, "merchant": merchant, "ourRef": value, "count": len(numbers), "lines": numbers}
            for (kind, merchant, value), numbers in self._lines_of.items()
            if kind == name
        ]
