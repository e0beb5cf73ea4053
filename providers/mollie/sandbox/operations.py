"""The whole Mollie sandbox: payouts and balances, on top of the layers that know state, time, keys and subscriptions.

Makes payouts (once for each idempotency key), cancels them, shows payouts and balances. Never completes a payout:
that is left to time (`lifecycle`).
"""

import secrets
from typing import Any

from aiohttp import web

from providers.mollie.sandbox.amounts import minor_of
from providers.mollie.sandbox.answers import balance_view, docs, hal, link, no_payout, page_url, payout_view, problem
from providers.mollie.sandbox.facts import API_HOST, MAX_DESCRIPTION, OBSTACLES
from providers.mollie.sandbox.idempotency import Make
from providers.mollie.sandbox.records import Balance, Caller, Payout, PayoutForm
from providers.mollie.sandbox.rules import json_object, list_limit, wanted_minor
from providers.mollie.sandbox.subscriptions import MollieSubscriptions
from providers.sandbox.base import ControlError, Refused, Route
from providers.sandbox.clock import now_ms
from providers.sandbox.scenarios import Scenario


class MollieSandbox(MollieSubscriptions):
    def routes(self) -> list[Route]:
        return [
            Route("POST", "/v2/payouts", "create_payout", self._create),
            Route("GET", "/v2/payouts", "list_payouts", self._list),
            Route("GET", "/v2/payouts/{id}", "get_payout", self._get),
            Route("DELETE", "/v2/payouts/{id}", "cancel_payout", self._cancel),
            Route("GET", "/v2/balances", "list_balances", self._list_balances),
            Route("GET", "/v2/balances/{id}", "get_balance", self._get_balance),
            *self.webhook_routes(),
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
        caller = self._caller(request, "create_payout", json_object(await request.read()))

        async def prepare() -> Make:
            (scenario,) = await self.scenes(request, [_minor_asked(caller.fields)])
            return lambda: self._make(request, caller, scenario)

        answer, payout_id = await self._once(request, "create_payout", caller, prepare)
        if payout_id:
            await self.before_answer(payout_id, payout_id, request)
        return answer

    def _make(self, request: web.Request, caller: Caller, scenario: Scenario | None) -> tuple[web.Response, str]:
        fields = caller.fields
        balance = self._payable_balance(caller, fields.get("balanceId"))
        description = fields.get("description")
        if description is not None and (not isinstance(description, str) or len(description) > MAX_DESCRIPTION):
            raise Refused(problem(422, "The description is not a text of at most 255 characters.", "description"))
        if caller.merchant.uk and fields.get("amount") is not None:
            raise Refused(problem(422, "The amount cannot be chosen.", "amount"))  # section 4
        amount_minor = wanted_minor(fields.get("amount"), balance)
        key = request.headers.get("Idempotency-Key")
        payout = self._add(balance, caller.mode, amount_minor, description, key, scenario.name if scenario else "")
        self.bind(request, payout.id)
        return hal(payout_view(payout), 201), payout.id

    def _add(
        self, balance: Balance, mode: str, amount_minor: int, description: str | None, key: str | None, scenario: str
    ) -> Payout:
        payout = Payout(
            id=f"payout_{secrets.token_hex(11)}",
            merchant=balance.merchant,
            mode=mode,
            balance=balance.id,
            currency=balance.currency,
            amount_minor=amount_minor,
            description=description,
            key=key,
            status="requested",
            reason="requested",
            created_ms=now_ms(),
            due_ms=0,
            scenario=scenario,
        )
        payout.due_ms = self._due_after(payout, "requested")
        self.payouts.add(payout.id, payout)
        if balance.frequency != "never":  # section 1: the side effect
            self.balances.change(balance.id, frequency="never")
        self._index(payout)
        return payout

    def make_payout(self, body: dict[str, Any]) -> dict[str, Any]:
        """Section 3: lists also show what the dashboard and the automatic schedule have made."""
        form = PayoutForm.model_validate(body)
        balance, amount_minor = self.balances.rows.get(form.balance_id), minor_of(form.amount)
        if balance is None or not amount_minor:
            raise ControlError('balanceId must be that of a balance, and amount a text such as "10.00"')
        with self.journal.together():
            payout = self._add(balance, form.mode or balance.mode or "live", amount_minor, form.description, None, "")
        return {"id": payout.id, "status": payout.status}

    def _payable_balance(self, caller: Caller, balance_id: Any) -> Balance:
        """Section 4's refusals; M-1: all are 422 with the field `balanceId`, too little money is `amount`."""
        balance = self.balances.rows.get(balance_id) if isinstance(balance_id, str) else None
        if balance is None or balance.merchant != caller.merchant.id or balance.mode not in ("", caller.mode):
            raise Refused(problem(422, "The 'balanceId' field is invalid.", "balanceId"))
        if balance.status != "active":
            raise Refused(problem(422, "The balance is not active.", "balanceId"))
        if balance.obstacle is not None:
            raise Refused(problem(422, OBSTACLES[balance.obstacle], "balanceId"))
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
        payout = self._own(request, self._caller(request, "get_payout"))
        if await self.hidden("get_payout", request, payout.created_ms, payout.id):
            raise Refused(no_payout(payout.id))
        return hal(payout_view(payout))

    async def _cancel(self, request: web.Request) -> web.Response:
        payout = self._own(request, self._caller(request, "cancel_payout"))
        if payout.status != "requested":
            raise Refused(problem(409, "The payout cannot be canceled in its current state."))
        self._turn(payout, "canceled", "canceled")
        return hal(payout_view(payout))

    async def _list(self, request: web.Request) -> web.Response:
        caller = self._caller(request, "list_payouts")
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
            elif not await self.hidden("list_payouts", request, payout.created_ms, payout.id):
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

    async def _list_balances(self, request: web.Request) -> web.Response:
        caller = self._caller(request, "list_balances")
        rows = [balance_view(balance, caller.mode) for balance in self._balances_of(caller.merchant.id, caller.mode)]
        links = {
            "self": link(f"{API_HOST}/v2/balances"),
            "previous": None,
            "next": None,
            "documentation": docs("/reference/list-balances"),
        }
        return hal({"count": len(rows), "_embedded": {"balances": rows}, "_links": links})

    async def _get_balance(self, request: web.Request) -> web.Response:
        caller = self._caller(request, "get_balance")
        wanted = request.match_info["id"]
        for balance in self._balances_of(caller.merchant.id, caller.mode):
            if wanted in ("primary", balance.id):  # the first one is the primary
                return hal(balance_view(balance, caller.mode))
        raise Refused(problem(404, f"No balance exists with token {wanted}."))


def _minor_asked(fields: dict[str, Any]) -> int:
    """The amount as it was sent, 0 when there is none: it may ask for a scenario."""
    amount = fields.get("amount")
    return (minor_of(amount.get("value")) or 0) if isinstance(amount, dict) else 0
