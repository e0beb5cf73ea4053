"""The Mollie sandbox: payouts of a balance as the fact sheet `mollie.md` describes them, on a real socket.

Independent of the connector: shares no code and no setting with it. Never reads the gateway's database. Left out so
far: webhook subscriptions and pings, the events API, balance reports and transactions.
"""

import asyncio
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlencode

import orjson
from aiohttp import web
from multidict import CIMultiDict
from pydantic import Field

from providers.sandbox.base import ControlError, ControlForm, Refused, Route, Sandbox, SandboxSettings, reply
from providers.sandbox.clock import iso_offset, next_business_day_ms, now_ms
from providers.sandbox.ledger import Money, last4
from providers.sandbox.webhooks import RetryPolicy

# --- facts and assumptions, by the number they have in the sheet

HAL = "application/hal+json"
SLOT = web.RequestKey("slot", str)  # the idempotency slot that a request keeps in flight
IDEMPOTENCY_TTL_MS = 3600 * 1000  # section 8: one hour
RUN_HOUR_UTC = 6  # M-6: initiated at 06:00 of the next business day
AT_BANK_AFTER_MS = 60_000  # M-6
COMPLETED_AFTER_MS = (4 * 60 + 29) * 60_000  # M-6: 10:30, counted from at-bank
DAY_MS = 24 * 3600 * 1000
RESERVE_MINOR = 0  # M-9
AMOUNT = re.compile(r"(0|[1-9][0-9]{0,12})\.([0-9]{2})")  # every currency of section 5.2 has two decimals
MAX_DESCRIPTION = 255
LIST_DEFAULT, LIST_MAX = 50, 250
START_BALANCE = "1000000.00"
API_HOST = "https://api.mollie.com"
DOCS = "https://docs.mollie.com"

RETRIES = RetryPolicy(  # M-4: the classic table; slower than 15 s is a failure
    waits_s=(60, 120, 240, 480, 960, 1740, 3600, 7200, 22 * 3600),
    timeout_s=15,
    accepted=lambda status: 200 <= status < 300,
    retried=lambda _status: True,
)

TITLES = {
    400: "Bad Request",
    401: "Unauthorized Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    409: "Conflict",
    422: "Unprocessable Entity",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}

STATUSES = ("requested", "initiated", "processing-at-bank", "completed", "canceled", "failed")
FINAL = frozenset({"completed", "canceled", "failed"})
NEXT = {"requested": "initiated", "initiated": "processing-at-bank", "processing-at-bank": "completed"}
# Statuses in which the balance has given the money away or holds it back (section 6: reserved at initiation).
TAKEN_FROM_BALANCE = frozenset({"initiated", "processing-at-bank", "completed"})

# `statusReason.code` (section 6). The texts are ours: the code is what counts.
REASONS = {
    "requested": "The payout has been requested.",
    "initiated": "The payout is on its way.",
    "processing_at_bank": "The bank has the payout.",
    "completed": "The payout was sent to the bank account.",
    "canceled": "The payout was canceled on request.",
    "failed": "The payout did not work.",
    "insufficient_funds": "The balance did not hold enough.",
    "returned": "The bank sent the payout back.",
    "invalid_request": "The payout could not be carried out as asked.",
    "organization_inactive": "The organization is not active.",
    "payouts_blocked": "Payouts are blocked.",
    "bank_processing_failed": "The bank did not process the payout.",
    "balance_not_found": "The balance is gone.",
    "expired": "The payout took too long.",
}


class MollieSettings(SandboxSettings):
    business_day: Literal["real"] | float = "real"  # or the length of a whole business day in ms
    initiated_after_ms: float | None = None  # from creation
    at_bank_after_ms: float | None = None  # from initiated
    completed_after_ms: float | None = None  # from at-bank
    idempotency_ttl_ms: float = IDEMPOTENCY_TTL_MS
    create_takes_ms: float = 0  # how long a create is in flight (a second one with its key gets 409)
    simple_payload: bool = False  # webhooks without the embedded payout
    bare_payload: bool = False  # webhooks that are the payout itself (the conflict of section 9)
    api_key_reads_balances: bool = False  # section 2 says no


class BalanceForm(ControlForm):
    id: str | None = Field(default=None, min_length=1)
    currency: str = Field(default="EUR", min_length=3, max_length=3)
    available: str = START_BALANCE
    status: Literal["active", "inactive"] = "active"
    bank_account: str = "NL00BANK0123456789"
    mode: Literal["live", "test"] | None = None


class MerchantForm(ControlForm):
    api_key: str | None = Field(default=None, min_length=1)
    webhook_url: str | None = None
    webhook_secret: str | None = Field(default=None, min_length=1)
    webhook_secrets: list[str] | None = Field(default=None, min_length=1, max_length=2)
    balances: list[BalanceForm] | None = None


@dataclass(slots=True)
class Merchant:
    id: str
    api_key: str
    webhook_url: str | None
    webhook_secrets: list[str]


@dataclass(slots=True)
class Balance:
    id: str
    merchant: str
    mode: str  # "" = both, for organisation tokens
    currency: str
    available_minor: int
    status: str
    bank_account: str
    frequency: str
    created_ms: int


@dataclass(slots=True)
class Payout:
    id: str
    merchant: str
    mode: str
    balance: str
    currency: str
    amount_minor: int
    description: str | None
    key: str | None  # the idempotency key it was made with
    status: str
    reason: str
    created_ms: int
    due_ms: int
    initiated_ms: int = 0
    completed_ms: int = 0
    canceled_ms: int = 0
    effects: int = 0


@dataclass(slots=True)
class StoredAnswer:
    """Section 8: the first answer to a key, for an hour."""

    fingerprint: str
    status: int
    body: str
    at_ms: int


@dataclass(slots=True)
class Caller:
    """Who asks, and in which mode."""

    merchant: Merchant
    mode: str
    is_token: bool
    fields: dict[str, Any] = field(default_factory=dict)


class MollieSandbox(Sandbox[MollieSettings]):
    name = "mollie"
    settings_type = MollieSettings
    retry_policy = RETRIES
    idempotency_header = "Idempotency-Key"
    settings: MollieSettings

    def declare_tables(self) -> None:
        self.merchants = self.journal.table("merchant", Merchant)
        self.balances = self.journal.table("balance", Balance)
        self.payouts = self.journal.table("payout", Payout)
        self.answers = self.journal.table("answer", StoredAnswer)

    def reindex(self) -> None:
        self._in_flight: set[str] = set()
        self._by_api_key = {merchant.api_key: merchant for merchant in self.merchants.rows.values()}
        self._of_merchant: dict[str, list[str]] = {}
        self._requested: dict[tuple[str, str], str] = {}  # M-11: (balance, mode) -> the payout that waits
        for payout in self.payouts.rows.values():
            self._index(payout)

    def _index(self, payout: Payout) -> None:
        self._of_merchant.setdefault(payout.merchant, []).append(payout.id)
        if payout.status == "requested":
            self._requested[payout.balance, payout.mode] = payout.id
        if payout.due_ms:
            self.schedule.add(payout.due_ms, self._due, payout.id)

    def routes(self) -> list[Route]:
        return [
            Route("POST", "/v2/payouts", "create_payout", self._create),
            Route("GET", "/v2/payouts", "list_payouts", self._list),
            Route("GET", "/v2/payouts/{id}", "get_payout", self._get),
            Route("DELETE", "/v2/payouts/{id}", "cancel_payout", self._cancel),
            Route("GET", "/v2/balances", "list_balances", self._list_balances),
            Route("GET", "/v2/balances/{id}", "get_balance", self._get_balance),
        ]

    # --- answers

    def error_answer(self, status: int) -> web.Response:
        return problem(status, "The sandbox was told to answer so.")

    def refusal_answer(self, params: dict[str, Any]) -> web.Response:
        """Params: `http`, `detail`, `field`."""
        detail = params.get("detail", "The balance has insufficient funds.")
        return problem(int(params.get("http", 422)), detail, params.get("field", "amount"))

    # --- merchants

    def put_merchant(self, body: dict[str, Any]) -> dict[str, Any]:
        form = MerchantForm.model_validate(body)
        old = self._by_api_key.get(form.api_key or "")
        signing = form.webhook_secrets or ([form.webhook_secret] if form.webhook_secret else None)
        merchant = Merchant(
            id=old.id if old else f"org_{secrets.token_hex(6)}",
            api_key=form.api_key or f"test_{secrets.token_hex(15)}",
            webhook_url=form.webhook_url if "webhook_url" in form.model_fields_set or not old else old.webhook_url,
            webhook_secrets=signing or (old.webhook_secrets if old else [secrets.token_hex(16)]),
        )
        wanted = form.balances if form.balances is not None else [] if old else [BalanceForm()]
        with self.journal.together():
            self.merchants.add(merchant.id, merchant)
            for balance in wanted:
                self._put_balance(merchant, balance)
        self._by_api_key[merchant.api_key] = merchant
        return {
            "merchant": merchant.id,
            "apiKey": merchant.api_key,
            "webhookUrl": merchant.webhook_url,
            "webhookSecret": merchant.webhook_secrets[0],
            "webhookSecrets": merchant.webhook_secrets,
            "balances": [_balance_line(balance) for balance in self._balances_of(merchant.id)],
        }

    def _put_balance(self, merchant: Merchant, form: BalanceForm) -> None:
        minor = _minor(form.available)
        if minor is None:
            raise ControlError('available must be a text such as "10.00"')
        balance_id = form.id or f"bal_{secrets.token_hex(11)}"
        old = self.balances.rows.get(balance_id)
        if old is not None and old.merchant != merchant.id:
            raise ControlError("another merchant has a balance with this id")
        by_key = {"live_": "live", "test_": "test"}.get(merchant.api_key[:5], "")
        self.balances.add(
            balance_id,
            Balance(
                id=balance_id,
                merchant=merchant.id,
                mode=form.mode or by_key,
                currency=form.currency,
                available_minor=minor,
                status=form.status,
                bank_account=form.bank_account,
                frequency=old.frequency if old else "daily",
                created_ms=old.created_ms if old else now_ms(),
            ),
        )

    def show_merchants(self) -> list[dict[str, Any]]:
        return [
            {
                "merchant": merchant.id,
                "webhookUrl": merchant.webhook_url,
                "balances": [_balance_line(balance) for balance in self._balances_of(merchant.id)],
            }
            for merchant in self.merchants.rows.values()
        ]

    def _balances_of(self, merchant: str, mode: str = "") -> list[Balance]:
        return [
            balance
            for balance in self.balances.rows.values()
            if balance.merchant == merchant and (not mode or balance.mode in ("", mode))
        ]

    # --- auth and mode

    def _merchant(self, request: web.Request) -> Merchant:
        kind, _, key = request.headers.get("Authorization", "").partition(" ")
        merchant = self._by_api_key.get(key) if kind == "Bearer" else None
        if merchant is None:
            raise Refused(problem(401, "Missing authentication, or failed to authenticate"))
        return merchant

    def _caller(self, request: web.Request, fields: dict[str, Any] | None = None) -> Caller:
        """Section 2. `fields` is a create's body; other calls carry `testmode` in the query."""
        merchant = self._merchant(request)
        is_token = not merchant.api_key.startswith(("live_", "test_"))
        test = request.query.get("testmode") == "true"
        told = "testmode" in request.query
        if fields is not None:
            test, told = fields.get("testmode") is True, fields.get("testmode") is not None
        if told and not is_token:
            raise Refused(problem(422, "The testmode parameter is not for API keys.", "testmode"))  # M-8
        mode = ("test" if test else "live") if is_token else merchant.api_key[:4]
        return Caller(merchant, mode, is_token, fields or {})

    # --- create

    async def _create(self, request: web.Request) -> web.Response:
        self._merchant(request)  # a stranger learns nothing about his body
        fields = _object(await request.read())
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
                answer = hal(_view(payout), 201)
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
        amount_minor = _wanted(fields.get("amount"), balance)
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
            raise Refused(_no_payout(request.match_info["id"]))
        return payout

    async def _get(self, request: web.Request) -> web.Response:
        payout = self._own(request, self._caller(request))
        if await self.hidden("get_payout", request, payout.created_ms):
            raise Refused(_no_payout(payout.id))
        return hal(_view(payout))

    async def _cancel(self, request: web.Request) -> web.Response:
        payout = self._own(request, self._caller(request))
        if payout.status != "requested":
            raise Refused(problem(409, "The payout cannot be canceled in its current state."))
        self._turn(payout, "canceled", "canceled")
        return hal(_view(payout))

    async def _list(self, request: web.Request) -> web.Response:
        caller = self._caller(request)
        query = request.query
        limit = _limit(query)
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
            "self": _link(_page_url(request, start)),
            "previous": _link(_page_url(request, previous)) if previous else None,
            "next": _link(_page_url(request, following)) if following else None,
            "documentation": _docs("/reference/list-payouts"),
        }
        rows = [_view(payout, documented=False) for payout in found]
        return hal({"count": len(rows), "_embedded": {"payouts": rows}, "_links": links})

    def _balance_reader(self, request: web.Request) -> Caller:
        caller = self._caller(request)
        if not caller.is_token and not self.settings.api_key_reads_balances:
            raise Refused(problem(403, "An API key cannot read balances."))  # section 2
        return caller

    async def _list_balances(self, request: web.Request) -> web.Response:
        caller = self._balance_reader(request)
        rows = [self._balance_view(balance, caller.mode) for balance in self._balances_of(caller.merchant.id, caller.mode)]
        links = {
            "self": _link(f"{API_HOST}/v2/balances"),
            "previous": None,
            "next": None,
            "documentation": _docs("/reference/list-balances"),
        }
        return hal({"count": len(rows), "_embedded": {"balances": rows}, "_links": links})

    async def _get_balance(self, request: web.Request) -> web.Response:
        caller = self._balance_reader(request)
        wanted = request.match_info["id"]
        for balance in self._balances_of(caller.merchant.id, caller.mode):
            if wanted in ("primary", balance.id):  # the first one is the primary
                return hal(self._balance_view(balance, caller.mode))
        raise Refused(problem(404, f"No balance exists with token {wanted}."))

    def _balance_view(self, balance: Balance, mode: str) -> dict[str, Any]:
        return {
            "resource": "balance",
            "id": balance.id,
            "mode": mode,
            "createdAt": iso_offset(balance.created_ms),
            "currency": balance.currency,
            "description": "Balance",
            "status": balance.status,
            "availableAmount": _amount(balance.currency, balance.available_minor),
            "pendingAmount": _amount(balance.currency, 0),
            "transferFrequency": balance.frequency,
            "transferThreshold": _amount(balance.currency, 0),
            "transferReference": None,
            "transferDestination": {
                "type": "bank-account",
                "bankAccount": balance.bank_account,
                "beneficiaryName": "Sandbox",
            },
            "_links": {
                "self": _link(f"{API_HOST}/v2/balances/{balance.id}"),
                "documentation": _docs("/reference/get-balance"),
            },
        }

    # --- states over time

    def _wait_ms(self, status: str, at_ms: int) -> int:
        """How long a payout stays in a status that is not final (M-6)."""
        settings = self.settings
        real_ms, explicit_ms = {
            "requested": (next_business_day_ms(at_ms, RUN_HOUR_UTC) - at_ms, settings.initiated_after_ms),
            "initiated": (AT_BANK_AFTER_MS, settings.at_bank_after_ms),
            "processing-at-bank": (COMPLETED_AFTER_MS, settings.completed_after_ms),
        }[status]
        if explicit_ms is None and settings.business_day != "real":
            # A short business day: it begins after its own length, and its hours shrink alike.
            share = 1.0 if status == "requested" else real_ms / DAY_MS
            explicit_ms = settings.business_day * share
        return self.delay_ms(explicit_ms, real_ms)

    def _due(self, key: str) -> None:
        payout = self.payouts.rows.get(key)
        if payout is not None and payout.due_ms and payout.due_ms <= now_ms():
            self.step(key)

    def step(self, key: str) -> bool:
        payout = self.payouts.rows[key]
        if not payout.due_ms:
            return False
        following = NEXT[payout.status]
        if following == "initiated" and payout.amount_minor > self.balances.rows[payout.balance].available_minor:
            self._turn(payout, "failed", "insufficient_funds", tried=True)  # M-13
        else:
            self._turn(payout, following, following.replace("-", "_"))
        return True

    def _turn(self, payout: Payout, status: str, reason: str, *, tried: bool = False, hold: bool = False) -> None:
        """Move a payout: money first, then the record and the balance, then the webhook (none for `requested`)."""
        now = now_ms()
        before = payout.status
        effects = payout.effects
        balance = self.balances.rows[payout.balance]
        if (before == "completed") != (status == "completed"):
            effects += 1
            self.ledger.write([self._money(payout, balance, "sent" if status == "completed" else "returned", effects)])
        change = payout.amount_minor * ((before in TAKEN_FROM_BALANCE) - (status in TAKEN_FROM_BALANCE))
        stays = status in FINAL or hold
        due_ms = 0 if stays else now + self._wait_ms(status, now)
        stamps: dict[str, int] = {}
        if (status in TAKEN_FROM_BALANCE or tried) and not payout.initiated_ms:
            stamps["initiated_ms"] = now
        if status == "completed":
            stamps["completed_ms"] = now
        if status == "canceled":
            stamps["canceled_ms"] = now
        with self.journal.together():
            if change:
                self.balances.change(balance.id, available_minor=balance.available_minor + change)
            self.payouts.change(payout.id, status=status, reason=reason, due_ms=due_ms, effects=effects, **stamps)
            if status != "requested":
                self._announce(payout)
        slot = (payout.balance, payout.mode)
        if status == "requested":
            self._requested[slot] = payout.id
        elif self._requested.get(slot) == payout.id:
            del self._requested[slot]
        if due_ms:
            self.schedule.add(due_ms, self._due, payout.id)

    def _money(self, payout: Payout, balance: Balance, kind: Literal["sent", "returned"], number: int) -> Money:
        return Money(
            effect=f"{payout.id}#{number}",
            kind=kind,
            merchant=payout.merchant,
            provider_ref=payout.id,
            our_ref=payout.key or payout.description,
            amount=_decimal(payout.amount_minor),
            currency=payout.currency,
            destination=last4(balance.bank_account),
            other_refs={"description": payout.description} if payout.description else {},
        )

    def advance(self, ref: str, to: str, reason: str | None, *, hold: bool) -> dict[str, Any]:
        """`ref`: payout id, idempotency key or description. `returned` is short for failed with that reason (M-7)."""
        payout = self.payouts.rows.get(ref) or self._by_our_ref(ref)
        if to == "returned":
            to, reason = "failed", "returned"
        if to not in STATUSES:
            raise ControlError(f"Mollie knows no status {to}")
        self._turn(payout, to, reason or to.replace("-", "_"), tried=reason == "insufficient_funds", hold=hold)
        return {"id": payout.id, "status": payout.status, "statusReason": payout.reason}

    def _by_our_ref(self, ref: str) -> Payout:
        for payout in reversed(self.payouts.rows.values()):
            if ref in (payout.key, payout.description):
                return payout
        raise ControlError("there is no payout with this id, idempotency key or description")

    # --- webhooks

    def _announce(self, payout: Payout) -> None:
        event = f"payout.{payout.status}"
        view = _entity(payout)
        event_id = f"event_{secrets.token_hex(11)}"
        body: dict[str, Any] = {
            "resource": "event",
            "id": event_id,
            "type": event,
            "entityId": payout.id,
            "createdAt": iso_offset(now_ms()),
            "_links": {
                "self": _link(f"{API_HOST}/v2/events/{event_id}"),
                "documentation": _docs("/guides/webhooks"),
                "entity": _link(f"/v2/payouts/{payout.id}"),  # relative, as seen (section 9)
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


# --- bodies and small rules


def sign(key: str, body: bytes) -> str:
    """Section 9: HMAC-SHA256 over the raw body, the secret taken as text."""
    return f"sha256={hmac.new(key.encode(), body, hashlib.sha256).hexdigest()}"


def hal(body: Any, status: int = 200) -> web.Response:
    return reply(body, status, HAL)


def problem(status: int, detail: str, at: str | None = None) -> web.Response:
    body: dict[str, Any] = {"status": status, "title": TITLES.get(status, "Error"), "detail": detail}
    if at is not None:
        body["field"] = at
    body["_links"] = {"documentation": _docs("/errors")}
    return hal(body, status)


def _no_payout(payout_id: str) -> web.Response:
    return problem(404, f"No payout exists with token {payout_id}.")


def _link(href: str) -> dict[str, str]:
    return {"href": href, "type": HAL}


def _docs(path: str) -> dict[str, str]:
    return {"href": f"{DOCS}{path}", "type": "text/html"}


def _page_url(request: web.Request, start: str | None) -> str:
    """The address of another page of the same list, on the host that was asked, so that it can be followed."""
    query = {name: value for name, value in request.query.items() if name != "from"}
    if start is not None:
        query["from"] = start
    return f"{request.scheme}://{request.host}{request.path}?{urlencode(query)}"


def _object(raw: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        raise Refused(problem(400, "The request body is not a JSON object."))
    return body


def _limit(query: Mapping[str, str]) -> int:
    text = query.get("limit", str(LIST_DEFAULT))
    if not text.isdecimal() or not 1 <= int(text) <= LIST_MAX:
        raise Refused(problem(400, "The limit must be between 1 and 250.", "limit"))
    return int(text)


def _minor(value: Any) -> int | None:
    found = AMOUNT.fullmatch(value) if isinstance(value, str) else None
    return int(found[1]) * 100 + int(found[2]) if found else None


def _decimal(minor: int) -> str:
    return f"{minor // 100}.{minor % 100:02d}"


def _amount(currency: str, minor: int) -> dict[str, str]:
    return {"currency": currency, "value": _decimal(minor)}


def _wanted(amount: Any, balance: Balance) -> int:
    """How much: what was asked, or everything but the reserve (section 4); checked against the balance (M-13)."""
    if amount is None:
        minor: int | None = max(0, balance.available_minor - RESERVE_MINOR)
    else:
        minor = _minor(amount.get("value")) if isinstance(amount, dict) else None
        if minor is None or not minor or set(amount) != {"currency", "value"}:
            raise Refused(problem(422, "The amount is not a currency and a positive value with two decimals.", "amount"))
        if amount["currency"] != balance.currency:
            raise Refused(problem(422, "The amount is not in the currency of the balance.", "amount"))  # M-12
    if not minor or minor > balance.available_minor:
        raise Refused(problem(422, "The balance has insufficient funds.", "amount"))
    return minor


def _view(payout: Payout, *, documented: bool = True) -> dict[str, Any]:
    """The payout as an answer: list items carry no documentation link (section 5.1)."""
    links = {"self": _link(f"{API_HOST}/v2/payouts/{payout.id}")}
    if documented:
        links["documentation"] = _docs("/reference/get-payout")
    return {**_entity(payout), "_links": links}


def _entity(payout: Payout) -> dict[str, Any]:
    def stamp(at_ms: int) -> str | None:
        return iso_offset(at_ms) if at_ms else None

    return {
        "resource": "payout",
        "id": payout.id,
        "mode": payout.mode,
        "balanceId": payout.balance,
        "amount": _amount(payout.currency, payout.amount_minor),
        "description": payout.description,
        "status": payout.status,
        "statusReason": {"code": payout.reason, "message": REASONS.get(payout.reason, payout.reason)},
        "createdAt": iso_offset(payout.created_ms),
        "initiatedAt": stamp(payout.initiated_ms),
        "completedAt": stamp(payout.completed_ms),
        "canceledAt": stamp(payout.canceled_ms),
    }


def _balance_line(balance: Balance) -> dict[str, str]:
    return {
        "id": balance.id,
        "currency": balance.currency,
        "available": _decimal(balance.available_minor),
        "status": balance.status,
        "mode": balance.mode,
        "bankAccount": last4(balance.bank_account),
    }


def _short(slot: str) -> str:
    """A stored answer's name without the credential in it."""
    return hashlib.blake2b(slot.encode(), digest_size=16).hexdigest()


def _fingerprint(fields: dict[str, Any]) -> str:
    return hashlib.blake2b(orjson.dumps(fields, option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()
