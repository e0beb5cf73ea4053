"""Incidents in words: what must not happen and did, and how it ends."""

from enum import StrEnum


class IncidentKind(StrEnum):
    """What happened."""

    PAID_LATE = "paid_late"  # an attempt paid after it had ended: its money is booked as receivable
    UNKNOWN_PAYOUT = "unknown_payout"  # the provider lists a payout that we never made
    MISSING_PAYOUT = "missing_payout"  # the provider's whole list lacks one that it had taken
    DIFFERENT_PAYOUT = "different_payout"  # the provider lists another amount, currency or state than we know


class ClosedAs(StrEnum):
    """How an incident ended."""

    RECOVERED = "recovered"  # the money came back to us
    WRITTEN_OFF = "written_off"  # it will not
    EXPLAINED = "explained"  # no books were touched, and a person knows why it happened
