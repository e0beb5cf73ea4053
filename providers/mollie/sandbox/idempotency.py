"""The fourth layer of the Mollie sandbox: the same idempotency key is answered the same for an hour (section 8).

Keeps first answers and gives them again. Knows nothing about what a POST makes.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import web

from providers.mollie.sandbox.answers import problem
from providers.mollie.sandbox.facts import HAL
from providers.mollie.sandbox.lifecycle import MollieLifecycle
from providers.mollie.sandbox.records import Caller, StoredAnswer
from providers.sandbox.base import Refused
from providers.sandbox.clock import now_ms

SLOT = web.RequestKey("slot", str)  # the idempotency slot that a request keeps in flight

Make = Callable[[], tuple[web.Response, str]]  # -> the answer, and the payout that was made, if any


class MollieIdempotency(MollieLifecycle):
    """Abstract: `MollieSandbox` in `operations` is the whole."""

    async def _once(
        self, request: web.Request, operation: str, caller: Caller, prepare: Callable[[], Awaitable[Make]]
    ) -> tuple[web.Response, str]:
        """Answer a POST: again, if its key was seen, else by making what it asks for."""
        key = request.headers.get("Idempotency-Key")
        if not key:
            return await self._made(await prepare())
        slot = f"{caller.merchant.api_key}/{caller.mode}/{key}"  # M-3: credential and mode
        fingerprint = _fingerprint(request.path, caller.fields)
        replayed = await self._replay(request, operation, slot, fingerprint)
        if replayed is not None:
            return replayed, ""
        self._in_flight.add(slot)
        request[SLOT] = slot
        return await self._made(await prepare(), slot, fingerprint)

    def finished(self, request: web.Request) -> None:
        slot = request.get(SLOT)
        if slot is not None:
            self._in_flight.discard(slot)

    async def _replay(self, request: web.Request, operation: str, slot: str, fingerprint: str) -> web.Response | None:
        if slot in self._in_flight:
            raise Refused(problem(409, "A request with this idempotency key is still being processed."))
        stored = self.answers.rows.get(_short(slot))
        if stored is None or now_ms() - stored.at_ms >= self.settings.idempotency_ttl_ms:
            return None
        if await self.forgets_key(operation, request, stored.ref, stored.at_ms):
            return None
        if stored.fingerprint != fingerprint:
            raise Refused(problem(400, "The idempotency key was used for another request."))
        headers = {"Content-Type": HAL, "Idempotent-Replayed": "true"}
        return web.Response(status=stored.status, body=stored.body.encode(), headers=headers)

    async def _made(self, make: Make, slot: str = "", fingerprint: str = "") -> tuple[web.Response, str]:
        if self.settings.create_takes_ms:
            await asyncio.sleep(self.settings.create_takes_ms / 1000)
        ref = ""
        with self.journal.together():  # what is made and its stored answer: both or none after a kill
            try:
                answer, ref = make()
            except Refused as refused:
                answer = refused.answer
            is_kept = answer.status < 400 or self.settings.cache_refusals  # M-3: refusals are remembered too
            if slot and is_kept and isinstance(answer.body, bytes):
                self._forget_old_answers()
                self.answers.rows.pop(_short(slot), None)  # to the end of the line: rows stay in order of age
                stored = StoredAnswer(fingerprint, answer.status, answer.body.decode(), now_ms(), ref)
                self.answers.add(_short(slot), stored)
        return answer, ref

    def _forget_old_answers(self) -> None:
        horizon_ms = now_ms() - self.settings.idempotency_ttl_ms
        while self.answers.rows:
            oldest = next(iter(self.answers.rows))
            if self.answers.rows[oldest].at_ms >= horizon_ms:
                return
            self.answers.remove(oldest)


def _short(slot: str) -> str:
    """A stored answer's name without the credential in it."""
    return hashlib.blake2b(slot.encode(), digest_size=16).hexdigest()


def _fingerprint(path: str, fields: dict[str, Any]) -> str:
    """Section 8: other parameters or another endpoint make another request."""
    text = orjson.dumps([path, fields], option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(text, digest_size=16).hexdigest()
