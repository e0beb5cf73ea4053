"""The first layer of the Pivot sandbox: its tables and what is found through them, its merchants and their tokens.

Knows who is calling. Never changes a payout: that is for the layers above.
"""

import base64
import hmac
import secrets
import uuid
from typing import Any

import orjson
from aiohttp import web

from providers.pivot.sandbox.answers import problem, success
from providers.pivot.sandbox.facts import ALSO_BY, COURSES, ECHO_NAMES, RETRIES, START_BALANCE
from providers.pivot.sandbox.records import Inquiry, Merchant, MerchantForm, Payout, PivotSettings, Token, Withdrawal
from providers.pivot.sandbox.rules import json_object
from providers.sandbox.base import Refused, Sandbox
from providers.sandbox.clock import now_ms
from providers.sandbox.scenarios import MARK


class PivotState(Sandbox[PivotSettings]):
    """Abstract: `PivotSandbox` in `operations` is the whole."""

    name = "pivot"
    settings_type = PivotSettings
    retry_policy = RETRIES
    idempotency_header = "X-REQUEST-ID"
    courses = COURSES.keys()
    echo_names = ECHO_NAMES
    also_by = ALSO_BY
    settings: PivotSettings

    def declare_tables(self) -> None:
        self.merchants = self.journal.table("merchant", Merchant)
        self.tokens = self.journal.table("token", Token)
        self.inquiries = self.journal.table("inquiry", Inquiry)
        self.payouts = self.journal.table("payout", Payout)
        self.withdrawals = self.journal.table("withdrawal", Withdrawal)

    def reindex(self) -> None:
        self._row_of: dict[tuple[str, str], tuple[str, int]] = {}
        self._by_request_id: dict[tuple[str, str], str] = {}
        for payout in self.payouts.rows.values():
            self._index(payout)

    def _index(self, payout: Payout) -> None:
        self._by_request_id[payout.merchant, payout.request_id] = payout.uuid
        for position, row in enumerate(payout.rows):
            self._row_of[payout.merchant, row["referenceId"]] = (payout.uuid, position)
        if payout.next:
            self.schedule.add(payout.due_ms, self._due, payout.uuid)

    def _due(self, key: str) -> None:
        payout = self.payouts.rows.get(key)
        if payout is not None and payout.next and payout.due_ms <= now_ms():
            self.step(key)

    # --- merchants

    def put_merchant(self, body: dict[str, Any]) -> dict[str, Any]:
        form = MerchantForm.model_validate(body)
        merchant_id = form.merchant_id or str(uuid.uuid4())
        old = self.merchants.rows.get(merchant_id)
        given = form.model_fields_set
        merchant = Merchant(
            id=merchant_id,
            secret=form.merchant_secret or (old.secret if old else secrets.token_hex(24)),
            callback_url=form.callback_url if "callback_url" in given or old is None else old.callback_url,
            callback_key=form.callback_api_key or (old.callback_key if old else secrets.token_hex(16)),
            balance=form.balance if form.balance is not None else (old.balance if old else START_BALANCE),
            payment_balance=form.payment_balance if form.payment_balance is not None else (old.payment_balance if old else 0),
        )
        self.merchants.add(merchant_id, merchant)
        return {
            "merchant": merchant.id,
            "merchantId": merchant.id,
            "merchantSecret": merchant.secret,
            "callbackUrl": merchant.callback_url,
            "callbackApiKey": merchant.callback_key,
            "balance": merchant.balance,
            "paymentBalance": merchant.payment_balance,
        }

    def show_merchants(self) -> list[dict[str, Any]]:
        return [{"merchant": m.id, "callbackUrl": m.callback_url, "balance": m.balance} for m in self.merchants.rows.values()]

    def scenario_amount(self, number: int) -> str:
        return str(MARK + number)  # whole rupiah

    # --- token and auth

    def caller_key(self, request: web.Request) -> str:
        """By merchant: a new access token does not open a new window."""
        token = self.tokens.rows.get(request.headers.get("Authorization", "").partition(" ")[2])
        return token.merchant if token is not None else request.headers.get("X-MERCHANT-ID", "")

    async def _token(self, request: web.Request) -> web.Response:
        merchant = self.merchants.rows.get(request.headers.get("X-MERCHANT-ID", ""))
        secret = request.headers.get("X-MERCHANT-SECRET", "")
        if merchant is None or not hmac.compare_digest(secret.encode(), merchant.secret.encode()):
            raise Refused(problem("credentials_invalid"))
        if json_object(await request.read()).get("grantType") != "client_credentials":
            raise Refused(problem("field_format_invalid", "grantType"))
        ttl_ms = self.settings.token_ttl_ms
        for stale in [key for key, token in self.tokens.rows.items() if token.expires_ms < now_ms()]:
            self.tokens.remove(stale)
        token = _jwt(merchant.id)
        self.tokens.add(token, Token(merchant.id, int(now_ms() + ttl_ms)))
        # expiresIn is a text (section 2).
        return success({"accessToken": token, "expiresIn": str(int(ttl_ms / 1000)), "tokenType": "Bearer"})

    def _merchant(self, request: web.Request) -> Merchant:
        kind, _, value = request.headers.get("Authorization", "").partition(" ")
        token = self.tokens.rows.get(value) if kind == "Bearer" else None
        if token is None or token.expires_ms <= now_ms():
            raise Refused(problem("credentials_invalid"))
        return self.merchants.rows[token.merchant]


def _jwt(merchant: str) -> str:
    """Looks like a JWT and means nothing: the sandbox looks tokens up."""
    claims = orjson.dumps({"sub": merchant, "jti": secrets.token_hex(8)})
    parts = (b'{"alg":"HS256","typ":"JWT"}', claims, secrets.token_bytes(32))
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)
