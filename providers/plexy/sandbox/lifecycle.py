"""The third layer of the Plexy sandbox: how a payout goes on, by itself with time or at once when it is told to.

The only place where a made payout changes and its money moves: the money first, then the record and the balance, then
the webhook. Never makes a payout and never answers a request of Plexy's API.
"""

import hashlib
import time
from typing import Any, Literal

from providers.plexy.sandbox.facts import (
    COURSES,
    CURRENCY,
    DECLINED,
    DECLINES,
    FINAL,
    NO_FUNDS,
    PROCESSING_AFTER_MS,
    SETTLED_AFTER_MS,
    STATUSES,
    TECHNICAL,
    Course,
)
from providers.plexy.sandbox.records import Payout
from providers.plexy.sandbox.webhooks import PlexyWebhooks
from providers.sandbox.base import ControlError, course_of
from providers.sandbox.clock import now_ms
from providers.sandbox.ledger import Money, last4


class PlexyLifecycle(PlexyWebhooks):
    """Abstract: `PlexySandbox` in `operations` is the whole."""

    # --- with time

    def _course(self, payout: Payout) -> Course:
        """What becomes of it: its scenario, else its card (X-12), else its balance."""
        if payout.scenario:
            course = COURSES[course_of(payout.scenario)]
        elif self.cards.rows[payout.token].is_paid:
            course = Course("settled")
        else:
            status = self.settings.failure_status
            course = Course(status, DECLINED if status == "rejected" else TECHNICAL)
        return Course("rejected", NO_FUNDS) if course.end == "settled" and not payout.held else course

    def step(self, key: str) -> bool:
        payout = self.payouts.rows.get(key)
        if payout is None or not payout.due_ms:
            return False
        course = self._course(payout)
        if payout.status == "new":
            self._turn(payout, "processing")
        elif payout.status == course.end:
            self._turn(payout, course.then, TECHNICAL)
        else:
            self._turn(payout, course.end if course.end in FINAL else "settled", course.code, sent=course.sent)
        return True

    def _due_after(self, payout: Payout, status: str) -> int:
        """When the next step is due; 0 = never by itself."""
        settings, course = self.settings, self._course(payout)
        if status == "new":
            return now_ms() + self.delay_ms(settings.processing_after_ms, PROCESSING_AFTER_MS, payout.scenario)
        if status == "processing" and course.end != "processing":
            return now_ms() + self.delay_ms(settings.settled_after_ms, SETTLED_AFTER_MS, payout.scenario)
        return now_ms() + self.returned_after_ms() if course.then and status == course.end else 0

    def _turn(
        self, payout: Payout, status: str, code: str = "", words: str | None = None, *, hold: bool = False, sent: bool = False
    ) -> None:
        """Move a payout: money first, then the record and the balance, then the webhook (final states only, X-15)."""
        held, effects = payout.held, payout.effects
        goes_out = status == "settled" or sent
        if (effects % 2 == 1) != goes_out:
            effects += 1
            self.ledger.write([self._money(payout, "sent" if goes_out else "returned", effects)])
        keeps = goes_out or status not in ("rejected", "failed")  # section 5: nothing is debited then
        change = payout.amount_tiyn * (held - keeps) if held or goes_out else 0
        due_ms = 0 if hold else self._due_after(payout, status)
        with self.journal.together():
            if change:
                balance_tiyn = self.merchants.rows[payout.merchant].balance_tiyn
                self.merchants.change(payout.merchant, balance_tiyn=balance_tiyn + change)
            self.payouts.change(
                payout.id,
                status=status,
                updated_us=time.time_ns() // 1000,
                held=keeps and (held or goes_out),
                due_ms=due_ms,
                error=[code, words or DECLINES[code]] if code else [],
                effects=effects,
            )
            if status in FINAL or self.settings.emit_events == "all":
                self._announce(payout, more=bool(due_ms))
        if due_ms:
            self.schedule.add(due_ms, self._due, payout.id)

    def _money(self, payout: Payout, kind: Literal["sent", "returned"], number: int) -> Money:
        token = hashlib.sha256(payout.token.encode()).hexdigest()[:8]
        return Money(
            effect=f"{payout.id}#{number}",
            kind=kind,
            merchant=payout.merchant,
            provider_ref=payout.id,
            our_ref=payout.reference or payout.description,
            amount=payout.amount,
            currency=CURRENCY,
            destination=f"card {last4(self.cards.rows[payout.token].last4)} token {token}",
        )

    # --- when told to

    def advance(self, ref: str, to: str, reason: str | None, *, hold: bool) -> dict[str, Any]:
        """`ref`: transaction id, merchantReference or description. `reason`: an error_code, or an error_message."""
        payout = self.payouts.rows.get(ref) or self._by_our_ref(ref)
        if to not in STATUSES:
            raise ControlError(f"Plexy knows no status {to}")
        code = {"rejected": DECLINED, "failed": TECHNICAL}.get(to, "")
        if code and reason in DECLINES:
            code, reason = reason, None
        self._turn(payout, to, code, reason, hold=hold or to in FINAL)
        return {"id": payout.id, "status": payout.status}

    def _by_our_ref(self, ref: str) -> Payout:
        for payout in reversed(self.payouts.rows.values()):
            if ref in (payout.reference, payout.description):
                return payout
        raise ControlError("there is no payout with this id, merchantReference or description")
