"""The third layer of the Mollie sandbox: how a payout goes on, by itself with time or at once when it is told to.

The only place where a made payout changes and its money moves: the money first, then the record and the balance, then
the webhook. Never makes a payout and never answers a request of Mollie's API.
"""

from typing import Any, Literal

from providers.mollie.sandbox.amounts import decimal_text
from providers.mollie.sandbox.facts import (
    AT_BANK_AFTER_MS,
    COMPLETED_AFTER_MS,
    COURSES,
    DAY_MS,
    FINAL,
    NEXT,
    REASONS,
    RUN_HOUR_UTC,
    STATUSES,
    TAKEN_FROM_BALANCE,
)
from providers.mollie.sandbox.records import Balance, Payout
from providers.mollie.sandbox.webhooks import MollieWebhooks
from providers.sandbox.base import ControlError, course_of
from providers.sandbox.clock import next_business_day_ms, now_ms
from providers.sandbox.ledger import Money, last4


class MollieLifecycle(MollieWebhooks):
    """Abstract: `MollieSandbox` in `operations` is the whole."""

    # --- with time

    def _turn_off(self, payout: Payout, status: str) -> tuple[str, str] | None:
        """Where its scenario sends it from this status, if not straight on."""
        return COURSES[course_of(payout.scenario)].turns.get(status) if payout.scenario else None

    def _due_after(self, payout: Payout, status: str) -> int:
        """When the next step is due; 0 = never by itself."""
        now, turn = now_ms(), self._turn_off(payout, status)
        if turn == ("", "") or (status in FINAL and turn is None):
            return 0
        return now + (self.returned_after_ms() if status in FINAL else self._wait_ms(status, now, payout.scenario))

    def _wait_ms(self, status: str, at_ms: int, scenario: str) -> int:
        """How long a payout stays in a status that is not final (M-6)."""
        settings = self.settings
        real_ms, explicit_ms = {
            "requested": (next_business_day_ms(at_ms, RUN_HOUR_UTC) - at_ms, settings.initiated_after_ms),
            "initiated": (AT_BANK_AFTER_MS, settings.at_bank_after_ms),
            "processing-at-bank": (COMPLETED_AFTER_MS, settings.completed_after_ms),
        }[status]
        if explicit_ms is None and settings.business_day != "real":
            # A short business day: it begins after its own length, and its hours shrink alike.
            share = 1.0 if status == "requested" else real_ms / DAY_MS
            explicit_ms = settings.business_day * share
        return self.delay_ms(explicit_ms, real_ms, scenario)

    def step(self, key: str) -> bool:
        payout = self.payouts.rows[key]
        if not payout.due_ms:
            return False
        turn = self._turn_off(payout, payout.status)
        too_much = payout.amount_minor > self.balances.rows[payout.balance].available_minor
        if turn is None and payout.status == "requested" and too_much:
            turn = ("failed", "insufficient_funds")  # M-13
        following = NEXT.get(payout.status, "")
        status, reason = turn or (following, following.replace("-", "_"))
        self._turn(payout, status, reason, tried=reason == "insufficient_funds")
        return True

    def _turn(self, payout: Payout, status: str, reason: str, *, tried: bool = False, hold: bool = False) -> None:
        """Move a payout: money first, then the record and the balance, then the webhook (none for `requested`)."""
        now = now_ms()
        before = payout.status
        effects = payout.effects
        balance = self.balances.rows[payout.balance]
        if (before == "completed") != (status == "completed"):
            effects += 1
            self.ledger.write([self._money(payout, balance, "sent" if status == "completed" else "returned", effects)])
        change = payout.amount_minor * ((before in TAKEN_FROM_BALANCE) - (status in TAKEN_FROM_BALANCE))
        due_ms = 0 if hold else self._due_after(payout, status)
        stamps: dict[str, int] = {}
        if (status in TAKEN_FROM_BALANCE or tried) and not payout.initiated_ms:
            stamps["initiated_ms"] = now
        if status == "completed":
            stamps["completed_ms"] = now
        if status == "canceled":
            stamps["canceled_ms"] = now
        with self.journal.together():
            if change:
                self.balances.change(balance.id, available_minor=balance.available_minor + change)
            self.payouts.change(payout.id, status=status, reason=reason, due_ms=due_ms, effects=effects, **stamps)
            if status != "requested":
                self._announce(payout, more=bool(due_ms))
        slot = (payout.balance, payout.mode)
        if status == "requested":
            self._requested[slot] = payout.id
        elif self._requested.get(slot) == payout.id:
            del self._requested[slot]
        if due_ms:
            self.schedule.add(due_ms, self._due, payout.id)

    def _money(self, payout: Payout, balance: Balance, kind: Literal["sent", "returned"], number: int) -> Money:
        return Money(
            effect=f"{payout.id}#{number}",
            kind=kind,
            merchant=payout.merchant,
            provider_ref=payout.id,
            our_ref=payout.key or payout.description,
            amount=decimal_text(payout.amount_minor),
            currency=payout.currency,
            destination=last4(balance.bank_account),
            other_refs={"description": payout.description} if payout.description else {},
        )

    # --- when told to

    def advance(self, ref: str, to: str, reason: str | None, *, hold: bool) -> dict[str, Any]:
        """`ref`: payout id, idempotency key or description. `returned` is short for failed with that reason (M-7)."""
        payout = self.payouts.rows.get(ref) or self._by_our_ref(ref)
        if to == "returned":
            to, reason = "failed", "returned"
        if to not in STATUSES:
            raise ControlError(f"Mollie knows no status {to}")
        if reason is not None and reason not in REASONS:
            raise ControlError(f"Mollie knows no reason {reason}")
        self._turn(payout, to, reason or to.replace("-", "_"), tried=reason == "insufficient_funds", hold=hold or to in FINAL)
        return {"id": payout.id, "status": payout.status, "statusReason": payout.reason}

    def _by_our_ref(self, ref: str) -> Payout:
        for payout in reversed(self.payouts.rows.values()):
            if ref in (payout.key, payout.description):
                return payout
        raise ControlError("there is no payout with this id, idempotency key or description")
