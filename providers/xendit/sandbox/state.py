"""The first layer of the Xendit sandbox: its tables and what is found through them, its merchants, its channels.

Knows who is calling, for which business, and how errors are worded. Never changes a payout: that is for the layers above.
"""

import base64
import binascii
import secrets
from dataclasses import replace
from decimal import Decimal
from typing import Any

from aiohttp import web

from providers.sandbox.base import ControlError, Refused, Sandbox
from providers.sandbox.clock import now_ms
from providers.sandbox.rate_limit import Standing
from providers.sandbox.scenarios import MARK
from providers.xendit.sandbox.answers import problem
from providers.xendit.sandbox.channels import CHANNELS, CURRENCY_BY_COUNTRY, Channel, channel_of
from providers.xendit.sandbox.facts import (
    ALSO_BY,
    COURSES,
    DECIMALS,
    ECHO_NAMES,
    LIVE_KEY,
    LIVE_RATE,
    RETRIES,
    START_BALANCE,
    TEST_KEY,
    TEST_RATE,
)
from providers.xendit.sandbox.records import Merchant, MerchantForm, Payout, XenditSettings
from providers.xendit.sandbox.rules import Problem


class XenditState(Sandbox[XenditSettings]):
    """Abstract: `XenditSandbox` in `operations` is the whole."""

    name = "xendit"
    settings_type = XenditSettings
    retry_policy = RETRIES
    idempotency_header = "idempotency-key"
    courses = COURSES.keys()
    echo_names = ECHO_NAMES
    also_by = ALSO_BY
    settings: XenditSettings

    def declare_tables(self) -> None:
        self.merchants = self.journal.table("merchant", Merchant)
        self.payouts = self.journal.table("payout", Payout)

    def reindex(self) -> None:
        self._by_api_key = {merchant.api_key: merchant.id for merchant in self.merchants.rows.values()}
        self._by_key: dict[tuple[str, str], str] = {}  # (business, idempotency key): section 8's scope
        self._by_reference: dict[tuple[str, str], list[str]] = {}  # references may repeat (section 1)
        for payout in self.payouts.rows.values():
            self._index(payout)

    def _index(self, payout: Payout) -> None:
        self._by_key[payout.business, payout.key] = payout.id
        self._by_reference.setdefault((payout.business, payout.reference), []).append(payout.id)
        if payout.due_ms:
            self.schedule.add(payout.due_ms, self._due, payout.id)

    def _due(self, key: str) -> None:
        payout = self.payouts.rows.get(key)
        if payout is not None and payout.due_ms and payout.due_ms <= now_ms():
            self.step(key)

    # --- merchants

    def put_merchant(self, body: dict[str, Any]) -> dict[str, Any]:
        form = MerchantForm.model_validate(body)
        old = self.merchants.rows.get(self._by_api_key.get(form.api_key or "", ""))
        currency = form.currency or (old.currency if old else "IDR")
        if old is not None and currency != old.currency:
            raise ControlError("one key has one currency (section 2): make another key for another currency")
        start_minor = old.balance_minor if old else _minor(Decimal(START_BALANCE), currency)
        merchant = Merchant(
            id=old.id if old else f"mer_{secrets.token_hex(6)}",
            api_key=form.api_key or f"{TEST_KEY}{secrets.token_hex(20)}",
            business=form.business_id or (old.business if old else secrets.token_hex(12)),
            currency=currency,
            balance_minor=_minor(form.balance, currency) if form.balance is not None else start_minor,
            webhook_url=form.webhook_url if "webhook_url" in form.model_fields_set or not old else old.webhook_url,
            callback_token=form.callback_token or (old.callback_token if old else secrets.token_hex(16)),
            can_pay=form.can_pay if form.can_pay is not None else (old.can_pay if old else True),
        )
        self.merchants.add(merchant.id, merchant)
        self._by_api_key[merchant.api_key] = merchant.id
        return {
            "merchant": merchant.id,
            "apiKey": merchant.api_key,
            "businessId": merchant.business,
            "currency": merchant.currency,
            "balance": major_text(merchant.balance_minor, merchant.currency),
            "webhookUrl": merchant.webhook_url,
            "callbackToken": merchant.callback_token,
            "canPay": merchant.can_pay,
        }

    def show_merchants(self) -> list[dict[str, Any]]:
        return [
            {
                "merchant": merchant.id,
                "businessId": merchant.business,
                "currency": merchant.currency,
                "balance": major_text(merchant.balance_minor, merchant.currency),
                "webhookUrl": merchant.webhook_url,
                "canPay": merchant.can_pay,
            }
            for merchant in self.merchants.rows.values()
        ]

    def scenario_amount(self, number: int) -> str:
        return f"{MARK + number} (IDR, VND) or {super().scenario_amount(number)} (PHP, MYR, THB)"

    # --- who is calling

    def _merchant(self, request: web.Request) -> Merchant:
        """Section 2: HTTP Basic, the key as the user and no password."""
        merchant_id = self._by_api_key.get(_user_of(request.headers.get("Authorization", "")))
        if merchant_id is None:
            raise Problem("INVALID_API_KEY")
        return self.merchants.rows[merchant_id]

    def _business(self, request: web.Request, merchant: Merchant) -> str:
        """Section 2: the platform's sub-account, where one is named."""
        return request.headers.get("for-user-id") or merchant.business

    # --- limits (section 2)

    def rate_rule(self, request: web.Request) -> tuple[int | None, int, str]:
        limit, window_ms, form = super().rate_rule(request)
        if limit is None and self.settings.documented_rates:
            limit = LIVE_RATE if _user_of(request.headers.get("Authorization", "")).startswith(LIVE_KEY) else TEST_RATE
        return limit, window_ms, form

    def rate_headers(self, standing: Standing) -> dict[str, str]:
        return {
            "Rate-Limit-Limit": str(standing.limit),
            "Rate-Limit-Remaining": str(standing.remaining),
            "Rate-Limit-Reset": f"{standing.reset_ms / 1000:.3f}",
        }

    # --- channels

    def _channels(self) -> dict[str, Channel]:
        known = dict(CHANNELS)
        for code in self.settings.extra_channels:
            if code.partition("_")[0] in CURRENCY_BY_COUNTRY:
                known[code] = channel_of(code, "BANK")
        for code, limits in self.settings.channel_limits.items():
            if code in known:
                rule = known[code]
                known[code] = replace(
                    rule,
                    minimum=rule.minimum if limits.minimum is None else limits.minimum,
                    maximum=rule.maximum if limits.maximum is None else limits.maximum,
                    increment=limits.minimum_increment or rule.increment,
                )
        return known

    # --- answers in the wording of the settings

    def _refused(self, what: Problem, http: int | None = None) -> Refused:
        field = self.settings.error_text_field
        return Refused(problem(what.code, what.message, http=http, text_field=field, path=what.path))


def _user_of(authorization: str) -> str:
    kind, _, encoded = authorization.partition(" ")
    try:
        user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return user if kind.lower() == "basic" and not password else ""


def _minor(amount: Decimal, currency: str) -> int:
    return int(amount.scaleb(DECIMALS[currency]))


def major_text(minor: int, currency: str) -> str:
    return format(Decimal(minor).scaleb(-DECIMALS[currency]), "f")
