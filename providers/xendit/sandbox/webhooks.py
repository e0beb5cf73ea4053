"""The second layer of the Xendit sandbox: the events a merchant gets (section 9), flat or nested, and their proof.

Posts what has already happened. Never changes a payout or money, and leaves sending and retrying to the courier.
"""

import secrets
from typing import Any

import orjson
from multidict import CIMultiDict

from providers.sandbox.clock import iso_millis, now_ms
from providers.xendit.sandbox.answers import payout_view
from providers.xendit.sandbox.records import Payout
from providers.xendit.sandbox.state import XenditState


class XenditWebhooks(XenditState):
    """Abstract: `XenditSandbox` in `operations` is the whole."""

    def _event_of(self, status: str) -> str | None:
        return {
            "SUCCEEDED": "payout.succeeded",
            "FAILED": "payout.failed",
            "REVERSED": "payout.reversed",
            "COMPLIANCE_REJECTED": self.settings.compliance_event,  # E-6
            "CANCELLED": "payout.cancelled" if self.settings.emit_cancelled else None,  # E-3
        }.get(status)

    def _announce(self, payout: Payout, *, more: bool) -> None:
        event = self._event_of(payout.status)
        if event is None:
            return
        is_flat = self.settings.webhook_shape == "flat"
        body: dict[str, Any] = {
            "created": iso_millis(now_ms()),  # the event's time; the payout's is in data
            "business_id": payout.business,
            "event": event,
        }
        if is_flat:
            body["api_version"] = "v2"
        body["data"] = _flat(payout) if is_flat else payout_view(payout)
        self.courier.post(payout.merchant, payout.id, event, body, int(self.settings.webhook_after_ms), more=more)

    def webhook_url(self, merchant: str) -> str | None:
        return self.merchants.rows[merchant].webhook_url

    def prove(self, merchant: str, body: bytes, *, forged: bool) -> CIMultiDict[str]:
        del body  # the token is static: it proves a sender, not a body (section 9)
        token = secrets.token_hex(16) if forged else self.merchants.rows[merchant].callback_token
        return CIMultiDict({"Content-Type": "application/json", "x-callback-token": token})

    def invent(self, body: dict[str, Any]) -> dict[str, Any]:
        return {**body, "event": "payout.levitating", "data": {**body["data"], "status": "LEVITATING"}}

    def retries(self, status: int | None) -> bool:
        if not self.settings.webhook_retries or (status is None and not self.settings.retry_timeouts):
            return False
        return super().retries(status)


def _flat(payout: Payout) -> dict[str, Any]:
    """The delivery as it was seen (E-8): the account's number beside the rest, and our idempotency key."""
    data: dict[str, Any] = {
        "id": payout.id,
        "amount": orjson.Fragment(payout.amount),
        "status": payout.status,
        "reference_id": payout.reference,
        "idempotency_key": payout.key,
        "channel_code": payout.channel,
        "channel_category": payout.category,
        "account_number": payout.account["account_number"],
        "connector_reference": payout.connector_reference,
        "currency": payout.currency,
        "created": iso_millis(payout.created_ms),
        "updated": iso_millis(payout.updated_ms),
    }
    if payout.failure:
        data["failure_code"] = payout.failure
    return data
