"""Text that people typed: what we accept in names, notes and reasons.

Control characters are refused, since they break logs, statements and bank files; nothing is silently changed.
"""

from collections.abc import Container

from pydantic import AfterValidator, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

# What every dialect of patterns can say of it: no control characters, and something else than spaces.
PRINTABLE = r"^ *[^\x00-\x20\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"

PERSON_LIMIT = 100
REASON_LIMIT = 500


def _printable(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be empty")
    if not value.isprintable():
        raise ValueError("must hold printable characters and plain spaces only: no line breaks, and nothing that does not show")
    return value


class _Described(AfterValidator):
    """A validator that the API's description shows, too, where the text has no stricter pattern."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"pattern": PRINTABLE, **handler(core_schema)}


# Beside the length, not around it: `Annotated[str, Field(min_length=1, max_length=100), Printable]`. Pydantic checks a length
# that comes after a validator in Python, which takes ten times as long.
Printable = _Described(_printable)


def is_line(text: str, *, most: int) -> bool:
    """Whether it can stand in a list or a timeline: at most `most` characters, all of them printable, and not only blanks."""
    return len(text) <= most and text.isprintable() and bool(text.strip())


def one_of(known: Container[str], what: str) -> AfterValidator:
    """A validator that takes only members of `known`; `what` names them in the error."""

    def check(value: str) -> str:
        if value not in known:
            raise ValueError(f"must be {what}")
        return value

    return AfterValidator(check)
