"""The hold watch: compares the database with this host's high-water marks, and opens a recovery hold when it is older.

Before anything of this process runs, and every few seconds after. It never releases a hold: that takes two people.
"""

import structlog

from gateway.high_water import HighWater, Mark, Position, problem_of
from gateway.ids import new_id
from gateway.loops import Loop
from gateway.store.database import Pool
from gateway.store.holds import has_attempts, has_payouts, is_held, open_hold, read_position, was_held_since
from schemas import ids

_log = structlog.get_logger(__name__)

_EVERY_S = 2.0
# Attempts of a payout that are asked for even where no mark says that any had so many.
LAST_NUMBER = 3
SOURCE = "gateway"


class HoldWatch(Loop):
    """Watches for one process."""

    name = "hold_watch"

    def __init__(self, pool: Pool, high_water: HighWater, *, every_s: float = _EVERY_S) -> None:
        super().__init__(poll_s=every_s)
        self._pool = pool
        self._high_water = high_water
        self._is_held = False

    async def begin(self) -> None:
        """Look at everything that this host remembers, before anything is claimed."""
        self._high_water.take()
        marks = self._high_water.left_behind()
        if not marks and await has_attempts(self._pool):
            _log.warning(
                "recovery.no_mark",
                reason="this host has no high-water mark, so nobody can tell whether the database has forgotten what was sent. "
                "If it was restored or promoted, declare a hold: payout-gateway hold declare",
            )
        for mark in marks:
            await self._compare(mark)
        await self.round()

    async def round(self) -> bool:
        """Look once more."""
        own = self._high_water.own
        position = await self._compare(own) if own else await read_position(self._pool)
        if own and problem_of(own, position):
            self._high_water.moved_to(position)
        else:
            self._high_water.reached(position)
        held = await is_held(self._pool)
        if held and not self._is_held:
            _log.error("recovery.hold", reason="a recovery hold is open: nothing is sent. See: payout-gateway hold status")
        self._is_held = held
        return False

    async def _compare(self, mark: Mark) -> Position:
        """Where the database stands; a hold is open, or was since that mark, if that is not as far as the mark."""
        position = await read_position(self._pool, mark.key)
        problem = problem_of(mark, position)
        if problem is None or await was_held_since(self._pool, mark.at):
            return position
        if not await has_payouts(self._pool):
            _log.warning("recovery.other_database", reason=f"{problem}; it holds no payouts, so nothing is held back")
            return position
        reason = f"the database is not what this host has sent for: {problem}"
        opened = await open_hold(
            self._pool,
            hold_id=new_id(ids.HOLD),
            reason=reason,
            declared_by=SOURCE,
            last_number=max(LAST_NUMBER, mark.highest_number),
        )
        if opened:
            _log.error("recovery.hold_opened", reason=reason)
        return position
