"""The payout and its attempts: states, phases and what of them a merchant sees.

Words only. Which state follows which is `gateway.lifecycle`; who writes it down is `gateway.apply`.
"""

from enum import StrEnum


class Phase(StrEnum):
    """The finer state of a payout (design section 4)."""

    QUEUED = "queued"
    PROCESSING = "processing"
    NEEDS_REVIEW = "needs_review"
    PAID = "paid"
    RETURNED = "returned"
    FAILED = "failed"
    CANCELLED = "cancelled"


FINAL_PHASES = frozenset({Phase.PAID, Phase.RETURNED, Phase.FAILED, Phase.CANCELLED})


class Status(StrEnum):
    """What merchants see as `status`: the Plugipay set plus `returned`."""

    PENDING = "pending"
    IN_TRANSIT = "in_transit"
    PAID = "paid"
    FAILED = "failed"
    CANCELLED = "cancelled"
    RETURNED = "returned"


class AttemptState(StrEnum):
    """The state of one try at one connection."""

    SENDING = "sending"
    UNCONFIRMED = "unconfirmed"
    NOT_SENT = "not_sent"
    REFUSED = "refused"
    PENDING = "pending"
    IN_TRANSIT = "in_transit"
    PAID = "paid"
    RETURNED = "returned"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Exposure(StrEnum):
    """May money have left?"""

    OPEN = "open"
    SPENT = "spent"
    CLOSED = "closed"


EXPOSURE: dict[AttemptState, Exposure] = {
    AttemptState.SENDING: Exposure.OPEN,
    AttemptState.UNCONFIRMED: Exposure.OPEN,
    AttemptState.PENDING: Exposure.OPEN,
    AttemptState.IN_TRANSIT: Exposure.OPEN,
    AttemptState.PAID: Exposure.SPENT,
    AttemptState.NOT_SENT: Exposure.CLOSED,
    AttemptState.REFUSED: Exposure.CLOSED,
    AttemptState.RETURNED: Exposure.CLOSED,
    AttemptState.FAILED: Exposure.CLOSED,
    AttemptState.CANCELLED: Exposure.CLOSED,
}
