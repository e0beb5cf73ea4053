"""Pivot's access token: fetched once for everybody who waits, kept for 14 minutes, fetched again when it is refused.

No payout leaves before there is a token, so a fetch that fails proves that nothing was sent.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from providers.answers import json_object, refusal_by_status, words_of
from providers.pivot.tables import ACCEPTED
from providers.transport import Answer, Transport
from schemas.failure import FailureCode
from schemas.report import NotSent, RefusalCause, Refused, Unclear

LIFETIME_S = 14 * 60.0  # tokens live 15 minutes; the documentation advises to renew every 14 (sheet section 2)
SHARE_OF_LIFE = 14 / 15  # the same for a token that says it lives for less
_BODY = b'{"grantType":"client_credentials"}'


class AccessToken:
    """One connection's token. Any number of callers may ask at the same time; one of them fetches."""

    def __init__(
        self,
        transport: Transport,
        url: str,
        headers: Mapping[str, str],
        hide: tuple[str, ...],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transport = transport
        self._url = url
        self._headers = headers
        self._hide = hide
        self._clock = clock
        self._lock = asyncio.Lock()
        self._fetches = 0
        self._latest: str | NotSent | Refused = NotSent("no access token yet")
        self._good_until = 0.0

    async def get(self, refused: str | None = None) -> str | NotSent | Refused:
        """A token that is not `refused`, or why there is none."""
        if self._usable(refused):
            return self._latest
        seen = self._fetches
        async with self._lock:
            # Whoever held the lock fetched for us too: also a failure is shared, so that nobody queues up to repeat it.
            if self._fetches == seen:
                self._latest = await self._fetch()
                self._fetches += 1
            return self._latest

    def _usable(self, refused: str | None) -> bool:
        return isinstance(self._latest, str) and self._latest != refused and self._clock() < self._good_until

    async def _fetch(self) -> str | NotSent | Refused:
        answer = await self._transport.send("pivot", "access_token", self._url, headers=self._headers, body=_BODY)
        if not isinstance(answer, Answer):
            return NotSent(f"no access token: {answer.reason}")
        body = json_object(answer)
        if isinstance(body, Unclear):
            return refusal_by_status(answer, body.words) or NotSent(f"no access token: {body.reason}")
        data = body.get("data")
        token = data.get("accessToken") if isinstance(data, dict) else None
        if body.get("code") == ACCEPTED and isinstance(token, str) and token.isascii() and token.isprintable() and token:
            self._good_until = self._clock() + _lifetime_s(data)
            return token
        words = words_of(answer, body.get("code"), body.get("message"), self._hide)
        if answer.status == 429:
            return refusal_by_status(answer, words) or NotSent("no access token: asked too often")
        if 400 <= answer.status < 500 and answer.status != 408:
            return Refused(FailureCode.CONFIGURATION, RefusalCause.CONNECTION, words)
        return NotSent(f"no access token: HTTP {answer.status}")


def _lifetime_s(data: Any) -> float:
    """`expiresIn` is seconds as text ("900"); whatever else it is, 14 minutes hold."""
    stated = data.get("expiresIn") if isinstance(data, dict) else None
    if isinstance(stated, str) and stated.isascii() and stated.isdigit() and len(stated) < 6:
        return min(LIFETIME_S, float(stated) * SHARE_OF_LIFE)
    return LIFETIME_S
