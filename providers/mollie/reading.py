"""Mollie's payout objects and error bodies to reports. Pure; missing, wrong or unknown parts become Unclear, never an error."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from providers.answers import json_object, moment_of, money_of, refusal_by_status, words_of
from providers.mollie.tables import FAILURE_REASON, PAYOUT_STATUS, REFUSED_FIELD, RETURNED
from providers.transport import Answer, OnUnknownWord
from providers.words import Refusal, quote, reference, translate
from schemas import ids
from schemas.checks import ProviderBalance
from schemas.failure import FailureCode
from schemas.listing import Listed
from schemas.report import NO_WORDS, Progress, RefusalCause, Refused, Report, Taken, Unclear, Words


@dataclass(frozen=True, slots=True)
class Reader:
    """What all reading needs: whose balance it is, where unknown words are counted, and what must never be quoted."""

    balance_id: str
    on_unknown_word: OnUnknownWord
    hide: tuple[str, ...]

    def payout(self, payout: Any, provider_ref: str | None = None) -> Report:
        """What a payout object says. With `provider_ref`, it must be that payout."""
        found = reference(payout.get("id")) if isinstance(payout, dict) else None
        if found is None or provider_ref not in {None, found}:
            return Unclear("the answer names no payout, or another one")
        if payout.get("balanceId") != self.balance_id:
            return Unclear("the payout is of another balance", provider_ref=found)
        amount = payout.get("amount")
        money = money_of(amount)
        if amount is not None and money is None:
            return Unclear("the payout has no readable amount", provider_ref=found)
        reason = payout.get("statusReason")
        reason = reason if isinstance(reason, dict) else {}
        words = Words(
            quote(payout.get("status"), limit=64), quote(reason.get("code"), limit=64), quote(reason.get("message"), self.hide)
        )
        said = translate(PAYOUT_STATUS, payout.get("status"), self.on_unknown_word)
        if isinstance(said, Unclear):
            return Unclear(said.reason, words, provider_ref=found)
        progress, failure_code = said.progress, said.failure_code
        if progress is Progress.FAILED:
            if "code" not in reason:  # required in every status (section 5.1), and it tells failed from returned
                return Unclear("the payout failed without a reason code", words, provider_ref=found)
            meaning = translate(FAILURE_REASON, reason["code"], self.on_unknown_word)
            failure_code = FailureCode.UNEXPLAINED if isinstance(meaning, Unclear) else meaning
            # M-7: the bank sent it back, or it failed after it had been completed: the money was out and is here again.
            if reason["code"] == RETURNED or payout.get("completedAt") is not None:
                progress, failure_code = Progress.RETURNED, FailureCode.RETURNED
        return Taken(
            progress,
            provider_ref=found,
            words=words,
            failure_code=failure_code,
            amount_minor=money and money[0],
            currency=money and money[1],
        )

    def is_elsewhere(self, payout: dict[str, Any]) -> bool:
        """Whether a payout of the list is of another balance, and so no business of this connection."""
        balance_id = payout.get("balanceId")
        return isinstance(balance_id, str) and balance_id != self.balance_id

    def listed(self, payout: dict[str, Any]) -> Listed | None:
        """A payout of the list, whoever made it; None when it has no id that we can read."""
        provider_ref = reference(payout.get("id"))
        if provider_ref is None:
            return None
        report = self.payout(payout)
        money = money_of(payout.get("amount"))
        return Listed(
            provider_ref,
            key=None,  # Mollie shows no key again
            amount_minor=money and money[0],
            currency=money and money[1],
            progress=report.progress if isinstance(report, Taken) else None,
            words=report.words if isinstance(report, Taken | Unclear) else NO_WORDS,
            created_at=moment_of(payout.get("createdAt")),
            attempt_id=attempt_in(payout.get("description")),
        )

    def balance(self, balance: dict[str, Any]) -> list[ProviderBalance] | Unclear:
        """What a balance object says can be paid out."""
        if balance.get("id") != self.balance_id:
            return Unclear("the answer is about another balance")
        money = money_of(balance.get("availableAmount"))
        if money is None:
            return Unclear("the balance has no readable available amount")
        return [ProviderBalance(currency=money[1], amount_minor=money[0])]

    def created(self, answer: Answer, refusal_http: Collection[int]) -> Report:
        """The answer to a create."""
        body = json_object(answer)
        if isinstance(body, Unclear):
            return refusal_by_status(answer, body.words) or body
        if 200 <= answer.status < 300:
            return self.payout(body)
        words = words_of(answer, body.get("field"), body.get("detail"), self.hide)
        if refusal := refusal_by_status(answer, words):
            return refusal
        if answer.status not in refusal_http or _about_the_key(answer, body):
            return Unclear(f"HTTP {answer.status} on a create", words)
        refusal_meant = self._refusal(answer, body.get("field"))
        return Refused(refusal_meant.failure_code, refusal_meant.cause, words)

    def _refusal(self, answer: Answer, field: object) -> Refusal:
        if answer.status == 404:  # the balance is unknown, or of the other mode: our settings
            return Refusal(FailureCode.CONFIGURATION, RefusalCause.CONNECTION)
        plain = Refusal(FailureCode.REJECTED_BY_PROVIDER)  # M-1: refused in any case; the field only says why
        if field is None:
            return plain
        meaning = translate(REFUSED_FIELD, field, self.on_unknown_word)
        return plain if isinstance(meaning, Unclear) else meaning


def attempt_in(description: object) -> str | None:
    """Our attempt's id, the last word of the descriptions that we write; None in anybody else's."""
    last = description.rpartition(" ")[2] if isinstance(description, str) else ""
    return last if ids.is_id(last, ids.ATTEMPT) else None


def _about_the_key(answer: Answer, body: dict[str, Any]) -> bool:
    """Whether a 400 says that our key was used before with other content: then a payout may exist (section 7)."""
    texts = (body.get("title"), body.get("detail"), body.get("field"))
    return answer.status == 400 and any("idempoten" in text.lower() for text in texts if isinstance(text, str))
