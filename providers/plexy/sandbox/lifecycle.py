"""The third layer of the Plexy sandbox: how a payout goes on, by itself with time or at once when it is told to.

The only place where a made payout changes and its money moves: the money first, then the record and the balance, then
the webhook. Never makes a payout and never answers a request of Plexy's API.
"""

import hashlib
import time
from typing import Any, Literal

from providers.plexy.sandbox.facts import (
    CURRENCY,
    DECLINED,
    FINAL,
    NO_FUNDS,
    PROCESSING_AFTER_MS,
    SETTLED_AFTER_MS,
    STATUSES,
    TECHNICAL,
)
from providers.plexy.sandbox.records import Payout
from providers.plexy.sandbox.webhooks import PlexyWebhooks
from providers.sandbox.base import ControlError
from providers.sandbox.clock import now_ms
from providers.sandbox.ledger import Money, last4


class PlexyLifecycle(PlexyWebhooks):
    """Abstract: `PlexySandbox` in `operations` is the whole."""

    # --- with time

    def step(self, key: str) -> bool:
        payout = self.payouts.rows.get(key)
        if payout is None or not payout.due_ms:
            return False
        if payout.status == "new":
            self._turn(payout, "processing", None)
        elif not payout.held:
            self._turn(payout, "rejected", NO_FUNDS)  # the only sign of an empty balance
        elif self.cards.rows[payout.token].is_paid:
            self._turn(payout, "settled", None)
        else:
            status = self.settings.failure_status
            self._turn(payout, status, DECLINED if status == "rejected" else TECHNICAL)
        return True

    def _turn(self, payout: Payout, status: str, error: tuple[str, str] | None, *, hold: bool = False) -> None:
        """Move a payout: money first, then the record and the balance, then the webhook (final states only, X-15)."""
        now = now_ms()
        before, held, effects = payout.status, payout.held, payout.effects
        if (before == "settled") != (status == "settled"):
            effects += 1
            self.ledger.write([self._money(payout, "sent" if status == "settled" else "returned", effects)])
        keeps = status not in ("rejected", "failed")  # section 5: nothing is debited then
        change = payout.amount_tiyn * (held - keeps) if held or status == "settled" else 0
        waits = {
            "new": self.delay_ms(self.settings.processing_after_ms, PROCESSING_AFTER_MS),
            "processing": self.delay_ms(self.settings.settled_after_ms, SETTLED_AFTER_MS),
        }
        due_ms = now + waits[status] if status in waits and not hold else 0
        with self.journal.together():
            if change:
                balance_tiyn = self.merchants.rows[payout.merchant].balance_tiyn
                self.merchants.change(payout.merchant, balance_tiyn=balance_tiyn + change)
            self.payouts.change(
                payout.id,
                status=status,
                updated_us=time.time_ns() // 1000,
                held=keeps and (held or status == "settled"),
                due_ms=due_ms,
                error=list(error or ()),
                effects=effects,
            )
            if status in FINAL:
                self._announce(payout)
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
        """`ref`: transaction id, merchantReference or description. `reason` becomes error_message."""
        payout = self.payouts.rows.get(ref) or self._by_our_ref(ref)
        if to not in STATUSES:
            raise ControlError(f"Plexy knows no status {to}")
        default = {"rejected": DECLINED, "failed": TECHNICAL}.get(to)
        error = (default[0], reason or default[1]) if default else None
        self._turn(payout, to, error, hold=hold)
        return {"id": payout.id, "status": payout.status}

    def _by_our_ref(self, ref: str) -> Payout:
        for payout in reversed(self.payouts.rows.values()):
            if ref in (payout.reference, payout.description):
                return payout
        raise ControlError("there is no payout with this id, merchantReference or description")
