"""The README's tables of provider contracts and failure codes are generated: from the registry, and from `schemas.failure`."""

import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from providers.plexy.settings import CARD_FIELDS
from providers.registry import PROVIDERS
from schemas.contract import DAY_S, HOUR_S, CancelRule, Contract, Proof
from schemas.destination import DestinationType
from schemas.failure import FAILURE_MEANING
from schemas.money import CURRENCY_EXPONENT, to_decimal_text
from schemas.requests import SaveCard

README = Path(__file__).parents[2] / "README.md"
RENEW = ".venv/bin/python -m tests.unit.test_readme_tables"

FOR_EVER_S = 3650 * DAY_S  # contracts write "for ever" as ten years, a number that SQL takes
UNITS = ((DAY_S, "d"), (HOUR_S, "h"), (60, "min"), (1, "s"))
PROOF = {
    Proof.SIGNATURE: "signature of the body: a fact",
    Proof.STATIC_SECRET: "static secret: a hint to read",
    Proof.NONE: "no notices",
}
CANCEL = {CancelRule.NEVER: "no", CancelRule.WHILE_PENDING: "while pending"}


def duration(seconds: float) -> str:
    if seconds >= FOR_EVER_S:
        return "for ever"
    size, unit = next((size, unit) for size, unit in UNITS if seconds % size == 0 or unit == "s")
    return f"{seconds / size:g} {unit}"


def yes(value: object) -> str:
    return "yes" if value else "no"


def currencies(contract: Contract) -> str:
    known = sorted(contract.amounts)
    return f"all {len(known)} of ISO 4217" if set(known) == set(CURRENCY_EXPONENT) else " ".join(known)


def steps(contract: Contract) -> str:
    """Which currencies cannot be paid to the last minor unit."""
    coarse = sorted((code, rule.step_minor) for code, rule in contract.amounts.items() if rule.step_minor != 1)
    said = [f"{code} {to_decimal_text(step, code)}" for code, step in coarse]
    return ", ".join([*said, "else 1 minor unit"] if said and len(said) < len(contract.amounts) else said or ["1 minor unit"])


def bank_codes(contract: Contract) -> str:
    """How many codes are listed, and in which currencies a pattern says which ones pass."""
    listed = [f"{len(known.listed)} in {code}" for code, known in sorted(contract.bank_codes.items()) if known.listed]
    by_pattern = [code for code, known in sorted(contract.bank_codes.items()) if known.pattern]
    said = [*listed, *([f"by pattern in {' '.join(by_pattern)}"] if by_pattern else [])]
    return ", ".join(said) or ("any" if DestinationType.BANK_ACCOUNT in contract.destinations else "-")


def batch(contract: Contract) -> str:
    return "1" if contract.batch_size == 1 else f"up to {contract.batch_size:,}"


def ages(schedule: tuple[float, ...]) -> str:
    return ", ".join(map(duration, schedule))


def unless_marked(says: Callable[[Contract], str]) -> Callable[[Contract], str]:
    """What holds only where there is somebody to ask: a payout that an operator marks is never read."""
    return lambda contract: "only a person knows" if contract.operator_marks else says(contract)


# What a row is called, and what it says of a provider.
FACTS = {
    "what it is": lambda c: c.title,
    "`method`": lambda c: f"`{c.method}`",
    "pays to": lambda c: ", ".join(f"`{kind}`" for kind in sorted(c.destinations)),
    "countries": lambda c: " ".join(sorted(c.countries)) or "any",
    "currencies": currencies,
    "amount step": steps,
    "bank codes": bank_codes,
    "payouts a request": batch,
    "same key again pays once, for": lambda c: duration(c.replay_window_s) if c.replay_window_s else "never sent again",
    "found by our reference": lambda c: yes(c.find_by_key),
    '"not found" believed after': lambda c: duration(c.visibility_s) if c.find_by_key else "never",
    "may come back for": lambda c: duration(c.return_window_s),
    "read while it is open, at the age of": unless_marked(
        lambda c: f"{ages(c.poll_after_s)}, then every {duration(c.poll_after_s[-1])}"
    ),
    "read again once it is over, at the age of": unless_marked(lambda c: ages(c.watch_after_s)),
    "a person is told when nobody can explain it for": unless_marked(lambda c: duration(c.review_after_s)),
    "... when it is accepted and does not move for": unless_marked(lambda c: duration(c.pending_alarm_s)),
    "... when it is on its way and does not move for": unless_marked(lambda c: duration(c.in_transit_alarm_s)),
    "cancel after it was sent": lambda c: CANCEL[c.cancel],
    "a notice is proven by": lambda c: PROOF[c.proof],
    "pace of each connection": lambda c: "not paced" if c.rate_per_s is None else f"{c.rate_per_s:g} a second",
    "scheduled at a time": lambda c: "any number" if c.max_scheduled is None else str(c.max_scheduled),
    "saves cards": lambda c: yes(c.saves_cards),
    "checks a bank account before paying": lambda c: yes(c.checks_destination),
    "shows our balance there": lambda c: yes(c.reads_balance),
    "lists the banks it pays to": lambda c: yes(c.lists_channels),
    "lists its payouts by time": lambda c: yes(c.lists_payouts),
    "... and nothing else in that list": lambda c: yes(c.listing_is_payouts_only) if c.lists_payouts else "-",
    "marked by an operator": lambda c: yes(c.operator_marks),
    "what else a payout changes there": lambda c: "see below" if c.side_effects else "nothing",
}
# Fields of a contract that stand in no row, and why not.
UNSAID = {
    "provider": "it heads the column",
    "key_format": "only our own keys have it",
    "batch_linger_s": "it is over before anybody looks",
    "submit_timeout_s": "it concerns leases, not payouts",
    "pending_advice": "it is told with the alarm",
    "descriptor_pattern": "GET /api/v1/providers shows it, and a refusal names it",
}


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def contracts() -> str:
    known = [provider.contract for _, provider in sorted(PROVIDERS.items())]
    return table(["", *(c.provider for c in known)], [[name, *(says(c) for c in known)] for name, says in FACTS.items()])


def side_effects() -> str:
    """One line each, since they are whole sentences."""
    known = [(name, effect) for name, provider in sorted(PROVIDERS.items()) for effect in provider.contract.side_effects]
    return "".join(f"- **{name}**: {effect.removesuffix('.')}.\n" for name, effect in known)


def failures() -> str:
    rows = [
        [f"`{code}`", meaning.happened, meaning.next_step, yes(meaning.retry_can_help)]
        for code, meaning in FAILURE_MEANING.items()
    ]
    return table(["`code`", "`happened`", "`nextStep`", "`retryCanHelp`"], rows)


# Name of a generated part -> what stands between its two markers.
PARTS = {"contracts": contracts, "side effects": side_effects, "failures": failures}


def between(text: str, name: str) -> tuple[int, int]:
    begin = f"<!-- {name}: generated by tests/unit/test_readme_tables.py -->\n"
    return text.index(begin) + len(begin), text.index(f"<!-- {name} end -->")


@pytest.mark.parametrize("name", PARTS)
def test_the_readme_shows_it_as_it_is(name):
    text = README.read_text()
    start, end = between(text, name)
    assert text[start:end] == PARTS[name](), f"the README is behind; renew it: {RENEW}"


class Noting:
    """A contract that notes which of its fields are looked at."""

    def __init__(self, contract: Contract, seen: set[str]) -> None:
        self._contract, self._seen = contract, seen

    def __getattr__(self, name: str) -> Any:
        self._seen.add(name)
        return getattr(self._contract, name)


def test_every_field_of_a_contract_is_said_or_left_out_for_a_reason():
    seen: set[str] = set()
    for provider in PROVIDERS.values():
        for says in FACTS.values():
            says(Noting(provider.contract, seen))
    assert {field.name for field in fields(Contract)} == seen | UNSAID.keys(), "add a row to FACTS, or a reason to UNSAID"
    assert not seen & UNSAID.keys()


def test_the_fields_of_a_card_are_documented():
    described = SaveCard.model_json_schema()["properties"]["cardFields"]["description"]
    for field in CARD_FIELDS:
        assert f"`{field}`" in README.read_text()
        assert re.search(rf"\b{field}\b", described)


if __name__ == "__main__":
    text = README.read_text()
    for part, generate in PARTS.items():
        start, end = between(text, part)
        text = text[:start] + generate() + text[end:]
    README.write_text(text)
