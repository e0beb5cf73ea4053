"""The interface that every provider implements, and what each folder under `providers/` offers to the registry.

Four shapes behind one protocol: card token, balance, bank batch, manual. A connector is made per connection and
never raises for network or provider trouble: whatever happened becomes a report.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from multidict import CIMultiDictProxy
from pydantic import BaseModel, ConfigDict

from providers.transport import Transport
from schemas.contract import Contract
from schemas.notice import Fact
from schemas.order import Lookup, Order
from schemas.report import Report


class ProviderModel(BaseModel):
    """Base of a provider's settings and secrets: strict, closed, never showing values in errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Connector(Protocol):
    """One account's credentials at one provider, ready to talk."""

    async def submit(self, submission_key: str, orders: Sequence[Order]) -> list[Report]:
        """Send the orders in one request where the contract takes batches; one report per order, in order.

        `submission_key` is 32 hexadecimal digits, stored before the call, and names the request as a whole.
        """
        ...

    async def find(self, lookups: Sequence[Lookup]) -> list[Report]:
        """Read attempts back, by their id once known, else by our key; one report per lookup, in order."""
        ...

    def verify_notice(self, headers: CIMultiDictProxy[str], body: bytes) -> bool:
        """Whether the provider sent these bytes; pure, constant time. An empty secret verifies nothing."""
        ...

    def read_notice(self, body: bytes) -> list[Fact]:
        """The facts in a verified notice; pure. Raises `UnreadableNoticeError` when it cannot be understood."""
        ...

    async def cancel(self, lookup: Lookup) -> Report:
        """Ask to stop a payout, where the contract's `cancel` allows it. Only the report of a later read is believed."""
        ...

    async def save_card(self, card_id: str, card_fields: Mapping[str, str]) -> Report:
        """Hand encrypted card fields on for saving, where the contract's `saves_cards` says so; kept nowhere.

        `Taken` means that the token will come by notice; anything else ends this card.
        """
        ...


class UnreadableNoticeError(ValueError):
    """A verified notice that we cannot read. Nothing was changed; it stays in the inbox table for a person."""


@dataclass(frozen=True, slots=True)
class Provider:
    """What a provider's folder offers. `settings` and `secrets` describe a connection's configuration."""

    contract: Contract
    settings: type[ProviderModel]  # not secret: base URL, switches for assumed facts
    secrets: type[ProviderModel]  # SecretStr fields; sealed at rest
    connect: Callable[[Any, Any, Transport], Connector]  # (settings, secrets, transport) -> Connector
