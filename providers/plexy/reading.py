"""Plexy's objects, errors and notices to reports. Pure; missing, wrong or unknown parts become Unclear, never an error."""

from dataclasses import dataclass
from typing import Any

from providers.answers import UNPROVEN_STATUSES, json_object, refusal_by_status, words_of
from providers.plexy.amounts import CURRENCY, from_number
from providers.plexy.settings import PlexySettings
from providers.plexy.tables import DECLINE_CODE, ERROR_CODE, PAYMENT_STATUSES, PAYOUT_STATUS, STATUS_PREFIX
from providers.transport import Answer, OnUnknownWord
from providers.words import Refusal, quote, reference, translate
from schemas.failure import FailureCode
from schemas.report import Progress, RefusalCause, Refused, Report, Taken, Unclear, Words

_REFUSING_STATUSES = frozenset({400, 404, 422})  # X-9; 401 is our credentials


@dataclass(frozen=True, slots=True)
class Reader:
    """What all reading needs: the assumed facts, where unknown words are counted, and what must never be quoted."""

    settings: PlexySettings
    on_unknown_word: OnUnknownWord
    hide: tuple[str, ...]

    def created(self, answer: Answer) -> Report:
        """The answer to a payout."""
        body = json_object(answer)
        if isinstance(body, Unclear):
            return refusal_by_status(answer, body.words) or body
        if not 200 <= answer.status < 300:
            return self._error(answer, body)
        provider_ref = self.id_of(body)
        if provider_ref is None:  # X-4b: accepted, and nothing to ask for it by; a person must look
            return Unclear("accepted without an id that we can read")
        return self.transaction(body, provider_ref, status_if_none="new")

    def refusal(self, answer: Answer) -> Refused | Unclear:
        """The answer to a call that was not a success."""
        body = json_object(answer)
        if isinstance(body, Unclear):
            return refusal_by_status(answer, body.words) or body
        return self._error(answer, body)

    def transaction(self, body: dict[str, Any], provider_ref: str, status_if_none: str | None = None) -> Report:
        """What a transaction object says about the payout `provider_ref`; it may be wrapped in `data` (X-4b)."""
        inner = body.get("data")
        payout = inner if isinstance(inner, dict) else body
        word = plain(payout.get("status"))
        word = status_if_none if word is None else word
        code, text = self._error_of(body)
        words = Words(quote(word, limit=64), code, text)
        amount = plain(payout.get("amount"))
        amount_minor = from_number(amount, self.settings.amount_scale)
        currency = plain(payout.get("currency"))
        if (amount is not None and amount_minor is None) or not isinstance(currency, str | None):
            return Unclear("the amount cannot be read", words, provider_ref=provider_ref)
        said = translate(PAYOUT_STATUS, _status_word(word), self.on_unknown_word)
        if isinstance(said, Unclear):
            return Unclear(said.reason, words, provider_ref=provider_ref)
        rrn = payout.get("retrievalReferenceNumber", payout.get("rrn"))
        return Taken(
            said.progress,
            provider_ref=provider_ref,
            words=words,
            failure_code=self._failure_code(said.progress, code),
            reference=reference(plain(rrn)),
            amount_minor=amount_minor,
            # A currency without an amount says nothing; an amount without a currency is in the only one there is.
            currency=None if amount_minor is None else (currency or CURRENCY),
        )

    def listed_status(self, row: dict[str, Any]) -> tuple[Progress | None, Words]:
        """How far a row of the list is; None for a payment's word, which is no news, and for one that nobody knows."""
        word = plain(row.get("status"))
        words = Words(quote(word, limit=64))
        if _status_word(word) in PAYMENT_STATUSES:
            return None, words
        said = translate(PAYOUT_STATUS, _status_word(word), self.on_unknown_word)
        return None if isinstance(said, Unclear) else said.progress, words

    def id_of(self, body: dict[str, Any]) -> str | None:
        """Their id, from the first place that has one (X-4b)."""
        return next((found for path in self.settings.id_paths if (found := reference(_at(body, path)))), None)

    def _error(self, answer: Answer, body: dict[str, Any]) -> Refused | Unclear:
        """X-9: refused only by code 3, 4, 5 or HTTP 400, 401, 404, 422; a 500 is proof of nothing (section 6)."""
        code = body.get("code")
        words = words_of(answer, code, body.get("message"), self.hide)
        open_ended = answer.status in UNPROVEN_STATUSES or not 400 <= answer.status < 500
        if open_ended:
            return Unclear(f"HTTP {answer.status}", words)
        if by_status := refusal_by_status(answer, words):
            return by_status
        if isinstance(code, int):
            meaning = translate(ERROR_CODE, str(code), self.on_unknown_word)
            if isinstance(meaning, Refusal):
                return Refused(meaning.failure_code, meaning.cause, words)
        if answer.status in _REFUSING_STATUSES:
            return Refused(FailureCode.REJECTED_BY_PROVIDER, RefusalCause.PAYOUT, words)
        return Unclear(f"HTTP {answer.status} without a code that refuses", words)

    def _error_of(self, body: dict[str, Any]) -> tuple[str | None, str | None]:
        """Code and text of a failure, wherever they stand (X-7)."""
        for path in self.settings.error_paths:
            code = _at(body, path)
            if code is not None:
                text = _at(body, path.replace("code", "message").replace("Code", "Message"))
                return quote(str(code), self.hide, limit=64), quote(text, self.hide)
        return None, None

    def _failure_code(self, progress: Progress, code: str | None) -> FailureCode | None:
        if progress not in {Progress.FAILED, Progress.FAILED_UNPROVEN}:
            return None
        if code is None:
            return FailureCode.UNEXPLAINED
        meaning = translate(DECLINE_CODE, code, self.on_unknown_word)
        return FailureCode.UNEXPLAINED if isinstance(meaning, Unclear) else meaning


def plain(value: Any) -> Any:
    """`{"Value": x}` is x: one page wraps some fields, every other place does not (section 8)."""
    return value.get("Value") if isinstance(value, dict) else value


def _at(body: dict[str, Any], path: str) -> Any:
    value: Any = body
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return plain(value)


def _status_word(word: object) -> object:
    return word.removeprefix(STATUS_PREFIX).lower() if isinstance(word, str) else word
