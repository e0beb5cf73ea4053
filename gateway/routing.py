"""Routing: which of an account's connections can carry a payout, in which order, and why each other one cannot.

Pure: a function of the payout, the connections and their contracts. It sends nothing and knows no health yet.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from schemas.contract import Contract
from schemas.destination import DestinationType
from schemas.money import to_decimal_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a payout asks of its route. `provider` and `connection_id` pin it."""

    amount_minor: int
    currency: str
    destination_type: DestinationType
    bank_code: str | None = None
    descriptor: str | None = None
    card_connection_id: str | None = None  # a card can only be paid where its token was made
    provider: str | None = None
    connection_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A connection of the account, with its provider's contract."""

    connection_id: str
    name: str
    priority: int
    contract: Contract
    currencies: frozenset[str] = frozenset()  # what this connection is limited to; empty = all of the contract
    paused: bool = False


class Why(StrEnum):
    """Why a connection is out, from the least to the most telling for the merchant."""

    PIN = "pin"
    DESTINATION = "destination"
    CURRENCY = "currency"
    CARD = "card"
    BANK_CODE = "bank_code"
    DESCRIPTOR = "descriptor"
    AMOUNT = "amount"


@dataclass(frozen=True, slots=True)
class Exclusion:
    """One connection that cannot carry the payout, in a sentence."""

    connection_id: str
    why: Why
    reason: str


@dataclass(frozen=True, slots=True)
class Route:
    """The connections that can carry the payout, the preferred first, and why the others cannot."""

    ordered: tuple[Candidate, ...]
    excluded: tuple[Exclusion, ...]


def _amount_problem(wanted: Wanted, contract: Contract) -> str | None:
    rule = contract.amounts[wanted.currency]
    if rule.min_minor <= wanted.amount_minor <= rule.max_minor and not wanted.amount_minor % rule.step_minor:
        return None
    amount = f"{to_decimal_text(wanted.amount_minor, wanted.currency)} {wanted.currency}"
    if wanted.amount_minor % rule.step_minor:
        return f"{contract.title} takes steps of {to_decimal_text(rule.step_minor, wanted.currency)}, not {amount}"
    if wanted.amount_minor < rule.min_minor:
        return f"{contract.title} takes at least {to_decimal_text(rule.min_minor, wanted.currency)}, not {amount}"
    return f"{contract.title} takes at most {to_decimal_text(rule.max_minor, wanted.currency)}, not {amount}"


def _bank_code_problem(wanted: Wanted, contract: Contract) -> str | None:
    if wanted.destination_type is not DestinationType.BANK_ACCOUNT or not contract.bank_codes:
        return None
    if wanted.bank_code is None:
        return f"{contract.title} needs a bankCode"
    return None if wanted.bank_code in contract.bank_codes else f"{contract.title} does not know bankCode {wanted.bank_code}"


def _pays_in(currency: str, candidate: Candidate) -> bool:
    return currency in candidate.contract.amounts and (not candidate.currencies or currency in candidate.currencies)


def _is_pinned_elsewhere(wanted: Wanted, candidate: Candidate) -> bool:
    other_provider = wanted.provider is not None and wanted.provider != candidate.contract.provider
    other_connection = wanted.connection_id is not None and wanted.connection_id != candidate.connection_id
    return other_provider or other_connection


def _problems(wanted: Wanted, candidate: Candidate) -> Iterator[tuple[Why, str]]:
    """What keeps a connection from carrying the payout. Each rule may count on those before it, so only the first is asked."""
    contract = candidate.contract
    if _is_pinned_elsewhere(wanted, candidate):
        yield Why.PIN, "the request names another one"
    if wanted.destination_type not in contract.destinations:
        paid_to = ", ".join(sorted(contract.destinations))
        yield Why.DESTINATION, f"{contract.title} pays to {paid_to}, not to {wanted.destination_type}"
    if not _pays_in(wanted.currency, candidate):
        yield Why.CURRENCY, f"{contract.title} does not pay in {wanted.currency} here"
    if wanted.card_connection_id not in (None, candidate.connection_id):
        yield Why.CARD, "the card was saved at another connection"
    if reason := _bank_code_problem(wanted, contract):
        yield Why.BANK_CODE, reason
    pattern = contract.descriptor_pattern
    if wanted.descriptor is not None and pattern is not None and not re.fullmatch(pattern, wanted.descriptor):
        yield Why.DESCRIPTOR, f"{contract.title} cannot put this statementDescriptor on a statement"
    if reason := _amount_problem(wanted, contract):
        yield Why.AMOUNT, reason


def route(wanted: Wanted, candidates: Sequence[Candidate]) -> Route:
    """Order the connections that can carry the payout: working ones first, then by priority, then by id."""
    fitting: list[Candidate] = []
    excluded: list[Exclusion] = []
    for candidate in candidates:
        if problem := next(_problems(wanted, candidate), None):
            excluded.append(Exclusion(candidate.connection_id, *problem))
        else:
            fitting.append(candidate)
    fitting.sort(key=lambda c: (c.paused, c.priority, c.connection_id))
    return Route(tuple(fitting), tuple(excluded))
