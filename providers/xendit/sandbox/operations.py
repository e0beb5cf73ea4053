"""The whole Xendit sandbox: every operation of the API that it plays, on top of state, webhooks and lifecycle.

Makes payouts (once for each idempotency key), cancels them while they are ACCEPTED, shows payouts, channels and the
balance. Never ends a payout otherwise: that is left to time (`lifecycle`).
"""

import hashlib
import json
import secrets
import uuid
from typing import Any

import orjson
from aiohttp import web

from providers.sandbox.answering import Handler
from providers.sandbox.base import Refused, Route, reply
from providers.sandbox.clock import now_ms
from providers.sandbox.scenarios import Scenario
from providers.xendit.sandbox.answers import CODE_BY_STATUS, channel_view, payout_view, problem
from providers.xendit.sandbox.facts import DECIMALS, LIST_DEFAULT, LIST_MAX
from providers.xendit.sandbox.lifecycle import XenditLifecycle
from providers.xendit.sandbox.records import Merchant, Payout
from providers.xendit.sandbox.rules import (
    INVALID,
    Order,
    Problem,
    account_of,
    amount_of,
    extras_of,
    json_object,
    page_of,
    plain_number,
    text_field,
)
from providers.xendit.sandbox.state import major_text


class XenditSandbox(XenditLifecycle):
    def routes(self) -> list[Route]:
        return [
            Route("POST", "/v2/payouts", "create_payout", self._worded(self._create)),
            Route("GET", "/v2/payouts", "find_payout", self._worded(self._find)),
            Route("GET", "/v2/payouts/{id}", "get_payout", self._worded(self._get)),
            Route("POST", "/v2/payouts/{id}/cancel", "cancel_payout", self._worded(self._cancel)),
            Route("GET", "/v2/payouts/{id}/cancel", "cancel_payout", self._worded(self._cancel_by_get)),
            Route("GET", "/payouts_channels", "list_channels", self._worded(self._list_channels)),
            Route("GET", "/balance", "get_balance", self._worded(self._balance)),
        ]

    def _worded(self, handler: Handler) -> Handler:
        """Problems get their final shape here."""

        async def handle(request: web.Request) -> web.Response:
            try:
                return await handler(request)
            except Problem as what:
                raise self._refused(what) from None

        return handle

    def error_answer(self, status: int) -> web.Response:
        code = CODE_BY_STATUS.get(status, "SERVER_ERROR" if status >= 500 else INVALID)
        return problem(code, "The sandbox was told to answer so.", http=status, text_field=self.settings.error_text_field)

    def refusal_answer(self, params: dict[str, Any]) -> web.Response:
        """Params: `code` (an error_code), `message`, `http`."""
        code = params.get("code", INVALID)
        return problem(code, params.get("message"), http=params.get("http"), text_field=self.settings.error_text_field)

    # --- create

    async def _create(self, request: web.Request) -> web.Response:
        merchant = self._merchant(request)
        if not merchant.can_pay:
            raise Problem("REQUEST_FORBIDDEN_ERROR")
        key = request.headers.get("idempotency-key", "")
        if not 1 <= len(key) <= 100:
            raise Problem(INVALID, "the header idempotency-key must have 1 to 100 characters", "idempotency-key")  # E-7
        body = json_object(await request.read())
        business, fingerprint = self._business(request, merchant), _fingerprint(body)
        known = await self._made_with(request, business, key)
        if known is not None and known.fingerprint == fingerprint:
            return reply(payout_view(known))  # section 8: the current state, not the first answer
        if known is not None:
            raise self._refused(Problem(self.settings.duplicate_code), self.settings.duplicate_http)
        order = self._order(merchant, body)
        (scenario,) = await self.scenes(request, [order.amount_minor])
        payout = self._accept(request, merchant, business, key, fingerprint, order, scenario)
        answer = reply(payout_view(payout))  # always ACCEPTED (section 1)
        await self.before_answer(payout.id, payout.id, request)
        return answer

    async def _made_with(self, request: web.Request, business: str, key: str) -> Payout | None:
        payout = self.payouts.rows.get(self._by_key.get((business, key), ""))
        if payout is None or await self.forgets_key("create_payout", request, payout.id, payout.created_ms):
            return None
        ttl_ms = self.settings.idem_ttl_ms  # E-2
        return payout if ttl_ms is None or now_ms() - payout.created_ms < ttl_ms else None

    def _order(self, merchant: Merchant, body: dict[str, Any]) -> Order:
        reference = text_field(body, "reference_id", 255)
        channel = self._channels().get(text_field(body, "channel_code", 100))
        if channel is None:
            raise Problem(self.settings.channel_error_code, path="channel_code")
        account = account_of(body, channel)
        if body.get("currency") not in DECIMALS or body["currency"] != channel.currency:
            raise Problem(INVALID, "currency is not that of the channel", "currency")
        if channel.currency != merchant.currency:  # section 2: one key a currency; the code is our assumption
            raise Problem("REQUEST_FORBIDDEN_ERROR", f"this key pays {merchant.currency}")
        return Order(reference, channel, account, amount_of(body, channel), extras_of(body))

    def _accept(
        self,
        request: web.Request,
        merchant: Merchant,
        business: str,
        key: str,
        fingerprint: str,
        order: Order,
        scenario: Scenario | None,
    ) -> Payout:
        now = now_ms()
        held = merchant.balance_minor >= order.amount_minor
        payout = Payout(
            id=f"disb-{uuid.uuid4()}",
            merchant=merchant.id,
            business=business,
            key=key,
            fingerprint=fingerprint,
            reference=order.reference,
            channel=order.channel.code,
            category=order.channel.category,
            account=order.account,
            amount=plain_number(order.amount),
            amount_minor=order.amount_minor,
            currency=order.channel.currency,
            extras=order.extras,
            status="ACCEPTED",
            failure="",
            created_ms=now,
            updated_ms=now,
            due_ms=0,
            held=held,
            connector_reference=f"SIMULATED_{secrets.token_hex(6)}",
            scenario=scenario.name if scenario else "",
        )
        payout.due_ms = self._due_after(payout, "ACCEPTED", self._course(payout))
        with self.journal.together():
            self.payouts.add(payout.id, payout)
            self.bind(request, payout.id)
            if held:
                self.merchants.change(merchant.id, balance_minor=merchant.balance_minor - order.amount_minor)
        self._index(payout)
        return payout

    # --- reads and cancel

    async def _own(self, request: web.Request, operation: str) -> Payout:
        business = self._business(request, self._merchant(request))
        payout = self.payouts.rows.get(request.match_info["id"])
        if payout is None or payout.business != business:
            raise Problem("DATA_NOT_FOUND")
        if await self.hidden(operation, request, payout.created_ms, payout.id):
            raise Problem("DATA_NOT_FOUND")
        return payout

    async def _get(self, request: web.Request) -> web.Response:
        return reply(payout_view(await self._own(request, "get_payout")))

    async def _find(self, request: web.Request) -> web.Response:
        """Section 3: an unknown reference is an empty list, not an error."""
        business = self._business(request, self._merchant(request))
        reference = request.query.get("reference_id", "")
        if not reference:
            raise Problem(INVALID, "reference_id is missing", "reference_id")
        page = page_of(request.query, LIST_DEFAULT, LIST_MAX)
        found = [
            self.payouts.rows[one]
            for one in reversed(self._by_reference.get((business, reference), []))  # newest first, ASSUME
            if not await self.hidden("find_payout", request, self.payouts.rows[one].created_ms, one)
        ]
        ids = [payout.id for payout in found]
        if page.after in ids:
            found = found[ids.index(page.after) + 1 :]
        elif page.before in ids:
            found = found[: ids.index(page.before)][-page.limit :]
        rows = [payout_view(payout) for payout in found[: page.limit]]
        if self.settings.list_shape == "array":
            return reply(rows)
        return reply({"has_more": len(found) > page.limit, "data": rows})

    async def _cancel(self, request: web.Request) -> web.Response:
        payout = await self._own(request, "cancel_payout")
        if payout.status != "ACCEPTED":
            http = self.settings.cancel_refused  # E-1
            raise self._refused(Problem(INVALID, f"a payout that is {payout.status} cannot be cancelled"), http)
        self._turn(payout, "CANCELLED", "", hold=True)
        return reply(payout_view(payout))

    async def _cancel_by_get(self, request: web.Request) -> web.Response:
        if not self.settings.cancel_by_get:
            raise Refused(self.error_answer(404))
        return await self._cancel(request)

    # --- channels and balance

    async def _list_channels(self, request: web.Request) -> web.Response:
        self._merchant(request)
        wanted = {
            name: request.query[name] for name in ("currency", "channel_category", "channel_code") if name in request.query
        }
        rows = [channel_view(channel) for channel in self._channels().values()]
        return reply([row for row in rows if all(row[name] == value for name, value in wanted.items())])

    async def _balance(self, request: web.Request) -> web.Response:
        merchant = self._merchant(request)
        kind, currency = request.query.get("account_type", "CASH"), request.query.get("currency", merchant.currency)
        if kind not in ("CASH", "HOLDING") or currency != merchant.currency:
            raise Problem(INVALID, "this key has no such account")
        minor = merchant.balance_minor if kind == "CASH" else 0  # nothing is said about what moves to HOLDING
        return reply({"balance": orjson.Fragment(major_text(minor, merchant.currency))})


def _fingerprint(body: dict[str, Any]) -> str:
    text = json.dumps(body, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
