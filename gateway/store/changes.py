"""The only writer of state: changes of payouts and attempts, by compare-and-set, many in one commit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import orjson

from gateway.store.attempts import Transacting
from gateway.store.database import Pool


class WaitsForLookupError(RuntimeError):
    """After a restore the payout may have been sent, and is looked up first. Its money stays reserved until then."""


@dataclass(slots=True, kw_only=True)  # not frozen, like the rows: gateway/store/rows.py
class Change:
    """One change; the fields are those of the SQL type `payout_change`, which says what each does."""

    account_id: str
    payout_id: str
    expected_seq: int
    phase: str
    status: str
    event_id: str
    event_type: str
    source: str
    reason: str
    request_key: str | None = None
    fingerprint: str | None = None
    due_in_s: float | None = None
    alone: bool = False
    review_reason: str | None = None
    failure_code: str | None = None
    failure_text: str | None = None
    failure_provider_code: str | None = None
    failure_provider_text: str | None = None
    reference: str | None = None
    processed: bool = False
    completed: bool = False
    final_in_s: float | None = None
    attempt_id: str | None = None
    attempt_state: str | None = None
    exposure: str | None = None
    provider_ref: str | None = None
    submission_ref: str | None = None
    check_in_s: float | None = None
    cancel_asked: bool = False
    moves_on: bool = False
    paid_late: bool = False
    provider: str | None = None  # with the next two: where the payout goes on, when it moves to another connection
    connection_id: str | None = None
    method: str | None = None
    route: dict[str, Any] | None = None
    report_kind: str | None = None  # the report that this change comes from: stored with it, as its evidence
    report_detail: dict[str, Any] | None = None
    words: dict[str, str] | None = None
    evidence: str | None = None
    tx_id: str | None = None
    move: str | None = None
    amount_minor: int | None = None
    currency: str | None = None


async def record_changes(pool: "Pool | Transacting", changes: Sequence[Change]) -> set[str]:
    """Write the changes whose payout has not moved meanwhile; returns the ids of those that were written.

    At most one change per payout in one call. Raises `asyncpg.UniqueViolationError` when a change carries a request key
    that was used before, and `WaitsForLookupError`: then nothing of this call was written.
    """
    try:
        records = await pool.fetch(
            "select changed_payout_id from record_changes($1::text::json)", orjson.dumps(list(changes)).decode()
        )
    except asyncpg.CheckViolationError as error:
        if error.constraint_name == "payout_waits_for_lookup":
            raise WaitsForLookupError("the payout has to be looked up first, since it may have been sent") from error
        raise
    return {record["changed_payout_id"] for record in records}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredReport:
    """A report that changed nothing, as it is kept, and the provider's ids that it brought."""

    account_id: str
    attempt_id: str
    source: str
    kind: str
    detail: dict[str, Any]
    provider_ref: str | None = None
    submission_ref: str | None = None
    check_in_s: float | None = None  # when to read the attempt again; None = not any more
    keeps_check: bool = False  # somebody is working on it: leave its next reading to them


async def record_reports(pool: Pool, reports: Sequence[StoredReport]) -> None:
    """Keep reports that changed nothing. They may still teach us the provider's ids, and set the next read."""
    await pool.execute("select record_reports($1::text::json)", orjson.dumps(list(reports)).decode())
