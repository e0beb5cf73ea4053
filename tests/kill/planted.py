"""Bugs (reliability guide, section 4) planted into a child, to see these tests red. Production code contains none of them."""

import math
import time
from collections.abc import Callable

from gateway import dispatcher
from gateway.store import attempts


def _b1_stored_after_sending() -> None:
    """An attempt is written down when its provider has answered, and not before."""
    answered = {}
    ask = dispatcher.Dispatcher._reports

    async def claim(self, lanes, *, limit, payout_id=None):
        async with self._pool.acquire() as connection, connection.transaction():
            queued = await attempts.lock_queued(connection, lanes, self.gates.free(), limit=limit, payout_id=payout_id)
            submissions = self._prepare(queued, time.monotonic())
            for submission in submissions:
                answered[submission.id] = await ask(self, await self._connections.get(submission.connection_id), submission)
            if submissions:
                await attempts.record_attempts(connection, [a for s in submissions for a in s.attempts], None)
        return submissions

    async def reports(_self, _connection, submission):
        return answered.pop(submission.id)

    dispatcher.Dispatcher.claim = claim
    dispatcher.Dispatcher._reports = reports


def _b8_no_lease_check() -> None:
    """Whoever wakes up sends, however late it is."""
    dispatcher.send_before_s = lambda: math.inf


BUGS: dict[str, Callable[[], None]] = {"B1": _b1_stored_after_sending, "B8": _b8_no_lease_check}


def plant(name: str) -> None:
    """Plant one in this process."""
    BUGS[name]()
