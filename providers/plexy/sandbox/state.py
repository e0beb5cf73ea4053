"""The first layer of the Plexy sandbox: its tables and what is found through them, and its merchants.

Knows who is calling and which settings colour what they read. Never changes a payout: that is for the layers above.
"""

import secrets
from decimal import Decimal
from typing import Any

from aiohttp import web

from providers.plexy.sandbox.answers import problem
from providers.plexy.sandbox.facts import ALSO_BY, COURSES, ECHO_NAMES, RETRIES, START_BALANCE
from providers.plexy.sandbox.records import Card, Merchant, MerchantForm, Payout, PlexySettings
from providers.sandbox.base import Refused, Sandbox
from providers.sandbox.clock import now_ms, uuid7


class PlexyState(Sandbox[PlexySettings]):
    """Abstract: `PlexySandbox` in `operations` is the whole."""

    name = "plexy"
    settings_type = PlexySettings
    retry_policy = RETRIES
    courses = COURSES.keys()
    echo_names = ECHO_NAMES
    also_by = ALSO_BY
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

    def _due(self, key: str) -> None:
        payout = self.payouts.rows.get(key)
        if payout is not None and payout.due_ms and payout.due_ms <= now_ms():
            self.step(key)

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

    # --- what the settings do to answers and webhooks alike

    def _reference(self, payout: Payout) -> str | None:
        return payout.reference if self.settings.echo_merchant_reference else None

    def _id(self, value: str | None) -> Any:
        return {"Value": value} if self.settings.wrapped_ids else value


def _tenge(tiyn: int) -> str:
    return f"{tiyn // 100}.{tiyn % 100:02d}"
