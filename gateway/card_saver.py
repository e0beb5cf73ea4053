"""Saving cards: hands encrypted card fields on to the provider, a few side by side and from memory only.

The fields are never stored or logged. A card whose saving was interrupted fails, and is saved again by a new request:
no money is involved.
"""

import asyncio
import contextlib
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

import structlog

from gateway.connections import Connections
from gateway.store.cards import fail_card, keep_customer
from gateway.store.database import Pool
from schemas.report import Taken

_log = structlog.get_logger(__name__)
_MAX_WAITING = 1000
_AT_ONCE = 32
_AT_ONCE_EACH = 2  # through one connection: one whose provider is slow must not take all places
_CLOSE_WITHIN_S = 3.0  # of the seven seconds that a stop may take
_LAST_WORDS_WITHIN_S = 1.0


@dataclass(frozen=True, slots=True)
class SaveJob:
    """A card to be saved."""

    account_id: str
    card_id: str
    connection_id: str
    card_fields: dict[str, str] = field(repr=False)


class CardSaver:
    """Saves each card in a task of its own, which waits for its turn."""

    def __init__(self, pool: Pool, connections: Connections) -> None:
        self._pool = pool
        self._connections = connections
        self._saving: dict[asyncio.Task[None], SaveJob] = {}
        self._places = asyncio.Semaphore(_AT_ONCE)
        # By connection; each is there as long as a card waits at it.
        self._turns: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    def add(self, job: SaveJob) -> bool:
        """Take a card; False when too many are waiting."""
        if len(self._saving) >= _MAX_WAITING:
            return False
        task = asyncio.create_task(self._run(job), name="card_saver")
        self._saving[task] = job
        task.add_done_callback(self._saving.pop)
        return True

    async def close(self) -> None:
        """Save what is waiting as far as that is quickly done; the rest fails, since the fields end with this process."""
        if not self._saving:
            return
        await asyncio.wait(self._saving, timeout=_CLOSE_WITHIN_S)
        unsaved = dict(self._saving)
        for task in unsaved:
            task.cancel()
        failing = (self._fail(job, "the gateway was stopped before the card was saved") for job in unsaved.values())
        with contextlib.suppress(TimeoutError):  # what cannot be written expires
            await asyncio.wait_for(asyncio.gather(*unsaved, *failing, return_exceptions=True), _LAST_WORDS_WITHIN_S)

    async def _run(self, job: SaveJob) -> None:
        turn = self._turns.setdefault(job.connection_id, asyncio.Semaphore(_AT_ONCE_EACH))
        try:
            async with turn, self._places:
                await self._save(job)
        except Exception as error:
            _log.exception("card.save_failed", card=job.card_id)
            await self._fail(job, f"saving failed with {type(error).__name__}")

    async def _fail(self, job: SaveJob, reason: str) -> None:
        try:
            await fail_card(self._pool, job.account_id, job.card_id, reason)
        except Exception:
            _log.exception("card.not_failed", card=job.card_id, reason="it could not be written that saving failed: it expires")

    async def _save(self, job: SaveJob) -> None:
        connection = await self._connections.get(job.connection_id)
        if connection is None:
            await fail_card(self._pool, job.account_id, job.card_id, "the connection is gone")
            return
        report = await connection.connector.save_card(job.card_id, job.card_fields)
        if not isinstance(report, Taken):
            words = getattr(report, "words", None)
            reason = (words.text or words.code) if words else getattr(report, "reason", None)
            await fail_card(self._pool, job.account_id, job.card_id, reason or "the provider did not take the card")
        elif report.provider_ref is not None:
            await keep_customer(self._pool, job.account_id, job.card_id, report.provider_ref)
