"""Sealing of secrets at rest, and keyed hashes of keys that only have to be recognised, under `GATEWAY_MASTER_KEY`.

Never logs or shows what it opens. A sealed value opens only in the place it was sealed for: moved to another row or
account it is refused.
"""

import base64
import binascii
import hashlib
import hmac
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_KEY_BYTES = 32
_NONCE_BYTES = 12
_VERSION = b"\x01"


class MasterKeyError(ValueError):
    """`GATEWAY_MASTER_KEY` is missing, malformed, or not the one that this database was sealed with. Nothing was sent."""


def new_master_key() -> str:
    """A fresh key in the form of the setting: 32 random bytes in URL-safe base64."""
    return base64.urlsafe_b64encode(secrets.token_bytes(_KEY_BYTES)).decode()


class Seal:
    """Seals and opens secrets with keys derived from the master key."""

    def __init__(self, master_key: str) -> None:
        """Take the master key in URL-safe base64. Raises `MasterKeyError` when it is not 32 bytes."""
        try:
            raw = base64.urlsafe_b64decode(master_key.encode())
        except (binascii.Error, ValueError) as error:
            raise MasterKeyError("GATEWAY_MASTER_KEY must be 32 bytes in URL-safe base64") from error
        if len(raw) != _KEY_BYTES:
            raise MasterKeyError("GATEWAY_MASTER_KEY must be 32 bytes in URL-safe base64")
        self._cipher = AESGCM(_derive(raw, b"secrets at rest"))
        self._pepper = _derive(raw, b"keyed hash of bearer keys")

    def seal(self, secret: bytes, place: str) -> bytes:
        """Seal for one place, e.g. 'connection/acct_.../conn_...'."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return _VERSION + nonce + self._cipher.encrypt(nonce, secret, place.encode())

    def open(self, sealed: bytes, place: str) -> bytes:
        """Open what was sealed for this place. Raises `MasterKeyError` for another place or another master key."""
        nonce, rest = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        known = sealed[:1] == _VERSION  # else written by a version that we do not know, or damaged
        try:
            return self._cipher.decrypt(nonce, rest if known else b"", place.encode())
        except (InvalidTag, ValueError) as error:  # ValueError: cut short, there is not even a nonce
            raise MasterKeyError(f"the secret of {place} was sealed under another GATEWAY_MASTER_KEY or moved here") from error

    def lookup_of(self, bearer_key: str) -> str:
        """What is stored of a Bearer key: a keyed hash, useless to whoever reads the database."""
        # The keyed hash that is fastest for a few bytes: every request of this key needs it.
        return hashlib.blake2b(bearer_key.encode(), key=self._pepper, digest_size=32).hexdigest()

    def digest_of(self, *parts: str) -> str:
        """A keyed hash of something that must be recognised and not read, such as an account number."""
        text = "\0".join(("digest", *parts))  # no key that is looked up holds a NUL
        return hmac.digest(self._pepper, text.encode(), "sha256").hex()


def _derive(raw: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=_KEY_BYTES, salt=None, info=b"payout-gateway " + purpose).derive(raw)


def connection_place(account_id: str, connection_id: str) -> str:
    """Where a connection's secrets live."""
    return f"connection/{account_id}/{connection_id}"


def key_place(account_id: str, key_id: str) -> str:
    """Where a signing key's secret lives."""
    return f"key/{account_id}/{key_id}"


def notice_place(connection_id: str, digest: bytes) -> str:
    """Where a notice's body lives; the digest is that of the body."""
    return f"notice/{connection_id}/{digest.hex()}"


def card_place(account_id: str, card_id: str) -> str:
    """Where a card's token lives."""
    return f"card/{account_id}/{card_id}"
