"""What every connector reads out of an answer in the same way: its JSON, and what its HTTP status says by itself.

Only what is the same for all providers lives here; their own codes and words are in their `tables.py`.
"""

import email.utils
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from providers.transport import Answer
from providers.words import quote
from schemas.failure import FailureCode
from schemas.money import InexpressibleAmountError, to_minor
from schemas.report import RefusalCause, Refused, Unclear, Words
from schemas.strict_json import StrictJsonError, load_object

MAX_RETRY_AFTER_S = 3600.0  # a provider that asks for ten years is asked again after an hour

# Statuses that never prove a refusal, whatever the body says: timeouts, conflicts with a request that may be under way.
UNPROVEN_STATUSES = frozenset({408, 409, 425})


def json_object(answer: Answer) -> dict[str, Any] | Unclear:
    """The JSON object in the body, or Unclear: wrong content type, not JSON, not an object."""
    media_type = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if not (media_type == "application/json" or media_type.endswith("+json")):
        return Unclear(f"HTTP {answer.status} without JSON", Words(code=str(answer.status)))
    try:
        return load_object(answer.body)
    except StrictJsonError as error:
        return Unclear(f"HTTP {answer.status} with unreadable JSON: {error}", Words(code=str(answer.status)))


def found_object(
    answer: Answer | Unclear, *, code: str = "code", text: str = "message", hide: Iterable[str] = ()
) -> dict[str, Any] | Unclear:
    """The object that a read answered with; Unclear for everything but a success. `code`, `text`: its error's fields."""
    if isinstance(answer, Unclear):
        return answer
    body = json_object(answer)
    if isinstance(body, Unclear) or 200 <= answer.status < 300:
        return body
    return Unclear(
        f"HTTP {answer.status} instead of what was asked for", words_of(answer, body.get(code), body.get(text), hide)
    )


def refusal_by_status(answer: Answer, words: Words) -> Refused | None:
    """The refusals that HTTP itself documents as "not processed"; None when the status alone says nothing.

    401 and 403 are our credentials; 404 without a body that we can read is our base URL; 429 is pacing.
    """
    match answer.status:
        case 401 | 403:
            return Refused(FailureCode.CONFIGURATION, RefusalCause.CONNECTION, words)
        case 404 if isinstance(json_object(answer), Unclear):
            return Refused(FailureCode.CONFIGURATION, RefusalCause.CONNECTION, words)
        case 429:
            return Refused(FailureCode.PROVIDER_UNAVAILABLE, RefusalCause.PACING, words, retry_after_s(answer))
        case _:
            return None


def retry_after_s(answer: Answer) -> float | None:
    """`Retry-After` in seconds, from a number or a date, between 0 and an hour; None when absent or unreadable."""
    value = answer.headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value[:10]), MAX_RETRY_AFTER_S)
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:  # "-0000" means: UTC, of unknown origin
        moment = moment.replace(tzinfo=UTC)
    return min(max((moment - datetime.now(UTC)).total_seconds(), 0.0), MAX_RETRY_AFTER_S)


def words_of(answer: Answer, code: object, text: object, hide: Iterable[str] = ()) -> Words:
    """The provider's error in its own words; the HTTP status stands in where it gave no code."""
    code = str(code) if isinstance(code, int) else code
    return Words(code=quote(code, hide, limit=64) or str(answer.status), text=quote(text, hide))


def moment_of(value: object) -> datetime | None:
    """A moment in UTC; None for anything but an ISO 8601 date and time that says its offset."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        return None if moment is None or moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def money_of(value: Any) -> tuple[int, str] | None:
    """`{currency, value}` in minor units, exactly; None when it is anything else (Mollie and Pivot share the shape)."""
    if not isinstance(value, dict) or not isinstance(value.get("currency"), str):
        return None
    try:
        return to_minor(value.get("value"), value["currency"]), value["currency"]  # type: ignore[arg-type] # it checks
    except InexpressibleAmountError:
        return None
