"""Ids: a prefix that says what it names, and 32 hexadecimal digits of a UUID version 7, so that ids sort by time.

Only the shape lives here; making one needs clock and chance and belongs to the gateway.
"""

import re
from typing import Final

PAYOUT: Final = "po"
ATTEMPT: Final = "pa"
SUBMISSION: Final = "bat"
CARD: Final = "card"
CONNECTION: Final = "conn"
ACCOUNT: Final = "acct"
EVENT: Final = "evt"
NOTICE: Final = "ntc"
LEDGER_TRANSACTION: Final = "ltx"
DECISION: Final = "dec"
INCIDENT: Final = "inc"
HOLD: Final = "hold"
REQUEST: Final = "req"

_SHAPE = re.compile(r"[a-z]+_[0-9a-f]{32}")


def is_id(value: str, prefix: str) -> bool:
    """Whether `value` looks like one of our ids of this kind; asked before any database is."""
    return value.startswith(prefix + "_") and _SHAPE.fullmatch(value) is not None
