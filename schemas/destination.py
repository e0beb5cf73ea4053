"""Where the money goes: a bank account, a saved card, or the account configured at the provider.

Account numbers and card tokens never show in a repr, so that no log or traceback can carry them.
"""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from schemas.text import Printable


class DestinationType(StrEnum):
    """The three kinds of destination (design section 2)."""

    BANK_ACCOUNT = "bank_account"
    CARD = "card"
    BALANCE = "balance"


class _Destination(BaseModel):
    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        hide_input_in_errors=True,
        validate_by_name=True,
    )


def _told_apart(schema: dict[str, Any]) -> None:
    """A merchant has to send the type, which tells the destinations apart; only we make one without it."""
    del schema["properties"]["type"]["default"]
    schema["required"].insert(0, "type")


class BankAccount(_Destination):
    """A bank account. Lengths from the Plugipay sheet, section 7.1."""

    model_config = ConfigDict(json_schema_extra=_told_apart)

    type: Literal["bank_account"] = "bank_account"
    bank_code: Annotated[str, Field(min_length=1, max_length=32, pattern=r"^[A-Za-z0-9_-]+$"), Printable] | None = None
    bank_name: Annotated[str, Field(min_length=1, max_length=100), Printable]
    bank_account_number: Annotated[str, Field(max_length=50, pattern=r"^[A-Za-z0-9][A-Za-z0-9 .\-]*$", repr=False)]
    bank_account_holder: Annotated[str, Field(min_length=1, max_length=100, repr=False), Printable]
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$", description="ISO 3166-1 alpha-2, for routing")] | None = None


class Card(_Destination):
    """A card that was saved before, by our id (`card_...`); the provider's token stays inside the gateway."""

    type: Literal["card"]
    card_id: Annotated[str, Field(pattern=r"^card_[0-9a-f]{32}$")]


class Balance(_Destination):
    """The bank account that is configured at the provider, for the balance this connection pays from."""

    type: Literal["balance"]


Destination = Annotated[BankAccount | Card | Balance, Field(discriminator="type")]
