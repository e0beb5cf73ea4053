"""Where a connection stands among those that can carry a payout: one number for each way of ordering.

Pure, and it excludes nothing: that is `gateway.routing`. Lower is better; equals are left to priority and id.
"""

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from schemas.policy import By, Fee, RoutingPolicy, Strategy

_BASIS_POINTS = 10_000
_UNKNOWN = math.inf  # what is not known stands behind what is


class Behind(StrEnum):
    """What puts a connection last for now."""

    PAUSED = "paused"
    CIRCUIT_OPEN = "circuit_open"
    SHORT_OF_FUNDS = "short_of_funds"
    SATURATED = "saturated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How a connection does, as far as anybody knows. `success` is from 0 to 1, `paid_s` the learned seconds to paid."""

    circuit_open: bool = False
    saturated: bool = False
    success: float | None = None
    paid_s: float | None = None
    funds_minor: Mapping[str, int] = field(default_factory=dict)  # what the provider says is on our balance, by currency


NO_HEALTH = Health()
Place = Callable[[str, Health], float]


def fee_minor(fee: Fee, amount_minor: int) -> int:
    """What a payout costs, in minor units, a broken one rounded up."""
    return fee.fixed - (-amount_minor * fee.basis_points // _BASIS_POINTS)


def _by_hash(connection_id: str, stable_key: str, weight: int) -> float:
    # Weighted rendezvous: shares follow the weights, and a payout keeps its order when other connections come or go.
    digest = hashlib.sha256(f"{stable_key} {connection_id}".encode()).digest()
    drawn = (int.from_bytes(digest[:8]) + 1) / (2**64 + 1)
    return -math.log(drawn) / weight if weight else _UNKNOWN


def place_by(strategy: Strategy, policy: RoutingPolicy, amount_minor: int, currency: str, stable_key: str) -> Place:
    """The function that gives each connection its place for one payout."""
    named = {connection_id: place for place, connection_id in enumerate(strategy.connections or ())}
    weights = strategy.weights or {}

    def by_fee(connection_id: str, _health: Health) -> float:
        fee = policy.fees.get(connection_id, {}).get(currency)
        return fee_minor(fee, amount_minor) if fee else _UNKNOWN

    def by_name(connection_id: str, _health: Health) -> float:
        return named.get(connection_id, len(named))

    def by_weight(connection_id: str, _health: Health) -> float:
        return _by_hash(connection_id, stable_key, weights.get(connection_id, 0))

    def by_speed(_connection_id: str, health: Health) -> float:
        return _UNKNOWN if health.paid_s is None else health.paid_s

    def by_health(_connection_id: str, health: Health) -> float:
        # In steps of a hundredth, so that connections that do equally well are left to priority.
        return 0.0 if health.success is None else round(1 - health.success, 2)

    places: dict[By, Place] = {
        By.PIN: by_name,
        By.PRIORITY: by_name,
        By.SPLIT: by_weight,
        By.CHEAPEST: by_fee,
        By.FASTEST: by_speed,
        By.HEALTHIEST: by_health,
    }
    return places[strategy.by]
