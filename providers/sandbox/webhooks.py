"""Delivery of webhooks: a real POST with the provider's proof, its timeout and its retry schedule.

Waiting deliveries live in the journal, so a restart goes on where it stopped. At most `_AT_ONCE` are under way per
provider. Decides nothing about payouts and never waits for the receiver inside a request, except where a fault asks
for the webhook to come before the answer.
"""

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp
import orjson
from multidict import CIMultiDict

from providers.sandbox.clock import Schedule, iso_micros, now_ms
from providers.sandbox.faults import Fault, FaultPlan
from providers.sandbox.journal import Journal

_AT_ONCE = 32
_KEPT = 1000


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """A provider's manner of delivering. `waits_s` counts from one attempt to the next."""

    waits_s: tuple[float, ...]
    timeout_s: float
    accepted: Callable[[int], bool]
    retried: Callable[[int | None], bool]  # None = no answer at all


@dataclass(slots=True)
class Delivery:
    id: str
    merchant: str
    ref: str
    event: str
    body: str
    due_ms: int
    attempts: int = 0
    forged: bool = False


class Sender(Protocol):
    """What the courier asks of a sandbox."""

    @property
    def speed(self) -> float: ...

    def webhook_url(self, merchant: str) -> str | None: ...

    def prove(self, merchant: str, body: bytes, *, forged: bool) -> CIMultiDict[str]:
        """All headers of the delivery, the proof among them; a forged one is made with a wrong secret."""
        ...

    def invent(self, body: dict[str, Any]) -> dict[str, Any]:
        """The same webhook with a status word that no documentation knows."""
        ...


class Courier:
    def __init__(self, journal: Journal, schedule: Schedule, faults: FaultPlan, policy: RetryPolicy, sender: Sender) -> None:
        self._table = journal.table("delivery", Delivery)
        self._schedule = schedule
        self._faults = faults
        self._policy = policy
        self._sender = sender
        self._session: aiohttp.ClientSession | None = None
        self._ready: deque[str] = deque()
        self._busy: dict[str, asyncio.Event] = {}
        self._workers: set[asyncio.Task[None]] = set()
        self._made = 0
        self._log: deque[dict[str, Any]] = deque(maxlen=_KEPT)
        self._counts: Counter[str] = Counter()

    def start(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        for delivery in self._table.rows.values():
            self._made = max(self._made, int(delivery.id.rpartition("_")[2]))
            self._schedule.add(delivery.due_ms, self._due, delivery.id)

    async def stop(self) -> None:
        for worker in list(self._workers):
            worker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await worker
        self._session = None

    def forget(self) -> None:
        """Drop what waits and what was noted (the journal's table is emptied by its owner)."""
        self._ready.clear()
        self._log.clear()
        self._counts.clear()

    def post(self, merchant: str, ref: str, event: str, body: dict[str, Any], after_ms: int = 0) -> None:
        """Queue one event, unless a fault wants it otherwise."""
        fault = self._faults.for_webhook(orjson.dumps(body).decode()) if self._faults.any else None
        if fault is not None and fault.kind == "invented_status":
            body = self._sender.invent(body)
        text = orjson.dumps(body).decode()
        due_ms = now_ms() + after_ms + _late_ms(fault)
        for _ in range(_copies(fault)):
            self._made += 1
            delivery = Delivery(
                id=f"dlv_{self._made}",
                merchant=merchant,
                ref=ref,
                event=event,
                body=text,
                due_ms=due_ms,
                forged=fault is not None and fault.kind == "forged",
            )
            self._table.add(delivery.id, delivery)
            self._schedule.add(due_ms, self._due, delivery.id)

    async def send_now(self, ref: str) -> None:
        """Deliver all that waits for this payout before returning: the webhook that overtakes the answer."""
        for delivery in [d for d in self._table.rows.values() if d.ref == ref]:
            if delivery.id in self._busy:  # a worker was quicker
                await self._busy[delivery.id].wait()
            else:
                await self._attempt(delivery.id)

    def show(self, limit: int) -> dict[str, Any]:
        waiting = len(self._table.rows)
        return {"waiting": waiting, "counts": dict(self._counts), "deliveries": list(self._log)[-limit:]}

    def _due(self, delivery_id: str) -> None:
        delivery = self._table.rows.get(delivery_id)
        if delivery is None or delivery.due_ms > now_ms() or self._session is None:
            return
        self._ready.append(delivery_id)
        if len(self._workers) < _AT_ONCE:
            worker = asyncio.get_running_loop().create_task(self._work())
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)

    async def _work(self) -> None:
        while self._ready:
            await self._attempt(self._ready.popleft())

    async def _attempt(self, delivery_id: str) -> None:
        delivery = self._table.rows.get(delivery_id)
        if delivery is None or delivery_id in self._busy:
            return
        url = self._sender.webhook_url(delivery.merchant)
        if url is None:  # nobody registered an address: the event is gone, as at the provider
            self._table.remove(delivery_id)
            return
        self._busy[delivery_id] = asyncio.Event()
        try:
            status = await self._call(url, delivery)
        finally:
            self._busy.pop(delivery_id).set()
        if delivery_id in self._table.rows:  # a reset may have come between
            self._settle(delivery, status)

    async def _call(self, url: str, delivery: Delivery) -> int | None:
        if self._session is None:
            return None
        body = delivery.body.encode()
        headers = self._sender.prove(delivery.merchant, body, forged=delivery.forged)
        timeout = aiohttp.ClientTimeout(total=self._policy.timeout_s)
        try:
            async with self._session.post(url, data=body, headers=headers, timeout=timeout, allow_redirects=False) as answer:
                return answer.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None

    def _settle(self, delivery: Delivery, status: int | None) -> None:
        attempts = delivery.attempts + 1
        accepted = status is not None and self._policy.accepted(status)
        again = not (accepted or delivery.forged or attempts > len(self._policy.waits_s)) and self._policy.retried(status)
        outcome = "accepted" if accepted else "again" if again else "given_up"
        self._counts[outcome] += 1
        self._log.append(
            {
                "id": delivery.id,
                "at": iso_micros(now_ms() * 1000),
                "ref": delivery.ref,
                "event": delivery.event,
                "attempt": attempts,
                "status": status,
                "outcome": outcome,
                "forged": delivery.forged,
            }
        )
        if not again:
            self._table.remove(delivery.id)
            return
        due_ms = now_ms() + int(self._policy.waits_s[attempts - 1] * 1000 / self._sender.speed)
        self._table.change(delivery.id, attempts=attempts, due_ms=due_ms)
        self._schedule.add(due_ms, self._due, delivery.id)


def _copies(fault: Fault | None) -> int:
    return {"never": 0, "twice": 2}.get(fault.kind, 1) if fault is not None else 1


def _late_ms(fault: Fault | None) -> int:
    return int(fault.params.get("ms", 5000)) if fault is not None and fault.kind == "late" else 0
