"""What merchants may send, exactly: strict, closed, no float for money, no unknown field.

Field names on the wire are camelCase. Lengths come from the Plugipay sheet, section 7.1.
"""

from typing import Annotated, ClassVar, LiteralString, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from schemas.destination import Destination
from schemas.money import CURRENCY_EXPONENT, MAX_AMOUNT_MINOR
from schemas.resolution import WITHDRAW, Outcome
from schemas.text import Printable, one_of

Currency = Annotated[
    str,
    one_of(CURRENCY_EXPONENT, "an ISO 4217 currency"),
    Field(json_schema_extra={"pattern": "^[A-Z]{3}$"}),
]
AmountMinor = Annotated[
    int, Field(ge=1, le=MAX_AMOUNT_MINOR, description="Integer minor units by ISO 4217: 1500000 IDR = 15,000.00")
]
# The same as in `schemas.destination.BankAccount`: what passes here must be a destination there.
BankCode = Annotated[str, Field(max_length=32, pattern=r"^[A-Za-z0-9_-]+$")]
BankName = Annotated[str, Field(min_length=1, max_length=100), Printable]
BankAccountNumber = Annotated[str, Field(max_length=50, pattern=r"^[A-Za-z0-9][A-Za-z0-9 .\-]*$")]
BankAccountHolder = Annotated[str, Field(min_length=1, max_length=100), Printable]
Reference = Annotated[str, Field(min_length=1, max_length=200), Printable]
MetadataKey = Annotated[str, StringConstraints(min_length=1, max_length=40)]
MetadataValue = Annotated[str, StringConstraints(max_length=500)]


class Request(BaseModel):
    """Base of everything that comes in."""

    may_be_left_out: ClassVar[bool] = False  # whether no body at all says the same as an empty object

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, alias_generator=to_camel, hide_input_in_errors=True)


def _refuse(field: str, message: LiteralString) -> PydanticCustomError:
    """A refusal about several fields that names the one to change."""
    return PydanticCustomError("fields_clash", message, {"field": field})


class CreatePayout(Request):
    """`POST /api/v1/payouts`. Bank fields flat (as Plugipay has them) or `destination`, not both; neither = the default."""

    amount: AmountMinor
    currency: Currency
    bank_code: BankCode | None = None
    bank_name: BankName | None = None
    bank_account_number: BankAccountNumber | None = Field(default=None, repr=False)
    bank_account_holder: BankAccountHolder | None = Field(default=None, repr=False)
    destination: Destination | None = None
    provider: Annotated[str, Field(max_length=40, pattern=r"^[a-z0-9_]+$")] | None = None
    connection_id: Annotated[str, Field(pattern=r"^conn_[0-9a-f]{32}$")] | None = None
    merchant_reference: Annotated[str, Field(min_length=1, max_length=100), Printable] | None = None
    note: Annotated[str, Field(min_length=1, max_length=500), Printable] | None = None
    statement_descriptor: (
        Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9 .\-]+$"), Printable] | None
    ) = None
    metadata: Annotated[dict[MetadataKey, MetadataValue], Field(max_length=50)] | None = None

    @model_validator(mode="after")
    def _bank_fields_come_together(self) -> Self:
        given = (self.bank_name, self.bank_account_number, self.bank_account_holder)
        if self.bank_code is None and not any(given):
            return self
        if self.destination is not None:
            raise _refuse("destination", "cannot be sent together with bank fields; send one or the other")
        if None in given:  # Plugipay sheet, P-5
            missing = ("bankName", "bankAccountNumber", "bankAccountHolder")[given.index(None)]
            raise _refuse(missing, "is required: bankName, bankAccountNumber and bankAccountHolder come together")
        return self


# How a person knows what they report: "statement of 3 March, line 17". Kept with the report and shown in the timeline.
Evidence = Annotated[
    str,
    Field(min_length=1, max_length=500, description="How you know: a statement line, a receipt number, who told you"),
    Printable,
]


class MarkWithReference(Request):
    """`mark-in-transit`. A null or omitted reference keeps the earlier one (P-12)."""

    may_be_left_out = True
    reference: Reference | None = None


class MarkPaid(MarkWithReference):
    """`mark-paid`."""

    evidence: Evidence | None = None


class MarkFailed(Request):
    """`mark-failed`."""

    failure_reason: Annotated[str, Field(min_length=1, max_length=500), Printable]
    evidence: Evidence | None = None


class MarkReturned(Request):
    """`mark-returned`."""

    reason: Annotated[str, Field(min_length=1, max_length=500), Printable]
    evidence: Evidence | None = None


class Cancel(Request):
    """`cancel`: an empty object."""

    may_be_left_out = True


_SAID_AT_DESK = (*Outcome, WITHDRAW)


class Resolve(Request):
    """`resolve`: what a person found out about a payout that needs review. The same from a second person makes it so."""

    outcome: Annotated[
        str,
        one_of(_SAID_AT_DESK, "paid, failed, returned, not_sent or withdraw"),
        Field(
            description="How it ended; not_sent sends it again. withdraw takes back what you proposed yourself",
            json_schema_extra={"enum": list(_SAID_AT_DESK)},
        ),
    ]
    evidence: Evidence
    reason: Annotated[str, Field(min_length=1, max_length=500, description="Why this follows from the evidence"), Printable]


class UpdateBankAccount(Request):
    """`PATCH /api/v1/payouts/bank-account`."""

    bank_code: BankCode | None = None
    bank_name: BankName
    bank_account_number: BankAccountNumber = Field(repr=False)
    bank_account_holder: BankAccountHolder = Field(repr=False)


class SaveCard(Request):
    """`POST /api/v1/cards`: card fields already encrypted for the provider; we hand them on and keep none of them."""

    connection_id: Annotated[str, Field(pattern=r"^conn_[0-9a-f]{32}$")] | None = None
    provider: Annotated[str, Field(max_length=40, pattern=r"^[a-z0-9_]+$")] | None = None
    card_fields: Annotated[
        dict[Annotated[str, Field(max_length=60)], Annotated[str, Field(max_length=4000)]], Field(min_length=1, max_length=20)
    ] = Field(
        repr=False,
        description="All of the fields that the provider needs, each encrypted for it. Plexy: encryptedCardNumber, "
        "encryptedExpiryMonth, encryptedExpiryYear, encryptedCvv, encryptedCardholderName",
    )


class CreditBalance(Request):
    """`POST /api/v1/ledger/credits`: money that came in. The reference is booked once."""

    amount: AmountMinor
    currency: Currency
    reference: Annotated[str, Field(min_length=1, max_length=100), Printable]
    memo: Annotated[str, Field(min_length=1, max_length=200), Printable] | None = None
