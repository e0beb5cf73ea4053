"""The checker: compares the money files, the database and the clients' history, and says what must never be.

Independent: it asks the gateway nothing, imports nothing of it, and knows none of its rules. Changes nothing.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import asyncpg

from tests.prove import books
from tests.prove.money import Movement


class Wrong(StrEnum):
    """What must never be. The texts are the rows of the table."""

    PAID_TWICE = "paid twice"
    LOST = "lost"
    FAILED_BUT_PAID = "called failed or cancelled although money moved"
    PAID_BUT_NOT = "called paid although none did, or other money"
    UNKNOWN_KEY = "money under a key that no attempt has"
    CLOSED_BUT_OUT = "exposure closed although money is out"
    FAILED_FOR_PACE = "failed because a provider asked for patience"
    ONE_KEY_TWO_PAYOUTS = "one idempotency key, two payouts"
    BOOKS = "books, events or exposures broken"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that must never be."""

    wrong: Wrong
    payout_id: str | None
    text: str


@dataclass(slots=True)
class Facts:
    """Everything there is to compare."""

    payouts: Mapping[str, Mapping[str, Any]]
    attempts: Sequence[Mapping[str, Any]]
    movements: Sequence[Movement]
    answered: Mapping[tuple[int, str], set[str]] = field(default_factory=dict)  # (account, key) -> payouts that 2xx named
    amounts: Mapping[int, str] = field(default_factory=dict)  # an amount of its own -> its payout


ENDED = frozenset({"paid", "returned", "failed", "cancelled"})
DESK = "needs_review"
_ASKED_FOR_PATIENCE = frozenset({"429", "RATE_LIMIT_EXCEEDED"})


async def facts(
    connection: asyncpg.Connection, movements: Sequence[Movement], history: Iterable[Mapping[str, Any]] = ()
) -> Facts:
    """Read the database once, beside the files."""
    answered: dict[tuple[int, str], set[str]] = defaultdict(set)
    amounts: dict[int, str] = {}
    for line in history:
        if line["what"] == "create" and line["outcome"] == "ok":
            answered[line["account"], line["key"]].add(line["payout"])
            if line["scenario"] is None:
                amounts[line["amount"]] = line["payout"]
    payouts = await connection.fetch(
        """select id, phase, status, amount_minor, currency, bank_account_number, review_reason, failure_code,
                  failure_provider_code from payout"""
    )
    attempts = await connection.fetch(
        "select id, payout_id, number, provider, connection_id, key, state, exposure from attempt order by number"
    )
    return Facts({row["id"]: row for row in payouts}, attempts, movements, answered, amounts)


async def check(connection: asyncpg.Connection, found: Facts) -> list[Finding]:
    """All findings; an empty list is what every run must end with."""
    money = _Money(found)
    return [
        *money.unknown,
        *_paid_twice(money),
        *_lost(found),
        *_called_wrongly(found, money),
        *_closed_but_out(found, money),
        *_failed_for_pace(found),
        *_one_key_two_payouts(found),
        *[Finding(Wrong.BOOKS, None, f"{rule}: {row}") for rule, row in await books.broken(connection)],
    ]


def counted(findings: Iterable[Finding]) -> Counter[Wrong]:
    """How many payouts (or rows) each kind of wrong has."""
    return Counter(finding.wrong for finding in findings)


class _Money:
    """The movements, by the payout and the attempt that they belong to."""

    def __init__(self, found: Facts) -> None:
        self.by_payout: dict[str, list[Movement]] = defaultdict(list)
        self.by_attempt: dict[str, list[Movement]] = defaultdict(list)
        self.unknown: list[Finding] = []
        of_key = {attempt["key"]: attempt for attempt in found.attempts}
        manual = {attempt["payout_id"]: attempt for attempt in found.attempts if attempt["provider"] == "manual"}
        for movement in found.movements:
            attempt = of_key.get(movement.key) if movement.key else manual.get(movement.payout_id or "")
            if attempt is not None:
                self.by_attempt[attempt["id"]].append(movement)
                self.by_payout[attempt["payout_id"]].append(movement)
                continue
            # Its amount still tells whose money it was.
            payout_id = movement.payout_id or found.amounts.get(movement.amount_minor)
            self.unknown.append(Finding(Wrong.UNKNOWN_KEY, payout_id, _tell(movement)))
            if payout_id:
                self.by_payout[payout_id].append(movement)


def _out(movements: Iterable[Movement]) -> list[Movement]:
    """Movements whose money has not come back."""
    listed = list(movements)
    returned = sum(movement.kind == "returned" for movement in listed)
    return [movement for movement in listed if movement.kind == "sent"][returned:]


def _paid_twice(money: _Money) -> Iterator[Finding]:
    for payout_id, movements in money.by_payout.items():
        if _most_out(movements) > 1:
            sent = [movement for movement in movements if movement.kind == "sent"]
            yield Finding(Wrong.PAID_TWICE, payout_id, " and ".join(map(_tell, sent)))


def _most_out(movements: Iterable[Movement]) -> int:
    """How many payments were out at the same moment, at most."""
    out = most = 0
    for movement in sorted(movements, key=lambda movement: (movement.at, movement.kind == "sent")):
        out += 1 if movement.kind == "sent" else -1
        most = max(most, out)
    return most


def came_back_unseen(found: Facts) -> int:
    """Payouts sent again after an earlier payment had come back: no two were ever out, but the first `paid` was never seen."""
    sent = Counter(payout_id for payout_id, movements in _Money(found).by_payout.items() for m in movements if m.kind == "sent")
    return sum(many > 1 for many in sent.values()) - len(list(_paid_twice(_Money(found))))


def _lost(found: Facts) -> Iterator[Finding]:
    for (account, key), payout_ids in found.answered.items():
        for payout_id in payout_ids - found.payouts.keys():
            yield Finding(Wrong.LOST, payout_id, f"account {account} was answered 2xx for {key}, and there is no such payout")
    for payout_id, payout in found.payouts.items():
        if payout["phase"] not in ENDED and payout["phase"] != DESK:
            yield Finding(Wrong.LOST, payout_id, f"still {payout['phase']}: neither final nor on a person's desk")


def _called_wrongly(found: Facts, money: _Money) -> Iterator[Finding]:
    for payout_id, payout in found.payouts.items():
        out = _out(money.by_payout.get(payout_id, ()))
        phase = payout["phase"]
        if phase in ("failed", "cancelled") and out:
            yield Finding(Wrong.FAILED_BUT_PAID, payout_id, f"{phase}, and {_tell(out[0])}")
        if phase == "returned" and out:
            yield Finding(Wrong.FAILED_BUT_PAID, payout_id, f"called returned, and it never came back: {_tell(out[0])}")
        if phase == "paid":
            if not out:
                # It came back under a word that proves nothing: a person has been told, and `paid` is not the last word.
                if not (money.by_payout.get(payout_id) and payout["review_reason"]):
                    yield Finding(Wrong.PAID_BUT_NOT, payout_id, "no money is out for it")
            elif problem := _other_money(payout, out[0]):
                yield Finding(Wrong.PAID_BUT_NOT, payout_id, f"{problem}: {_tell(out[0])}")


def _other_money(payout: Mapping[str, Any], movement: Movement) -> str | None:
    if (movement.amount_minor, movement.currency) != (payout["amount_minor"], payout["currency"]):
        return f"another amount than {payout['amount_minor']} {payout['currency']}"
    if movement.destination is not None and not movement.destination.endswith(payout["bank_account_number"][-4:]):
        return "another destination"
    return None


def _closed_but_out(found: Facts, money: _Money) -> Iterator[Finding]:
    for attempt in found.attempts:
        out = _out(money.by_attempt.get(attempt["id"], ()))
        if attempt["exposure"] == "closed" and out:
            yield Finding(Wrong.CLOSED_BUT_OUT, attempt["payout_id"], f"attempt {attempt['number']} is {attempt['state']}")


def _failed_for_pace(found: Facts) -> Iterator[Finding]:
    for payout_id, payout in found.payouts.items():
        if payout["phase"] == "failed" and payout["failure_provider_code"] in _ASKED_FOR_PATIENCE:
            yield Finding(Wrong.FAILED_FOR_PACE, payout_id, f"failed with {payout['failure_provider_code']}")


def _one_key_two_payouts(found: Facts) -> Iterator[Finding]:
    for (account, key), payout_ids in found.answered.items():
        if len(payout_ids) > 1:
            yield Finding(Wrong.ONE_KEY_TWO_PAYOUTS, None, f"account {account}, {key}: {', '.join(sorted(payout_ids))}")


def _tell(movement: Movement) -> str:
    return f"{movement.desk} {movement.kind} {movement.amount_minor} {movement.currency} under {movement.key}"
