"""What the Pivot sandbox is set to and what it keeps: its settings, the form of a merchant, the rows of its tables.

Only shapes. Never moves money and never answers anybody.
"""

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from providers.pivot.sandbox.facts import MIN_RUPIAH, REQUEST_ID_TTL_MS, TOKEN_TTL_MS
from providers.sandbox.base import ControlForm, SandboxSettings


class PivotSettings(SandboxSettings):
    done_after_ms: float | None = None  # create -> DONE or PENDING
    row_after_ms: float = 0  # > 0: rows are PENDING at DONE and become final so much later
    timeout_hidden_ms: float | None = None  # V-7
    token_ttl_ms: float = TOKEN_TTL_MS
    request_id_ttl_ms: float = REQUEST_ID_TTL_MS
    in_process_error: bool = False  # True: reads answer `payouts_in_process` while IN_PROGRESS (section 6)
    callback_mode: Literal["by_count", "single", "bulk"] = "by_count"  # V-6
    min_amount: int = MIN_RUPIAH
    payout_fee: int = 0  # per row; 4,000 was seen (section 8)
    inquiry_fee: int = 0  # 450 was seen
    inquiry_pending_ms: float = 0
    max_amount: int | None = None  # V-3
    daily_limit: int | None = None  # V-3: rupiah a merchant may pay out on one day (UTC)
    spaced_status: bool = False  # section 4: the object table writes IN PROGRESS
    old_totals: bool = False  # section 5: without the two Cancelled ones
    results_key: Literal["payoutResults", "payoutsResults"] = "payoutResults"  # section 5
    callback_reason: Literal["null", "empty"] = "null"  # section 10: how a callback says that there is no reason
    loose_descriptions: bool = False  # section 4: the samples have spaces and up to 28 characters


class MerchantForm(ControlForm):
    merchant_id: str | None = Field(default=None, min_length=1)
    merchant_secret: str | None = Field(default=None, min_length=1)
    callback_url: str | None = None
    callback_api_key: str | None = None
    balance: int | None = None
    payment_balance: int | None = None  # the wallet that only withdrawals draw on


@dataclass(slots=True)
class Merchant:
    id: str
    secret: str
    callback_url: str | None
    callback_key: str
    balance: int
    payment_balance: int = 0


@dataclass(slots=True)
class Token:
    merchant: str
    expires_ms: int


@dataclass(slots=True)
class Inquiry:
    merchant: str
    channel: str
    account: str
    name: str
    ready_ms: int


@dataclass(slots=True)
class Payout:
    """A request with its rows. `states[i]` belongs to `rows[i]`: status, reason, updatedMs, held, effects, scenario."""

    uuid: str
    merchant: str
    request_id: str
    fingerprint: str
    created_ns: int
    updated_ms: int
    status: str
    rows: list[dict[str, Any]]
    states: list[dict[str, Any]]
    funded: bool
    next: str  # "decide", "finish", "return" or "": the step that waits
    due_ms: int
    hidden_until_ms: int = 0  # V-7: reads say payouts_in_process until then
    first_code: str = ""  # V-7: the first answer was this error, and is repeated
    pace: float = 1.0


@dataclass(slots=True)
class Withdrawal:
    """Section 3: money moved from the PAYMENT wallet to the one that payouts draw on."""

    uuid: str
    merchant: str
    request_id: str
    fingerprint: str
    reference: str
    amount: int
    created_ms: int
