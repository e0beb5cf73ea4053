"""What a connector receives: orders to pay, and attempts to look up.

An order carries its stored key. The same order again gives the same bytes on the wire.
"""

from dataclasses import dataclass, field
from datetime import datetime

from schemas.destination import BankAccount


@dataclass(frozen=True, slots=True)
class CardToken:
    """The provider's token of a saved card: a secret, never shown."""

    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class OwnBalance:
    """The bank account configured at the provider for the connection's balance."""


@dataclass(frozen=True, slots=True)
class Order:
    """One attempt to be sent. `key` is in its wire form, minted for the contract's key format, stored before sending."""

    attempt_id: str
    key: str
    amount_minor: int
    currency: str
    destination: BankAccount | CardToken | OwnBalance = field(repr=False)
    description: str | None = None  # the merchant's statement descriptor
    destination_ref: str | None = None  # the provider's reference of a check of this destination, to be named instead of it


@dataclass(frozen=True, slots=True)
class Lookup:
    """One attempt to be read back. Their ids are None while we do not know them."""

    attempt_id: str
    key: str
    amount_minor: int
    currency: str
    sent_at: datetime  # aware UTC, when the attempt was claimed for sending
    provider_ref: str | None = None
    submission_ref: str | None = None
