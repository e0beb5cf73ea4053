"""Who is asking: Bearer keys and signed requests, as the Plugipay sheet has them on the wire (section 3).

Comparisons take constant time and are made on bytes. An unknown key id takes as long as a wrong signature.
"""

import hashlib
import hmac
import re
import time
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

from gateway.api.body import query
from gateway.api.envelope import ACCOUNT_ID, ApiError
from gateway.recall import Recall
from gateway.sealing import Seal, key_place
from gateway.store import accounts
from gateway.store.database import Pool

PAYOUT_READ: Final = "plugipay:payout:read"
PAYOUT_WRITE: Final = "plugipay:payout:write"
PAYOUT_RESOLVE: Final = "plugipay:payout:resolve"
LEDGER_READ: Final = "plugipay:ledger:read"
LEDGER_WRITE: Final = "plugipay:ledger:write"
CARD_READ: Final = "plugipay:card:read"
CARD_WRITE: Final = "plugipay:card:write"
ROUTING_WRITE: Final = "plugipay:routing:write"
SCOPES: Final = (PAYOUT_READ, PAYOUT_WRITE, PAYOUT_RESOLVE, LEDGER_READ, LEDGER_WRITE, CARD_READ, CARD_WRITE, ROUTING_WRITE)

_SIGNED = re.compile(r"(?i:Plugipay-HMAC-SHA256) +keyId=([\x21-\x2b\x2d-\x7e]{1,200}), scope=\*, signature=([0-9a-f]{64})")
_BEARER = re.compile(r"(?i:Bearer) +([\x21-\x7e]{8,200})")
_TOLERANCE_S = 300
_REMEMBER_S = 1.0  # so long may a revoked key still work in a process that has just used it


@dataclass(frozen=True, slots=True)
class Caller:
    """The account that a request speaks for."""

    account_id: str
    key_id: str
    scopes: frozenset[str]
    default_currency: str
    secret: bytes = field(default=b"", repr=False)
    person: str = ""  # whose key it is; the key's own id when it was made for nobody

    @property
    def is_named(self) -> bool:
        """Whether the key was made for a person; two keys that name nobody may both be in one program."""
        return self.person != self.key_id

    @property
    def source(self) -> str:
        """How this caller appears in timelines."""
        return f"key:{self.key_id}"


def _unknown_key() -> ApiError:
    return ApiError(401, "invalid_key", "This key is not known, or was revoked.", field="Authorization")


class Auth:
    """Authenticates requests; remembers keys for a second."""

    def __init__(self, pool: Pool, seal: Seal) -> None:
        self._pool = pool
        self._seal = seal
        self._callers = Recall(self._find, for_s=_REMEMBER_S)

    async def caller(self, request: web.Request, scope: str, body: bytes) -> Caller:
        """Who asks, if their key has this scope. Raises `ApiError` 401 or 403, and 400 for a parameter that is not known."""
        headers = request.headers.getall("Authorization", [])
        if len(headers) > 1:
            raise ApiError(400, "validation_error", "Send one Authorization header.", field="Authorization")
        given = headers[0] if headers else ""
        if bearer := _BEARER.fullmatch(given):
            caller = await self._callers.get(self._seal.lookup_of(bearer[1]))
            if caller is None or caller.secret:
                raise _unknown_key()
        elif signed := _SIGNED.fullmatch(given):
            caller = await self._signed(request, signed[1], signed[2], body)
        else:
            raise ApiError(
                401,
                "missing_key" if not given else "invalid_key",
                "Send Authorization: Bearer <key>, or a Plugipay-HMAC-SHA256 signature.",
                field="Authorization",
            )
        request[ACCOUNT_ID] = caller.account_id
        if scope not in caller.scopes:
            raise ApiError(403, "insufficient_scope", f"This key does not have the scope {scope}.", field="Authorization")
        behalf = request.headers.getall("X-Plugipay-On-Behalf-Of", None)
        if behalf and any(named != caller.account_id for named in behalf):
            raise ApiError(
                403, "insufficient_scope", "This key cannot act for another account.", field="X-Plugipay-On-Behalf-Of"
            )
        if request.query_string:  # here for all operations: a `dryRun=true` that is overlooked pays
            query(request)
        return caller

    async def _signed(self, request: web.Request, key_id: str, signature: str, body: bytes) -> Caller:
        stamp = request.headers.get("X-Plugipay-Timestamp", "")
        if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
            raise ApiError(401, "invalid_timestamp", "X-Plugipay-Timestamp must be unix seconds.", field="X-Plugipay-Timestamp")
        if abs(time.time() - int(stamp)) > _TOLERANCE_S:
            raise ApiError(
                401,
                "timestamp_skew",
                f"The request is more than {_TOLERANCE_S} seconds away from our clock; sign it again.",
                field="X-Plugipay-Timestamp",
            )
        caller = await self._callers.get(key_id)
        lines = [request.method, request.raw_path, stamp, hashlib.sha256(body).hexdigest()]
        lines += request.headers.getall("Idempotency-Key", [])
        # An unknown key is checked against some secret too, so that it takes as long as a wrong signature.
        secret = caller.secret if caller and caller.secret else b"unknown"
        # aiohttp keeps header bytes that are not UTF-8 as lone surrogates: this gives them back as they came.
        signed = "\n".join(lines).encode(errors="surrogateescape")
        expected = hmac.digest(secret, signed, "sha256").hex()
        matches = hmac.compare_digest(expected.encode(), signature.encode())
        if caller is None or not caller.secret:
            raise _unknown_key()
        if not matches:
            raise ApiError(401, "invalid_signature", "The signature does not fit this request.", field="Authorization")
        return caller

    async def _find(self, lookup: str) -> Caller | None:
        row = await accounts.find_key(self._pool, lookup)
        if row is None:
            return None
        secret = self._seal.open(row.secret_sealed, key_place(row.account_id, row.id)) if row.secret_sealed else b""
        return Caller(row.account_id, row.id, row.scopes, row.default_currency, secret, row.person)
