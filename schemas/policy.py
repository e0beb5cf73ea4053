"""An account's routing policy, as data: which connections may carry which payouts, in which order, and when to move on.

Words only: `gateway.routing` reads the order out of it, `gateway.failover` the limits. It holds no secret and no money.
"""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from schemas.destination import DestinationType
from schemas.requests import AmountMinor, BankCode, Currency, MetadataKey, MetadataValue, Request
from schemas.text import Printable

ConnectionId = Annotated[str, Field(pattern=r"^conn_[0-9a-f]{32}$")]
ProviderName = Annotated[str, Field(max_length=40, pattern=r"^[a-z0-9_]+$")]
CountryCode = Annotated[str, Field(pattern=r"^[A-Z]{2}$", description="ISO 3166-1 alpha-2")]
_MANY = 100


class By(StrEnum):
    """What orders the connections that can carry a payout."""

    PIN = "pin"  # only the connections named, in the order named
    PRIORITY = "priority"  # the order named, else each connection's own priority
    SPLIT = "split"  # by weights; the same payout always gets the same order
    CHEAPEST = "cheapest"  # by the policy's fee table
    FASTEST = "fastest"  # by the time to paid that was learned
    HEALTHIEST = "healthiest"  # by the share of recent sends that the provider took


class Strategy(Request):
    """How to order. `connections` limits a pin to these; any other strategy only prefers their order among equals."""

    by: By = Field(default=By.PRIORITY, strict=False)
    connections: Annotated[list[ConnectionId], Field(min_length=1, max_length=_MANY)] | None = None
    weights: (
        Annotated[dict[ConnectionId, Annotated[int, Field(ge=0, le=10_000)]], Field(min_length=1, max_length=_MANY)] | None
    ) = None

    @model_validator(mode="after")
    def _says_all_it_needs(self) -> Self:
        if (self.by is By.PIN) and self.connections is None:
            raise PydanticCustomError("incomplete", "needs connections when it is a pin", {"field": "otherwise"})
        if (self.by is By.SPLIT) != (self.weights is not None):
            raise PydanticCustomError("incomplete", "needs weights when it is a split, and only then", {"field": "otherwise"})
        return self


class Condition(Request):
    """Which payouts a rule is about. Everything given must hold; what is not given does not matter."""

    currencies: Annotated[list[Currency], Field(min_length=1, max_length=_MANY)] | None = None
    countries: Annotated[list[CountryCode], Field(min_length=1, max_length=_MANY)] | None = None
    amount_from: AmountMinor | None = None
    amount_to: AmountMinor | None = None
    bank_codes: Annotated[list[BankCode], Field(min_length=1, max_length=_MANY)] | None = None
    destination_types: (
        Annotated[list[Annotated[DestinationType, Field(strict=False)]], Field(min_length=1, max_length=3)] | None
    ) = None
    metadata: Annotated[dict[MetadataKey, MetadataValue], Field(min_length=1, max_length=10)] | None = None


class Rule(Request):
    """One rule: the first whose condition holds decides."""

    name: Annotated[str, Field(min_length=1, max_length=60), Printable]
    when: Condition
    use: Strategy


class Fee(Request):
    """What a connection costs in one currency: a fixed part in minor units and a share in basis points (1/10,000)."""

    fixed: Annotated[int, Field(ge=0, le=10**12)] = 0
    basis_points: Annotated[int, Field(ge=0, le=10_000)] = 0


class Failover(Request):
    """When the next connection may be tried, as far as an account wants to limit what is provably safe."""

    enabled: bool = True
    max_attempts: Annotated[int, Field(ge=1, le=20)] = 5  # attempts that reached a provider, over all connections
    max_age_seconds: Annotated[int, Field(ge=1, le=30 * 86_400)] = 86_400  # since the payout was created
    providers: Annotated[list[ProviderName], Field(min_length=1, max_length=_MANY)] | None = None  # None = all


class RoutingPolicy(Request):
    """`GET PUT /api/v1/routing`. Empty = by priority, with failover."""

    rules: Annotated[list[Rule], Field(max_length=50, default_factory=list)]
    otherwise: Strategy = Strategy()
    fees: Annotated[dict[ConnectionId, dict[Currency, Fee]], Field(max_length=_MANY, default_factory=dict)]
    failover: Failover = Failover()

    def strategies(self) -> list[tuple[str, Strategy]]:
        """Every strategy, with where it stands."""
        return [*((f"rules.{place}.use", rule.use) for place, rule in enumerate(self.rules)), ("otherwise", self.otherwise)]

    def connections(self) -> list[tuple[str, str]]:
        """Every connection that the policy names, with where it stands."""
        return [
            *((f"{where}.connections", named) for where, use in self.strategies() for named in use.connections or ()),
            *((f"{where}.weights", named) for where, use in self.strategies() for named in use.weights or ()),
            *(("fees", named) for named in self.fees),
        ]


DEFAULT_POLICY = RoutingPolicy()
