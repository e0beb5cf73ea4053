"""Resolving: what people at the desk may say of an attempt that nobody else can explain. Words only.

What each outcome makes of an attempt is `gateway.lifecycle`; that it takes two people is `gateway.desk`.
"""

from enum import StrEnum
from typing import Final


class Outcome(StrEnum):
    """What people at the desk may find out about an attempt."""

    PAID = "paid"
    FAILED = "failed"  # it is over and no money has moved
    RETURNED = "returned"  # the money went out and is back
    NOT_SENT = "not_sent"  # the provider never had it: the payout goes out again


WITHDRAW: Final = "withdraw"  # who proposed an outcome takes it back
