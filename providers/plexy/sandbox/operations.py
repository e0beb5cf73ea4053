"""The whole Plexy sandbox: every operation of the API that it plays, on top of state, webhooks and lifecycle.

Saves cards, makes payouts, shows both. Never ends a payout: that is left to time (`lifecycle`).
"""

import secrets
import time
from decimal import Decimal
from typing import Any

import orjson
from aiohttp import web

from providers.plexy.sandbox.answers import CODE_BY_STATUS, problem
from providers.plexy.sandbox.facts import (
    CARD_SAVED_AFTER_MS,
    CURRENCY,
    LIST_DEFAULT,
    LIST_MAX,
    TEST_CARDS,
)
from providers.plexy.sandbox.lifecycle import PlexyLifecycle
from providers.plexy.sandbox.records import Card, Merchant, Payout
from providers.plexy.sandbox.rules import amount_of, card_number, json_object, paging
from providers.sandbox.base import Refused, Route, reply
from providers.sandbox.clock import iso_micros, uuid7
from providers.sandbox.scenarios import Scenario


class PlexySandbox(PlexyLifecycle):
    def routes(self) -> list[Route]:
        return [
            Route("POST", "/v1/cards", "save_card", self._save_card),
            Route("POST", "/v1/payout", "create_payout", self._create),
            Route("GET", "/v1/transactions", "list_payouts", self._list),
            Route("GET", "/v1/transactions/{id}", "get_payout", self._get),
            Route("GET", "/v1/customers/{id}/card-tokens", "list_cards", self._card_tokens),
        ]

    def error_answer(self, status: int) -> web.Response:
        return problem(CODE_BY_STATUS.get(status, 2), http=status)

    def refusal_answer(self, params: dict[str, Any]) -> web.Response:
        """Params: `code` (1 to 5), `message`, `http`: a refusal dressed as HTTP 500 is {code: 2, http: 500}."""
        return problem(int(params.get("code", 5)), params.get("message"), http=params.get("http"))

    # --- cards

    async def _save_card(self, request: web.Request) -> web.Response:
        merchant = self._merchant(request)
        body = json_object(await request.read())
        number = card_number(body.get("cardData"))
        if number not in TEST_CARDS:
            raise Refused(problem(5))
        external = body.get("externalUserId")
        if external is not None and not isinstance(external, str):
            raise Refused(problem(3))
        brand, is_paid = TEST_CARDS[number]
        known = self._customers.get((merchant.id, external)) if external is not None else None
        customer = known or uuid7()
        card = Card(uuid7(), merchant.id, customer, external, brand, number[:6], number[-4:], is_paid)
        if external is not None:
            self._customers[merchant.id, external] = customer
        told = {
            "cardTokenId": self._id(card.token),
            "customerId": self._id(customer),
            "externalUserId": external,
            "bin": card.bin,
            "last4": card.last4,
            "brand": brand,
        }
        wait_ms = self.delay_ms(self.settings.card_saved_after_ms, CARD_SAVED_AFTER_MS)
        with self.journal.together():
            self.cards.add(card.token, card)
            self.bind(request, card.token)
            self._post(merchant.id, card.token, self.settings.card_event_name, told, wait_ms)
        # Only the customer: the token comes by webhook (seed, X-5).
        answer = reply({"customerId": customer})
        await self.before_answer("", card.token, request)
        return answer

    async def _card_tokens(self, request: web.Request) -> web.Response:
        """X-3: the way out when the card's webhook was lost."""
        merchant = self._merchant(request)
        cards = [
            {"cardTokenId": card.token, "bin": card.bin, "last4": card.last4, "brand": card.brand}
            for card in self.cards.rows.values()
            if card.merchant == merchant.id and card.customer == request.match_info["id"]
        ]
        if not cards:
            raise Refused(problem(4))
        return reply({"data": cards})

    # --- payouts

    async def _create(self, request: web.Request) -> web.Response:
        merchant = self._merchant(request)
        body = json_object(await request.read())
        amount = amount_of(body, self.settings.min_amount)
        card = self.cards.rows.get(body["tokenId"])
        if card is None or card.merchant != merchant.id:
            raise Refused(problem(4))
        for name in ("description", "merchantReference"):  # taken when sent
            if not isinstance(body.get(name, ""), str):
                raise Refused(problem(3))
        (scenario,) = await self.scenes(request, [int(amount * 100)])
        payout = self._accept(request, merchant, card, amount, body, scenario)
        answer = self._created_answer(payout)
        await self.before_answer(payout.id, payout.id, request)
        return answer

    def _accept(
        self,
        request: web.Request,
        merchant: Merchant,
        card: Card,
        amount: Decimal,
        body: dict[str, Any],
        scenario: Scenario | None,
    ) -> Payout:
        """X-8: no key is looked at and nothing is compared. Two calls are two payouts."""
        amount_tiyn = int(amount * 100)
        held = merchant.balance_tiyn >= amount_tiyn
        created_us = time.time_ns() // 1000
        payout = Payout(
            id=uuid7(),
            merchant=merchant.id,
            token=card.token,
            amount=str(amount),
            amount_tiyn=amount_tiyn,
            description=body.get("description"),
            reference=body.get("merchantReference"),
            status="new",
            created_us=created_us,
            updated_us=created_us,
            rrn=f"{secrets.randbelow(10**12):012d}",
            held=held,
            due_ms=0,
            error=[],
            scenario=scenario.name if scenario else "",
        )
        payout.due_ms = self._due_after(payout, "new")
        with self.journal.together():
            self.payouts.add(payout.id, payout)
            self.bind(request, payout.id)
            if self.settings.emit_events == "all":
                self._announce(payout, more=True)
            if held:
                self.merchants.change(merchant.id, balance_tiyn=merchant.balance_tiyn - amount_tiyn)
        self._index(payout)
        return payout

    def _created_answer(self, payout: Payout) -> web.Response:
        """X-4b: the field list is unpublished, so the place of the id can be moved."""
        body: dict[str, Any] = {
            "status": "new",
            "amount": orjson.Fragment(payout.amount),
            "currency": CURRENCY,
            "createdAt": iso_micros(payout.created_us),
        }
        where = self.settings.id_field
        if where == "data.id":
            body["data"] = {"id": payout.id}
        elif where != "none":
            body = {where: payout.id, **body}
        return reply(body)

    # --- reads

    async def _get(self, request: web.Request) -> web.Response:
        merchant = self._merchant(request)
        payout = self.payouts.rows.get(request.match_info["id"])
        if payout is None or payout.merchant != merchant.id:
            raise Refused(problem(4))
        if await self.hidden("get_payout", request, payout.created_us // 1000, payout.id):
            raise Refused(problem(4))
        view: dict[str, Any] = {
            "transactionId": payout.id,
            "paymentId": None,
            "status": self._read_status(payout.status),
            "amount": orjson.Fragment(payout.amount),
            "merchantReference": self._reference(payout),
        }
        if payout.error:
            view["error_code"], view["error_message"] = payout.error
        return reply(view)

    async def _list(self, request: web.Request) -> web.Response:
        merchant = self._merchant(request)
        page, size = paging(request.query, "page", 1, 10**9), paging(request.query, "size", LIST_DEFAULT, LIST_MAX)
        ids = self._of_merchant.get(merchant.id, [])
        if self.may_hide(request):
            made_ms = {one: self.payouts.rows[one].created_us // 1000 for one in ids}
            ids = [one for one in ids if not await self.hidden("list_payouts", request, made_ms[one], one)]
        end = len(ids) - (page - 1) * size
        rows = []
        for payout_id in reversed(ids[max(0, end - size) : max(0, end)]):  # newest first
            payout = self.payouts.rows[payout_id]
            rows.append(
                {
                    "transactionId": payout.id,
                    "amount": orjson.Fragment(payout.amount),
                    "createdAt": iso_micros(payout.created_us),
                    "rrn": payout.rrn,
                    "status": self._read_status(payout.status),
                    "orderReference": self._reference(payout),
                }
            )
        return reply({"data": rows, "page": page, "size": size, "total": len(ids)})

    def _read_status(self, status: str) -> str:
        return f"TRANSACTION_STATUS_{status.upper()}" if self.settings.prefixed_statuses else status
