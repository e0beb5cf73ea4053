"""The second layer of the Pivot sandbox: which callbacks a merchant gets (V-6, section 10), and how they are proved.

Posts what has already happened. Never changes a payout or money, and leaves sending and retrying to the courier.
"""

import secrets
from typing import Any

from multidict import CIMultiDict

from providers.pivot.sandbox.answers import totals
from providers.pivot.sandbox.records import Payout
from providers.pivot.sandbox.state import PivotState


class PivotWebhooks(PivotState):
    """Abstract: `PivotSandbox` in `operations` is the whole."""

    def _announce(self, payout: Payout, marks: dict[int, tuple[str, str]], *, again: bool, more: bool) -> None:
        mode = self.settings.callback_mode
        single = mode == "single" or (mode == "by_count" and len(payout.rows) == 1)  # V-6
        words = {word for word, _ in marks.values()}
        if single:
            for position, (word, _) in marks.items():
                if word in ("SUCCESS", "FAILED", "RETURNED"):
                    self._single_event(payout, position, "SUCCESS" if word == "SUCCESS" else "FAILED", more=more)
        if words == {"CANCELLED"}:
            self._bulk_event(payout, "CANCELLED")  # only the bulk list knows this event
        elif not single and not (again and words <= {"PENDING"}):
            self._bulk_event(payout, payout.status, more=more)

    def _announce_delay(self, payout: Payout) -> None:
        if len(payout.rows) == 1:
            self._single_event(payout, 0, "DELAYED")
        else:
            self._bulk_event(payout, "DELAYED")

    def _single_event(self, payout: Payout, position: int, event: str, *, more: bool = False) -> None:
        row, state = payout.rows[position], payout.states[position]
        told = {
            "referenceId": row["referenceId"],
            "amount": row["amount"],
            "status": state["status"],
            "reason": state["reason"] or ("" if self.settings.callback_reason == "empty" else None),
        }
        data = {"uuid": payout.uuid, "merchantId": payout.merchant, "payouts": told}
        self._post(payout, f"PAYOUT.{event}", data, more=more)

    def _bulk_event(self, payout: Payout, event: str, *, more: bool = False) -> None:
        data = {
            "uuid": payout.uuid,
            "merchantId": payout.merchant,
            **self._results(payout),
            "status": payout.status,
        }
        self._post(payout, f"PAYOUT.{event}", data, more=more)

    def _post(self, payout: Payout, event: str, data: dict[str, Any], *, more: bool) -> None:
        self.courier.post(payout.merchant, payout.uuid, event, {"event": event, "data": data}, more=more)

    def _results(self, payout: Payout) -> dict[str, Any]:
        return {self.settings.results_key: totals(payout, old=self.settings.old_totals)}

    def webhook_url(self, merchant: str) -> str | None:
        return self.merchants.rows[merchant].callback_url

    def prove(self, merchant: str, body: bytes, *, forged: bool) -> CIMultiDict[str]:
        del body  # the key is static: it proves a sender, not a body (section 10)
        key = secrets.token_hex(16) if forged else self.merchants.rows[merchant].callback_key
        return CIMultiDict({"Content-Type": "application/JSON", "Accept": "application/JSON", "X-API-Key": key})

    def invent(self, body: dict[str, Any]) -> dict[str, Any]:
        data = dict(body["data"])
        if "payouts" in data:
            data["payouts"] = {**data["payouts"], "status": "LEVITATING"}
        else:
            data["status"] = "LEVITATING"
        return {"event": "PAYOUT.LEVITATING", "data": data}
