"""The fourth layer of the Pivot sandbox: balances, their history, and money moved between wallets (section 3).

Shows what payouts and withdrawals have done to a balance. Never makes or moves a payout.
"""

import hashlib
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from aiohttp import web

from providers.pivot.sandbox.answers import problem, success
from providers.pivot.sandbox.facts import HISTORY_MONTHS_MS, HISTORY_SPAN_MS
from providers.pivot.sandbox.lifecycle import PivotLifecycle
from providers.pivot.sandbox.records import Merchant, Withdrawal
from providers.pivot.sandbox.rules import amount_of, json_object, paging, request_id_of, text_field
from providers.sandbox.base import Refused, Route
from providers.sandbox.clock import iso_seconds, now_ms


class PivotWallets(PivotLifecycle):
    """Abstract: `PivotSandbox` in `operations` is the whole."""

    def wallet_routes(self) -> list[Route]:
        return [
            Route("GET", "/v1/payouts/balance", "get_balance", self._payout_balance),
            Route("GET", "/v1/balances", "list_balances", self._balances),
            Route("GET", "/v1/balance-histories", "list_history", self._histories),
            Route("POST", "/v1/withdrawals", "withdraw", self._withdraw),
        ]

    async def _payout_balance(self, request: web.Request) -> web.Response:
        merchant = self._merchant(request)
        if request.query.get("currency", "IDR") != "IDR":
            raise Refused(problem("field_format_invalid", "currency"))
        return success({"availableBalance": {"currency": "IDR", "value": f"{merchant.balance}.00"}})

    async def _balances(self, request: web.Request) -> web.Response:
        merchant = self._merchant(request)
        wallets = {"DISBURSEMENT": merchant.balance, "PAYMENT": merchant.payment_balance, "WALLET": 0}
        use = request.query.get("usecase", "DISBURSEMENT")  # payouts draw on no other (section 3)
        if use not in wallets:
            raise Refused(problem("field_format_invalid", "usecase"))
        return success({"availableBalance": {"currency": "IDR", "value": f"{wallets[use]}.00"}})

    # --- withdrawals

    async def _withdraw(self, request: web.Request) -> web.Response:
        merchant, request_id = self._merchant(request), request_id_of(request)
        body = json_object(await request.read())
        fingerprint = hashlib.blake2b(orjson.dumps(body, option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()
        known = self._withdrawal_of(merchant, request_id)
        if known is None and (merchant.id, request_id) in self._by_request_id:
            raise Refused(problem("request_id_used"))  # section 9: one scope for all endpoints
        if known is not None:
            if known.fingerprint != fingerprint:
                raise Refused(problem("request_id_used"))
            return _withdrawn(known)
        reference = text_field(body, "referenceId", 100)
        if body.get("withdrawType") != "BALANCE_TRANSFER" or body.get("balanceType") != "PAYOUT_BALANCE":
            raise Refused(problem("field_format_invalid", "withdrawType"))
        amount = merchant.payment_balance
        if body.get("isFullAmount") is not True:
            amount = int(amount_of(body.get("amount"), 1, None)["value"])
        if not 0 < amount <= merchant.payment_balance:
            raise Refused(problem("balance_insufficient"))
        made = Withdrawal(str(uuid.uuid4()), merchant.id, request_id, fingerprint, reference, amount, now_ms())
        with self.journal.together():
            self.withdrawals.add(made.uuid, made)
            self.merchants.change(
                merchant.id, balance=merchant.balance + amount, payment_balance=merchant.payment_balance - amount
            )
        return _withdrawn(made)

    def _withdrawal_of(self, merchant: Merchant, request_id: str) -> Withdrawal | None:
        for made in self.withdrawals.rows.values():
            if (made.merchant, made.request_id) == (merchant.id, request_id):
                return made
        return None

    # --- history

    async def _histories(self, request: web.Request) -> web.Response:
        merchant, query = self._merchant(request), request.query
        start, end = _instant(query, "startDate"), _instant(query, "endDate")
        if not now_ms() - HISTORY_MONTHS_MS <= start <= end <= start + HISTORY_SPAN_MS:
            raise Refused(problem("field_format_invalid", "startDate"))
        page, per_page = paging(query, "page", 1, None), paging(query, "perPage", 20, 100)
        rows = [row for at_ms, row in self._history(merchant) if start <= at_ms <= end]
        if "transactionId" in query:
            rows = [row for row in rows if row["transactionId"] == query["transactionId"]]
        shown = rows[(page - 1) * per_page : page * per_page]
        pages = {"page": page, "perPage": per_page, "totalItems": len(rows), "totalPages": -(-len(rows) // per_page)}
        return success(shown, pagination=pages)

    def _history(self, merchant: Merchant) -> list[tuple[int, dict[str, Any]]]:
        """Newest first: what payouts took from the balance, and what withdrawals brought to it."""
        found: list[tuple[int, dict[str, Any]]] = []
        for payout in self.payouts.rows.values():
            if payout.merchant != merchant.id or not payout.funded:
                continue
            at_ms, kind = payout.created_ns // 1_000_000, "DISBURSEMENT" if len(payout.rows) == 1 else "BULK_DISBURSEMENT"
            total = sum(int(row["amount"]["value"]) for row in payout.rows)
            fee = self.settings.payout_fee * len(payout.rows)
            reference = payout.rows[0]["referenceId"] if len(payout.rows) == 1 else payout.uuid
            found.append((at_ms, _line(at_ms, kind, reference, payout.uuid, -total, -fee)))
        for made in self.withdrawals.rows.values():
            if made.merchant == merchant.id:
                line = _line(made.created_ms, "TRANSFER", made.reference, made.uuid, made.amount, 0)
                found.append((made.created_ms, line))
        return sorted(found, key=lambda item: item[0], reverse=True)


def _line(at_ms: int, kind: str, reference: str, transaction: str, amount: int, fee: int) -> dict[str, Any]:
    return {
        "referenceId": reference,
        "date": iso_seconds(at_ms),
        "settlementDate": iso_seconds(at_ms),
        "settlementStatus": "SETTLED",
        "balanceType": "DISBURSEMENT",
        "channel": "OPEN_API",
        "transactionType": kind,
        "amount": {"value": amount, "currency": "IDR"},
        "fee": {"value": fee, "currency": "IDR"},
        "createdBy": "API",
        "transactionId": transaction,
    }


def _withdrawn(made: Withdrawal) -> web.Response:
    return success(
        {
            "uuid": made.uuid,
            "merchantId": made.merchant,
            "referenceId": made.reference,
            "amount": {"value": str(made.amount), "currency": "IDR"},
            "created": iso_seconds(made.created_ms),
        }
    )


def _instant(query: Mapping[str, str], name: str) -> int:
    try:
        found = datetime.fromisoformat(query.get(name, ""))
    except ValueError:
        raise Refused(problem("field_format_invalid", name)) from None
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)
