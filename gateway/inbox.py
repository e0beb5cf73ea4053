"""The inbox loop: reads stored notices and turns them into reports.

A signed notice is a fact. One that only shows a static secret is a hint: the provider is read before anything is booked.
A notice about something we do not know yet waits, since it may be faster than the answer to our own call.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import structlog

from gateway.apply import Apply
from gateway.calls import apply_all, read_back
from gateway.connections import Connection, Connections
from gateway.gather import Gather
from gateway.loops import Loop
from gateway.metrics import Metrics
from gateway.one_each import OneEach, in_time
from gateway.points import point
from gateway.recording import Said
from gateway.sealing import Seal, card_place, notice_place
from gateway.store import cards
from gateway.store.attempts import Named, find_attempts
from gateway.store.database import Pool
from gateway.store.notices import NoticeOutcome, claim_notices, settle_notices
from gateway.store.rows import AttemptRow, NoticeRow
from providers.base import UnreadableNoticeError
from schemas.contract import DAY_S, Proof
from schemas.notice import AboutKey, AboutPayout, AboutSubmission, CardSavedFact, Fact, PayoutFact
from schemas.report import Report, Taken

_log = structlog.get_logger(__name__)

_LEASE_S = 120.0
_AT_ONCE = 200
_TOGETHER = 32  # notices of one connection: as many as even a slow provider answers about within the lease
_GIVE_UP_AFTER_S = DAY_S
_MAX_WAIT_S = 300.0
SOURCE = "notice"


@dataclass(slots=True)
class _Reading:
    """What the notices of one connection amount to in one round."""

    facts: list[tuple[NoticeRow, PayoutFact, list[AttemptRow]]] = field(default_factory=list)
    ended: dict[str, NoticeOutcome] = field(default_factory=dict)  # by notice id


class Inbox(Loop):
    """Reads notices, all that are due of a connection together."""

    name = "inbox"

    def __init__(
        self, pool: Pool, connections: Connections, apply: Apply, seal: Seal, metrics: Metrics, *, poll_s: float
    ) -> None:
        super().__init__(poll_s=poll_s)
        self._pool = pool
        self._connections = connections
        self._apply = apply
        self._seal = seal
        self._metrics = metrics
        self._reading = OneEach(self, then=self.wake)  # for what has come in for it meanwhile
        self._found: Gather[Named, list[AttemptRow]] = Gather(partial(find_attempts, pool))
        self._outcomes: Gather[NoticeOutcome, None] = Gather(partial(settle_notices, pool), in_flight=1)

    async def round(self) -> bool:
        """Read what is due; whether there may be more."""
        claimed_at = time.monotonic()
        notices = await claim_notices(self._pool, lease_s=_LEASE_S, limit=_AT_ONCE, not_of=self._reading.busy)
        by_connection: dict[str, list[NoticeRow]] = defaultdict(list)
        if notices:
            point("notices_claimed")
        for notice in notices:
            by_connection[notice.connection_id].append(notice)
        for connection_id, group in by_connection.items():
            self._reading.begin(connection_id, self._settle(group, in_time(claimed_at, _LEASE_S)))
        return len(notices) == _AT_ONCE

    async def close(self) -> None:
        """Stop claiming; finish what is being read."""
        await super().close()
        await self._reading.finish()

    async def _settle(self, notices: Sequence[NoticeRow], read_before: float) -> None:
        for start in range(0, len(notices), _TOGETHER):
            some = notices[start : start + _TOGETHER]
            if await self._settled(some, read_before) or len(some) == 1:
                continue
            for notice in some:  # so that the one that cannot be booked does not keep the others unsettled for ever
                await self._settled([notice], read_before)

    async def _settled(self, notices: Sequence[NoticeRow], read_before: float) -> bool:
        lease = asyncio.timeout(read_before - time.monotonic())
        try:
            async with lease:
                outcomes = await self._read(notices)
            point("notices_read")
            await asyncio.gather(*(self._outcomes.submit(outcome) for outcome in outcomes))
        except Exception as error:
            if isinstance(error, TimeoutError) and lease.expired():  # and no timeout of the database
                _log.warning("inbox.slow", connection=notices[0].connection_id, provider=notices[0].provider)
                return True  # claimed anew when their lease is over; to begin once more would take as long
            # They stay claimed until their lease runs out, and are read again.
            self.on_round(self.name, "error")
            _log.exception("inbox.read_failed", connection=notices[0].connection_id)
            return False
        point("notices_settled")
        for outcome in outcomes:
            self._metrics.notices.labels(outcome.notice.provider, outcome.state).inc()
        return True

    async def _read(self, notices: Sequence[NoticeRow]) -> list[NoticeOutcome]:
        connection = await self._connections.get(notices[0].connection_id)
        if connection is None:
            return [NoticeOutcome(notice, "unmatched", "the connection is gone") for notice in notices]
        reading = _Reading()
        for notice in notices:
            await self._understand(connection, notice, reading)
        await self._match(connection, reading)
        await self._book(connection, reading)
        return [reading.ended.get(notice.id) or NoticeOutcome(notice, "done") for notice in notices]

    async def _understand(self, connection: Connection, notice: NoticeRow, reading: _Reading) -> None:
        try:
            facts: list[Fact] = connection.connector.read_notice(
                self._seal.open(notice.body_sealed, notice_place(notice.connection_id, notice.digest))
            )
        except UnreadableNoticeError as error:
            reading.ended[notice.id] = NoticeOutcome(notice, "unreadable", str(error))
            _log.error("notice.unreadable", notice=notice.id, connection=notice.connection_id, reason=str(error))
            return
        for fact in facts:
            if isinstance(fact, CardSavedFact):
                if not await self._save_card(connection, fact):
                    reading.ended[notice.id] = _wait(notice, "no card is being saved under this id")
            else:
                reading.facts.append((notice, fact, []))

    async def _save_card(self, connection: Connection, fact: CardSavedFact) -> bool:
        account_id = connection.row.account_id
        card_id = fact.card_id
        if card_id is None and fact.customer_ref is not None:
            card_id = await cards.card_of_customer(self._pool, account_id, connection.row.id, fact.customer_ref)
        if card_id is None:
            return False
        return await cards.activate_card(
            self._pool,
            account_id=account_id,
            connection_id=connection.row.id,
            card_id=card_id,
            token_sealed=self._seal.seal(fact.token.encode(), card_place(account_id, card_id)),
            brand=fact.brand,
            last4=fact.last4,
            customer_ref=fact.customer_ref,
        )

    async def _match(self, connection: Connection, reading: _Reading) -> None:
        """Find the attempts that the facts are about: one read of the database for all of them, and for other connections."""
        if not reading.facts:
            return
        abouts = [fact.about for _, fact, _ in reading.facts]
        found = await self._found.submit(
            Named(
                connection_id=connection.row.id,
                keys=[a.key for a in abouts if isinstance(a, AboutKey)],
                provider_refs=[a.provider_ref for a in abouts if isinstance(a, AboutPayout)],
                submission_refs=[a.submission_ref for a in abouts if isinstance(a, AboutSubmission)],
            )
        )
        named: dict[AboutKey | AboutPayout | AboutSubmission, list[AttemptRow]] = defaultdict(list)
        for attempt in found:
            named[AboutKey(attempt.key)].append(attempt)
            if attempt.provider_ref:
                named[AboutPayout(attempt.provider_ref)].append(attempt)
            if attempt.submission_ref:
                named[AboutSubmission(attempt.submission_ref)].append(attempt)
        for notice, fact, attempts in reading.facts:
            attempts.extend(named.get(fact.about, ()))
            if not attempts:
                reading.ended[notice.id] = _wait(notice, "no attempt has this reference")

    async def _book(self, connection: Connection, reading: _Reading) -> None:
        signed = connection.contract.proof is Proof.SIGNATURE
        to_read: dict[str, AttemptRow] = {}
        hints: dict[str, Taken] = {}
        saying = []
        for notice, fact, attempts in reading.facts:
            for attempt in attempts:
                if signed and fact.report is not None:
                    source = f"{SOURCE}:{notice.id}"
                    saying.append(
                        self._apply(
                            Said(account_id=attempt.account_id, attempt_id=attempt.id, report=fact.report, source=source)
                        )
                    )
                else:
                    to_read[attempt.id] = attempt
                    if isinstance(fact.report, Taken):
                        hints[attempt.id] = fact.report
        await asyncio.gather(*saying)
        if to_read:
            attempts = list(to_read.values())
            reports = await read_back(connection, attempts)
            told = [with_reference(report, hints.get(a.id)) for a, report in zip(attempts, reports, strict=True)]
            await apply_all(self._apply, attempts, told, "read after a notice")


def with_reference(report: Report, hint: Taken | None) -> Report:
    """What was read, with the tracking number that only the notice had (Plexy's RRN), when both say the same otherwise.

    It decides nothing about money, so the sender's static secret is proof enough for it.
    """
    if not isinstance(report, Taken) or report.reference is not None or hint is None or hint.progress is not report.progress:
        return report
    return replace(report, reference=hint.reference)


def _wait(notice: NoticeRow, detail: str) -> NoticeOutcome:
    if notice.age_s > _GIVE_UP_AFTER_S:
        _log.error("notice.unmatched", notice=notice.id, connection=notice.connection_id, reason=detail)
        return NoticeOutcome(notice, "unmatched", detail)
    return NoticeOutcome(notice, "new", detail, again_in_s=min(0.05 * 2**notice.tries, _MAX_WAIT_S))
