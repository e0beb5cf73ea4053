"""Card expiry: fails cards that no notice has made active in time, and those whose saving was cut off by the end of a process.

No money is involved, and a notice that still comes makes such a card active all the same. Calls no provider.
"""

from gateway.loops import Loop
from gateway.store.cards import expire_saving
from gateway.store.database import Pool

_EVERY_S = 30.0
_SAVING_AT_MOST_S = 900.0


class CardExpiry(Loop):
    """Looks at all accounts' cards by its own clock, however many are being saved meanwhile."""

    name = "expiring_cards"

    def __init__(self, pool: Pool) -> None:
        super().__init__(poll_s=_EVERY_S)
        self._pool = pool

    async def round(self) -> bool:
        """Fail what is too old."""
        await expire_saving(self._pool, older_than_s=_SAVING_AT_MOST_S)
        return False
