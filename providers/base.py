"""The interface that every provider implements, and what each folder under `providers/` offers to the registry.

Four shapes behind one protocol: card token, balance, bank batch, manual. A connector is made per connection and
never raises for network or provider trouble: whatever happened becomes a report.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from typing import Annotated, Any, Protocol
from urllib.parse import urlsplit

from multidict import CIMultiDictProxy
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from providers.transport import Transport
from schemas.checks import Channel, DestinationCheck, ProviderBalance
from schemas.contract import Contract
from schemas.destination import BankAccount
from schemas.listing import Listing
from schemas.notice import Fact
from schemas.order import Lookup, Order
from schemas.report import Report, Unclear


class ProviderModel(BaseModel):
    """Base of a provider's settings and secrets: strict, closed, never showing values in errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def _base_url(value: str) -> str:
    parts = urlsplit(value)
    # `port` raises ValueError itself when it is no port.
    extra = parts.username or parts.password or parts.query or parts.fragment or parts.port == 0
    if parts.scheme not in {"http", "https"} or not parts.hostname or extra:
        raise ValueError("must be https://host, with a port and a path at most")
    if parts.scheme == "http" and not _is_at_home(parts.hostname):
        raise ValueError("must be https: every request carries the secrets (http only to this machine or a private address)")
    return value.rstrip("/")


def _is_at_home(host: str) -> bool:
    try:
        return ip_address(host).is_private
    except ValueError:
        return host == "localhost"


def _header_text(secret: SecretStr) -> SecretStr:
    value = secret.get_secret_value()
    if not (value.isascii() and value.isprintable()) or " " in value:
        raise ValueError("must be printable ASCII without spaces, since it travels in a header")
    return secret


def _without_nul(secret: SecretStr) -> SecretStr:
    # HMAC pads keys with NUL, so a secret of NULs would verify like an empty one.
    if "\x00" in secret.get_secret_value():
        raise ValueError("must not contain NUL")
    return secret


# Where a provider is reached. No default anywhere: an address is a decision of whoever makes the connection.
BaseUrl = Annotated[str, Field(max_length=500, pattern=r"^[!-~]+$"), AfterValidator(_base_url)]
# A secret that goes out in a header: never empty.
HeaderSecret = Annotated[SecretStr, Field(min_length=1, max_length=4096), AfterValidator(_header_text)]
# A secret that notices are checked with. Empty = not set up yet: it verifies nothing.
NoticeSecret = Annotated[SecretStr, Field(max_length=4096), AfterValidator(_without_nul)]


class Connector(Protocol):
    """One account's credentials at one provider, ready to talk."""

    async def submit(self, submission_key: str, orders: Sequence[Order]) -> list[Report]:
        """Send the orders in one request where the contract takes batches; one report per order, in order.

        `submission_key` is 32 hexadecimal digits, stored before the call, and names the request as a whole.
        """
        ...

    async def find(self, lookups: Sequence[Lookup]) -> list[Report]:
        """Read attempts back, by their id once known, else by our key; one report per lookup, in order.

        Never `NotSent` or `Refused`: a read that failed says nothing about the payout.
        """
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

    def card_problem(self, card_fields: Mapping[str, str]) -> str | None:
        """What must be changed in card fields before they can be handed on, for their merchant; None where nothing is known.

        Pure, and never quotes a value.
        """
        del card_fields
        return None

    async def save_card(self, card_id: str, card_fields: Mapping[str, str]) -> Report:
        """Hand encrypted card fields on for saving, where the contract's `saves_cards` says so; kept nowhere.

        `Taken` means that the token will come by notice; anything else ends this card.
        """
        ...

    async def check_destination(self, destination: BankAccount, begun: str | None = None) -> DestinationCheck:
        """Ask whether a bank account exists, where the contract's `checks_destination` says so; else `NOT_OFFERED`.

        `begun` is the reference of a check that was PENDING: it is read, and no new one is begun.
        """
        ...

    async def balance(self) -> list[ProviderBalance] | Unclear:
        """Read what this connection can pay out, where the contract's `reads_balance` says so; else `Unclear`."""
        ...

    async def channels(self) -> list[Channel] | Unclear:
        """The banks and wallets that the provider says it pays to, where the contract's `lists_channels` says so."""
        ...

    async def listed(self, since: datetime, until: datetime) -> Listing | Unclear:
        """The provider's own list between two moments, both aware, where the contract's `lists_payouts` says so.

        `Unclear` when nothing could be read; a list that was read in part is a `Listing` that is not `complete`.
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
