"""The one table reader: a provider's word in, our meaning out, and never a guess.

Each provider keeps its words in `tables.py` as `Table`s. A word that is not there is `Unclear`, and counted. Words are
quoted into reports only through `quote`, which takes out secrets and anything that looks like an account number.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from providers.account_numbers import cover_numbers
from providers.transport import OnUnknownWord
from schemas.failure import FailureCode
from schemas.report import Progress, RefusalCause, Unclear, Words

MAX_WORD = 64
MAX_TEXT = 200

# Tokens and keys, whoever quoted them back at us.
_OPAQUE = re.compile(r"[A-Za-z0-9_+/=\-]{32,}")
_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-]{0,99}")

Meaning = TypeVar("Meaning")


@dataclass(frozen=True, slots=True)
class Table(Generic[Meaning]):
    """One vocabulary of one provider. `name` says which, in metrics and in `Unclear`."""

    provider: str
    name: str
    meanings: Mapping[str, Meaning]


@dataclass(frozen=True, slots=True)
class Said:
    """What a status word means. `failure_code` is set when it failed or came back and the word itself says why."""

    progress: Progress
    failure_code: FailureCode | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """What an error code on a send means: refused before acceptance. `about_row`: one row's content may be to blame."""

    failure_code: FailureCode
    cause: RefusalCause = RefusalCause.PAYOUT
    about_row: bool = False


@dataclass(frozen=True, slots=True)
class NotProof:
    """An error code that is known and does not prove that nothing was accepted."""

    reason: str


def translate(table: Table[Meaning], word: object, on_unknown_word: OnUnknownWord) -> Meaning | Unclear:
    """The meaning of `word`. Anything that is not in the table, text or not, is Unclear and counted."""
    if isinstance(word, str) and word in table.meanings:
        return table.meanings[word]
    shown = quote(word, limit=MAX_WORD) if isinstance(word, str) else f"({type(word).__name__})"
    on_unknown_word(table.provider, table.name, shown or "(empty)")
    return Unclear(f"{table.provider} sent an unknown {table.name}", Words(status=shown))


def quote(text: object, hide: Iterable[str] = (), limit: int = MAX_TEXT) -> str | None:
    """The provider's words, fit to be stored and shown: printable, short, free of `hide` and of account numbers."""
    if not isinstance(text, str):
        return None
    for secret in hide:
        if secret:
            text = text.replace(secret, "***")
    text = text[: 4 * limit]
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    return cover_numbers(_OPAQUE.sub("***", text)).strip()[:limit] or None


def reference(value: object) -> str | None:
    """An id of theirs that is safe in a path and in the database, or None when it is not one."""
    return value if isinstance(value, str) and _REFERENCE.fullmatch(value) else None
