"""What the Mollie sandbox is set to and what it keeps: its settings, the forms of a merchant, the rows of its tables.

Only shapes. Never moves money and never answers anybody.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import Field

from providers.mollie.sandbox.facts import IDEMPOTENCY_TTL_MS, START_BALANCE
from providers.sandbox.base import ControlForm, SandboxSettings


class MollieSettings(SandboxSettings):
    business_day: Literal["real"] | float = "real"  # or the length of a whole business day in ms
    initiated_after_ms: float | None = None  # from creation
    at_bank_after_ms: float | None = None  # from initiated
    completed_after_ms: float | None = None  # from at-bank
    idempotency_ttl_ms: float = IDEMPOTENCY_TTL_MS
    create_takes_ms: float = 0  # how long a create is in flight (a second one with its key gets 409)
    simple_payload: bool = False  # webhooks without the embedded payout
    bare_payload: bool = False  # webhooks that are the payout itself (the conflict of section 9)
    api_key_reads_balances: bool = False  # section 2 says no
    cache_refusals: bool = True  # M-3


class BalanceForm(ControlForm):
    id: str | None = Field(default=None, min_length=1)
    currency: str = Field(default="EUR", min_length=3, max_length=3)
    available: str = START_BALANCE
    status: Literal["active", "inactive"] = "active"
    bank_account: str = "NL00BANK0123456789"
    mode: Literal["live", "test"] | None = None
    reserve: str = "0.00"  # M-9
    obstacle: Literal["payouts_blocked", "queued_refunds", "negative_balance", "bank_account"] | None = None  # section 4


class PayoutForm(ControlForm):
    """A payout of the dashboard or of the automatic schedule: lists show those too (section 3)."""

    balance_id: str
    amount: str
    description: str | None = None
    mode: Literal["live", "test"] | None = None


class MerchantForm(ControlForm):
    api_key: str | None = Field(default=None, min_length=1)
    webhook_url: str | None = None
    webhook_secret: str | None = Field(default=None, min_length=1)
    webhook_secrets: list[str] | None = Field(default=None, min_length=1, max_length=2)
    balances: list[BalanceForm] | None = None
    permissions: list[str] | None = None  # of an advanced token; None = all of section 2
    uk: bool = False  # section 4: registered in the UK, and may not say an amount


@dataclass(slots=True)
class Merchant:
    id: str
    api_key: str
    webhook_url: str | None
    webhook_secrets: list[str]
    permissions: list[str] | None = None
    uk: bool = False


@dataclass(slots=True)
class Balance:
    id: str
    merchant: str
    mode: str  # "" = both, for organisation tokens
    currency: str
    available_minor: int
    status: str
    bank_account: str
    frequency: str
    created_ms: int
    reserve_minor: int = 0
    obstacle: str | None = None


@dataclass(slots=True)
class Payout:
    id: str
    merchant: str
    mode: str
    balance: str
    currency: str
    amount_minor: int
    description: str | None
    key: str | None  # the idempotency key it was made with
    status: str
    reason: str
    created_ms: int
    due_ms: int
    initiated_ms: int = 0
    completed_ms: int = 0
    canceled_ms: int = 0
    effects: int = 0
    scenario: str = ""


@dataclass(slots=True)
class StoredAnswer:
    """Section 8: the first answer to a key, for an hour."""

    fingerprint: str
    status: int
    body: str
    at_ms: int
    ref: str = ""  # the payout, where one was made


@dataclass(slots=True)
class Subscription:
    """Section 9: a webhook that was made by API, with an address and a secret of its own."""

    id: str
    merchant: str
    mode: str
    name: str
    url: str
    event_types: list[str]
    status: str
    secret: str
    created_ms: int


@dataclass(slots=True)
class Event:
    """What GET `/v2/events/{id}` shows again."""

    merchant: str
    mode: str
    body: str


@dataclass(slots=True)
class Caller:
    """Who asks, and in which mode."""

    merchant: Merchant
    mode: str
    is_token: bool
    fields: dict[str, Any] = field(default_factory=dict)
