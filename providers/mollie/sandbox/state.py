"""The first layer of the Mollie sandbox: its tables and what is found through them, its merchants and their balances.

Knows who is calling and in which mode. Never changes a payout: that is for the layers above.
"""

import secrets
from typing import Any

from aiohttp import web

from providers.mollie.sandbox.amounts import minor_of
from providers.mollie.sandbox.answers import balance_line, problem
from providers.mollie.sandbox.facts import ALSO_BY, API_KEY_MAY, COURSES, ECHO_NAMES, PERMISSIONS, RETRIES
from providers.mollie.sandbox.records import (
    Balance,
    BalanceForm,
    Caller,
    Event,
    Merchant,
    MerchantForm,
    MollieSettings,
    Payout,
    StoredAnswer,
    Subscription,
)
from providers.sandbox.base import ControlError, Refused, Sandbox
from providers.sandbox.clock import now_ms


class MollieState(Sandbox[MollieSettings]):
    """Abstract: `MollieSandbox` in `operations` is the whole."""

    name = "mollie"
    settings_type = MollieSettings
    retry_policy = RETRIES
    idempotency_header = "Idempotency-Key"
    courses = COURSES.keys()
    echo_names = ECHO_NAMES
    also_by = ALSO_BY
    settings: MollieSettings

    def declare_tables(self) -> None:
        self.merchants = self.journal.table("merchant", Merchant)
        self.balances = self.journal.table("balance", Balance)
        self.payouts = self.journal.table("payout", Payout)
        self.answers = self.journal.table("answer", StoredAnswer)
        self.subscriptions = self.journal.table("subscription", Subscription)
        self.events = self.journal.table("event", Event)

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

    def _due(self, key: str) -> None:
        payout = self.payouts.rows.get(key)
        if payout is not None and payout.due_ms and payout.due_ms <= now_ms():
            self.step(key)

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
            permissions=form.permissions if "permissions" in form.model_fields_set or not old else old.permissions,
            uk=form.uk if "uk" in form.model_fields_set or not old else old.uk,
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
            "balances": [balance_line(balance) for balance in self._balances_of(merchant.id)],
        }

    def _put_balance(self, merchant: Merchant, form: BalanceForm) -> None:
        minor, reserve_minor = minor_of(form.available), minor_of(form.reserve)
        if minor is None or reserve_minor is None:
            raise ControlError('available and reserve must be texts such as "10.00"')
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
                reserve_minor=reserve_minor,
                obstacle=form.obstacle,
            ),
        )

    def show_merchants(self) -> list[dict[str, Any]]:
        return [
            {
                "merchant": merchant.id,
                "webhookUrl": merchant.webhook_url,
                "balances": [balance_line(balance) for balance in self._balances_of(merchant.id)],
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

    def _caller(self, request: web.Request, operation: str, fields: dict[str, Any] | None = None) -> Caller:
        """Section 2: who asks, and may he? `fields` is the body of a POST; other calls carry `testmode` in the query."""
        merchant = self._merchant(request)
        is_token = not merchant.api_key.startswith(("live_", "test_"))
        permission = PERMISSIONS[operation]
        reads_balance = permission == "balances.read" and self.settings.api_key_reads_balances
        if not is_token and operation not in API_KEY_MAY and not reads_balance:
            raise Refused(problem(403, "An API key cannot do this."))
        if is_token and merchant.permissions is not None and permission not in merchant.permissions:
            raise Refused(problem(403, f"The token lacks the permission {permission}."))
        test = request.query.get("testmode") == "true"
        told = "testmode" in request.query
        if fields is not None:
            test, told = fields.get("testmode") is True, fields.get("testmode") is not None
        if told and not is_token:
            raise Refused(problem(422, "The testmode parameter is not for API keys.", "testmode"))  # M-8
        mode = ("test" if test else "live") if is_token else merchant.api_key[:4]
        return Caller(merchant, mode, is_token, fields or {})
