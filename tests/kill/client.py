"""A merchant that knows what to do when no answer comes: the same request again, with the same key, until it is definite.

It asks whichever gateway process answers, and counts what it met on the way.
"""

import asyncio
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

_PAUSE_S = 0.05
_RETRYABLE = (503, 500)


@dataclass
class Asked:
    """A create that was answered."""

    payout_id: str
    key: str
    body: dict[str, Any]


@dataclass
class Client:
    """Speaks for one account."""

    http: aiohttp.ClientSession
    bearer: str
    ports: Callable[[], Sequence[int]]
    met: Counter[str] = field(default_factory=Counter)
    made: list[Asked] = field(default_factory=list)
    patience_s: float = 1.5  # for one answer: a process may be stopped
    _turn: int = 0

    async def pay(self, body: dict[str, Any], key: str | None = None) -> Asked:
        """A create, until it is known that it was made."""
        key = key or uuid.uuid4().hex
        status, answer = await self.ask("POST", "/api/v1/payouts", body, key)
        assert status == 201, answer
        asked = Asked(answer["data"]["id"], key, body)
        self.made.append(asked)
        return asked

    async def ask(self, method: str, path: str, body: Any = None, key: str | None = None) -> tuple[int, dict[str, Any]]:
        """(status, envelope) of the first definite answer."""
        headers = {"Authorization": f"Bearer {self.bearer}"} | ({"Idempotency-Key": key} if key else {})
        while True:
            ports = self.ports()
            self._turn += 1
            if ports:
                url = f"http://127.0.0.1:{ports[self._turn % len(ports)]}{path}"
                try:
                    async with self.http.request(
                        method, url, headers=headers, json=body, timeout=aiohttp.ClientTimeout(total=self.patience_s)
                    ) as answer:
                        told = await answer.json()
                        self.met[str(answer.status)] += 1
                        if answer.status not in _RETRYABLE:
                            return answer.status, told
                except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                    self.met[type(error).__name__] += 1
            await asyncio.sleep(_PAUSE_S)
