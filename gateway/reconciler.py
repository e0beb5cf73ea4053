"""The reconciler: asks again about every open attempt, on its provider's schedule, until it is final or on a person's desk.

It repeats a send only with the attempt's own key and only while the provider surely remembers that key. It never gives an
attempt up quietly, and never takes "we cannot find it" for "it did not happen" before its time.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence

import structlog

from gateway.apply import Apply
from gateway.calls import apply_all, cancel, in_parts, read_back, submit_all
from gateway.connections import Connection, Connections
from gateway.dispatcher import lease_s, order_of, send_before_s
from gateway.ids import new_id
from gateway.loops import Failures, Loop
from gateway.one_each import OneEach, in_time
from gateway.points import point
from gateway.reading_rules import may_cancel, may_resend
from gateway.sealing import Seal
from gateway.store.attempts import claim_due, destinations_of, mark_resent
from gateway.store.database import Pool
from gateway.store.rows import AttemptRow
from gateway.stuck import stuck_reason
from schemas import ids
from schemas.order import Order
from schemas.payout import AttemptState
from schemas.report import NotFound, Report, Unclear

_log = structlog.get_logger(__name__)
_AT_ONCE = 200
_LEASE_S = 120.0
_WAIT_S = 1.0  # a round waits so long for what it has begun; what takes longer goes on beside the next ones
SOURCE = "reconciler"


class Reconciler(Loop):
    """Reads open attempts that are due, all of a connection together."""

    name = "reconciler"

    def __init__(self, pool: Pool, connections: Connections, apply: Apply, seal: Seal, *, poll_s: float) -> None:
        super().__init__(poll_s=poll_s)
        self._pool = pool
        self._connections = connections
        self._apply = apply
        self._seal = seal
        self._checking = OneEach(self)

    async def round(self) -> bool:
        """Read what is due; whether there may be more."""
        claimed_at = time.monotonic()
        due = await claim_due(self._pool, lease_s=_LEASE_S, limit=_AT_ONCE, not_of=self._checking.busy)
        if due:
            point("due_claimed")
        by_connection: dict[str, list[AttemptRow]] = defaultdict(list)
        for attempt in due:
            by_connection[attempt.connection_id].append(attempt)
        read_before = in_time(claimed_at, _LEASE_S)
        begun = [
            self._checking.begin(connection_id, self._check(connection_id, group, read_before))
            for connection_id, group in by_connection.items()
        ]
        if begun:
            await asyncio.wait(begun, timeout=_WAIT_S)
        return len(due) == _AT_ONCE

    async def close(self) -> None:
        """Stop claiming; finish what is being read."""
        await super().close()
        await self._checking.finish()

    async def _check(self, connection_id: str, attempts: Sequence[AttemptRow], read_before: float) -> None:
        # A lease that ran out while sending: whoever sent it is gone, and the provider may have it or not.
        orphans = [a for a in attempts if a.state is AttemptState.SENDING]
        unknown = Unclear("the process that was sending it stopped before it knew the answer")
        await apply_all(self._apply, orphans, [unknown] * len(orphans), SOURCE)

        rest = [a for a in attempts if a.state is not AttemptState.SENDING]
        connection = await self._connections.usable(connection_id)
        if not rest or connection is None:
            return  # they are due again when their lease is over
        failures = Failures(self.name)
        await self._cancel(connection, [a for a in rest if a.cancel_asked and a.state is AttemptState.PENDING])
        for some in in_parts(rest):
            lease = asyncio.timeout(read_before - time.monotonic())
            try:
                async with lease:
                    reports = await read_back(connection, some)
            except TimeoutError:
                if not lease.expired():  # the database's, and no provider's
                    raise
                _log.warning("reconciler.slow", connection=connection_id, provider=connection.row.provider)
                break  # somebody else may have claimed them by now
            with failures.caught(connection=connection_id):  # what cannot be booked of one must not stop what the others need
                await apply_all(self._apply, some, reports, SOURCE)
            with failures.caught(connection=connection_id):
                absent = [a for a, report in zip(some, reports, strict=True) if isinstance(report, NotFound)]
                await self._resend(connection, [a for a in absent if may_resend(connection.contract, a)])
            with failures.caught(connection=connection_id):
                await self._give_up(connection, some, reports)
        failures.end()

    async def _cancel(self, connection: Connection, attempts: Sequence[AttemptRow]) -> None:
        """Ask the provider to stop what somebody wants cancelled. Only the read that follows is believed."""
        if attempts:
            point("before_cancel")
        answers = await asyncio.gather(*(cancel(connection, attempt) for attempt in attempts))
        if attempts:
            point("after_cancel")
        refused = [(a, answer) for a, answer in zip(attempts, answers, strict=True) if isinstance(answer, Unclear)]
        await apply_all(self._apply, [a for a, _ in refused], [answer for _, answer in refused], f"{SOURCE}: cancel")

    async def _resend(self, connection: Connection, attempts: Sequence[AttemptRow]) -> None:
        """Send again what the provider does not have, with the keys it had: if it arrived after all, the key stops it."""
        contract = connection.contract
        quiet = [a for a in attempts if a.quiet_s >= contract.submit_timeout_s]  # the last send is surely over
        for start in range(0, len(quiet), contract.batch_size):
            chunk = quiet[start : start + contract.batch_size]
            payouts = await destinations_of(self._pool, chunk)
            orders = [order_of(payouts[a.id], a.id, a.key, self._seal) for a in chunk]
            pairs = [(a, o) for a, o in zip(chunk, orders, strict=True) if isinstance(o, Order)]
            if not pairs:
                continue
            submission_id = new_id(ids.SUBMISSION)
            point("before_resend_marked")
            send_before = time.monotonic() + send_before_s()
            marked = await mark_resent(
                self._pool,
                [a for a, _ in pairs],
                submission_id=submission_id,
                lease_s=lease_s(contract),
                within_s=contract.replay_window_s,
            )
            ours = [(a, o) for a, o in pairs if a.id in marked]
            if not ours:
                continue
            point("after_resend_marked")
            reports = await submit_all(connection, submission_id, [o for _, o in ours], send_before=send_before)
            point("after_resend")
            await apply_all(self._apply, [a for a, _ in ours], reports, SOURCE)

    async def _give_up(self, connection: Connection, attempts: Sequence[AttemptRow], reports: Sequence[Report]) -> None:
        """Put on a person's desk what nobody has been able to explain, or what has not moved, for too long."""
        for attempt, report in zip(attempts, reports, strict=True):
            reason = stuck_reason(connection.contract, attempt, report)
            if reason is None:
                continue
            can_move = may_cancel(connection.contract, attempt) and attempt.review_reason is None
            if not (can_move and await self._apply.ask_to_move_on(attempt, reason)):
                await self._apply.to_person(attempt, reason)
