"""Pivot's account inquiries to checks (sheet section 8). Pure; whatever is missing, wrong or unknown becomes UNKNOWN.

The bank's name of the holder stands in free text. It goes into the field that is never shown, and into no words.
"""

from dataclasses import dataclass
from typing import Any

from providers.pivot.tables import ACCEPTED, INQUIRY_STATUS, UNPAYABLE
from providers.transport import OnUnknownWord
from providers.words import quote, reference, translate
from schemas.checks import DestinationCheck, Verdict
from schemas.report import Unclear, Words

_BANKS_NAME = "Bank record: "
_REASON = {
    Verdict.VALID: "the account exists under this name",
    Verdict.WARNING: "the account exists, but the bank knows its holder by another name",
    Verdict.INVALID: "the bank does not know this account",
    Verdict.PENDING: "the bank has not answered yet",
}


@dataclass(frozen=True, slots=True)
class InquiryReader:
    """What reading inquiries needs: where unknown words are counted, and what must never be quoted."""

    on_unknown_word: OnUnknownWord
    hide: tuple[str, ...]

    def check(self, body: dict[str, Any] | Unclear) -> DestinationCheck:
        """What the answer to an inquiry, new or read again, says about the account."""
        if isinstance(body, Unclear):
            return DestinationCheck(Verdict.UNKNOWN, reason=body.reason, words=body.words)
        if body.get("code") != ACCEPTED:
            return self._problem(body)
        data = body.get("data")
        uuid = reference(data.get("uuid")) if isinstance(data, dict) else None
        result = data.get("inquiryResult") if isinstance(data, dict) else None
        if uuid is None or not isinstance(result, dict):
            return DestinationCheck(Verdict.UNKNOWN, uuid, "the inquiry shows no result")
        word = result.get("status")
        words = Words(status=quote(word, limit=64))
        verdict = translate(INQUIRY_STATUS, word, self.on_unknown_word)
        if isinstance(verdict, Unclear):
            return DestinationCheck(Verdict.UNKNOWN, uuid, verdict.reason, words)
        return DestinationCheck(verdict, uuid, _REASON[verdict], words, _holder(result.get("detail")))

    def _problem(self, body: dict[str, Any]) -> DestinationCheck:
        code, text = quote(body.get("code"), limit=64), quote(body.get("message"), self.hide)
        error = body.get("error")
        details = error.get("details") if isinstance(error, dict) else None
        first = details[0] if isinstance(details, list) and details and isinstance(details[0], dict) else {}
        field = first.get("field")
        named = (code, field.rsplit(".", 1)[-1] if isinstance(field, str) else "")
        verdict = Verdict.INVALID if named in UNPAYABLE else Verdict.UNKNOWN
        return DestinationCheck(verdict, reason="Pivot did not make the inquiry", words=Words(code=code, text=text))


def _holder(detail: object) -> str | None:
    """The bank's name of the holder, from the end of a WARNING's detail."""
    if not isinstance(detail, str) or _BANKS_NAME not in detail:
        return None
    return detail.rpartition(_BANKS_NAME)[2].strip()[:100] or None
