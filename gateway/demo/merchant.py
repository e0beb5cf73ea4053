"""The demo's merchant: speaks to the gateway over HTTP with a Bearer key, and knows nothing that a merchant does not."""

import asyncio
import uuid
from collections.abc import Callable
from typing import Any

import aiohttp

from schemas.payout import FINAL_PHASES

_POLL_S = 0.15


class RefusedError(RuntimeError):
    """The gateway refused a request; the message is the gateway's own."""


class Merchant:
    """One account, as seen from outside."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str, bearer: str) -> None:
        self._session = session
        self._base_url = base_url
        self._bearer = bearer

    async def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """The `data` of an answer; every write goes out under a new idempotency key."""
        headers = {"Authorization": f"Bearer {self._bearer}"}
        if method == "POST":
            headers["Idempotency-Key"] = uuid.uuid4().hex
        async with self._session.request(method, f"{self._base_url}{path}", json=body, headers=headers) as answer:
            envelope = await answer.json()
        if envelope["error"]:
            raise RefusedError(f"{envelope['error']['code']}: {envelope['error']['message']}")
        return envelope["data"]

    async def save_card(self, fields: dict[str, str]) -> str:
        """Save a card and wait for its token, which comes to the gateway by the provider's webhook."""
        card = await self.call("POST", "/api/v1/cards", {"cardFields": fields})
        while card["state"] == "saving":
            await asyncio.sleep(_POLL_S)
            card = await self.call("GET", f"/api/v1/cards/{card['id']}")
        if card["state"] != "active":
            raise RefusedError(f"the card could not be saved: {card['failureReason']}")
        return str(card["id"])

    async def follow(self, payout_id: str, on_step: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        """Hand on each step of a payout's timeline as it appears; the payout, once it is final."""
        seen = 0
        while True:
            steps = await self.call("GET", f"/api/v1/payouts/{payout_id}/timeline")
            for step in steps[seen:]:
                on_step(step)
            seen = len(steps)
            if steps and steps[-1]["phase"] in FINAL_PHASES:
                payout: dict[str, Any] = await self.call("GET", f"/api/v1/payouts/{payout_id}")
                return payout
            await asyncio.sleep(_POLL_S)
