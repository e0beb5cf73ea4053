"""Pivot's answers and callbacks to reports. Pure; whatever is missing, wrong or unknown becomes Unclear, never an error.

Codes decide, not HTTP statuses (V-1). A refused batch is never blamed on a row that the answer does not name (V-8).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from providers.answers import UNPROVEN_STATUSES, json_object, money_of, refusal_by_status, words_of
from providers.pivot.tables import (
    ACCEPTED,
    CREATE_CODE,
    CREDENTIALS,
    FAILURE_REASON,
    FIELD_REFUSAL,
    IN_PROGRESS,
    MISSING,
    REQUEST_STATUS,
    ROW_STATUS,
)
from providers.transport import Answer, OnUnknownWord
from providers.words import NotProof, Refusal, Said, quote, reference, translate
from schemas.destination import BankAccount
from schemas.failure import FailureCode
from schemas.order import Order
from schemas.report import Progress, RefusalCause, Refused, Report, Taken, Unclear, Words

_ROW_INDEX = re.compile(r"payouts[\[.](\d{1,4})")
_ROW_AT_FAULT = frozenset({"field_format_invalid", "field_required", MISSING})


@dataclass(frozen=True, slots=True)
class Reader:
    """What all reading needs: where unknown words are counted, what must never be quoted, and one switched fact."""

    on_unknown_word: OnUnknownWord
    hide: tuple[str, ...]
    batch_atomic: bool = True

    def created(self, answer: Answer, orders: Sequence[Order]) -> list[Report]:
        """The answer to a create that carried `orders`: one report for each."""
        if 300 <= answer.status < 400:
            return [Unclear(f"HTTP {answer.status}: a redirect is not followed")] * len(orders)
        body = json_object(answer)
        if isinstance(body, Unclear):
            return [refusal_by_status(answer, body.words) or body] * len(orders)
        if body.get("code") == ACCEPTED:
            return self._accepted(body.get("data"), orders)
        words = words_of(answer, body.get("code"), body.get("message"), self.hide)
        refusal = self._refusal(answer, body, words)
        if not isinstance(refusal, Refusal):
            return [refusal] * len(orders)
        return self._spread(refusal, words, _fault_texts(body), orders)

    def row(self, row: Any, key: str, submission_ref: str | None, request_status: object = None) -> Report:
        """What a row says about the attempt with `key`."""
        if not isinstance(row, dict) or row.get("referenceId") != key:
            return Unclear("the answer is about another referenceId", submission_ref=submission_ref)
        money = money_of(row.get("amount"))
        if money is None:
            return Unclear("the row has no readable amount", submission_ref=submission_ref)
        word = row.get("status")
        shown = quote(word if word is not None else request_status, limit=64)
        if word is not None:
            said = translate(ROW_STATUS, word, self.on_unknown_word)
        else:  # a row of a request in progress has no status of its own yet (section 6)
            said = self._request_status(IN_PROGRESS if request_status is None else request_status)
        words = Words(status=shown, text=quote(row.get("reason"), self.hide))
        if isinstance(said, Unclear):
            return Unclear(said.reason, words, submission_ref=submission_ref)
        failure_code = said.failure_code
        if said.progress is Progress.FAILED:
            failure_code = self._failure_code(row.get("reason"))
        return Taken(
            said.progress,
            submission_ref=submission_ref,
            words=words,
            failure_code=failure_code,
            amount_minor=money[0],
            currency=money[1],
        )

    def _accepted(self, data: Any, orders: Sequence[Order]) -> list[Report]:
        submission_ref = reference(data.get("uuid")) if isinstance(data, dict) else None
        if submission_ref is None:
            return [Unclear("accepted, but without a readable uuid")] * len(orders)
        rows = {key_of(row): row for row in rows_of(data)}
        return [self._echo(rows.get(order.key), order, submission_ref, data.get("status")) for order in orders]

    def _echo(self, row: dict[str, Any] | None, order: Order, submission_ref: str, request_status: object) -> Report:
        if row is None:
            return Unclear("accepted, but the echo does not name this row", submission_ref=submission_ref)
        echoed = row.get("channelInformation")
        sent = order.destination
        if isinstance(sent, BankAccount) and isinstance(echoed, dict):
            # A row that named a check may be echoed with these fields empty: it said nothing else than we did.
            wrong = (echoed.get("accountNumber") or sent.bank_account_number) != sent.bank_account_number
            if wrong or (row.get("channelCode") or sent.bank_code) != sent.bank_code:
                return Unclear("accepted, but the echo names another destination", submission_ref=submission_ref)
        # The echo's rows carry no status (section 4): the request's own says how far they are.
        return self.row({**row, "status": None}, order.key, submission_ref, request_status or "")

    def _request_status(self, word: object) -> Said | Unclear:
        # The object's table writes "IN PROGRESS", every sample "IN_PROGRESS" (section 4).
        return translate(REQUEST_STATUS, word.replace(" ", "_") if isinstance(word, str) else word, self.on_unknown_word)

    def _failure_code(self, reason: object) -> FailureCode:
        meaning = translate(FAILURE_REASON, reason, self.on_unknown_word)
        return FailureCode.UNEXPLAINED if isinstance(meaning, Unclear) else meaning

    def _refusal(self, answer: Answer, body: dict[str, Any], words: Words) -> Refusal | Refused | Unclear:
        code = body.get("code")
        meaning = translate(CREATE_CODE, code, self.on_unknown_word)
        match meaning:
            case NotProof(reason):
                return Unclear(reason, words)
            case Refusal():
                named = [FIELD_REFUSAL.get(field.rsplit(".", 1)[-1]) for field in _fields(body)]
                return named[0] if code in _ROW_AT_FAULT and len(named) == 1 and named[0] else meaning
        # An unknown code: V-1 lets a 4xx refuse. What is not documented as a refusal stays open.
        if by_status := refusal_by_status(answer, words):
            return by_status
        if 400 <= answer.status < 500 and answer.status not in UNPROVEN_STATUSES:
            return Refusal(FailureCode.REJECTED_BY_PROVIDER, about_row=True)
        return Unclear(f"HTTP {answer.status} with an unknown code", words)

    def _spread(self, refusal: Refusal, words: Words, fault: str, orders: Sequence[Order]) -> list[Report]:
        """One refusal over the rows of a batch."""
        refused = Refused(refusal.failure_code, refusal.cause, words)
        if len(orders) == 1 or not refusal.about_row:
            return [refused] * len(orders)
        if not self.batch_atomic:
            return [Unclear("a row of the batch was refused; nothing says what became of the others", words)] * len(orders)
        again = Refused(FailureCode.REJECTED_BY_PROVIDER, RefusalCause.PACING, words, retry_after_s=0.0)
        alone = Refused(FailureCode.REJECTED_BY_PROVIDER, RefusalCause.ALONE, words, retry_after_s=0.0)
        if any(order.key in fault for order in orders):
            return [refused if order.key in fault else again for order in orders]
        # A position is no name: nobody says whether it counts from 0 or from 1. Both rows go out again, each alone, and
        # are judged by their own answer. Without any position that is true of all rows.
        positions = {int(found) for found in _ROW_INDEX.findall(fault)}
        suspects = {position - shift for position in positions for shift in (0, 1)}
        if not suspects & set(range(len(orders))):
            return [alone] * len(orders)
        return [alone if index in suspects else again for index in range(len(orders))]


def token_refused(answer: Answer) -> bool:
    """Whether the access token was refused: by its code, or by HTTP 401 where no known code says otherwise."""
    body = json_object(answer)
    code = None if isinstance(body, Unclear) else body.get("code")
    known = isinstance(code, str) and code in CREATE_CODE.meanings
    return code == CREDENTIALS if known else answer.status == 401


def rows_of(data: Any) -> list[dict[str, Any]]:
    """The rows in `data`: a bare list, `payouts` as a list, or `payouts` as one object (sheet section 3)."""
    rows = data.get("payouts") if isinstance(data, dict) else data
    if isinstance(rows, dict):
        return [rows]
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def key_of(row: dict[str, Any]) -> str:
    """The row's referenceId, which is our key; empty when there is none that could be ours."""
    return reference(row.get("referenceId")) or ""


def _details(body: dict[str, Any]) -> list[dict[str, Any]]:
    error = body.get("error")
    details = error.get("details") if isinstance(error, dict) else None
    return [detail for detail in details if isinstance(detail, dict)] if isinstance(details, list) else []


def _fields(body: dict[str, Any]) -> list[str]:
    return [detail["field"] for detail in _details(body) if isinstance(detail.get("field"), str) and detail["field"]]


def _fault_texts(body: dict[str, Any]) -> str:
    return "\n".join(
        value for detail in _details(body) for value in (detail.get("field"), detail.get("message")) if isinstance(value, str)
    )
