"""The merchants' side: creates and cancels over HTTP, each repeated with its key until the answer is definite.

Three outcomes of a call: ok, failed, unknown. Only an unknown one is repeated. Reads nothing from the gateway but its answers.
"""

import asyncio
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import aiohttp

from tests.prove.history import History, Outcome
from tests.prove.orders import Wanted

_TIMEOUT = aiohttp.ClientTimeout(total=3.0, connect=1.0)
_DEFINITE_REFUSALS = frozenset({400, 401, 403, 404, 409, 413, 422})
_AT_ONCE = 64
_DEFINITE_WITHIN_S = 120.0  # the nemesis never keeps all gateways down for so long
_LOOK_S = 0.05


def outcome_of(status: int | None, code: str | None) -> Outcome:
    """What an answer means to whoever has to be sure."""
    if status in (200, 201):
        return "ok"
    if status in _DEFINITE_REFUSALS and code != "idempotency_in_progress":
        return "failed"
    return "unknown"


class NeverDefiniteError(RuntimeError):
    """A call found no definite answer for minutes: the gateways do not work at all."""


class Caller:
    """Calls any of the gateways, one after the other, until an answer is definite."""

    def __init__(self, http: aiohttp.ClientSession, urls: Sequence[str], rng: random.Random, history: History) -> None:
        self._http = http
        self._urls = urls
        self._rng = rng
        self._history = history

    async def post(self, path: str, body: dict[str, Any], *, what: str, key: str, bearer: str, **noted: Any) -> dict[str, Any]:
        """The definite answer's `{status, data, error}`."""
        at = self._rng.randrange(len(self._urls))
        pause_s = 0.02
        give_up_at = asyncio.get_running_loop().time() + _DEFINITE_WITHIN_S
        while asyncio.get_running_loop().time() < give_up_at:
            status, answer = await self._once(self._urls[at % len(self._urls)] + path, body, key, bearer)
            data, error = answer.get("data") or {}, answer.get("error") or {}
            outcome = outcome_of(status, error.get("code"))
            self._history.write(
                what, outcome, key=key, gateway=at % len(self._urls), status=status, code=error.get("code"),
                payout=data.get("id"), phase=data.get("phase"), **noted,
            )  # fmt: skip
            if outcome != "unknown":
                return {"status": status, "data": data, "error": error}
            at += 1
            await asyncio.sleep(pause_s * self._rng.uniform(0.5, 1.5))
            pause_s = min(2 * pause_s, 1.0)
        raise NeverDefiniteError(f"{what} with {key} found no definite answer; the last one was {status}: {answer}")

    async def get(self, path: str, bearer: str) -> dict[str, Any] | None:
        """One read; None when it was not answered."""
        url = self._rng.choice(self._urls) + path
        try:
            async with self._http.get(url, headers={"Authorization": f"Bearer {bearer}"}, timeout=_TIMEOUT) as answer:
                return await answer.json() if answer.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return None

    async def _once(self, url: str, body: dict[str, Any], key: str, bearer: str) -> tuple[int | None, dict[str, Any]]:
        headers = {"Authorization": f"Bearer {bearer}", "Idempotency-Key": key}
        try:
            async with self._http.post(url, json=body, headers=headers, timeout=_TIMEOUT) as answer:
                return answer.status, await answer.json()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return None, {}


class Merchants:
    """Everybody who pays through the gateways."""

    def __init__(self, caller: Caller, bearers: Sequence[str]) -> None:
        self._caller = caller
        self._bearers = bearers
        self._cancels: set[asyncio.Task[None]] = set()
        self.created = 0

    async def pay(self, orders: Iterable[Wanted], *, per_s: float, may_send: Callable[[], bool]) -> None:
        """Ask for all of them, at most so many a second and only while `may_send`; returns when all are definite."""
        slots = asyncio.Semaphore(_AT_ONCE)
        loop = asyncio.get_running_loop()
        next_at = loop.time()
        async with asyncio.TaskGroup() as group:
            for wanted in orders:
                while not may_send():
                    await asyncio.sleep(_LOOK_S)
                    next_at = max(next_at, loop.time())
                await slots.acquire()
                task = group.create_task(self._create(wanted))
                task.add_done_callback(lambda _: slots.release())
                next_at += 1 / per_s
                await asyncio.sleep(max(0.0, next_at - loop.time()))
        while self._cancels:
            await asyncio.gather(*self._cancels)

    async def _create(self, wanted: Wanted) -> None:
        bearer = self._bearers[wanted.account]
        copies = 2 if wanted.twin else 1
        answers = await asyncio.gather(
            *(
                self._caller.post(
                    "/api/v1/payouts", wanted.body(), what="create", key=wanted.key, bearer=bearer, account=wanted.account,
                    amount=wanted.amount_minor, scenario=wanted.scenario,
                )
                for _ in range(copies)
            )
        )  # fmt: skip
        self.created += 1
        payout_id = answers[0]["data"].get("id")
        if payout_id and wanted.cancel_after_s is not None:
            task = asyncio.create_task(self._cancel(wanted, payout_id, bearer, wanted.cancel_after_s))
            self._cancels.add(task)
            task.add_done_callback(self._cancels.discard)

    async def _cancel(self, wanted: Wanted, payout_id: str, bearer: str, after_s: float) -> None:
        await asyncio.sleep(after_s)
        path = f"/api/v1/payouts/{payout_id}/cancel"
        await self._caller.post(path, {}, what="cancel", key=f"cancel-{wanted.key}", bearer=bearer)
