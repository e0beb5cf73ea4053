"""Xendit's payout objects, lists and errors to reports. Pure; missing, wrong or unknown parts become Unclear, never an error.

A refusal needs a documented code: an error that nobody described says nothing about the payout.
"""

import re
from dataclasses import dataclass, replace
from typing import Any

from providers.answers import MAX_RETRY_AFTER_S, UNPROVEN_STATUSES, json_object, refusal_by_status, retry_after_s, words_of
from providers.transport import Answer, OnUnknownWord
from providers.words import NotProof, Refusal, quote, reference, translate
from providers.xendit.amounts import minor_of
from providers.xendit.channels import channel_code
from providers.xendit.tables import ERROR_CODE, FAILURE_CODE, FIELD_REFUSAL, PAYOUT_STATUS
from schemas.destination import BankAccount
from schemas.failure import FailureCode
from schemas.order import Order
from schemas.report import NotFound, Progress, RefusalCause, Refused, Report, Taken, Unclear, Words
from schemas.strict_json import StrictJsonError, load

VALIDATION = "API_VALIDATION_ERROR"
# Section 8: an answer about our key does not refuse the payout that the key may already stand for.
_ABOUT_THE_KEY = re.compile(r"duplicate|idempoten", re.IGNORECASE)
_SECONDS = re.compile(r"[0-9]{1,6}(\.[0-9]{1,9})?")


@dataclass(frozen=True, slots=True)
class Reader:
    """What all reading needs: where unknown words are counted, what must never be quoted, and one switched fact."""

    on_unknown_word: OnUnknownWord
    hide: tuple[str, ...]
    list_shape: str = "object"

    def payout(self, payout: Any, key: str, provider_ref: str | None = None) -> Report:
        """What a payout object says about the attempt with `key`. With `provider_ref`, it must be that payout."""
        found = reference(payout.get("id")) if isinstance(payout, dict) else None
        if found is None or provider_ref not in {None, found}:
            return Unclear("the answer names no payout, or another one")
        if payout.get("reference_id") != key:
            # Somebody else's id must not stay with our attempt.
            return Unclear("the payout carries another reference than ours")
        money = _money_of(payout)
        if money is None:
            return Unclear("the payout has no readable amount", provider_ref=found)
        status, code = payout.get("status"), payout.get("failure_code")
        words = Words(quote(status, limit=64), quote(code, self.hide, limit=64))
        said = translate(PAYOUT_STATUS, status, self.on_unknown_word)
        if isinstance(said, Unclear):
            return Unclear(said.reason, words, provider_ref=found)
        failure_code = said.failure_code
        if said.progress is Progress.FAILED and failure_code is None:
            meaning = translate(FAILURE_CODE, code, self.on_unknown_word)
            failure_code = FailureCode.UNEXPLAINED if isinstance(meaning, Unclear) else meaning
        return Taken(
            said.progress,
            provider_ref=found,
            words=words,
            failure_code=failure_code,
            reference=reference(payout.get("connector_reference")),
            amount_minor=money[0],
            currency=money[1],
        )

    def created(self, answer: Answer, order: Order) -> Report:
        """The answer to a create."""
        body = json_object(answer)
        if isinstance(body, Unclear):
            refusal = refusal_by_status(answer, body.words)
            return body if refusal is None else _paced(refusal, answer)
        if not 200 <= answer.status < 300:
            return self._error(answer, body)
        report = self.payout(body, order.key)
        if isinstance(report, Taken) and not _is_same_destination(body, order):
            why = "accepted, but the echo names another destination"
            return Unclear(why, report.words, provider_ref=report.provider_ref)
        return report

    def found(self, answer: Answer | Unclear) -> dict[str, Any] | Unclear:
        """The object that a read or a cancel answered with; Unclear for everything but a success."""
        if isinstance(answer, Unclear):
            return answer
        body = json_object(answer)
        if isinstance(body, Unclear) or 200 <= answer.status < 300:
            return body
        return Unclear(f"HTTP {answer.status} instead of what was asked for", self._words(answer, body))

    def listed(self, answer: Answer | Unclear, key: str) -> Report:
        """The one payout in the list of those with our reference; NotFound when the list is empty."""
        match self._rows(answer, key):
            case Unclear() as unclear:
                return unclear
            case []:
                return NotFound("no payout carries our reference")
            case [row]:
                return self.payout(row, key)
            case _:  # Xendit does not keep references unique (section 1)
                return Unclear("more than one payout carries our reference; a person must look")

    def _rows(self, answer: Answer | Unclear, key: str) -> list[Any] | Unclear:
        array = None if isinstance(answer, Unclear) else bare_array(answer)
        body = {"data": array} if array is not None else self.found(answer)
        if isinstance(body, Unclear):
            return body
        rows, more = body.get("data"), body.get("has_more", False)
        if not isinstance(rows, list) or not isinstance(more, bool):
            return Unclear("the list of payouts cannot be read")
        if not all(isinstance(row, dict) and row.get("reference_id") == key for row in rows):
            return Unclear("the list shows payouts that were not asked for, so it proves nothing about ours")
        if more:
            return Unclear("the list goes on, so more than one payout may carry our reference; a person must look")
        if not rows and (array is not None) != (self.list_shape == "array"):
            return Unclear("an empty list, in a shape that is not known to mean that there is no payout")
        return rows

    def _error(self, answer: Answer, body: dict[str, Any]) -> Refused | Unclear:
        words = self._words(answer, body)
        if not 400 <= answer.status < 500 or answer.status in UNPROVEN_STATUSES:
            return Unclear(f"HTTP {answer.status} on a create", words)
        if by_status := refusal_by_status(answer, words):
            return _paced(by_status, answer)
        match translate(ERROR_CODE, body.get("error_code"), self.on_unknown_word):
            case NotProof(reason):
                return Unclear(reason, words)
            case Unclear():
                return Unclear(f"HTTP {answer.status} with an unknown code", words)
            case Refusal() as refusal:
                if _ABOUT_THE_KEY.search(str(_message(body))):
                    return Unclear("Xendit speaks of our key: it may stand for a payout already", words)
                meant = _named_field(body, refusal)
                return _paced(Refused(meant.failure_code, meant.cause, words, retry_after_s(answer)), answer)

    def _words(self, answer: Answer, body: dict[str, Any]) -> Words:
        return words_of(answer, body.get("error_code"), _message(body), self.hide)


def _message(body: dict[str, Any]) -> object:
    """The error's sentence: `message` as observed, `error_message` as the documentation prints it (section 7)."""
    return body.get("message") or body.get("error_message")


def _named_field(body: dict[str, Any], refusal: Refusal) -> Refusal:
    """The refusal that the one field named in `errors` stands for; the code's own when there is no such field."""
    errors = body.get("errors") if body.get("error_code") == VALIDATION else None
    paths = [error.get("path") for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
    if len(paths) != 1 or not isinstance(paths[0], str):
        return refusal
    return FIELD_REFUSAL.get(re.split(r"[./]", paths[0])[-1], refusal)


def _paced(refused: Refused, answer: Answer) -> Refused:
    """`Rate-Limit-Reset` (seconds, section 2) says when to come back where `Retry-After` does not."""
    if refused.cause is not RefusalCause.PACING or refused.retry_after_s is not None:
        return refused
    reset = answer.headers.get("Rate-Limit-Reset", "").strip()
    return replace(refused, retry_after_s=min(float(reset), MAX_RETRY_AFTER_S)) if _SECONDS.fullmatch(reset) else refused


def _money_of(payout: dict[str, Any]) -> tuple[int, str] | None:
    """`amount` and `currency` in minor units, exactly; None when they are anything else."""
    currency = payout.get("currency")
    amount_minor = minor_of(payout.get("amount"), currency)
    return None if amount_minor is None or not isinstance(currency, str) else (amount_minor, currency)


def _is_same_destination(body: dict[str, Any], order: Order) -> bool:
    """Whether the echo, as far as it names a destination, names the one we sent."""
    sent = order.destination
    properties = body.get("channel_properties")
    account_number = properties.get("account_number") if isinstance(properties, dict) else None
    return isinstance(sent, BankAccount) and (
        body.get("channel_code") in (None, channel_code(sent.bank_code, order.currency))
        and account_number in (None, sent.bank_account_number)
    )


def bare_array(answer: Answer) -> list[Any] | None:
    """The array that a successful read answered with; None for everything else."""
    is_json = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower() == "application/json"
    if not (is_json and 200 <= answer.status < 300 and answer.body.lstrip()[:1] == b"["):
        return None
    try:
        value = load(answer.body)
    except StrictJsonError:
        return None
    return value if isinstance(value, list) else None
