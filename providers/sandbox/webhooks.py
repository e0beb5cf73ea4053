"""Delivery of webhooks: a real POST with the provider's proof, its timeout and its retry schedule.

Waiting deliveries live in the journal, so a restart goes on where it stopped. At most `_AT_ONCE` are under way per
provider. Decides nothing about payouts and never waits for the receiver inside a request, except where a fault asks
for the webhook to come before the answer.
"""

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import aiohttp
import orjson
from multidict import CIMultiDict

from providers.sandbox.clock import Schedule, iso_micros, now_ms
from providers.sandbox.journal import Journal
from providers.sandbox.steps import Step

_AT_ONCE = 32
_KEPT = 1000
_LATE_MS = 5000
_FOREVER_MS = 24 * 3600 * 1000
_AFTER_FORGERY_MS = 20  # so that the forgery is there first


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
    merchant: str  # whose address and secret: a merchant, or a subscription of one
    ref: str
    event: str
    body: str
    due_ms: int
    attempts: int = 0
    forged: bool = False
    held: bool = False  # until the payout's next event has been sent
    frees: list[str] = field(default_factory=list)  # the ones that are held until this one has been sent


class Sender(Protocol):
    """What the courier asks of a sandbox."""

    @property
    def retry_policy(self) -> RetryPolicy: ...

    @property
    def speed(self) -> float: ...

    def webhook_url(self, merchant: str) -> str | None: ...

    def prove(self, merchant: str, body: bytes, *, forged: bool) -> CIMultiDict[str]:
        """All headers of the delivery, the proof among them; a forged one is made with a wrong secret."""
        ...

    def invent(self, body: dict[str, Any]) -> dict[str, Any]:
        """The same webhook with a status word that no documentation knows."""
        ...

    def misquote(self, text: str, field: str) -> str: ...

    def webhook_steps(self, ref: str, text: str) -> list[Step]:
        """How this webhook is to go wrong."""
        ...

    def retries(self, status: int | None) -> bool: ...

    def gave_up(self, merchant: str) -> None: ...


class Courier:
    def __init__(self, journal: Journal, schedule: Schedule, sender: Sender) -> None:
        self._table = journal.table("delivery", Delivery)
        self._schedule = schedule
        self._sender = sender
        self._session: aiohttp.ClientSession | None = None
        self._ready: deque[str] = deque()
        self._busy: dict[str, asyncio.Event] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        # Not the size of `_tasks`: a task leaves that some callbacks after it has looked for work for the last time, and what
        # becomes due in between would wait for a worker that has gone.
        self._workers = 0
        self._made = 0
        self._held: dict[tuple[str, str], list[str]] = {}  # (receiver, payout) -> deliveries that wait for a later one
        self._log: deque[dict[str, Any]] = deque(maxlen=_KEPT)
        self._counts: Counter[str] = Counter()

    def start(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        freed = {one for delivery in self._table.rows.values() for one in delivery.frees}
        for delivery in self._table.rows.values():
            self._made = max(self._made, int(delivery.id.rpartition("_")[2]))
            self._schedule.add(delivery.due_ms, self._due, delivery.id)
            if delivery.held and delivery.id not in freed:
                self._held.setdefault((delivery.merchant, delivery.ref), []).append(delivery.id)

    async def stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._session = None

    def forget(self) -> None:
        """Drop what waits and what was noted (the journal's table is emptied by its owner)."""
        self._ready.clear()
        self._held.clear()
        self._log.clear()
        self._counts.clear()

    def post(self, merchant: str, ref: str, event: str, body: dict[str, Any], after_ms: int = 0, *, more: bool = False) -> None:
        """Queue one event, unless a step wants it otherwise. `more`: the payout is sure to have another one."""
        text = orjson.dumps(body).decode()
        steps = {step.kind: step.params for step in self._sender.webhook_steps(ref, text)}
        if "invented_status" in steps:
            text = orjson.dumps(self._sender.invent(body)).decode()
        if "wrong_echo" in steps:
            text = self._sender.misquote(text, steps["wrong_echo"].get("field", "amount"))
        due_ms = now_ms() + after_ms + int(steps.get("late", {"ms": 0}).get("ms", _LATE_MS))
        patience_ms = steps["out_of_order"].get("ms", _FOREVER_MS if more else None) if "out_of_order" in steps else None
        earlier = self._held.pop((merchant, ref), [])  # only one waits: this one goes out and frees it
        held = patience_ms is not None and not earlier
        if held:
            due_ms += int(patience_ms or 0)
        for wait_ms, forged in _copies(steps):
            self._made += 1
            delivery = Delivery(
                id=f"dlv_{self._made}",
                merchant=merchant,
                ref=ref,
                event=event,
                body=text,
                due_ms=due_ms + wait_ms,
                forged=forged,
                held=held,
                frees=earlier,
            )
            earlier = []
            self._table.add(delivery.id, delivery)
            self._schedule.add(delivery.due_ms, self._due, delivery.id)
            if held:
                self._held.setdefault((merchant, ref), []).append(delivery.id)
        self._free(earlier)  # not empty: this one is never sent

    def _free(self, held: list[str]) -> None:
        """A later event of the payout is out: now the earlier ones may follow."""
        for delivery_id in held:
            if delivery_id in self._table.rows:
                delivery = self._table.change(delivery_id, held=False, due_ms=now_ms())
                self._schedule.add(delivery.due_ms, self._due, delivery_id)

    async def send_now(self, ref: str) -> None:
        """Deliver all that waits for this payout before returning: the webhook that overtakes the answer."""
        while waiting := [d for d in self._table.rows.values() if d.ref == ref and not d.attempts]:
            waiting.sort(key=lambda delivery: delivery.held)
            for delivery in waiting:
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
        if self._workers < _AT_ONCE:
            self._workers += 1
            task = asyncio.get_running_loop().create_task(self._work())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _work(self) -> None:
        try:
            while self._ready:
                await self._attempt(self._ready.popleft())
        finally:
            self._workers -= 1

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
        self._free(delivery.frees)
        if delivery.held:  # nothing came after it in time
            self._held.pop((delivery.merchant, delivery.ref), None)

    async def _call(self, url: str, delivery: Delivery) -> int | None:
        if self._session is None:
            return None
        body = delivery.body.encode()
        headers = self._sender.prove(delivery.merchant, body, forged=delivery.forged)
        timeout = aiohttp.ClientTimeout(total=self._sender.retry_policy.timeout_s)
        try:
            async with self._session.post(url, data=body, headers=headers, timeout=timeout, allow_redirects=False) as answer:
                return answer.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None

    def _settle(self, delivery: Delivery, status: int | None) -> None:
        attempts = delivery.attempts + 1
        accepted = status is not None and self._sender.retry_policy.accepted(status)
        waits_s = self._sender.retry_policy.waits_s
        again = not (accepted or delivery.forged or attempts > len(waits_s)) and self._sender.retries(status)
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
            if not accepted and not delivery.forged:
                self._sender.gave_up(delivery.merchant)
            return
        due_ms = now_ms() + int(waits_s[attempts - 1] * 1000 / self._sender.speed)
        self._table.change(delivery.id, attempts=attempts, due_ms=due_ms)
        self._schedule.add(due_ms, self._due, delivery.id)


def _copies(steps: dict[str, dict[str, Any]]) -> list[tuple[int, bool]]:
    """What is sent of one event: how much later each copy goes, and whether it is a forgery."""
    if "never" in steps:
        return []
    copies = [(0, True)] if "forged" in steps else []
    if "forged" not in steps or steps["forged"].get("extra"):
        copies.append((_AFTER_FORGERY_MS if copies else 0, False))
    if "twice" in steps:
        copies.append((int(steps["twice"].get("ms", 0)), False))
    return copies
