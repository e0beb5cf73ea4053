"""Planted bugs of what goes out, and when: B1, B2, B8, B10, B20, B25."""

import math
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import asyncpg

from gateway import dispatcher, high_water, hold_watch, reconciler
from gateway.api import steering, views
from gateway.lifecycle import is_unsent
from gateway.store import attempts
from schemas.payout import AttemptState
from tests.prove.patching import Bug, Patching


def _b1_stored_after_sending(patch: Patching) -> None:
    answered: dict[str, Any] = {}
    ask = dispatcher.Dispatcher._reports

    async def claim(self: Any, lanes: Any, *, limit: int, payout_id: str | None = None) -> Any:
        async with self._pool.acquire() as connection, connection.transaction():
            queued = await attempts.lock_queued(connection, lanes, self.gates.free(), limit=limit, payout_id=payout_id)
            submissions = self._prepare(queued, time.monotonic())
            for submission in submissions:
                answered[submission.id] = await ask(self, await self._connections.get(submission.connection_id), submission)
            if submissions:
                await attempts.record_attempts(connection, [a for s in submissions for a in s.attempts], None)
        return submissions

    async def reports(_self: Any, _connection: Any, submission: Any) -> Any:
        return answered.pop(submission.id)

    patch.setattr(dispatcher.Dispatcher, "claim", claim)
    patch.setattr(dispatcher.Dispatcher, "_reports", reports)


def _every_order(change: Callable[[Any], Any], *loops: Any) -> Callable[[Patching], None]:
    """What these loops send is changed on its way out, and is not what is stored."""

    def plant(patch: Patching) -> None:
        order_of = dispatcher.order_of
        for loop in loops:
            patch.setattr(loop, "order_of", lambda *given: change(order_of(*given)))

    return plant


def _b8_no_lease_check(patch: Patching) -> None:
    for loop in (dispatcher, reconciler):
        patch.setattr(loop, "send_before_s", lambda: math.inf)


def _b10_cancel_while_sending(patch: Patching) -> None:
    patch.setattr(steering, "is_unsent", lambda phase, state: state is AttemptState.SENDING or is_unsent(phase, state))
    is_cancelable = views.is_cancelable
    patch.setattr(
        views,
        "is_cancelable",
        lambda phase, state, **given: state is AttemptState.SENDING or is_cancelable(phase, state, **given),
    )


async def _b10_without_guards(connection: asyncpg.Connection) -> None:
    """The database would refuse to release what may be out."""
    await connection.execute("drop trigger payout_releases_nothing_that_is_out on payout")


def _b25_no_recovery_hold(patch: Patching) -> None:
    for module in (high_water, hold_watch):
        patch.setattr(module, "problem_of", lambda _mark, _position: None)


BUGS: dict[str, Bug] = {
    "B1": Bug("an attempt is stored when it has been answered", _b1_stored_after_sending),
    "B2": Bug("a new key each time it is sent", _every_order(lambda o: replace(o, key=uuid.uuid4().hex), reconciler)),
    "B8": Bug("nobody looks at the lease before sending", _b8_no_lease_check),
    "B10": Bug("what is being sent can be cancelled", _b10_cancel_while_sending, _b10_without_guards),
    "B20": Bug("references are cut to 35", _every_order(lambda o: replace(o, key=o.key[:35]), dispatcher, reconciler)),
    "B25": Bug("a restored database is believed", _b25_no_recovery_hold),
}
