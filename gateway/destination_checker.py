"""The destination checker: asks providers whether a bank account exists, for connections that want it before they pay.

Works on payouts that were never sent, before any attempt of theirs is claimed, in no request and no transaction. Answers
are kept by connection and hash of the destination and used again; the bank's name of a holder is not kept at all.
"""

import asyncio
from collections.abc import Callable, Sequence

import structlog

from gateway.apply import Apply
from gateway.calls import check
from gateway.check_rules import OUTCOME, REASON, RULINGS, CheckOutcome, Ruling
from gateway.connections import Connections
from gateway.loops import Failures, Loop
from gateway.sealing import Seal
from gateway.store.checks import (
    Checked,
    DueCheck,
    Unnamed,
    checked_payouts,
    claim_checks,
    clear_payouts,
    name_destinations,
    settle_check,
    unnamed_payouts,
)
from gateway.store.database import Pool
from schemas.checks import DestinationCheck, Verdict
from schemas.contract import DAY_S
from schemas.failure import FailureCode
from schemas.payout import Phase

_log = structlog.get_logger(__name__)

_AT_ONCE = 20  # questions side by side
_MANY = 500
_LEASE_S = 180.0  # longer than any call may take
GOOD_FOR_S = 30 * DAY_S  # ours: no provider says how long an answer holds; accounts close rarely
FORGIVEN_AFTER_S = 600.0
# Waits between tries that brought no answer; the last repeats, for as long as a payout waits.
AGAIN_AFTER_S = (1.0, 5.0, 30.0, 120.0, 300.0)
UNANSWERED_AFTER = 4  # tries, so after about 40 s: see `gateway.check_rules` for what happens then
SOURCE = "destination_check"
_FINAL = frozenset({Verdict.VALID, Verdict.WARNING, Verdict.INVALID})
_NOBODY_TO_ASK = DestinationCheck(Verdict.UNKNOWN, reason="the connection is gone, or its secrets cannot be opened")


class DestinationChecker(Loop):
    """Names destinations, asks about them, and rules on the payouts that wait."""

    name = "destination_checker"

    def __init__(
        self,
        pool: Pool,
        connections: Connections,
        apply: Apply,
        seal: Seal,
        on_cleared: Callable[[], None],
        *,
        poll_s: float,
    ) -> None:
        """`on_cleared` is called when payouts may go out, so that the dispatcher need not wait."""
        super().__init__(poll_s=poll_s)
        self._pool = pool
        self._connections = connections
        self._apply = apply
        self._seal = seal
        self._on_cleared = on_cleared

    async def round(self) -> bool:
        """Do what can be done now; whether there may be more. Raises `SomeFailedError` when all else is done."""
        providers = [c.provider for c in self._connections.contracts() if c.checks_destination]
        unnamed = await unnamed_payouts(self._pool, providers, limit=_MANY) if providers else []
        if unnamed:
            await name_destinations(
                self._pool,
                [(payout, self._digest(payout)) for payout in unnamed],
                good_for_s=GOOD_FOR_S,
                forgiven_after_s=FORGIVEN_AFTER_S,
            )
        failures = Failures(self.name)
        due = await claim_checks(self._pool, lease_s=_LEASE_S, limit=_AT_ONCE)
        await asyncio.gather(*(self._ask(one, failures) for one in due))
        checked = await checked_payouts(self._pool, unanswered_after=UNANSWERED_AFTER, limit=_MANY)
        await self._rule(checked, failures)
        failures.end()
        return len(unnamed) == _MANY or bool(due) or len(checked) == _MANY

    def _digest(self, payout: Unnamed) -> str:
        account = payout.destination
        return self._seal.digest_of(
            payout.account_id,
            payout.connection_id,
            account.bank_code or "",
            account.bank_account_number,
            account.bank_account_holder,
        )

    async def _ask(self, due: DueCheck, failures: Failures) -> None:
        with failures.caught(connection=due.connection_id):
            # Without a connection it is a question without an answer, as of a provider that is down: the tries end that too.
            connection = await self._connections.usable(due.connection_id)
            answer = await check(connection, due.destination, due.reference) if connection else _NOBODY_TO_ASK
            verdict = answer.verdict if answer.verdict in _FINAL | {Verdict.PENDING} else Verdict.UNKNOWN
            # A question that was lost half-way keeps its reference: to read it again costs nothing, to ask anew may.
            again_in_s = AGAIN_AFTER_S[min(due.tries, len(AGAIN_AFTER_S)) - 1]
            await settle_check(self._pool, due, verdict, answer.reference, again_in_s=again_in_s)
            if verdict is Verdict.UNKNOWN:
                provider = connection.row.provider if connection else None
                _log.warning("check.unanswered", provider=provider, connection=due.connection_id, reason=answer.reason)

    async def _rule(self, checked: Sequence[Checked], failures: Failures) -> None:
        going: list[tuple[Checked, str]] = []
        for payout in checked:
            with failures.caught(payout=payout.id):
                ruling = RULINGS[payout.policy][payout.verdict]
                if ruling is Ruling.REFUSE:
                    await self._refuse(payout)
                elif ruling is Ruling.ASK_PERSON:
                    await self._ask_person(payout)
                elif payout.phase is Phase.NEEDS_REVIEW:
                    await self._apply.move_unsent(
                        payout, Phase.QUEUED, event_type="payout.requeued", source=SOURCE, reason="its bank account was checked"
                    )
                else:
                    going.append((payout, OUTCOME.get(payout.verdict, CheckOutcome.UNANSWERED)))
        if going:
            await clear_payouts(self._pool, going)
            self._on_cleared()

    async def _refuse(self, payout: Checked) -> None:
        await self._apply.move_unsent(
            payout,
            Phase.FAILED,
            event_type="payout.failed",
            source=SOURCE,
            reason=f"not sent: {REASON[payout.verdict]}",
            failure_code=FailureCode.INVALID_DESTINATION,
        )

    async def _ask_person(self, payout: Checked) -> None:
        reason = (
            f"not sent: {REASON[payout.verdict]}, and this connection pays only to accounts that were checked. Nothing has "
            "left, and it goes out by itself once there is an answer. To pay without one, switch check_before_paying to "
            "invalid or off; to take it back, cancel it."
        )
        moved = await self._apply.move_unsent(
            payout, Phase.NEEDS_REVIEW, event_type="payout.needs_review", source=SOURCE, reason=reason, review_reason=reason
        )
        if moved:
            _log.error("payout.needs_review", payout=payout.id, reason=reason)
