"""The second layer of the Plexy sandbox: the webhooks a merchant gets (section 4.3, field by field), and their proof.

Posts what has already happened. Never changes a payout or money, and leaves sending and retrying to the courier.
"""

import secrets
import time
from typing import Any

import orjson
from multidict import CIMultiDict

from providers.plexy.sandbox.facts import CURRENCY, WEBHOOK_AFTER_MS
from providers.plexy.sandbox.records import Payout
from providers.plexy.sandbox.state import PlexyState
from providers.sandbox.clock import iso_micros, iso_nanos


class PlexyWebhooks(PlexyState):
    """Abstract: `PlexySandbox` in `operations` is the whole."""

    def _announce(self, payout: Payout, *, more: bool) -> None:
        """Section 4.3, field by field as in the seed: our reference, the card and the customer are null."""
        merchant = self.merchants.rows[payout.merchant]
        wrapped = self._id(None)
        data: dict[str, Any] = {
            "amount": orjson.Fragment(payout.amount),
            "bin": None,
            "brand": None,
            "cardTokenId": wrapped,
            "createdAt": iso_micros(payout.created_us),
            "currency": CURRENCY,
            "customerId": wrapped,
            "description": payout.description,
            "id": payout.id,
            "last4": None,
            "merchantReference": self._reference(payout),
            "parentTransactionId": None,
            "payerIp": None,
            "paymentLinkId": wrapped,
            "paymentMethod": "card",
            "paymentSessionId": wrapped,
            "recurringType": None,
            "retrievalReferenceNumber": payout.rrn,
            "secure3d": None,
            "status": payout.status,
            "storeId": merchant.store_id,
            "terminalId": merchant.terminal_id,
            "type": "unknown",
            "updatedAt": iso_micros(payout.updated_us),
        }
        if payout.error:
            data["error_code"], data["error_message"] = payout.error
        wait_ms = self.delay_ms(self.settings.webhook_after_ms, WEBHOOK_AFTER_MS)
        name = "created" if payout.status == "new" else payout.status
        self._post(payout.merchant, payout.id, f"transaction.{name}", data, wait_ms, more=more)

    def _post(self, merchant: str, ref: str, name: str, data: dict[str, Any], wait_ms: int, *, more: bool = False) -> None:
        posted_at = iso_nanos(time.time_ns() + wait_ms * 1_000_000)
        body: dict[str, Any] = {"name": name, "data": data, "postedAt": posted_at}
        if self.settings.merchant_id_on_top:
            body["merchantId"] = merchant
        self.courier.post(merchant, ref, name, body, wait_ms, more=more)

    def webhook_url(self, merchant: str) -> str | None:
        return self.merchants.rows[merchant].webhook_url

    def prove(self, merchant: str, body: bytes, *, forged: bool) -> CIMultiDict[str]:
        del body  # the token is static: it proves a sender, not a body (section 8)
        token = secrets.token_hex(16) if forged else self.merchants.rows[merchant].webhook_token
        return CIMultiDict({"Content-Type": "application/json", "Authorization": f"Bearer {token}"})

    def invent(self, body: dict[str, Any]) -> dict[str, Any]:
        return {**body, "name": "transaction.levitating", "data": {**body["data"], "status": "levitating"}}
