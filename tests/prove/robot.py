"""The operator of the manual desk, as a robot: pays what waits there, and keeps its own file of the money it really paid.

It pays a payout once for ever: its own line is written before it tells the gateway, and what has a line is never paid again.
It marks a few as failed, and then it has paid nothing.
"""

import asyncio
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from tests.prove.merchants import Caller

_PAUSE_S = 0.3
_FAILS_ONE_IN = 10


class Robot:
    """One person for all accounts."""

    def __init__(self, caller: Caller, bearers: Sequence[str], money_file: Path) -> None:
        self._caller = caller
        self._bearers = bearers
        self._money = money_file.open("ab", buffering=0)
        self._paid: set[str] = set()
        self._done: set[tuple[str, str]] = set()

    async def work(self) -> None:
        """Look at the desk again and again, until cancelled."""
        try:
            while True:
                for bearer in self._bearers:
                    await asyncio.gather(*(self._serve(payout, bearer) for payout in await self._waiting(bearer)))
                await asyncio.sleep(_PAUSE_S)
        finally:
            self._money.close()

    async def _waiting(self, bearer: str) -> list[dict[str, Any]]:
        answer = await self._caller.get("/api/v1/payouts?provider=manual&phase=processing&limit=100", bearer)
        return [payout for payout in (answer or {}).get("data", []) if (payout["id"], payout["status"]) not in self._done]

    async def _serve(self, payout: dict[str, Any], bearer: str) -> None:
        marked = await self._mark(payout, "mark-in-transit", {"reference": f"WIRE-{payout['id'][-8:]}"}, bearer)
        if marked.get("status") != "in_transit":
            return  # somebody cancelled it, or it went elsewhere: it is not ours to pay
        if int(uuid.uuid5(uuid.NAMESPACE_OID, str(payout["amount"]))) % _FAILS_ONE_IN == 0:
            await self._mark(payout, "mark-failed", {"failureReason": "the bank refused it", "evidence": "bank letter"}, bearer)
        else:
            self._pay(payout)
            await self._mark(payout, "mark-paid", {"evidence": "bank statement"}, bearer)
        self._done |= {(payout["id"], status) for status in ("pending", "in_transit")}

    def _pay(self, payout: dict[str, Any]) -> None:
        if payout["id"] in self._paid:
            return
        self._paid.add(payout["id"])
        line = {"at": time.time(), "payout": payout["id"], "amount": payout["amount"], "currency": payout["currency"]}
        self._money.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))

    async def _mark(self, payout: dict[str, Any], what: str, body: dict[str, Any], bearer: str) -> dict[str, Any]:
        path = f"/api/v1/payouts/{payout['id']}/{what}"
        answer = await self._caller.post(path, body, what=what, key=f"{what}-{payout['id']}", bearer=bearer)
        return answer["data"]
