"""The dispatcher: takes queued payouts, stores an attempt with its key for each, and only then sends.

Claims for a whole round are committed before the first byte leaves. Never sends when so little of a claim's lease is left
that another process might take over while the provider is still answering.
"""

import asyncio
import contextlib
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import asyncpg
import structlog

from gateway.apply import Apply
from gateway.calls import submit_all
from gateway.check_rules import CheckOutcome
from gateway.connections import Connection, Connections
from gateway.gates import AT_ONCE, Gates
from gateway.high_water import HighWater, Position
from gateway.ids import attempt_id, attempt_key, new_id
from gateway.learned import Learned
from gateway.loops import Loop
from gateway.points import point
from gateway.recording import Said
from gateway.sealing import Seal, card_place
from gateway.store import accounts
from gateway.store.attempts import Lane, NewAttempt, Queued, lock_queued, record_attempts, set_aside
from gateway.store.database import Pool
from schemas import ids
from schemas.contract import Contract
from schemas.destination import BankAccount, DestinationType
from schemas.failure import FailureCode
from schemas.order import CardToken, Order, OwnBalance
from schemas.report import NotSent, RefusalCause, Refused, Report, Words

_log = structlog.get_logger(__name__)

_LEASE_MARGIN_S = 60.0
_PAUSE_S = 60.0
_MAX_SENDS = 200  # side by side; a provider may take a second to answer
_MAX_OF_PROVIDER = 120  # of these, so that one that is slow leaves places to the others
_MAX_BATCH_ROWS = 2000
SOURCE = "dispatcher"
# What the timeline says of a bank account that was checked before.
_CHECKED: dict[str | None, str] = {
    CheckOutcome.VALID: "; its bank account was checked",
    CheckOutcome.WARNING: "; its bank account was checked: it exists, and the bank knows its holder by another name",
    CheckOutcome.UNANSWERED: "; its bank account could not be checked in time",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """Claimed attempts that go out in one request. `send_before` is on this process's monotonic clock."""

    id: str
    connection_id: str
    provider: str
    attempts: Sequence[NewAttempt]
    send_before: float


def destination_of(payout: Queued, attempt_id: str, seal: Seal) -> BankAccount | CardToken | OwnBalance | Refused:
    """Where an attempt's money goes, in the form that connectors take; a refusal when the card is gone."""
    if payout.destination_type == DestinationType.BALANCE:
        return OwnBalance()
    if payout.destination_type == DestinationType.CARD:
        if payout.card_token_sealed is None:
            text = "the card was deleted before the payout was sent"
            return Refused(FailureCode.INVALID_DESTINATION, RefusalCause.RECIPIENT, Words(text=text))
        place = card_place(payout.account_id, payout.card_id or attempt_id)
        return CardToken(seal.open(payout.card_token_sealed, place).decode())
    return BankAccount.model_construct(
        type="bank_account",
        bank_code=payout.bank_code,
        bank_name=payout.bank_name or "",
        bank_account_number=payout.bank_account_number or "",
        bank_account_holder=payout.bank_account_holder or "",
    )


def order_of(payout: Queued, attempt_id: str, key: str, seal: Seal) -> Order | Refused:
    """An attempt as an order; the same attempt gives the same order whenever it is sent again."""
    destination = destination_of(payout, attempt_id, seal)
    if isinstance(destination, Refused):
        return destination
    return Order(
        attempt_id=attempt_id,
        key=key,
        amount_minor=payout.amount_minor,
        currency=payout.currency,
        destination=destination,
        description=payout.statement_descriptor,
        destination_ref=payout.destination_ref,
    )


class _ClaimRefusedError(Exception):
    """The database refuses one of the attempts, and nothing of the claim was written."""

    def __init__(self, queued: Sequence[Queued], constraint: str | None) -> None:
        super().__init__(constraint)
        self.queued = queued
        self.constraint = constraint


class Dispatcher(Loop):
    """Claims and sends, as many submissions side by side as this process may have in flight."""

    name = "dispatcher"

    def __init__(
        self,
        pool: Pool,
        connections: Connections,
        apply: Apply,
        seal: Seal,
        learned: Learned,
        *,
        poll_s: float,
        high_water: HighWater | None = None,
    ) -> None:
        """`high_water`: what tells later that a database has forgotten what went out; None where nothing goes out."""
        super().__init__(poll_s=poll_s)
        self._high_water = high_water
        self.gates = Gates()
        self._learned = learned
        self._pool = pool
        self._connections = connections
        self._apply = apply
        self._seal = seal
        self._sending: set[asyncio.Task[None]] = set()

    async def round(self) -> bool:
        """Claim what may go out and start sending it; whether there may be more."""
        if self._high_water:
            self._high_water.make_ready()
        if self._free_places() <= 0:
            await asyncio.wait(self._sending, return_when=asyncio.FIRST_COMPLETED)
            return True
        contracts = self._connections.contracts()
        # One claim is started before the next is made: what is claimed must go out, whatever the next one meets.
        singles = await self._claim_and_start([c for c in contracts if c.batch_size == 1], limit=self._free_places())
        batches = await self._claim_and_start([c for c in contracts if c.batch_size > 1], limit=_MAX_BATCH_ROWS)
        return singles or batches

    def _free_places(self) -> int:
        return _MAX_SENDS - len(self._sending)

    async def _claim_and_start(self, contracts: Sequence[Contract], *, limit: int) -> bool:
        free = self._free_places()
        if not contracts or free <= 0:
            return False
        under_way = self.gates.under_way()
        submissions = await self.claim(
            [
                _lane(c, min(free, AT_ONCE), max(0, _MAX_OF_PROVIDER - under_way[c.provider]))
                if c.batch_size == 1
                else _lane(c, c.batch_size)
                for c in contracts
            ],
            limit=limit,
        )
        await self._start(submissions)
        return bool(submissions)

    async def close(self) -> None:
        """Stop claiming; wait for what is being sent, since it has left already."""
        await super().close()
        if self._sending:
            await asyncio.wait(self._sending)

    async def claim(self, lanes: Sequence[Lane], *, limit: int) -> list[Submission]:
        """Store attempts for queued payouts, in one transaction; what is returned is committed and ours to send."""
        with contextlib.suppress(_ClaimRefusedError):
            return await self._claim(lanes, limit=limit)
        # Another process may have filled the same slot: it has committed by now, and the slot is seen to be taken.
        try:
            return await self._claim(lanes, limit=limit)
        except _ClaimRefusedError as refused:
            return await self._claim_apart(lanes, refused.queued)

    async def _claim(
        self, lanes: Sequence[Lane], *, limit: int, payout_id: str | None = None, is_sent: bool = True
    ) -> list[Submission]:
        claimed_at = time.monotonic()
        mark = self._high_water
        position: Position | None = None
        queued: Sequence[Queued] = ()
        async with self._pool.acquire() as connection:
            try:
                async with connection.transaction():
                    gates = self.gates.free()
                    queued = await lock_queued(connection, lanes, gates, limit=limit, payout_id=payout_id)
                    submissions = self._prepare(queued, claimed_at, dict(zip(*gates, strict=True)))
                    attempts = [attempt for submission in submissions for attempt in submission.attempts]
                    if attempts:
                        point("claim_locked")
                        believed = mark.own if mark else None
                        position = await record_attempts(connection, attempts, believed)
                        point("claim_written")
                        HighWater.check(position, believed)
            except asyncpg.UniqueViolationError as error:
                raise _ClaimRefusedError(queued, error.constraint_name) from error
        if attempts:
            point("claim_committed")
            if mark and position and is_sent:
                highest = max(attempt.payout.attempts + 1 for attempt in attempts)
                mark.sent(position, attempts[-1].id, attempts[-1].key, highest)
        return submissions

    async def _claim_apart(self, lanes: Sequence[Lane], queued: Sequence[Queued]) -> list[Submission]:
        """One by one what could not be claimed together: the one that the database refuses must not stop all others."""
        submissions: list[Submission] = []
        try:
            for payout in queued:
                try:
                    submissions += await self._claim(lanes, limit=1, payout_id=payout.id)
                except _ClaimRefusedError as refused:
                    _log.error(
                        "dispatcher.claim_refused", account=payout.account_id, payout=payout.id, constraint=refused.constraint
                    )
                    self.on_round(self.name, "error")
                    await set_aside(self._pool, payout, for_s=_PAUSE_S)
        except Exception:
            if not submissions:
                raise
            _log.exception("dispatcher.claim_ended_early")  # what is claimed already has to go out
        return submissions

    async def claim_one(self, payout_id: str, provider: str) -> None:
        """Store the attempt of one manual payout that a person is marking before its turn came. Sends nothing."""
        lane = _lane(self._connections.contract(provider), 1)
        with contextlib.suppress(_ClaimRefusedError):  # somebody was faster
            await self._claim([lane], limit=1, payout_id=payout_id, is_sent=False)

    def _prepare(self, queued: Sequence[Queued], claimed_at: float, gates: Mapping[str, int] | None = None) -> list[Submission]:
        """The sends that locked payouts make. What is more than a connection may start now stays in the queue."""
        together: dict[str, list[Queued]] = defaultdict(list)
        for payout in queued:
            together[payout.id if payout.send_alone else payout.connection_id].append(payout)
        started: Counter[str] = Counter()
        submissions: list[Submission] = []
        for payouts in together.values():
            contract = self._connections.contract(payouts[0].provider)
            connection_id = payouts[0].connection_id
            may_start = (gates or {}).get(connection_id, _sends_at_first(contract))
            for start in range(0, len(payouts), contract.batch_size):
                if started[connection_id] < may_start:
                    started[connection_id] += 1
                    chunk = payouts[start : start + contract.batch_size]
                    submissions.append(_submission(chunk, contract, claimed_at + send_before_s()))
        return submissions

    async def _start(self, submissions: Sequence[Submission]) -> None:
        await self._open_gates(submissions)
        for submission in submissions:
            task = asyncio.create_task(self._send(submission))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _open_gates(self, submissions: Sequence[Submission]) -> None:
        # Read together: one after the other, every payout would wait for the connections of those before it, and all of them
        # for one that cannot be opened.
        connections = await asyncio.gather(
            *(self._connections.get(submission.connection_id) for submission in submissions), return_exceptions=True
        )
        for submission, connection in zip(submissions, connections, strict=True):
            if isinstance(connection, Connection):
                self.gates.started(submission.connection_id, submission.provider, connection.rate_per_s)

    async def _send(self, submission: Submission) -> None:
        reports: Sequence[Report] = ()
        try:
            connection = await self._opened(submission)
            try:
                reports = await self._reports(connection, submission)
            finally:
                met = reports if connection else ()  # what says something about the provider
                self.gates.ended(submission.connection_id, met)
                self._learned.sent(submission.attempts[0].payout.account_id, submission.connection_id, met)
            await asyncio.gather(
                *(
                    self._apply(Said(account_id=a.payout.account_id, attempt_id=a.id, report=report, source=SOURCE))
                    for a, report in zip(submission.attempts, reports, strict=True)
                )
            )
            if connection:
                await self._pause_if_refused(connection, reports)
        except Exception:
            # The attempts stay `sending` until their lease runs out, then the reconciler asks the provider.
            _log.exception("dispatcher.send_failed", submission=submission.id, provider=submission.provider)

    async def _opened(self, submission: Submission) -> Connection | None:
        try:
            return await self._connections.usable(submission.connection_id)
        except Exception:
            # Nothing has left, and that is what is told: what is left `sending` may end on a person's desk.
            _log.exception("dispatcher.connection_unread", submission=submission.id, connection=submission.connection_id)
            return None

    async def _reports(self, connection: Connection | None, submission: Submission) -> list[Report]:
        if connection is None:
            not_sent = NotSent("the connection is gone, or could not be read, or its secrets cannot be opened")
            return [not_sent] * len(submission.attempts)
        orders = [order_of(a.payout, a.id, a.key, self._seal) for a in submission.attempts]
        sendable = [order for order in orders if isinstance(order, Order)]
        if time.monotonic() > submission.send_before:
            return [NotSent("it waited so long in this process that its lease was running out")] * len(orders)
        if not sendable:
            return [order for order in orders if isinstance(order, Refused)]
        point("before_send")
        answers = iter(await submit_all(connection, submission.id, sendable, send_before=submission.send_before))
        point("after_send")
        return [next(answers) if isinstance(order, Order) else order for order in orders]

    async def _pause_if_refused(self, connection: Connection, reports: Sequence[Report]) -> None:
        for report in reports:
            if isinstance(report, Refused) and report.cause is RefusalCause.CONNECTION:
                reason = report.words.text or report.words.code or "the provider refuses our credentials or configuration"
                await accounts.pause_connection(
                    self._pool, connection.row.account_id, connection.row.id, for_s=_PAUSE_S, reason=reason
                )
                _log.error("connection.paused", connection=connection.row.id, provider=connection.row.provider, reason=reason)
                return


def _submission(payouts: Sequence[Queued], contract: Contract, send_before: float) -> Submission:
    submission_id = new_id(ids.SUBMISSION)
    attempts = [
        NewAttempt(
            payout=payout,
            id=attempt_id(payout.id, payout.connection_id, payout.attempts + 1),
            key=attempt_key(contract.key_format, payout.id, payout.connection_id, payout.attempts + 1),
            submission_id=submission_id,
            slot=payout.free_slot,
            lease_s=lease_s(contract),
            event_id=new_id(ids.EVENT),
            source=SOURCE,
            reason=f"attempt {payout.attempts + 1} goes out through {contract.title}{_CHECKED.get(payout.check_outcome, '')}",
        )
        for payout in payouts
    ]
    return Submission(
        id=submission_id,
        connection_id=payouts[0].connection_id,
        provider=contract.provider,
        attempts=attempts,
        send_before=send_before,
    )


def send_before_s() -> float:
    """How long after the moment it claims something a process may begin to send it."""
    return _LEASE_MARGIN_S


def lease_s(contract: Contract) -> float:
    """How long a claim holds: whoever starts a call inside the margin hears the end of it before the lease runs out."""
    return contract.submit_timeout_s + _LEASE_MARGIN_S


def _sends_at_first(contract: Contract) -> int:
    """How many sends a connection may start whose gate this process does not know yet."""
    return AT_ONCE if contract.rate_per_s is None else min(AT_ONCE, max(1, int(contract.rate_per_s)))


def _lane(contract: Contract, at_most: int, room: int | None = None) -> Lane:
    return Lane(
        provider=contract.provider,
        at_most=at_most,
        per_send=contract.batch_size,
        at_first=min(at_most, _sends_at_first(contract) * contract.batch_size),
        linger_s=contract.batch_linger_s,
        slots=contract.max_scheduled,
        room=room,
    )
