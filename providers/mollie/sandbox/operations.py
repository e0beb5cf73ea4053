"""The whole Mollie sandbox: every operation of the API that it plays, on top of state, webhooks and lifecycle.

Makes payouts (once for each idempotency key), cancels them, shows payouts and balances. Never completes a payout:
that is left to time (`lifecycle`).
"""

import asyncio
import hashlib
import secrets
from typing import Any

import orjson
from aiohttp import web

from providers.mollie.sandbox.answers import balance_view, docs, hal, link, no_payout, page_url, payout_view, problem
from providers.mollie.sandbox.facts import API_HOST, HAL, MAX_DESCRIPTION
from providers.mollie.sandbox.lifecycle import MollieLifecycle
from providers.mollie.sandbox.records import Balance, Caller, Payout, StoredAnswer
from providers.mollie.sandbox.rules import json_object, list_limit, wanted_minor
from providers.sandbox.base import Refused, Route
from providers.sandbox.clock import now_ms

SLOT = web.RequestKey("slot", str)  # the idempotency slot that a request keeps in flight


class MollieSandbox(MollieLifecycle):
    def routes(self) -> list[Route]:
        return [
            Route("POST", "/v2/payouts", "create_payout", self._create),
            Route("GET", "/v2/payouts", "list_payouts", self._list),
            Route("GET", "/v2/payouts/{id}", "get_payout", self._get),
            Route("DELETE", "/v2/payouts/{id}", "cancel_payout", self._cancel),
            Route("GET", "/v2/balances", "list_balances", self._list_balances),
            Route("GET", "/v2/balances/{id}", "get_balance", self._get_balance),
        ]

    def error_answer(self, status: int) -> web.Response:
        return problem(status, "The sandbox was told to answer so.")

    def refusal_answer(self, params: dict[str, Any]) -> web.Response:
        """Params: `http`, `detail`, `field`."""
        detail = params.get("detail", "The balance has insufficient funds.")
        return problem(int(params.get("http", 422)), detail, params.get("field", "amount"))

    # --- create

    async def _create(self, request: web.Request) -> web.Response:
        self._merchant(request)  # a stranger learns nothing about his body
        fields = json_object(await request.read())
        caller = self._caller(request, fields)
        key = request.headers.get("Idempotency-Key")
        if not key:
            answer, payout = await self._create_once(caller, None)
        else:
            slot = f"{caller.merchant.api_key}/{caller.mode}/{key}"  # M-3: credential and mode
            replayed = self._replay(slot, fields)
            if replayed is not None:
                return replayed
            self._in_flight.add(slot)
            request[SLOT] = slot
            answer, payout = await self._create_once(caller, key, slot)
        if payout is not None:
            await self.before_answer(payout.id, payout.id, request)
        return answer

    def finished(self, request: web.Request) -> None:
        slot = request.get(SLOT)
        if slot is not None:
            self._in_flight.discard(slot)

    def _replay(self, slot: str, fields: dict[str, Any]) -> web.Response | None:
        if slot in self._in_flight:
            raise Refused(problem(409, "A request with this idempotency key is still being processed."))
        stored = self.answers.rows.get(_short(slot))
        if stored is None or now_ms() - stored.at_ms >= self.settings.idempotency_ttl_ms:
            return None
        if stored.fingerprint != _fingerprint(fields):
            raise Refused(problem(400, "The idempotency key was used for another request."))
        headers = {"Content-Type": HAL, "Idempotent-Replayed": "true"}
        return web.Response(status=stored.status, body=stored.body.encode(), headers=headers)

    async def _create_once(
        self, caller: Caller, key: str | None, slot: str | None = None
    ) -> tuple[web.Response, Payout | None]:
        if self.settings.create_takes_ms:
            await asyncio.sleep(self.settings.create_takes_ms / 1000)
        payout: Payout | None = None
        with self.journal.together():  # the payout and its stored answer: both or none after a kill
            try:
                payout = self._accept(caller, key)
                answer = hal(payout_view(payout), 201)
            except Refused as refused:
                answer = refused.answer
            if slot is not None and isinstance(answer.body, bytes):  # M-3: refusals are remembered too
                self._forget_old_answers()
                stored = StoredAnswer(_fingerprint(caller.fields), answer.status, answer.body.decode(), now_ms())
                self.answers.rows.pop(_short(slot), None)  # to the end of the line: rows stay in order of age
                self.answers.add(_short(slot), stored)
        return answer, payout

    def _forget_old_answers(self) -> None:
        horizon_ms = now_ms() - self.settings.idempotency_ttl_ms
        while self.answers.rows:
            oldest = next(iter(self.answers.rows))
            if self.answers.rows[oldest].at_ms >= horizon_ms:
                return
            self.answers.remove(oldest)

    def _accept(self, caller: Caller, key: str | None) -> Payout:
        fields = caller.fields
        balance = self._payable_balance(caller, fields.get("balanceId"))
        description = fields.get("description")
        if description is not None and (not isinstance(description, str) or len(description) > MAX_DESCRIPTION):
            raise Refused(problem(422, "The description is not a text of at most 255 characters.", "description"))
        amount_minor = wanted_minor(fields.get("amount"), balance)
        now = now_ms()
        payout = Payout(
            id=f"payout_{secrets.token_hex(11)}",
            merchant=caller.merchant.id,
            mode=caller.mode,
            balance=balance.id,
            currency=balance.currency,
            amount_minor=amount_minor,
            description=description,
            key=key,
            status="requested",
            reason="requested",
            created_ms=now,
            due_ms=now + self._wait_ms("requested", now),
        )
        self.payouts.add(payout.id, payout)
        if balance.frequency != "never":  # section 1: the side effect
            self.balances.change(balance.id, frequency="never")
        self._index(payout)
        return payout

    def _payable_balance(self, caller: Caller, balance_id: Any) -> Balance:
        """Section 4's refusals; M-1: all are 422 with the field `balanceId`, too little money is `amount`."""
        balance = self.balances.rows.get(balance_id) if isinstance(balance_id, str) else None
        if balance is None or balance.merchant != caller.merchant.id or balance.mode not in ("", caller.mode):
            raise Refused(problem(422, "The 'balanceId' field is invalid.", "balanceId"))
        if balance.status != "active":
            raise Refused(problem(422, "The balance is not active.", "balanceId"))
        if (balance.id, caller.mode) in self._requested:  # M-11
            raise Refused(problem(422, "Another payout of this balance waits for the next business day.", "balanceId"))
        return balance

    # --- reads and cancel

    def _own(self, request: web.Request, caller: Caller) -> Payout:
        payout = self.payouts.rows.get(request.match_info["id"])
        if payout is None or payout.merchant != caller.merchant.id or payout.mode != caller.mode:
            raise Refused(no_payout(request.match_info["id"]))
        return payout

    async def _get(self, request: web.Request) -> web.Response:
        payout = self._own(request, self._caller(request))
        if await self.hidden("get_payout", request, payout.created_ms):
            raise Refused(no_payout(payout.id))
        return hal(payout_view(payout))

    async def _cancel(self, request: web.Request) -> web.Response:
        payout = self._own(request, self._caller(request))
        if payout.status != "requested":
            raise Refused(problem(409, "The payout cannot be canceled in its current state."))
        self._turn(payout, "canceled", "canceled")
        return hal(payout_view(payout))

    async def _list(self, request: web.Request) -> web.Response:
        caller = self._caller(request)
        query = request.query
        limit = list_limit(query)
        ids = self._of_merchant.get(caller.merchant.id, [])
        newest_first = query.get("sort", "desc") != "asc"
        start = query.get("from")
        if start is not None and (start not in self.payouts.rows or self.payouts.rows[start].mode != caller.mode):
            raise Refused(problem(400, "Invalid cursor value", "from"))
        found: list[Payout] = []
        before: list[str] = []  # ids that come before `from`, newest last
        started = start is None
        for payout_id in reversed(ids) if newest_first else ids:
            payout = self.payouts.rows[payout_id]
            if payout.mode != caller.mode or query.get("balanceId", payout.balance) != payout.balance:
                continue
            started = started or payout_id == start
            if not started:
                before.append(payout_id)
            elif not await self.hidden("list_payouts", request, payout.created_ms):
                found.append(payout)
                if len(found) > limit:
                    break
        following = found.pop().id if len(found) > limit else None
        previous = before[-min(limit, len(before))] if before else None
        links = {
            "self": link(page_url(request, start)),
            "previous": link(page_url(request, previous)) if previous else None,
            "next": link(page_url(request, following)) if following else None,
            "documentation": docs("/reference/list-payouts"),
        }
        rows = [payout_view(payout, documented=False) for payout in found]
        return hal({"count": len(rows), "_embedded": {"payouts": rows}, "_links": links})

    # --- balances

    def _balance_reader(self, request: web.Request) -> Caller:
        caller = self._caller(request)
        if not caller.is_token and not self.settings.api_key_reads_balances:
            raise Refused(problem(403, "An API key cannot read balances."))  # section 2
        return caller

    async def _list_balances(self, request: web.Request) -> web.Response:
        caller = self._balance_reader(request)
        rows = [balance_view(balance, caller.mode) for balance in self._balances_of(caller.merchant.id, caller.mode)]
        links = {
            "self": link(f"{API_HOST}/v2/balances"),
            "previous": None,
            "next": None,
            "documentation": docs("/reference/list-balances"),
        }
        return hal({"count": len(rows), "_embedded": {"balances": rows}, "_links": links})

    async def _get_balance(self, request: web.Request) -> web.Response:
        caller = self._balance_reader(request)
        wanted = request.match_info["id"]
        for balance in self._balances_of(caller.merchant.id, caller.mode):
            if wanted in ("primary", balance.id):  # the first one is the primary
                return hal(balance_view(balance, caller.mode))
        raise Refused(problem(404, f"No balance exists with token {wanted}."))


def _short(slot: str) -> str:
    """A stored answer's name without the credential in it."""
    return hashlib.blake2b(slot.encode(), digest_size=16).hexdigest()


def _fingerprint(fields: dict[str, Any]) -> str:
    return hashlib.blake2b(orjson.dumps(fields, option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()
