"""The whole Pivot sandbox: inquiries and payouts, on top of the layers that know state, callbacks, time and wallets.

Inquires accounts, makes payouts, shows payouts. Never ends a payout: that is left to time (`lifecycle`).
"""

import hashlib
import time
import uuid
from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

from providers.pivot.sandbox.answers import CODE_BY_STATUS, inquiry_result, problem, row_view, success
from providers.pivot.sandbox.facts import (
    DONE_AFTER_MS,
    MAX_ROWS,
    NO_FUNDS_ACCOUNT,
    TIMEOUT_ACCOUNT,
    TIMEOUT_HIDDEN_MS,
)
from providers.pivot.sandbox.records import Inquiry, Merchant, Payout
from providers.pivot.sandbox.rules import amount_of, channel_of, description_of, json_object, paging, request_id_of, text_field
from providers.pivot.sandbox.wallets import PivotWallets
from providers.sandbox import scenarios
from providers.sandbox.base import Refused, Route, course_of
from providers.sandbox.clock import iso_nanos, iso_seconds, now_ms
from providers.sandbox.scenarios import Scenario

DAY_MS = 24 * 3600 * 1000


class PivotSandbox(PivotWallets):
    def routes(self) -> list[Route]:
        return [
            Route("POST", "/v1/access-token", "token", self._token),
            Route("POST", "/v1/inquiry-account", "inquire_account", self._inquire),
            Route("GET", "/v1/inquiry-account/{uuid}", "get_inquiry", self._get_inquiry),
            Route("POST", "/v1/payouts", "create_payout", self._create),
            *self.wallet_routes(),  # before the next line, whose path would take `balance` for an id
            Route("GET", "/v1/payouts/{id}", "get_payout", self._get, _read_operation, ("find_payout",)),
        ]

    def error_answer(self, status: int) -> web.Response:
        return problem(CODE_BY_STATUS.get(status, "general_error"), http=status)

    def refusal_answer(self, params: dict[str, Any]) -> web.Response:
        """Params: `code` (a key of PROBLEMS), `field`, `http`."""
        return problem(params.get("code", "balance_insufficient"), params.get("field", ""), http=params.get("http"))

    # --- account inquiry

    async def _inquire(self, request: web.Request) -> web.Response:
        merchant = self._merchant(request)
        body = json_object(await request.read())
        channel, account, name = channel_of(body)
        key = str(uuid.uuid4())
        ready_ms = int(now_ms() + self.settings.inquiry_pending_ms)
        with self.journal.together():
            inquiry = self.inquiries.add(key, Inquiry(merchant.id, channel, account, name, ready_ms))
            if self.settings.inquiry_fee:
                self.merchants.change(merchant.id, balance=merchant.balance - self.settings.inquiry_fee)
        return self._inquiry_answer(key, inquiry)

    async def _get_inquiry(self, request: web.Request) -> web.Response:
        merchant = self._merchant(request)
        inquiry = self.inquiries.rows.get(request.match_info["uuid"])
        if inquiry is None or inquiry.merchant != merchant.id:
            raise Refused(problem("inquiry_missing", "inquiryId"))
        return self._inquiry_answer(request.match_info["uuid"], inquiry)

    def _inquiry_answer(self, key: str, inquiry: Inquiry) -> web.Response:
        result = {"status": "PENDING", "detail": "Inquiry in progress"}
        if inquiry.ready_ms <= now_ms():
            result = inquiry_result(inquiry)
        return success({"uuid": key, "merchantId": inquiry.merchant, "inquiryResult": result}, message="OK")

    # --- create

    async def _create(self, request: web.Request) -> web.Response:
        merchant = self._merchant(request)
        raw = await request.read()
        request_id = request_id_of(request)
        body = json_object(raw)
        fingerprint = hashlib.blake2b(orjson.dumps(body, option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()
        known = self.payouts.rows.get(self._by_request_id.get((merchant.id, request_id), ""))
        if known is not None and await self._remembers(request, known):
            if known.fingerprint != fingerprint:
                raise Refused(problem("request_id_used"))
            return self._created_answer(known)
        if self._withdrawal_of(merchant, request_id) is not None:
            raise Refused(problem("request_id_used"))  # section 9: one scope for all endpoints
        rows = self._rows(merchant, body)  # V-8: one bad row refuses all
        self._check_day(merchant, rows)
        chosen = await self.scenes(request, [int(row["amount"]["value"]) for row in rows])
        payout = self._accept(request, merchant, request_id, fingerprint, rows, chosen)
        answer = self._created_answer(payout)
        await self.before_answer(payout.uuid, payout.uuid, request)
        return answer

    async def _remembers(self, request: web.Request, known: Payout) -> bool:
        made_ms = known.created_ns // 1_000_000
        if await self.forgets_key("create_payout", request, known.uuid, made_ms):
            return False
        return now_ms() - made_ms < self.settings.request_id_ttl_ms

    def _check_day(self, merchant: Merchant, rows: list[dict[str, Any]]) -> None:
        """V-3: off unless the setting `dailyLimit` says otherwise."""
        limit = self.settings.daily_limit
        if limit is None:
            return
        today = now_ms() // DAY_MS
        made = [
            p for p in self.payouts.rows.values() if p.merchant == merchant.id and p.created_ns // 1_000_000 // DAY_MS == today
        ]
        left = limit - sum(int(row["amount"]["value"]) for payout in made for row in payout.rows)
        if sum(int(row["amount"]["value"]) for row in rows) > left:
            raise Refused(problem("daily_payout_limit_exceeded", detail=f"Remaining amount today: Rp {max(0, left)}"))

    def _rows(self, merchant: Merchant, body: dict[str, Any]) -> list[dict[str, Any]]:
        given = body.get("payouts")
        if not isinstance(given, list) or not given or not all(isinstance(row, dict) for row in given):
            raise Refused(problem("format_invalid"))
        if len(given) > MAX_ROWS:
            raise Refused(problem("too_many_rows"))
        rows = [self._row(merchant, row) for row in given]
        references = {row["referenceId"] for row in rows}
        # V-9: twice in one batch is refused as well.
        if len(references) < len(rows) or any((merchant.id, reference) in self._row_of for reference in references):
            raise Refused(problem("resource_already_exists", "referenceId"))
        return rows

    def _row(self, merchant: Merchant, row: dict[str, Any]) -> dict[str, Any]:
        reference = text_field(row, "referenceId", 100)
        inquiry_id = row.get("inquiryId") or ""
        if inquiry_id and ("channelCode" in row or "channelInformation" in row):
            raise Refused(problem("field_format_invalid", "inquiryId"))  # V-11
        if inquiry_id:
            inquiry = self.inquiries.rows.get(str(inquiry_id))
            if inquiry is None or inquiry.merchant != merchant.id:
                raise Refused(problem("inquiry_missing", "inquiryId"))
            channel, account, name = inquiry.channel, inquiry.account, inquiry.name
        else:
            channel, account, name = channel_of(row)
        return {
            "amount": amount_of(row.get("amount"), self.settings.min_amount, self.settings.max_amount),
            "inquiryId": inquiry_id,
            "channelCode": channel,
            "channelInformation": {"accountName": name, "accountNumber": account},
            "description": description_of(row, loose=self.settings.loose_descriptions),
            "referenceId": reference,
        }

    def _accept(
        self,
        request: web.Request,
        merchant: Merchant,
        request_id: str,
        fingerprint: str,
        rows: list[dict[str, Any]],
        chosen: list[Scenario | None],
    ) -> Payout:
        need = sum(int(row["amount"]["value"]) + self.settings.payout_fee for row in rows)
        accounts = {row["channelInformation"]["accountNumber"] for row in rows}
        # A balance that is too low is silent here (section 6): it shows as PENDING later.
        names = [scenario.name if scenario else "" for scenario in chosen]
        starved = NO_FUNDS_ACCOUNT in accounts or scenarios.NO_FUNDS in {course_of(name) for name in names}
        funded = merchant.balance >= need and not starved
        timeout = TIMEOUT_ACCOUNT in accounts
        pace = max((scenario.pace for scenario in chosen if scenario), default=1.0)
        wait_ms = int(self.delay_ms(self.settings.done_after_ms, DONE_AFTER_MS) * pace)
        if timeout:
            wait_ms = self.delay_ms(self.settings.timeout_hidden_ms, TIMEOUT_HIDDEN_MS)
        now = now_ms()
        payout = Payout(
            uuid=str(uuid.uuid4()),
            merchant=merchant.id,
            request_id=request_id,
            fingerprint=fingerprint,
            created_ns=time.time_ns(),
            updated_ms=now,
            status="IN_PROGRESS",
            rows=rows,
            states=[
                {"status": "", "reason": "", "updatedMs": now, "held": funded, "effects": 0, "scenario": name} for name in names
            ],
            funded=funded,
            next="decide",
            due_ms=now + wait_ms,
            hidden_until_ms=now + wait_ms if timeout else 0,
            first_code="service_unavailable" if timeout else "",
            pace=pace,
        )
        with self.journal.together():
            self.payouts.add(payout.uuid, payout)
            self.bind(request, payout.uuid)
            if funded:
                self.merchants.change(merchant.id, balance=merchant.balance - need)
        self._index(payout)
        return payout

    def _created_answer(self, payout: Payout) -> web.Response:
        if payout.first_code:
            return problem(payout.first_code)
        created = iso_nanos(payout.created_ns)
        return success(
            {
                "created": created,
                "merchantId": payout.merchant,
                "payouts": payout.rows,
                "status": self._status_word("IN_PROGRESS"),
                "updated": created,
                "uuid": payout.uuid,
            }
        )

    def _status_word(self, status: str) -> str:
        return status.replace("_", " ") if self.settings.spaced_status else status

    # --- reads

    async def _get(self, request: web.Request) -> web.Response:
        merchant = self._merchant(request)
        key = request.match_info["id"]
        single = request.query.get("type") == "single"
        position: int | None = None
        if single:
            key, position = self._row_of.get((merchant.id, key), ("", 0))
        payout = self.payouts.rows.get(key)
        if payout is None or payout.merchant != merchant.id:
            raise Refused(problem("resource_missing"))
        if await self.hidden(_read_operation(request), request, payout.created_ns // 1_000_000, payout.uuid):
            raise Refused(problem("resource_missing"))
        if payout.hidden_until_ms and payout.status == "IN_PROGRESS":
            raise Refused(problem("payouts_in_process"))  # V-7
        if payout.status == "IN_PROGRESS" and self.settings.in_process_error:
            raise Refused(problem("payouts_in_process"))
        if position is not None:
            return success([row_view(payout, position)])
        reference = request.query.get("referenceId")
        if reference is not None:
            return self._one_row(payout, reference)
        return self._whole(payout, request.query)

    def _one_row(self, payout: Payout, reference: str) -> web.Response:
        key, position = self._row_of.get((payout.merchant, reference), ("", 0))
        if key != payout.uuid:
            raise Refused(problem("resource_missing"))
        # Section 3: no created, status or updated at request level in this shape.
        data = {"merchantId": payout.merchant, **self._results(payout), "uuid": payout.uuid}
        return success({**data, "payouts": row_view(payout, position)})

    def _whole(self, payout: Payout, query: Mapping[str, str]) -> web.Response:
        page, per_page = paging(query, "page", 1, None), paging(query, "perPage", 20, 100)
        positions = range(len(payout.rows))[(page - 1) * per_page : page * per_page]
        data = {
            "created": iso_seconds(payout.created_ns // 1_000_000),
            "merchantId": payout.merchant,
            **self._results(payout),
            "payouts": [row_view(payout, position) for position in positions],
            "status": self._status_word(payout.status),
            "updated": iso_seconds(payout.updated_ms),
            "uuid": payout.uuid,
        }
        pagination = {
            "page": page,
            "perPage": per_page,
            "totalItems": len(payout.rows),
            "totalPages": -(-len(payout.rows) // per_page),
        }
        return success(data, pagination=pagination)


def _read_operation(request: web.Request) -> str:
    return "find_payout" if request.query.get("type") == "single" else "get_payout"
