"""The second layer of the Mollie sandbox: the events a merchant gets (section 9), and how they are signed.

Posts what has already happened. Never changes a payout or money, and leaves sending and retrying to the courier.
"""

import hashlib
import hmac
import secrets
from typing import Any

from multidict import CIMultiDict

from providers.mollie.sandbox.answers import docs, link, payout_entity
from providers.mollie.sandbox.facts import API_HOST
from providers.mollie.sandbox.records import Payout
from providers.mollie.sandbox.state import MollieState
from providers.sandbox.clock import iso_offset, now_ms


def sign(key: str, body: bytes) -> str:
    """Section 9: HMAC-SHA256 over the raw body, the secret taken as text."""
    return f"sha256={hmac.new(key.encode(), body, hashlib.sha256).hexdigest()}"


class MollieWebhooks(MollieState):
    """Abstract: `MollieSandbox` in `operations` is the whole."""

    def _announce(self, payout: Payout) -> None:
        event = f"payout.{payout.status}"
        view = payout_entity(payout)
        event_id = f"event_{secrets.token_hex(11)}"
        body: dict[str, Any] = {
            "resource": "event",
            "id": event_id,
            "type": event,
            "entityId": payout.id,
            "createdAt": iso_offset(now_ms()),
            "_links": {
                "self": link(f"{API_HOST}/v2/events/{event_id}"),
                "documentation": docs("/guides/webhooks"),
                "entity": link(f"/v2/payouts/{payout.id}"),  # relative, as seen (section 9)
            },
        }
        if self.settings.bare_payload:
            body = view
        elif not self.settings.simple_payload:
            body["_embedded"] = {"entity": view}
        self.courier.post(payout.merchant, payout.id, event, body)

    def webhook_url(self, merchant: str) -> str | None:
        return self.merchants.rows[merchant].webhook_url

    def prove(self, merchant: str, body: bytes, *, forged: bool) -> CIMultiDict[str]:
        headers = CIMultiDict({"Content-Type": "application/json"})
        keys = [secrets.token_hex(16)] if forged else self.merchants.rows[merchant].webhook_secrets
        for key in keys:  # two while a secret is being rotated: two headers of one name
            headers.add("X-Mollie-Signature", sign(key, body))
        return headers

    def invent(self, body: dict[str, Any]) -> dict[str, Any]:
        body = {**body, "type": "payout.levitating"} if body["resource"] == "event" else {**body, "status": "levitating"}
        if body.get("_embedded"):
            body["_embedded"] = {"entity": {**body["_embedded"]["entity"], "status": "levitating"}}
        return body
