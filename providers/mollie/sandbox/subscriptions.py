"""The fifth layer of the Mollie sandbox: webhook subscriptions, their ping, and events that can be read again (section 9).

Keeps who wants to hear of what. Never makes or moves a payout, and leaves sending to the courier.
"""

import secrets
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from providers.mollie.sandbox.answers import docs, hal, link, page_url, problem, subscription_view
from providers.mollie.sandbox.facts import API_HOST, EVENT_TYPE, HAL, MAX_SUBSCRIPTIONS, PING
from providers.mollie.sandbox.idempotency import Make, MollieIdempotency
from providers.mollie.sandbox.records import Caller, Subscription
from providers.mollie.sandbox.rules import json_object, list_limit
from providers.sandbox.base import Refused, Route
from providers.sandbox.clock import now_ms


class MollieSubscriptions(MollieIdempotency):
    """Abstract: `MollieSandbox` in `operations` is the whole."""

    def webhook_routes(self) -> list[Route]:
        return [
            Route("POST", "/v2/webhooks", "create_webhook", self._create_webhook),
            Route("GET", "/v2/webhooks", "list_webhooks", self._list_webhooks),
            Route("GET", "/v2/webhooks/{id}", "get_webhook", self._get_webhook),
            Route("PATCH", "/v2/webhooks/{id}", "change_webhook", self._change_webhook),
            Route("DELETE", "/v2/webhooks/{id}", "delete_webhook", self._delete_webhook),
            Route("POST", "/v2/webhooks/{id}/ping", "ping_webhook", self._ping_webhook),
            Route("GET", "/v2/events/{id}", "get_event", self._get_event),
        ]

    # --- create, change, delete

    async def _create_webhook(self, request: web.Request) -> web.Response:
        caller = self._caller(request, "create_webhook", json_object(await request.read()))

        async def prepare() -> Make:
            return lambda: (self._subscribe(caller), "")

        answer, _ = await self._once(request, "create_webhook", caller, prepare)
        return answer

    def _subscribe(self, caller: Caller) -> web.Response:
        fields = caller.fields
        enabled = [hook for hook in self._hooks_of(caller) if hook.status == "enabled"]
        if len(enabled) >= MAX_SUBSCRIPTIONS[caller.mode]:
            raise Refused(problem(422, "There are as many webhooks as there may be."))
        hook = Subscription(
            id=f"hook_{secrets.token_hex(11)}",
            merchant=caller.merchant.id,
            mode=caller.mode,
            name=_name(fields.get("name")),
            url=_url(fields.get("url"), caller.mode),
            event_types=_event_types(fields.get("eventTypes")),
            status="enabled",
            secret=secrets.token_hex(16),
            created_ms=now_ms(),
        )
        self.subscriptions.add(hook.id, hook)
        return hal({**subscription_view(hook), "webhookSecret": hook.secret}, 201)  # told this once

    async def _change_webhook(self, request: web.Request) -> web.Response:
        caller = self._caller(request, "change_webhook", json_object(await request.read()))
        hook, fields = self._standing_hook(request, caller), caller.fields
        changes: dict[str, Any] = {}
        if "name" in fields:
            changes["name"] = _name(fields["name"])
        if "url" in fields:
            changes["url"] = _url(fields["url"], caller.mode)
        if "eventTypes" in fields:
            changes["event_types"] = _event_types(fields["eventTypes"])
        return hal(subscription_view(self.subscriptions.change(hook.id, **changes)))

    async def _delete_webhook(self, request: web.Request) -> web.Response:
        caller = self._caller(request, "delete_webhook")
        self.subscriptions.change(self._standing_hook(request, caller).id, status="deleted")
        return web.Response(status=204)

    # --- read and ping

    async def _get_webhook(self, request: web.Request) -> web.Response:
        return hal(subscription_view(self._hook(request, self._caller(request, "get_webhook"))))

    async def _list_webhooks(self, request: web.Request) -> web.Response:
        caller = self._caller(request, "list_webhooks")
        limit, wanted = list_limit(request.query), request.query.get("eventTypes")
        hooks = [hook for hook in self._hooks_of(caller) if wanted is None or wanted in hook.event_types]
        if request.query.get("sort", "desc") != "asc":
            hooks.reverse()
        ids = [hook.id for hook in hooks]
        start = request.query.get("from")
        if start is not None and start not in ids:
            raise Refused(problem(400, "Invalid cursor value", "from"))
        hooks = hooks[ids.index(start) if start is not None else 0 :]
        following = hooks[limit].id if len(hooks) > limit else None
        rows = [subscription_view(hook) for hook in hooks[:limit]]
        links = {
            "self": link(page_url(request, start)),
            "previous": None,
            "next": link(page_url(request, following)) if following else None,
            "documentation": docs("/reference/list-webhooks"),
        }
        return hal({"count": len(rows), "_embedded": {"webhooks": rows}, "_links": links})

    async def _ping_webhook(self, request: web.Request) -> web.Response:
        raw = await request.read()
        caller = self._caller(request, "ping_webhook", json_object(raw) if raw else None)
        hook = self._standing_hook(request, caller)
        event = self._event(PING, hook.id, link(f"{API_HOST}/v2/webhooks/{hook.id}"))
        with self.journal.together():
            self._keep(event["id"], hook.merchant, hook.mode, event)
            self.courier.post(hook.id, hook.id, PING, event)
        return web.Response(status=202)

    async def _get_event(self, request: web.Request) -> web.Response:
        caller, event_id = self._caller(request, "get_event"), request.match_info["id"]
        event = self.events.rows.get(event_id)
        if event is None or (event.merchant, event.mode) != (caller.merchant.id, caller.mode):
            raise Refused(problem(404, f"No event exists with token {event_id}."))
        return web.Response(body=event.body.encode(), headers={"Content-Type": HAL})

    # --- whose it is

    def _hooks_of(self, caller: Caller) -> list[Subscription]:
        """The ones that are not deleted, oldest first."""
        return [
            hook
            for hook in self.subscriptions.rows.values()
            if (hook.merchant, hook.mode) == (caller.merchant.id, caller.mode) and hook.status != "deleted"
        ]

    def _hook(self, request: web.Request, caller: Caller) -> Subscription:
        hook = self.subscriptions.rows.get(request.match_info["id"])
        if hook is None or (hook.merchant, hook.mode) != (caller.merchant.id, caller.mode):
            raise Refused(problem(404, f"No webhook exists with token {request.match_info['id']}."))
        return hook

    def _standing_hook(self, request: web.Request, caller: Caller) -> Subscription:
        hook = self._hook(request, caller)
        if hook.status == "deleted":
            raise Refused(problem(422, "The webhook was deleted already."))
        return hook


def _name(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise Refused(problem(422, "The name is missing.", "name"))
    return value


def _url(value: Any, mode: str) -> str:
    """Section 9: HTTPS is required in live mode only."""
    parts = urlsplit(value) if isinstance(value, str) else urlsplit("")
    if parts.scheme not in (("https",) if mode == "live" else ("http", "https")) or not parts.hostname:
        raise Refused(problem(422, "The URL is not valid.", "url"))
    return str(value)


def _event_types(value: Any) -> list[str]:
    types = [value] if isinstance(value, str) else value
    if not isinstance(types, list) or not types or not all(isinstance(t, str) and EVENT_TYPE.fullmatch(t) for t in types):
        raise Refused(problem(422, "The event types are not known.", "eventTypes"))
    return types
