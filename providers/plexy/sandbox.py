"""The Plexy sandbox: payouts to saved cards as the fact sheet `plexy.md` describes them, on a real socket.

Independent of the connector: shares no code and no setting with it. Never reads the gateway's database. Takes only
the two test card numbers. Left out so far: key delivery for card encryption, customers beyond their card tokens,
settlement orders, everything about payments.
"""

import base64
import binascii
import hashlib
import json
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

import orjson
from aiohttp import web
from multidict import CIMultiDict
from pydantic import Field

from providers.sandbox.base import ControlError, ControlForm, Refused, Route, Sandbox, SandboxSettings, reply
from providers.sandbox.clock import iso_micros, iso_nanos, now_ms, uuid7
from providers.sandbox.ledger import Money, last4
from providers.sandbox.webhooks import RetryPolicy

# --- facts and assumptions, by the number they have in the sheet

CURRENCY = "KZT"
MINIMUM_TENGE = 100  # section 4.1: a business minimum such as 100
PROCESSING_AFTER_MS = 500
SETTLED_AFTER_MS = 2500  # about 3 s in all
WEBHOOK_AFTER_MS = 3000  # section 9: posted 3 s after the last change
CARD_SAVED_AFTER_MS = 1000
START_BALANCE = "1000000000"
LIST_DEFAULT, LIST_MAX = 50, 200
AMOUNT = re.compile(r"[0-9]{1,15}(\.[0-9]{1,2})?")  # whole tenge, up to two decimals

RETRIES = RetryPolicy(
    waits_s=(60, 300, 1800, 2 * 3600, 6 * 3600, 24 * 3600),
    timeout_s=10,
    accepted=lambda status: 200 <= status < 300,
    retried=lambda _status: True,
)

# Section 10 and X-12: the only numbers that exist here. number -> (brand, is paid)
TEST_CARDS = {"4111111111111111": ("visa", True), "5105105105105100": ("mastercard", False)}

# every one must be there; only the number is looked at. It is plain base64 here, since nobody has Plexy's key.
CARD_FIELDS = (
    "encryptedCardNumber",
    "encryptedExpiryMonth",
    "encryptedExpiryYear",
    "encryptedCvv",
    "encryptedCardholderName",
)


@dataclass(frozen=True, slots=True)
class Problem:
    """One line of section 6; the HTTP status is X-9."""

    http: int
    message: str
    type: str = "apiError"


PROBLEMS = {
    1: Problem(503, "service unavailable"),
    2: Problem(500, "something went wrong"),
    3: Problem(400, "invalid request params"),
    4: Problem(404, "not found"),
    5: Problem(422, "unprocessable entity", "validationError"),
}
CODE_BY_STATUS = {400: 3, 404: 4, 422: 5, 503: 1}

STATUSES = ("new", "processing", "settled", "rejected", "failed")
FINAL = frozenset({"settled", "rejected", "failed"})
# error_code and error_message of section 4.3; the codes are those of the card networks (section 6).
DECLINED = ("05", "The recipient's bank does not honour this.")
NO_FUNDS = ("51", "The merchant's balance is too low.")
TECHNICAL = ("96", "A technical error on the way to the bank.")


class PlexySettings(SandboxSettings):
    processing_after_ms: float | None = None  # from new
    settled_after_ms: float | None = None  # from processing to the final state
    webhook_after_ms: float | None = None  # from the final state to the first webhook
    card_saved_after_ms: float | None = None
    failure_status: Literal["rejected", "failed"] = "rejected"  # what the failure card ends in
    min_amount: float = MINIMUM_TENGE
    id_field: Literal["id", "transactionId", "payoutId", "data.id", "none"] = "id"  # X-4b: where the answer has it
    echo_merchant_reference: bool = False  # the sample shows null
    wrapped_ids: bool = False  # section 8: ids as {"Value": ...}
    prefixed_statuses: bool = False  # section 5: TRANSACTION_STATUS_* on reads


class MerchantForm(ControlForm):
    api_key: str | None = Field(default=None, min_length=1)
    webhook_url: str | None = None
    webhook_token: str | None = Field(default=None, min_length=1)
    balance: Decimal | None = None


@dataclass(slots=True)
class Merchant:
    id: str
    api_key: str
    webhook_url: str | None
    webhook_token: str
    balance_tiyn: int
    store_id: str
    terminal_id: str


@dataclass(slots=True)
class Card:
    token: str
    merchant: str
    customer: str
    external_user: str | None
    brand: str
    bin: str
    last4: str
    is_paid: bool


@dataclass(slots=True)
class Payout:
    id: str
    merchant: str
    token: str
    amount: str  # as it came, in tenge
    amount_tiyn: int
    description: str | None
    reference: str | None
    status: str
    created_us: int
    updated_us: int
    rrn: str
    held: bool  # the amount is taken from the balance
    due_ms: int
    error: list[str]
    effects: int = 0


class PlexySandbox(Sandbox[PlexySettings]):
    name = "plexy"
    settings_type = PlexySettings
    retry_policy = RETRIES
    settings: PlexySettings

    def declare_tables(self) -> None:
        self.merchants = self.journal.table("merchant", Merchant)
        self.cards = self.journal.table("card", Card)
        self.payouts = self.journal.table("payout", Payout)

    def reindex(self) -> None:
        self._by_api_key = {merchant.api_key: merchant.id for merchant in self.merchants.rows.values()}
        self._customers = {
            (card.merchant, card.external_user): card.customer
            for card in self.cards.rows.values()
            if card.external_user is not None
        }
        self._of_merchant: dict[str, list[str]] = {}
        for payout in self.payouts.rows.values():
            self._index(payout)

    def _index(self, payout: Payout) -> None:
        self._of_merchant.setdefault(payout.merchant, []).append(payout.id)
        if payout.due_ms:
            self.schedule.add(payout.due_ms, self._due, payout.id)

    def routes(self) -> list[Route]:
        return [
            Route("POST", "/v1/cards", "save_card", self._save_card),
            Route("POST", "/v1/payout", "create_payout", self._create),
            Route("GET", "/v1/transactions", "list_payouts", self._list),
            Route("GET", "/v1/transactions/{id}", "get_payout", self._get),
            Route("GET", "/v1/customers/{id}/card-tokens", "list_cards", self._card_tokens),
        ]

    # --- answers

    def error_answer(self, status: int) -> web.Response:
        return problem(CODE_BY_STATUS.get(status, 2), http=status)

    def refusal_answer(self, params: dict[str, Any]) -> web.Response:
        """Params: `code` (1 to 5), `message`, `http`: a refusal dressed as HTTP 500 is {code: 2, http: 500}."""
        return problem(int(params.get("code", 5)), params.get("message"), http=params.get("http"))

    # --- merchants

    def put_merchant(self, body: dict[str, Any]) -> dict[str, Any]:
        form = MerchantForm.model_validate(body)
        old = self.merchants.rows.get(self._by_api_key.get(form.api_key or "", ""))
        balance_tiyn = old.balance_tiyn if old else int(Decimal(START_BALANCE) * 100)
        merchant = Merchant(
            id=old.id if old else f"mer_{secrets.token_hex(6)}",
            api_key=form.api_key or f"pr_{secrets.token_hex(20)}",
            webhook_url=form.webhook_url if "webhook_url" in form.model_fields_set or not old else old.webhook_url,
            webhook_token=form.webhook_token or (old.webhook_token if old else secrets.token_hex(16)),
            balance_tiyn=int(form.balance * 100) if form.balance is not None else balance_tiyn,
            store_id=old.store_id if old else uuid7(),
            terminal_id=old.terminal_id if old else uuid7(),
        )
        self.merchants.add(merchant.id, merchant)
        self._by_api_key[merchant.api_key] = merchant.id
        return {
            "merchant": merchant.id,
            "apiKey": merchant.api_key,
            "webhookUrl": merchant.webhook_url,
            "webhookToken": merchant.webhook_token,
            "balance": _tenge(merchant.balance_tiyn),
        }

    def show_merchants(self) -> list[dict[str, Any]]:
        return [
            {"merchant": m.id, "webhookUrl": m.webhook_url, "balance": _tenge(m.balance_tiyn)}
            for m in self.merchants.rows.values()
        ]

    def _merchant(self, request: web.Request) -> Merchant:
        """Section 2: the raw key, no "Bearer"."""
        merchant_id = self._by_api_key.get(request.headers.get("Authorization", ""))
        if merchant_id is None:
            raise Refused(problem(2, "unauthorized", http=401))  # X-9; section 6 has no code for it
        return self.merchants.rows[merchant_id]

    # --- cards

    async def _save_card(self, request: web.Request) -> web.Response:
        merchant = self._merchant(request)
        body = _object(await request.read())
        number = _card_number(body.get("cardData"))
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
            self._post(merchant.id, card.token, "card.saved", told, wait_ms)
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
        body = _object(await request.read())
        amount = self._amount(body)
        card = self.cards.rows.get(body["tokenId"])
        if card is None or card.merchant != merchant.id:
            raise Refused(problem(4))
        for name in ("description", "merchantReference"):  # taken when sent
            if not isinstance(body.get(name, ""), str):
                raise Refused(problem(3))
        payout = self._accept(merchant, card, amount, body)
        answer = self._created_answer(payout)
        await self.before_answer(payout.id, payout.id, request)
        return answer

    def _amount(self, body: dict[str, Any]) -> Decimal:
        amount = body.get("amount")
        if isinstance(amount, bool) or not isinstance(amount, int | Decimal) or not isinstance(body.get("tokenId"), str):
            raise Refused(problem(3))
        if body.get("currency", CURRENCY) != CURRENCY or not AMOUNT.fullmatch(str(amount)):
            raise Refused(problem(3))
        if amount < Decimal(str(self.settings.min_amount)):
            raise Refused(problem(5, "the amount is below the minimum"))
        return Decimal(amount)

    def _accept(self, merchant: Merchant, card: Card, amount: Decimal, body: dict[str, Any]) -> Payout:
        """X-8: no key is looked at and nothing is compared. Two calls are two payouts."""
        now = now_ms()
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
            due_ms=now + self.delay_ms(self.settings.processing_after_ms, PROCESSING_AFTER_MS),
            error=[],
        )
        with self.journal.together():
            self.payouts.add(payout.id, payout)
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
        if await self.hidden("get_payout", request, payout.created_us // 1000):
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
        page, size = _paging(request.query, "page", 1, 10**9), _paging(request.query, "size", LIST_DEFAULT, LIST_MAX)
        ids = self._of_merchant.get(merchant.id, [])
        if self.faults.any:
            ids = [
                one for one in ids if not await self.hidden("list_payouts", request, self.payouts.rows[one].created_us // 1000)
            ]
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

    def _reference(self, payout: Payout) -> str | None:
        return payout.reference if self.settings.echo_merchant_reference else None

    def _id(self, value: str | None) -> Any:
        return {"Value": value} if self.settings.wrapped_ids else value

    # --- states over time

    def _due(self, key: str) -> None:
        payout = self.payouts.rows.get(key)
        if payout is not None and payout.due_ms and payout.due_ms <= now_ms():
            self.step(key)

    def step(self, key: str) -> bool:
        payout = self.payouts.rows.get(key)
        if payout is None or not payout.due_ms:
            return False
        if payout.status == "new":
            self._turn(payout, "processing", None)
        elif not payout.held:
            self._turn(payout, "rejected", NO_FUNDS)  # the only sign of an empty balance
        elif self.cards.rows[payout.token].is_paid:
            self._turn(payout, "settled", None)
        else:
            status = self.settings.failure_status
            self._turn(payout, status, DECLINED if status == "rejected" else TECHNICAL)
        return True

    def _turn(self, payout: Payout, status: str, error: tuple[str, str] | None, *, hold: bool = False) -> None:
        """Move a payout: money first, then the record and the balance, then the webhook (final states only, X-15)."""
        now = now_ms()
        before, held, effects = payout.status, payout.held, payout.effects
        if (before == "settled") != (status == "settled"):
            effects += 1
            self.ledger.write([self._money(payout, "sent" if status == "settled" else "returned", effects)])
        keeps = status not in ("rejected", "failed")  # section 5: nothing is debited then
        change = payout.amount_tiyn * (held - keeps) if held or status == "settled" else 0
        waits = {
            "new": self.delay_ms(self.settings.processing_after_ms, PROCESSING_AFTER_MS),
            "processing": self.delay_ms(self.settings.settled_after_ms, SETTLED_AFTER_MS),
        }
        due_ms = now + waits[status] if status in waits and not hold else 0
        with self.journal.together():
            if change:
                balance_tiyn = self.merchants.rows[payout.merchant].balance_tiyn
                self.merchants.change(payout.merchant, balance_tiyn=balance_tiyn + change)
            self.payouts.change(
                payout.id,
                status=status,
                updated_us=time.time_ns() // 1000,
                held=keeps and (held or status == "settled"),
                due_ms=due_ms,
                error=list(error or ()),
                effects=effects,
            )
            if status in FINAL:
                self._announce(payout)
        if due_ms:
            self.schedule.add(due_ms, self._due, payout.id)

    def _money(self, payout: Payout, kind: Literal["sent", "returned"], number: int) -> Money:
        token = hashlib.sha256(payout.token.encode()).hexdigest()[:8]
        return Money(
            effect=f"{payout.id}#{number}",
            kind=kind,
            merchant=payout.merchant,
            provider_ref=payout.id,
            our_ref=payout.reference or payout.description,
            amount=payout.amount,
            currency=CURRENCY,
            destination=f"card {last4(self.cards.rows[payout.token].last4)} token {token}",
        )

    def advance(self, ref: str, to: str, reason: str | None, *, hold: bool) -> dict[str, Any]:
        """`ref`: transaction id, merchantReference or description. `reason` becomes error_message."""
        payout = self.payouts.rows.get(ref) or self._by_our_ref(ref)
        if to not in STATUSES:
            raise ControlError(f"Plexy knows no status {to}")
        default = {"rejected": DECLINED, "failed": TECHNICAL}.get(to)
        error = (default[0], reason or default[1]) if default else None
        self._turn(payout, to, error, hold=hold)
        return {"id": payout.id, "status": payout.status}

    def _by_our_ref(self, ref: str) -> Payout:
        for payout in reversed(self.payouts.rows.values()):
            if ref in (payout.reference, payout.description):
                return payout
        raise ControlError("there is no payout with this id, merchantReference or description")

    # --- webhooks

    def _announce(self, payout: Payout) -> None:
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
        self._post(payout.merchant, payout.id, f"transaction.{payout.status}", data, wait_ms)

    def _post(self, merchant: str, ref: str, name: str, data: dict[str, Any], wait_ms: int) -> None:
        posted_at = iso_nanos(time.time_ns() + wait_ms * 1_000_000)
        self.courier.post(merchant, ref, name, {"name": name, "data": data, "postedAt": posted_at}, wait_ms)

    def webhook_url(self, merchant: str) -> str | None:
        return self.merchants.rows[merchant].webhook_url

    def prove(self, merchant: str, body: bytes, *, forged: bool) -> CIMultiDict[str]:
        del body  # the token is static: it proves a sender, not a body (section 8)
        token = secrets.token_hex(16) if forged else self.merchants.rows[merchant].webhook_token
        return CIMultiDict({"Content-Type": "application/json", "Authorization": f"Bearer {token}"})

    def invent(self, body: dict[str, Any]) -> dict[str, Any]:
        return {**body, "name": "transaction.levitating", "data": {**body["data"], "status": "levitating"}}


# --- bodies and small rules


def problem(code: int, message: str | None = None, *, http: int | None = None) -> web.Response:
    what = PROBLEMS[code]
    body = {"code": code, "message": message or what.message, "source": "keys", "type": what.type}
    return reply(body, http or what.http)


def _object(raw: bytes) -> dict[str, Any]:
    """Numbers stay exact: an amount is a JSON number here."""
    try:
        body = json.loads(raw, parse_float=Decimal)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Refused(problem(3))
    return body


def _card_number(card: Any) -> str:
    if not isinstance(card, dict) or not all(isinstance(card.get(name), str) and card[name] for name in CARD_FIELDS):
        raise Refused(problem(3))
    try:
        return base64.b64decode(card["encryptedCardNumber"], validate=True).decode().replace(" ", "")
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _paging(query: Mapping[str, str], name: str, default: int, most: int) -> int:
    text = query.get(name, str(default))
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise Refused(problem(3))
    return int(text)


def _tenge(tiyn: int) -> str:
    return f"{tiyn // 100}.{tiyn % 100:02d}"
