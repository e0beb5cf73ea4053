"""Rows as values: what the tables hold, field for column. No SQL and no rules."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from asyncpg import Record

from schemas.payout import AttemptState, Exposure, Phase, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalRow:
    """One open row of `decision`: what a person at the desk said, and nobody has confirmed."""

    account_id: str
    id: str
    payout_id: str
    attempt_id: str
    attempt_state: str
    attempt_sends: int
    outcome: str
    evidence: str
    reason: str
    proposed_by: str
    proposed_person: str
    proposed_at: datetime
    fits: bool  # the attempt still stands as it did then


# The rows of payouts and attempts are not frozen, since that makes each of them five times as slow to make; nobody changes one.
@dataclass(slots=True, kw_only=True)
class PayoutRow:
    """One row of `payout`. Times are aware UTC."""

    account_id: str
    id: str
    amount_minor: int
    currency: str
    destination_type: str
    bank_code: str | None
    bank_name: str | None
    bank_account_number: str | None = field(repr=False)
    bank_account_holder: str | None = field(repr=False)
    card_id: str | None
    provider: str
    connection_id: str
    method: str
    merchant_reference: str | None
    note: str | None
    statement_descriptor: str | None
    metadata: dict[str, str] | None
    created_at: datetime
    updated_at: datetime
    phase: Phase = Phase.QUEUED
    status: Status = Status.PENDING
    seq: int = 1
    attempt_id: str | None = None
    due_at: datetime | None = None
    review_reason: str | None = None
    failure_code: str | None = None
    failure_text: str | None = None
    failure_provider_code: str | None = None
    failure_provider_text: str | None = None
    reference: str | None = None
    ledger_tx_id: str | None = None
    processed_at: datetime | None = None
    completed_at: datetime | None = None
    final_at: datetime | None = None
    bank_country: str | None = None
    pin_provider: str | None = None
    pin_connection_id: str | None = None
    attempt_state: AttemptState | None = None  # of the newest attempt, joined in
    cancel_asked: bool = False  # the same
    proposal: ProposalRow | None = None  # of a payout on the desk


def payout_row(record: Record) -> PayoutRow:
    """A row of `PAYOUT_COLUMNS` as a value."""
    state = record["attempt_state"]
    return PayoutRow(
        **{
            **record,
            "phase": Phase(record["phase"]),
            "status": Status(record["status"]),
            "attempt_state": AttemptState(state) if state else None,
        }
    )


@dataclass(slots=True, kw_only=True)
class AttemptRow:
    """One row of `attempt`, with what of its payout is needed to decide about it or to look it up."""

    account_id: str
    id: str
    payout_id: str
    number: int
    connection_id: str
    provider: str
    key: str
    submission_id: str
    state: AttemptState
    exposure: Exposure
    provider_ref: str | None
    submission_ref: str | None
    checks: int
    sends: int
    sent_at: datetime
    last_sent_at: datetime
    cancel_asked: bool  # the provider is to be asked to cancel it
    moves_on: bool  # and then it goes on through another connection
    paid_late: bool  # it is known to have paid after its exposure had been closed
    paid_elsewhere: bool  # another attempt of the payout is
    adopted: bool  # the database had forgotten it, and a recovery hold took it over
    # of the payout
    amount_minor: int
    currency: str
    phase: Phase
    seq: int
    review_reason: str | None
    has_reference: bool  # a tracking number of the rail is known
    newest_attempt_id: str
    statement_descriptor: str | None
    final_in_s: float | None  # until `paid` is no longer provisional
    age_s: float  # since it was first claimed for sending, by the database's clock
    quiet_s: float  # since it was last sent


def attempt_row(record: Record) -> AttemptRow:
    """A row of `ATTEMPT_COLUMNS` as a value."""
    return AttemptRow(
        **{
            **record,
            "state": AttemptState(record["state"]),
            "exposure": Exposure(record["exposure"]),
            "phase": Phase(record["phase"]),
        }
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """One row of `event`: one step of a payout's timeline."""

    id: str
    payout_id: str
    seq: int
    type: str
    phase: str
    status: str
    attempt_id: str | None
    source: str
    reason: str
    words: dict[str, str] | None
    evidence: str | None  # how the person who said it knows
    report_digest: bytes | None
    hash: bytes
    route: dict[str, Any] | None  # of the attempt that is sent in this step
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionRow:
    """One row of `connection`. The secrets are still sealed."""

    account_id: str
    id: str
    provider: str
    name: str
    priority: int
    currencies: list[str]
    rate_per_s: float | None
    settings: dict[str, Any]
    secrets_sealed: bytes = field(repr=False)
    paused_reason: str | None  # set while the pause lasts


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeRow:
    """One row of `notice`, claimed for reading."""

    account_id: str
    connection_id: str
    digest: bytes
    id: str
    provider: str
    body_sealed: bytes = field(repr=False)
    tries: int
    received_at: datetime
    age_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CardRow:
    """One row of `card`. The token is still sealed."""

    account_id: str
    id: str
    connection_id: str
    state: str
    brand: str | None
    last4: str | None
    failure_text: str | None
    created_at: datetime
    updated_at: datetime
    token_sealed: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceRow:
    """One row of `balance`."""

    currency: str
    available: int
    in_transit: int
    paid_out: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryRow:
    """One row of `ledger_entry`."""

    tx_id: str
    line: int
    kind: str
    book: str
    currency: str
    debit: int
    credit: int
    payout_id: str | None
    memo: str | None
    posted_at: datetime
