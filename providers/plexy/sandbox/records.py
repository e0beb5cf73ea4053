"""What the Plexy sandbox is set to and what it keeps: its settings, the form of a merchant, the rows of its tables.

Only shapes. Never moves money, never answers anybody, and keeps no whole card number.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from pydantic import Field

from providers.plexy.sandbox.facts import MINIMUM_TENGE
from providers.sandbox.base import ControlForm, SandboxSettings


class PlexySettings(SandboxSettings):
    processing_after_ms: float | None = None  # from new
    settled_after_ms: float | None = None  # from processing to the final state
    webhook_after_ms: float | None = None  # from the final state to the first webhook
    card_saved_after_ms: float | None = None
    failure_status: Literal["rejected", "failed"] = "rejected"  # what the failure card ends in
    min_amount: float = MINIMUM_TENGE
    id_field: Literal["id", "transactionId", "payoutId", "data.id", "none"] = "id"  # X-4b: where the answer has it
    echo_merchant_reference: bool = False  # the sample shows null
    wrapped_ids: bool = False  # section 8: ids as {"Value": ...}
    prefixed_statuses: bool = False  # section 5: TRANSACTION_STATUS_* on reads
    emit_events: Literal["final", "all"] = "final"
    card_event_name: str = "card.saved"
    merchant_id_on_top: bool = False  # section 8: the generic page shows a `merchantId` beside `name`


class MerchantForm(ControlForm):
    api_key: str | None = Field(default=None, min_length=1)
    webhook_url: str | None = None
    webhook_token: str | None = Field(default=None, min_length=1)
    balance: Decimal | None = None


@dataclass(slots=True)
class Merchant:
    id: str
    api_key: str
    webhook_url: str | None
    webhook_token: str
    balance_tiyn: int
    store_id: str
    terminal_id: str


@dataclass(slots=True)
class Card:
    token: str
    merchant: str
    customer: str
    external_user: str | None
    brand: str
    bin: str
    last4: str
    is_paid: bool


@dataclass(slots=True)
class Payout:
    id: str
    merchant: str
    token: str
    amount: str  # as it came, in tenge
    amount_tiyn: int
    description: str | None
    reference: str | None
    status: str
    created_us: int
    updated_us: int
    rrn: str
    held: bool  # the amount is taken from the balance
    due_ms: int
    error: list[str]
    effects: int = 0  # movements of money so far; odd = it is out
    scenario: str = ""
