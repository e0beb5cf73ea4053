"""Making ids: a prefix and a UUID version 7, so that they sort by time and never meet. Ids and keys of attempts are derived."""

import hashlib
import time
from uuid import UUID

from uuid_utils import uuid7

from schemas import ids
from schemas.contract import KeyFormat


def new_id(prefix: str) -> str:
    """`new_id('po')` -> 'po_' and 32 hexadecimal digits."""
    return f"{prefix}_{uuid7().hex}"


def payout_id_of(account_id: str, request_key: str) -> str:
    """A new payout's id: the time, and what follows from the account and the request's idempotency key.

    A restored backup may have forgotten the payout, and its merchant repeats the request. The new id differs in its time alone,
    so the keys of its attempts come out as they were, and a provider that still knows them does not pay a second time.
    """
    drawn = hashlib.sha256(f"{account_id} {request_key}".encode()).hexdigest()
    variant = "89ab"[int(drawn[3], 16) % 4]
    return f"{ids.PAYOUT}_{time.time_ns() // 1_000_000:012x}7{drawn[:3]}{variant}{drawn[4:19]}"


def lineage(payout_id: str) -> str:
    """What a payout's id has in common with that of the same request, made again at another time."""
    return bare(payout_id)[-20:]


def attempt_key(key_format: KeyFormat, payout_id: str, connection_id: str, number: int) -> str:
    """The key of a payout's attempt, in the form that its provider takes: the same whenever and wherever it is derived.

    Stored before it is sent, like any key. That it can be derived again matters after a restored backup has forgotten the
    attempt: the provider can still be asked for it.
    """
    key = UUID(bytes=_digest(payout_id, connection_id, number)[:16], version=4)
    return str(key) if key_format is KeyFormat.UUID4 else key.hex


def attempt_id(payout_id: str, connection_id: str, number: int) -> str:
    """The id of a payout's attempt: derived like its key, since some providers (Mollie) keep this and not the key.

    Its first part is the time in the payout's id, then its number: ids of attempts sort as their payouts do.
    """
    made_at, chance = bare(payout_id)[:12], _digest(payout_id, connection_id, number)[16:]
    variant = 0x8000 | int.from_bytes(chance[:2], "big") & 0x3FFF
    return f"{ids.ATTEMPT}_{made_at:0>12}7{number % 0x1000:03x}{variant:04x}{chance[2:8].hex()}"


def _digest(payout_id: str, connection_id: str, number: int) -> bytes:
    return hashlib.sha256(f"{lineage(payout_id)} {connection_id} {number}".encode()).digest()


def bare(some_id: str) -> str:
    """The 32 digits of an id, where a provider takes no underscore."""
    return some_id.rpartition("_")[2]
