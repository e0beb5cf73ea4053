"""What the Xendit sandbox is set to and what it keeps: its settings, the form of a merchant, the rows of its tables.

Only shapes. Never moves money and never answers anybody.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from pydantic import Field

from providers.sandbox.base import ControlForm, SandboxSettings


class LimitsForm(ControlForm):
    """Another rule for the amounts of one channel; what is missing stays."""

    minimum: Decimal | None = Field(default=None, ge=0)
    maximum: Decimal | None = Field(default=None, ge=0)
    minimum_increment: Decimal | None = Field(default=None, gt=0)


class XenditSettings(SandboxSettings):
    retry_after: Literal["seconds", "date", "none"] = "none"  # section 2 names other headers
    requested_after_ms: float | None = None  # from ACCEPTED
    succeeded_after_ms: float | None = None  # from REQUESTED
    failed_after_ms: float | None = None  # from REQUESTED; failures take longer (section 10)
    compliance_after_ms: float | None = None  # from the review to its end, where it ends by itself
    webhook_after_ms: float = 0
    idem_ttl_ms: float | None = None  # E-2: never expires
    duplicate_http: Literal[409, 400] = 409  # section 7: seen, and documented
    duplicate_code: Literal["DUPLICATE_ERROR", "DUPLICATE_PAYOUT_ERROR"] = "DUPLICATE_ERROR"
    channel_error_code: Literal["CHANNEL_CODE_NOT_SUPPORTED", "CHANNEL_CODE_NOT_SUPPORTED_ERROR"] = "CHANNEL_CODE_NOT_SUPPORTED"
    error_text_field: Literal["message", "error_message"] = "message"  # the conflict of section 7
    list_shape: Literal["object", "array"] = "object"  # the conflict of section 3
    cancel_by_get: bool = False  # the conflict of section 3
    cancel_refused: int = Field(default=400, ge=400, le=499)  # E-1
    emit_cancelled: bool = False  # E-3
    compliance_event: str = "payout.failed"  # E-6
    webhook_shape: Literal["flat", "nested"] = "flat"  # E-8
    webhook_retries: bool = True  # section 9: the dashboard can switch them off
    retry_timeouts: bool = True  # the conflict of section 9
    documented_rates: bool = False  # section 2: 60 or 600 a minute, by the kind of key
    check_account_lengths: bool = False
    channel_limits: dict[str, LimitsForm] = Field(default_factory=dict)
    extra_channels: list[str] = Field(default_factory=list)


class MerchantForm(ControlForm):
    api_key: str | None = Field(default=None, min_length=1)
    webhook_url: str | None = None
    callback_token: str | None = Field(default=None, min_length=1)
    balance: Decimal | None = None
    currency: Literal["IDR", "VND", "PHP", "MYR", "THB"] | None = None
    business_id: str | None = Field(default=None, min_length=1)
    can_pay: bool | None = None  # section 2: the key needs Money-Out write permission


@dataclass(slots=True)
class Merchant:
    """One key: one currency, one balance (section 2)."""

    id: str
    api_key: str
    business: str
    currency: str
    balance_minor: int
    webhook_url: str | None
    callback_token: str
    can_pay: bool


@dataclass(slots=True)
class Payout:
    id: str
    merchant: str
    business: str
    key: str
    fingerprint: str
    reference: str
    channel: str
    category: str
    account: dict[str, Any]  # channel_properties as they came
    amount: str  # exact, as a JSON number
    amount_minor: int
    currency: str
    extras: dict[str, Any]  # what is only echoed: description, receipt_notification, metadata
    status: str
    failure: str
    created_ms: int
    updated_ms: int
    due_ms: int
    held: bool  # the amount is taken from the balance
    connector_reference: str
    scenario: str = ""
    effects: int = 0
