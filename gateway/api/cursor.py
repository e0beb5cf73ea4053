"""Cursors of lists: opaque to clients, the place of the last row to us. A cursor carries no right to anything."""

import base64
import binascii

from gateway.api.envelope import ApiError
from schemas.ids import is_id


def encode(*place: str | int) -> str:
    """The place after which the next page starts."""
    return base64.urlsafe_b64encode("\n".join(str(part) for part in place).encode()).decode().rstrip("=")


def _refuse() -> ApiError:
    return ApiError(400, "validation_error", "cursor is not one that this list gave out", field="cursor")


def decode(cursor: str | None, prefix: str, parts: int = 1) -> list[str] | None:
    """The place in a cursor whose first part is an id of this kind; None without a cursor."""
    if cursor is None:
        return None
    try:
        place = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii").split("\n")
    except (binascii.Error, ValueError) as error:
        raise _refuse() from error
    if len(place) != parts or not is_id(place[0], prefix) or not all(p.isdigit() and len(p) < 5 for p in place[1:]):
        raise _refuse()
    return place
