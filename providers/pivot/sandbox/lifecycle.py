"""The third layer of the Pivot sandbox: how a payout goes on, by itself with time or at once when it is told to.

The only place where a made payout changes and its money moves: the money first, then the record, then the callback.
Never makes a payout and never answers a request of Pivot's API.
"""

from typing import Any

from providers.pivot.sandbox.facts import DONE_AFTER_MS, REQUEST_WORDS, ROW_WORDS, SHORT_OF_FUNDS
from providers.pivot.sandbox.money import move, outcome, returns
from providers.pivot.sandbox.records import Payout
from providers.pivot.sandbox.webhooks import PivotWebhooks
from providers.sandbox.base import ControlError
from providers.sandbox.clock import now_ms
from providers.sandbox.ledger import Money


class PivotLifecycle(PivotWebhooks):
    """Abstract: `PivotSandbox` in `operations` is the whole."""

    # --- with time

    def step(self, key: str) -> bool:
        payout = self.payouts.rows[key]
        if not payout.next:
            return False
        everyone = range(len(payout.rows))
        if payout.next == "return":  # V-5
            paid = {p: mark for p, mark in returns(payout).items() if payout.states[p]["status"] == "SUCCESS"}
            self._mark(payout, paid, "DONE")
        elif payout.next == "decide" and not payout.funded:
            self._mark(payout, dict.fromkeys(everyone, ("APPROVED", SHORT_OF_FUNDS)), "PENDING")
        elif payout.next == "decide" and self.settings.row_after_ms > 0:
            row_after_ms = int(self.settings.row_after_ms * payout.pace)
            self._mark(payout, dict.fromkeys(everyone, ("PENDING", "")), "DONE", then=("finish", row_after_ms))
        else:
            then = ("return", self.returned_after_ms()) if returns(payout) else None
            self._mark(payout, {position: outcome(payout, position) for position in everyone}, "DONE", then=then)
        return True

    def _mark(
        self, payout: Payout, marks: dict[int, tuple[str, str]], status: str, then: tuple[str, int] | None = None
    ) -> None:
        """Give rows a new status with its effect on the money, then tell the merchant. Money first."""
        now = now_ms()
        states = [dict(state) for state in payout.states]
        movements: list[Money] = []
        change = 0
        for position, (word, reason) in marks.items():
            change += move(payout, position, states[position], word, movements)
            states[position].update(status=word, reason=reason, updatedMs=now)
        self.ledger.write(movements)
        was_done = payout.status == "DONE"
        with self.journal.together():
            if change:
                balance = self.merchants.rows[payout.merchant].balance
                self.merchants.change(payout.merchant, balance=balance + change)
            following, due_ms = (then[0], now + then[1]) if then else ("", 0)
            self.payouts.change(
                payout.uuid, states=states, status=status, updated_ms=now, next=following, due_ms=due_ms, hidden_until_ms=0
            )
            self._announce(payout, marks, again=was_done, more=then is not None)
        if then:
            self.schedule.add(due_ms, self._due, payout.uuid)

    # --- when told to

    def advance(self, ref: str, to: str, reason: str | None, *, hold: bool) -> dict[str, Any]:
        payout, position = self._find(ref)
        if position is not None and to in ROW_WORDS:
            self._advance_rows(payout, [position], to, reason)
        elif position is None and to in ROW_WORDS - {"PENDING"}:
            self._advance_rows(payout, list(range(len(payout.rows))), to, reason)
        elif to in REQUEST_WORDS:
            self._advance_request(payout, to)
        else:
            raise ControlError(f"Pivot knows no status {to}")
        if hold:
            self.payouts.change(payout.uuid, next="", due_ms=0)
        return {"uuid": payout.uuid, "status": payout.status, "rows": [state["status"] for state in payout.states]}

    def _find(self, ref: str) -> tuple[Payout, int | None]:
        payout = self.payouts.rows.get(ref)
        if payout is not None:
            return payout, None
        for merchant in self.merchants.rows:
            found = self._row_of.get((merchant, ref))
            if found is not None:
                return self.payouts.rows[found[0]], found[1]
        raise ControlError("there is no payout with this uuid or referenceId")

    def _advance_rows(self, payout: Payout, positions: list[int], to: str, reason: str | None) -> None:
        default = {"APPROVED": SHORT_OF_FUNDS, "FAILED": "Failed to process by Bank Network"}.get(to, "")
        status = "PENDING" if to == "APPROVED" else "DONE"
        rest = {
            position: outcome(payout, position)
            for position, state in enumerate(payout.states)
            if position not in positions and status == "DONE" and not state["status"]
        }
        marks = {**rest, **dict.fromkeys(positions, (to, default if reason is None else reason))}
        self._mark(payout, marks, status)

    def _advance_request(self, payout: Payout, to: str) -> None:
        if to == "DELAYED":
            self._announce_delay(payout)
        elif to == "IN_PROGRESS":  # the dashboard's retry after a top-up
            self._retry(payout)
        elif to == "PROCESSING":  # another word for IN_PROGRESS: nothing has happened
            self.payouts.change(payout.uuid, status=to, updated_ms=now_ms())
        elif to == "PENDING":
            self._advance_rows(payout, list(range(len(payout.rows))), "APPROVED", None)
        else:
            self._mark(payout, {p: outcome(payout, p) for p in range(len(payout.rows))}, "DONE")

    def _retry(self, payout: Payout) -> None:
        merchant = self.merchants.rows[payout.merchant]
        need = sum(int(row["amount"]["value"]) for row in payout.rows)
        if any(state["status"] not in ("", "APPROVED") for state in payout.states):
            raise ControlError("only a request that waits for a top-up can be retried")
        held = any(state["held"] for state in payout.states)
        funded = held or merchant.balance >= need
        due_ms = now_ms() + int(self.delay_ms(self.settings.done_after_ms, DONE_AFTER_MS) * payout.pace)
        states = [{**state, "status": "", "reason": "", "held": funded} for state in payout.states]
        with self.journal.together():
            if funded and not held:
                self.merchants.change(merchant.id, balance=merchant.balance - need)
            self.payouts.change(payout.uuid, states=states, status="IN_PROGRESS", funded=funded, next="decide", due_ms=due_ms)
        self.schedule.add(due_ms, self._due, payout.uuid)
