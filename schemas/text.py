"""Text that people typed: what we accept in names, notes and reasons.

Control characters are refused, since they break logs, statements and bank files; nothing is silently changed.
"""

from collections.abc import Container

from pydantic import AfterValidator


def _printable(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be empty")
    if not value.isprintable():
        raise ValueError("must hold printable characters and plain spaces only: no line breaks, and nothing that does not show")
    return value


# Beside the length, not around it: `Annotated[str, Field(min_length=1, max_length=100), Printable]`. Pydantic checks a length
# that comes after a validator in Python, which takes ten times as long.
Printable = AfterValidator(_printable)


def one_of(known: Container[str], what: str) -> AfterValidator:
    """A validator that takes only members of `known`; `what` names them in the error."""

    def check(value: str) -> str:
        if value not in known:
            raise ValueError(f"must be {what}")
        return value

    return AfterValidator(check)
