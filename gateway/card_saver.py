"""Saving cards: hands encrypted card fields on to the provider, from a task of its own and from memory only.

The fields are never stored or logged. A card whose saving was interrupted fails, and is saved again by a new request:
no money is involved.
"""

import asyncio
import contextlib
from dataclasses import dataclass, field

import structlog

from gateway.connections import Connections
from gateway.store.cards import fail_card, keep_customer
from gateway.store.database import Pool
from schemas.report import Taken

_log = structlog.get_logger(__name__)
_MAX_WAITING = 1000
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
    """Saves cards one after the other."""

    def __init__(self, pool: Pool, connections: Connections) -> None:
        self._pool = pool
        self._connections = connections
        self._jobs: asyncio.Queue[SaveJob] = asyncio.Queue(_MAX_WAITING)
        self._task: asyncio.Task[None] | None = None

    def add(self, job: SaveJob) -> bool:
        """Take a card; False when too many are waiting."""
        try:
            self._jobs.put_nowait(job)
        except asyncio.QueueFull:
            return False
        return True

    def start(self) -> None:
        """Begin to work in a task of its own."""
        self._task = asyncio.create_task(self._run(), name="card_saver")

    async def close(self) -> None:
        """Save what is waiting as far as that is quickly done; the rest fails, since the fields end with this process."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._jobs.join(), _CLOSE_WITHIN_S)
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        with contextlib.suppress(TimeoutError):  # what cannot be written expires
            async with asyncio.timeout(_LAST_WORDS_WITHIN_S):
                while not self._jobs.empty():
                    await self._fail(self._jobs.get_nowait(), "the gateway was stopped before the card was saved")

    async def _run(self) -> None:
        while True:
            job = await self._jobs.get()
            try:
                await self._save(job)
            except Exception as error:
                _log.exception("card.save_failed", card=job.card_id)
                await self._fail(job, f"saving failed with {type(error).__name__}")
            finally:
                self._jobs.task_done()

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
