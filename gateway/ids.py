"""Making ids: a prefix and a UUID version 7, so that they sort by time and never meet."""

from uuid import uuid4

from uuid_utils import uuid7

from schemas.contract import KeyFormat


def new_id(prefix: str) -> str:
    """`new_id('po')` -> 'po_' and 32 hexadecimal digits."""
    return f"{prefix}_{uuid7().hex}"


def new_key(key_format: KeyFormat) -> str:
    """An attempt's key in the form that its provider takes."""
    key = uuid4()
    return str(key) if key_format is KeyFormat.UUID4 else key.hex


def bare(some_id: str) -> str:
    """The 32 digits of an id, where a provider takes no underscore."""
    return some_id.rpartition("_")[2]
