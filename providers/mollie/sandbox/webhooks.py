"""The second layer of the Mollie sandbox: the events a merchant gets (section 9), and how they are signed.

Posts what has already happened. Never changes a payout or money, and leaves sending and retrying to the courier.
"""

import hashlib
import hmac
import secrets
from typing import Any

import orjson
from multidict import CIMultiDict

from providers.mollie.sandbox.answers import docs, link, payout_entity
from providers.mollie.sandbox.facts import API_HOST, EVENTS_KEPT
from providers.mollie.sandbox.records import Event, Payout
from providers.mollie.sandbox.state import MollieState
from providers.sandbox.clock import iso_offset, now_ms


def sign(key: str, body: bytes) -> str:
    """Section 9: HMAC-SHA256 over the raw body, the secret taken as text."""
    return f"sha256={hmac.new(key.encode(), body, hashlib.sha256).hexdigest()}"


class MollieWebhooks(MollieState):
    """Abstract: `MollieSandbox` in `operations` is the whole."""

    def _announce(self, payout: Payout, *, more: bool) -> None:
        event_type = f"payout.{payout.status}"
        view = payout_entity(payout)
        event = self._event(event_type, payout.id, link(f"/v2/payouts/{payout.id}"))  # relative, as seen (section 9)
        self._keep(event["id"], payout.merchant, payout.mode, {**event, "_embedded": {"entity": view}})
        told = event if self.settings.simple_payload else {**event, "_embedded": {"entity": view}}
        if self.settings.bare_payload:
            told = view
        for receiver in (payout.merchant, *self._subscribers(payout, event_type)):
            self.courier.post(receiver, payout.id, event_type, told, more=more)

    def _event(self, event_type: str, entity_id: str, entity: dict[str, str]) -> dict[str, Any]:
        event_id = f"event_{secrets.token_hex(11)}"
        return {
            "resource": "event",
            "id": event_id,
            "type": event_type,
            "entityId": entity_id,
            "createdAt": iso_offset(now_ms()),
            "_links": {
                "self": link(f"{API_HOST}/v2/events/{event_id}"),
                "documentation": docs("/guides/webhooks"),
                "entity": entity,
            },
        }

    def _keep(self, event_id: str, merchant: str, mode: str, body: dict[str, Any]) -> None:
        self.events.add(event_id, Event(merchant, mode, orjson.dumps(body).decode()))
        if len(self.events.rows) > EVENTS_KEPT:
            self.events.remove(next(iter(self.events.rows)))

    def _subscribers(self, payout: Payout, event_type: str) -> list[str]:
        """Subscriptions made by API; the address that the control surface sets is the one of the dashboard."""
        return [
            hook.id
            for hook in self.subscriptions.rows.values()
            if (hook.merchant, hook.mode, hook.status) == (payout.merchant, payout.mode, "enabled")
            and not {"*", event_type}.isdisjoint(hook.event_types)
        ]

    def webhook_url(self, merchant: str) -> str | None:
        hook = self.subscriptions.rows.get(merchant)
        if hook is None:
            return self.merchants.rows[merchant].webhook_url
        return hook.url if hook.status == "enabled" else None

    def prove(self, merchant: str, body: bytes, *, forged: bool) -> CIMultiDict[str]:
        headers = CIMultiDict({"Content-Type": "application/json"})
        hook = self.subscriptions.rows.get(merchant)
        keys = [hook.secret] if hook else self.merchants.rows[merchant].webhook_secrets
        for key in [secrets.token_hex(16)] if forged else keys:  # two headers of one name while a secret is being rotated
            headers.add("X-Mollie-Signature", sign(key, body))
        return headers

    def gave_up(self, merchant: str) -> None:
        """Section 9: an address that fails for about a day is blocked, until somebody enables it in the dashboard."""
        if merchant in self.subscriptions.rows:
            self.subscriptions.change(merchant, status="blocked")

    def invent(self, body: dict[str, Any]) -> dict[str, Any]:
        body = {**body, "type": "payout.levitating"} if body["resource"] == "event" else {**body, "status": "levitating"}
        if body.get("_embedded"):
            body["_embedded"] = {"entity": {**body["_embedded"]["entity"], "status": "levitating"}}
        return body
