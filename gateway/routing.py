"""Routing: which of an account's connections can carry a payout, in which order, and why each other one cannot.

Pure: a function of the payout, the connections with their contracts and health, and the account's policy. It sends nothing.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from gateway.route_order import NO_HEALTH, Behind, Health, place_by
from schemas.contract import Contract
from schemas.destination import DestinationType
from schemas.money import to_decimal_text
from schemas.policy import DEFAULT_POLICY, By, Condition, RoutingPolicy, Strategy


# Not frozen, like rows: one is made for every create, and nobody changes it.
@dataclass(slots=True, kw_only=True)
class Wanted:
    """What a payout asks of its route. `provider` and `connection_id` pin it; `stable_key` decides its place in a split."""

    amount_minor: int
    currency: str
    destination_type: DestinationType
    bank_code: str | None = None
    descriptor: str | None = None
    card_connection_id: str | None = None  # a card can only be paid where its token was made
    provider: str | None = None
    connection_id: str | None = None
    country: str | None = None
    metadata: Mapping[str, str] | None = None
    stable_key: str = ""  # what the payout's id took from its request: a repetition goes the same way


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A connection of the account, with its provider's contract and how it does."""

    connection_id: str
    name: str
    priority: int
    contract: Contract
    currencies: frozenset[str] = frozenset()  # what this connection is limited to; empty = all of the contract
    paused: bool = False
    health: Health = NO_HEALTH


class Why(StrEnum):
    """Why a connection is out, from the least to the most telling for the merchant."""

    PIN = "pin"
    POLICY = "policy"
    DESTINATION = "destination"
    CURRENCY = "currency"
    COUNTRY = "country"
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


@dataclass(slots=True)
class Route:
    """The connections that can carry the payout, the preferred first, and why the others cannot.

    `behind`: those that could carry it and stand last for now, by connection. `rule`: the rule of the policy that decided.
    """

    ordered: tuple[Candidate, ...]
    excluded: tuple[Exclusion, ...]
    by: By = By.PRIORITY
    rule: str | None = None
    behind: Mapping[str, Behind] = field(default_factory=dict)

    def codes(self) -> dict[str, Any]:
        """The route and its reasons as they are stored with each attempt: ids and codes, no sentences."""
        return {
            "by": self.by,
            "rule": self.rule,
            "ordered": [candidate.connection_id for candidate in self.ordered],
            "excluded": {exclusion.connection_id: exclusion.why for exclusion in self.excluded},
            "behind": dict(self.behind),
        }


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
    known = contract.bank_codes.get(wanted.currency)
    if wanted.destination_type is not DestinationType.BANK_ACCOUNT or known is None:
        return None
    if wanted.bank_code is None:
        return f"{contract.title} needs a bankCode"
    if known.takes(wanted.bank_code):
        return None
    return f"{contract.title} does not know bankCode {wanted.bank_code} in {wanted.currency}"


def _pays_in(currency: str, candidate: Candidate) -> bool:
    return currency in candidate.contract.amounts and (not candidate.currencies or currency in candidate.currencies)


def _is_pinned_elsewhere(wanted: Wanted, candidate: Candidate) -> bool:
    other_provider = wanted.provider is not None and wanted.provider != candidate.contract.provider
    other_connection = wanted.connection_id is not None and wanted.connection_id != candidate.connection_id
    return other_provider or other_connection


def _matches(wanted: Wanted, when: Condition) -> bool:
    held = wanted.metadata or {}
    return (
        (when.currencies is None or wanted.currency in when.currencies)
        and (when.countries is None or wanted.country in when.countries)
        and (when.amount_from is None or wanted.amount_minor >= when.amount_from)
        and (when.amount_to is None or wanted.amount_minor <= when.amount_to)
        and (when.bank_codes is None or wanted.bank_code in when.bank_codes)
        and (when.destination_types is None or wanted.destination_type in when.destination_types)
        and all(held.get(name) == value for name, value in (when.metadata or {}).items())
    )


def strategy_for(wanted: Wanted, policy: RoutingPolicy) -> tuple[Strategy, str | None]:
    """What the policy orders this payout by, and the name of the rule that says so (None: what is done otherwise)."""
    for rule in policy.rules:
        if _matches(wanted, rule.when):
            return rule.use, rule.name
    return policy.otherwise, None


def _lasting_problems(wanted: Wanted, candidate: Candidate, strategy: Strategy) -> Iterator[tuple[Why, str]]:
    """What keeps a connection from carrying any payout like this one, whatever its amount (see `_likeness`).

    Each rule may count on those before it, so only the first is asked.
    """
    contract = candidate.contract
    if _is_pinned_elsewhere(wanted, candidate):
        yield Why.PIN, "the request names another one"
    if strategy.by is By.PIN and candidate.connection_id not in (strategy.connections or ()):
        yield Why.POLICY, "the account's routing policy names others for payouts like this one"
    if wanted.destination_type not in contract.destinations:
        paid_to = ", ".join(sorted(contract.destinations))
        yield Why.DESTINATION, f"{contract.title} pays to {paid_to}, not to {wanted.destination_type}"
    if not _pays_in(wanted.currency, candidate):
        yield Why.CURRENCY, f"{contract.title} does not pay in {wanted.currency} here"
    if wanted.country is not None and contract.countries and wanted.country not in contract.countries:
        yield Why.COUNTRY, f"{contract.title} does not pay to {wanted.country}"
    if wanted.card_connection_id not in (None, candidate.connection_id):
        yield Why.CARD, "the card was saved at another connection"
    if reason := _bank_code_problem(wanted, contract):
        yield Why.BANK_CODE, reason
    pattern = contract.descriptor_pattern
    if wanted.descriptor is not None and pattern is not None and not re.fullmatch(pattern, wanted.descriptor):
        yield Why.DESCRIPTOR, f"{contract.title} cannot put this statementDescriptor on a statement"


def _behind(wanted: Wanted, candidate: Candidate) -> Behind | None:
    """Why a connection that could carry the payout stands last for now."""
    if candidate.paused:
        return Behind.PAUSED
    if candidate.health.circuit_open:
        return Behind.CIRCUIT_OPEN
    funds = candidate.health.funds_minor.get(wanted.currency)
    if funds is not None and funds < wanted.amount_minor:
        return Behind.SHORT_OF_FUNDS
    return Behind.SATURATED if candidate.health.saturated else None


_LAST = {None: 0, Behind.SATURATED: 1, Behind.SHORT_OF_FUNDS: 2, Behind.CIRCUIT_OPEN: 3, Behind.PAUSED: 4}


@dataclass(frozen=True, slots=True)
class _Alike:
    """What is the same for all payouts that are alike."""

    fitting: tuple[Candidate, ...]
    excluded: tuple[Exclusion, ...]


def _likeness(wanted: Wanted, strategy: Strategy) -> tuple[object, ...]:
    """What `_lasting_problems` looks at."""
    pinned = tuple(strategy.connections or ()) if strategy.by is By.PIN else None
    return (
        wanted.currency,
        wanted.destination_type,
        wanted.bank_code,
        wanted.descriptor,
        wanted.card_connection_id,
        wanted.provider,
        wanted.connection_id,
        wanted.country,
        pinned,
    )


class Router:
    """Routes among the same connections, and works out only once what is the same for payouts that are alike."""

    def __init__(self, candidates: Sequence[Candidate], *, remember: int = 1000) -> None:
        self.candidates = candidates
        self._remember = remember
        self._alike: dict[tuple[object, ...], _Alike] = {}

    def route(self, wanted: Wanted, policy: RoutingPolicy = DEFAULT_POLICY) -> Route:
        """Order the connections that can carry the payout: working ones first, then by the policy, then by priority and id.

        What is wrong for a moment (paused, circuit open, balance too low, pace used up) puts a connection last and never
        out: a payout that only it can carry waits there.
        """
        strategy, rule = strategy_for(wanted, policy)
        alike = self._find_alike(wanted, strategy)
        fitting: list[Candidate] = []
        excluded: list[Exclusion] = list(alike.excluded)
        behind: dict[str, Behind] = {}
        for candidate in alike.fitting:
            if problem := _amount_problem(wanted, candidate.contract):
                excluded.append(Exclusion(candidate.connection_id, Why.AMOUNT, problem))
                continue
            fitting.append(candidate)
            if reason := _behind(wanted, candidate):
                behind[candidate.connection_id] = reason
        if len(fitting) > 1:
            place = place_by(strategy, policy, wanted.amount_minor, wanted.currency, wanted.stable_key)
            fitting.sort(
                key=lambda c: (
                    _LAST[behind.get(c.connection_id)],
                    place(c.connection_id, c.health),
                    c.priority,
                    c.connection_id,
                )
            )
        return Route(tuple(fitting), tuple(excluded), strategy.by, rule, behind)

    def _find_alike(self, wanted: Wanted, strategy: Strategy) -> _Alike:
        likeness = _likeness(wanted, strategy)
        known = self._alike.get(likeness)
        if known is None:
            fitting: list[Candidate] = []
            excluded: list[Exclusion] = []
            for candidate in self.candidates:
                if problem := next(_lasting_problems(wanted, candidate, strategy), None):
                    excluded.append(Exclusion(candidate.connection_id, *problem))
                else:
                    fitting.append(candidate)
            known = _Alike(tuple(fitting), tuple(excluded))
            if len(self._alike) < self._remember:  # descriptors and bank codes come from merchants, in any number
                self._alike[likeness] = known
        return known


def route(wanted: Wanted, candidates: Sequence[Candidate], policy: RoutingPolicy = DEFAULT_POLICY) -> Route:
    """The route of one payout: see `Router.route`."""
    return Router(candidates).route(wanted, policy)
