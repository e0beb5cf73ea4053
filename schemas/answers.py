"""What merchants get back. The tests hold every real answer against these, and `/openapi.json` is generated from them.

Every key is always present, null where empty. Times are ISO 8601 UTC with milliseconds.
"""

from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from schemas.failure import FailureCode
from schemas.payout import Phase, Status
from schemas.resolution import Outcome

Data = TypeVar("Data")
IsoTime = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", examples=["2026-01-01T00:00:00.000Z"])]


class Answer(BaseModel):
    """Base of everything that goes out."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)


class PageMeta(Answer):
    """Paging as Plugipay's documents show it, beside `cursor` and `hasMore`."""

    limit: int
    has_more: bool
    next_cursor: str | None


class Meta(Answer):
    """About the answer. `cursor`, `hasMore` and `page` on lists only; `idempotentReplayed` on a repeated request only."""

    request_id: str
    timestamp: IsoTime
    cursor: str | None = None
    has_more: bool = False
    page: PageMeta | None = None
    idempotent_replayed: bool = False


class ErrorBody(Answer):
    """What went wrong, for programs (`code`, `field`) and for people (`message`)."""

    code: str
    message: str
    field: str | None = None
    details: list[dict[str, Any]] | None = None
    doc_url: str | None = None


class Envelope(Answer, Generic[Data]):
    """Around every answer."""

    data: Data | None
    error: ErrorBody | None
    meta: Meta


class FailureAnswer(Answer):
    """Why a payout failed or came back, and what to do. The provider's own code and words are beside ours, as they came."""

    code: FailureCode
    happened: str
    next_step: str
    retry_can_help: bool
    provider_code: str | None
    provider_text: str | None


class ResolutionAnswer(Answer):
    """What one person at the desk found out about a payout, until a second person has confirmed it."""

    id: str
    outcome: Outcome
    evidence: str
    reason: str
    proposed_by: str
    proposed_at: IsoTime
    needs: str


class PayoutAnswer(Answer):
    """A payout as its merchant sees it: Plugipay's keys, and ours after them."""

    id: str
    account_id: str
    amount: int
    currency: str
    status: Status
    method: str
    bank_code: str | None
    bank_name: str | None
    bank_account_number: str | None
    bank_account_holder: str | None
    note: str | None
    reference: str | None
    failure_reason: str | None
    ledger_transaction_id: str | None
    processed_at: IsoTime | None
    completed_at: IsoTime | None
    created_at: IsoTime
    updated_at: IsoTime
    phase: Phase
    cancelable: bool
    cancel_requested: bool
    provider: str
    connection_id: str
    destination: dict[str, Any]
    merchant_reference: str | None
    statement_descriptor: str | None
    metadata: dict[str, str] | None
    failure_code: str | None
    failure: FailureAnswer | None
    review_reason: str | None
    resolution: ResolutionAnswer | None
    final_at: IsoTime | None


class ProviderWords(Answer):
    """The provider's own words."""

    status: str | None = None
    code: str | None = None
    text: str | None = None


class RouteTaken(Answer):
    """Why an attempt went through its connection and none of the others, in codes, as they were at that moment."""

    by: str
    rule: str | None
    ordered: list[str]
    excluded: dict[str, str]
    behind: dict[str, str]


class TimelineStep(Answer):
    """One change of state: what, who said so, and in which words.

    `evidenceHash`: of the stored report behind it. `hash`: over the step before it and everything in this one.
    """

    id: str
    seq: int
    type: str
    phase: Phase
    status: Status
    attempt_id: str | None
    source: str
    reason: str
    provider_words: ProviderWords | None
    evidence: str | None
    evidence_hash: str | None
    route: RouteTaken | None
    hash: str
    created_at: IsoTime


class RoutePlace(Answer):
    """One connection that can carry the payout. `behind`: why it stands last for now; null when it works."""

    connection_id: str
    name: str
    provider: str
    behind: str | None
    fee: int | None
    success_share: float | None
    seconds_to_paid: float | None


class RouteExclusion(Answer):
    """One connection that cannot carry the payout."""

    connection_id: str
    why: str
    reason: str


class RouteAnswer(Answer):
    """The route of a payout: the first is taken, the next when it is safe, and why the others never are."""

    by: str
    rule: str | None
    ordered: list[RoutePlace]
    excluded: list[RouteExclusion]


class CurrencyBalance(Answer):
    """The books of one currency: available + locked = ledgerBalance."""

    ledger_balance: int
    locked: int
    available: int
    currency: str


class BalanceAnswer(CurrencyBalance):
    """The account's default currency (or the asked one), and every other beside it."""

    balances: list[CurrencyBalance]


class BankAccountAnswer(Answer):
    """The default destination."""

    bank_code: str | None
    bank_name: str | None
    bank_account_number: str | None
    bank_account_holder: str | None
    configured: bool


class CardAnswer(Answer):
    """A saved card. Never a number, never the provider's token."""

    id: str
    account_id: str
    connection_id: str
    state: str
    brand: str | None
    last4: str | None
    failure_reason: str | None
    created_at: IsoTime
    updated_at: IsoTime


class ProviderAmounts(Answer):
    """What amounts a provider takes in one currency, in minor units."""

    currency: str
    step: int
    minimum: int
    maximum: int


class ProviderBankCodes(Answer):
    """Which `bankCode`s a provider takes in one currency: those listed, and those that fit the pattern in full."""

    currency: str
    codes: list[str]
    pattern: str | None


class BalanceAtProvider(Answer):
    """What a provider said is on a connection's balance, when it was last read."""

    currency: str
    amount: int
    as_of: IsoTime
    age_seconds: int


class ProviderConnection(Answer):
    """One of the caller's connections at a provider."""

    id: str
    name: str
    paused: bool
    balances: list[BalanceAtProvider]


class ProviderAnswer(Answer):
    """A provider's contract."""

    provider: str
    title: str
    method: str
    destinations: list[str]
    amounts: list[ProviderAmounts]
    bank_codes: list[ProviderBankCodes]
    batch_size: int
    cancel: str
    notice_proof: str
    replay_window_seconds: float | None
    find_by_reference: bool
    visibility_seconds: float
    return_window_seconds: float
    saves_cards: bool
    marked_by_operator: bool
    pending_alarm_seconds: float
    side_effects: list[str]
    checks_destination: bool
    reads_balance: bool
    lists_channels: bool
    lists_payouts: bool
    connections: list[ProviderConnection]


class CreditAnswer(Answer):
    """A booked credit."""

    transaction_id: str
    amount: int
    currency: str
    reference: str


class EntryAnswer(Answer):
    """One line of the ledger."""

    transaction_id: str
    line: int
    kind: str
    book: str
    direction: str
    amount: int
    currency: str
    payout_id: str | None
    memo: str | None
    posted_at: IsoTime


class NoticeAnswer(Answer):
    """What a provider hears: the notice is stored."""

    received: bool
