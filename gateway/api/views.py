"""Rows as merchants see them. The only place that knows both; `schemas.answers` is what the results must fit."""

from collections.abc import Sequence
from typing import Any

from gateway.api.envelope import iso
from gateway.lifecycle import is_cancelable
from gateway.route_order import fee_minor
from gateway.routing import Candidate, Route
from gateway.store.provider_balances import BalanceAtProvider
from gateway.store.rows import BalanceRow, CardRow, EntryRow, EventRow, PayoutRow, ProposalRow
from schemas.contract import CancelRule, Contract
from schemas.destination import DestinationType
from schemas.failure import FAILURE_MEANING, FailureCode
from schemas.policy import RoutingPolicy


def _destination(row: PayoutRow) -> dict[str, Any]:
    if row.destination_type == DestinationType.CARD:
        return {"type": row.destination_type, "cardId": row.card_id}
    if row.destination_type == DestinationType.BALANCE:
        return {"type": row.destination_type}
    return {
        "type": row.destination_type,
        "bankCode": row.bank_code,
        "bankName": row.bank_name,
        "bankAccountNumber": row.bank_account_number,
        "bankAccountHolder": row.bank_account_holder,
        "country": row.bank_country,
    }


def _failure(row: PayoutRow) -> dict[str, Any] | None:
    if row.failure_code is None:
        return None
    code = FailureCode(row.failure_code)
    meaning = FAILURE_MEANING[code]
    return {
        "code": code,
        "happened": meaning.happened,
        "nextStep": meaning.next_step,
        "retryCanHelp": meaning.retry_can_help,
        "providerCode": row.failure_provider_code,
        "providerText": row.failure_provider_text,
    }


def cancelable(row: PayoutRow, contract: Contract) -> bool:
    """Whether cancel will be tried now."""
    return is_cancelable(
        row.phase,
        row.attempt_state,
        operator_marks=contract.operator_marks,
        at_provider=contract.cancel is CancelRule.WHILE_PENDING,
        asked=row.cancel_asked,
    )


def resolution(row: ProposalRow) -> dict[str, Any]:
    """What one person at the desk has proposed."""
    return {
        "id": row.id,
        "outcome": row.outcome,
        "evidence": row.evidence,
        "reason": row.reason,
        "proposedBy": row.proposed_person,
        "proposedAt": iso(row.proposed_at),
        "needs": "confirmation by a second person",
    }


def payout(row: PayoutRow, contract: Contract) -> dict[str, Any]:
    """A payout: Plugipay's keys first, ours after them (`schemas.answers.PayoutAnswer`)."""
    created_at = iso(row.created_at)
    return {
        "id": row.id,
        "accountId": row.account_id,
        "amount": row.amount_minor,
        "currency": row.currency,
        "status": row.status,
        "method": row.method,
        "bankCode": row.bank_code,
        "bankName": row.bank_name,
        "bankAccountNumber": row.bank_account_number,
        "bankAccountHolder": row.bank_account_holder,
        "note": row.note,
        "reference": row.reference,
        "failureReason": row.failure_text,
        "ledgerTransactionId": row.ledger_tx_id,
        "processedAt": iso(row.processed_at),
        "completedAt": iso(row.completed_at),
        "createdAt": created_at,
        "updatedAt": created_at if row.updated_at is row.created_at else iso(row.updated_at),
        "phase": row.phase,
        "cancelable": cancelable(row, contract),
        "cancelRequested": row.cancel_asked,
        "provider": row.provider,
        "connectionId": row.connection_id,
        "destination": _destination(row),
        "merchantReference": row.merchant_reference,
        "statementDescriptor": row.statement_descriptor,
        "metadata": row.metadata,
        "failureCode": row.failure_code,
        "failure": _failure(row),
        "reviewReason": row.review_reason,
        "resolution": resolution(row.proposal) if row.proposal and row.proposal.fits else None,
        "finalAt": iso(row.final_at),
    }


def step(row: EventRow) -> dict[str, Any]:
    """One step of a timeline."""
    words = row.words
    return {
        "id": row.id,
        "seq": row.seq,
        "type": row.type,
        "phase": row.phase,
        "status": row.status,
        "attemptId": row.attempt_id,
        "source": row.source,
        "reason": row.reason,
        "providerWords": {name: words.get(name) for name in ("status", "code", "text")} if words else None,
        "evidence": row.evidence,
        "evidenceHash": row.report_digest.hex() if row.report_digest else None,
        "route": row.route,
        "hash": row.hash.hex(),
        "createdAt": iso(row.created_at),
    }


def balance(row: BalanceRow) -> dict[str, Any]:
    """The books of one currency."""
    return {
        "ledgerBalance": row.available + row.in_transit,
        "locked": row.in_transit,
        "available": row.available,
        "currency": row.currency,
    }


def bank_account(stored: dict[str, Any] | None) -> dict[str, Any]:
    """The default bank account, or that there is none."""
    given = stored or {}
    return {
        "bankCode": given.get("bank_code"),
        "bankName": given.get("bank_name"),
        "bankAccountNumber": given.get("bank_account_number"),
        "bankAccountHolder": given.get("bank_account_holder"),
        "configured": stored is not None,
    }


def card(row: CardRow) -> dict[str, Any]:
    """A saved card, without number or token."""
    return {
        "id": row.id,
        "accountId": row.account_id,
        "connectionId": row.connection_id,
        "state": row.state,
        "brand": row.brand,
        "last4": row.last4,
        "failureReason": row.failure_text,
        "createdAt": iso(row.created_at),
        "updatedAt": iso(row.updated_at),
    }


def entry(row: EntryRow) -> dict[str, Any]:
    """One line of the ledger."""
    return {
        "transactionId": row.tx_id,
        "line": row.line,
        "kind": row.kind,
        "book": row.book,
        "direction": "debit" if row.debit else "credit",
        "amount": row.debit or row.credit,
        "currency": row.currency,
        "payoutId": row.payout_id,
        "memo": row.memo,
        "postedAt": iso(row.posted_at),
    }


def connection(candidate: Candidate, balances: Sequence[BalanceAtProvider]) -> dict[str, Any]:
    """A connection of the caller, and what its provider last said is on its balance."""
    return {
        "id": candidate.connection_id,
        "name": candidate.name,
        "paused": candidate.paused,
        "balances": [
            {"currency": b.currency, "amount": b.amount_minor, "asOf": iso(b.read_at), "ageSeconds": int(b.age_s)}
            for b in balances
            if b.connection_id == candidate.connection_id
        ],
    }


def policy(given: RoutingPolicy) -> dict[str, Any]:
    """A routing policy as it is put, with what was left out filled in."""
    return given.model_dump(mode="json", by_alias=True)


def route(found: Route, given: RoutingPolicy, amount_minor: int, currency: str) -> dict[str, Any]:
    """A route with everything that it was ordered by."""

    def fee(connection_id: str) -> int | None:
        known = given.fees.get(connection_id, {}).get(currency)
        return fee_minor(known, amount_minor) if known else None

    return {
        "by": found.by,
        "rule": found.rule,
        "ordered": [
            {
                "connectionId": c.connection_id,
                "name": c.name,
                "provider": c.contract.provider,
                "behind": found.behind.get(c.connection_id),
                "fee": fee(c.connection_id),
                "successShare": c.health.success,
                "secondsToPaid": c.health.paid_s,
            }
            for c in found.ordered
        ],
        "excluded": [{"connectionId": e.connection_id, "why": e.why, "reason": e.reason} for e in found.excluded],
    }


def provider(contract: Contract, connections: list[dict[str, Any]]) -> dict[str, Any]:
    """A provider's contract, and the caller's connections at it."""
    forever = contract.replay_window_s == float("inf")
    return {
        "provider": contract.provider,
        "title": contract.title,
        "method": contract.method,
        "destinations": sorted(contract.destinations),
        "amounts": [
            {"currency": code, "step": rule.step_minor, "minimum": rule.min_minor, "maximum": rule.max_minor}
            for code, rule in sorted(contract.amounts.items())
        ],
        "bankCodes": [
            {"currency": currency, "codes": sorted(known.listed), "pattern": known.pattern}
            for currency, known in sorted(contract.bank_codes.items())
        ],
        "batchSize": contract.batch_size,
        "cancel": contract.cancel,
        "noticeProof": contract.proof,
        "replayWindowSeconds": None if forever else contract.replay_window_s,
        "findByReference": contract.find_by_key,
        "visibilitySeconds": contract.visibility_s,
        "returnWindowSeconds": contract.return_window_s,
        "savesCards": contract.saves_cards,
        "markedByOperator": contract.operator_marks,
        "pendingAlarmSeconds": contract.pending_alarm_s,
        "sideEffects": list(contract.side_effects),
        "checksDestination": contract.checks_destination,
        "readsBalance": contract.reads_balance,
        "listsChannels": contract.lists_channels,
        "listsPayouts": contract.lists_payouts,
        "connections": connections,
    }
