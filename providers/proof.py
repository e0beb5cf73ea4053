"""How a notice's sender is checked: constant time, over bytes, every value of a header; an empty secret proves nothing."""

import hmac
from collections.abc import Iterable


def static_secret(values: Iterable[str], secret: str) -> bool:
    """Whether one of the header values is the secret. Proves a sender who knows it, not the body that came along."""
    expected = _bytes(secret)
    return bool(secret) and any(hmac.compare_digest(_bytes(value), expected) for value in values)


def hmac_sha256_hex(values: Iterable[str], body: bytes, secrets: Iterable[str]) -> bool:
    """Whether one of the header values is the lower-case hex HMAC-SHA256 of the body under one of the secrets."""
    given = [_bytes(value) for value in values]
    expected = [hmac.digest(_bytes(secret), body, "sha256").hex().encode() for secret in secrets if secret]
    return any(hmac.compare_digest(value, good) for good in expected for value in given)


def _bytes(text: str) -> bytes:
    # Header values can hold foreign bytes as surrogates; written like this they equal no text that a secret can hold.
    return text.encode("utf-8", "surrogatepass")
