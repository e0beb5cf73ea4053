"""The Pivot sandbox: batch payouts to Indonesian banks as the fact sheet `pivot.md` describes them, on a real socket.

Independent of the connector: shares no code and no setting with it. Never reads the gateway's database. Left out so
far: balance histories, sub-merchants, withdrawals, the international product, rate limits.
"""

import base64
import hashlib
import hmac
import re
import secrets
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import orjson
from aiohttp import web
from multidict import CIMultiDict
from pydantic import Field

from providers.sandbox.base import ControlError, ControlForm, Refused, Route, Sandbox, SandboxSettings, reply
from providers.sandbox.clock import iso_nanos, iso_seconds, now_ms
from providers.sandbox.ledger import Money, last4
from providers.sandbox.webhooks import RetryPolicy

# --- facts and assumptions, by the number they have in the sheet

TOKEN_TTL_MS = 900_000  # section 2: 15 minutes
REQUEST_ID_TTL_MS = 24 * 3600 * 1000  # section 9
REQUEST_ID = re.compile(r"[A-Za-z0-9]{16,36}")  # section 4: no dashes
WHOLE_RUPIAH = re.compile(r"[1-9][0-9]{0,17}")  # section 4: a text, never a number
DESCRIPTION = re.compile(r"[A-Za-z0-9]{1,20}")  # section 4: the strict reading of the conflict
MAX_ROWS = 1000
MIN_RUPIAH = 10_000  # V-3
DONE_AFTER_MS = 1000  # section 12: about a second in the sample
TIMEOUT_HIDDEN_MS = 60_000  # V-7
START_BALANCE = 1_000_000_000_000
BANK_NAME = "Dummy Simulation"  # section 8
SHORT_OF_FUNDS = "Insufficient Balance"  # section 5: seen on APPROVED rows

RETRIES = RetryPolicy(  # section 10
    waits_s=(300, 900, 3600, 3 * 3600, 6 * 3600, 12 * 3600),
    timeout_s=10,
    accepted=lambda status: status == 200,
    retried=lambda status: status is None or status >= 500 or status in (408, 429),
)

# Section 12: any other account number is paid.
MAGIC_ACCOUNTS: dict[str, tuple[str, str]] = {
    "999966660001": ("SUCCESS", ""),
    "999966660002": ("FAILED", "Inactive account"),
    "999966660003": ("FAILED", "Invalid account"),
    "999966660006": ("FAILED", "Dormant account"),
}
NO_FUNDS_ACCOUNT = "999966660007"
TIMEOUT_ACCOUNT = "999966660008"
UNKNOWN_ACCOUNT = "999966660003"  # an inquiry finds nothing

# Section 11.
CHANNELS = frozenset(
    """
    BRI EXIMBANK MANDIRI BNI DANAMON DANAMON_UUS PERMATA PERMATA_UUS BCA MAYBANK PANIN ARTA_NIAGA_KENCANA CIMB CIMB_SYR
    CIMB_UUS UOB TMRW LIPPO OCBC OCBC_UUS DANAGUNG_ABADI DANAGUNG_BAKTI DANAGUNG_RAMULTI AMEX CITIBANK JPMORGAN BAML ING
    CCB MULTICOR ARTHA CREDIT_AGRICOLE BANGKOK_BANK MUFG SUMITOMO DBS DIGIBANK RESONA MIZUHO STANDARD_CHARTERED ABN_AMRO
    KEPPEL CAPITAL BNP_PARIBAS KEB_INDONESIA RABOBANK ANZ DEUTSCHE WOORI BOC BUMI_ARTA HSBC HSBC_UUS ANTARDAERAH HAGA IFI
    JTRUST MAYAPADA BJB DKI DKI_UUS DAERAH_ISTIMEWA DAERAH_ISTIMEWA_UUS JAWA_TENGAH JAWA_TENGAH_UUS JAWA_TIMUR
    JAWA_TIMUR_UUS JAMBI JAMBI_UUS ACEH ACEH_UUS ACEH_SYR SUMUT SUMUT_UUS SUMATERA_BARAT SUMATERA_BARAT_UUS
    KALIMANTAN_TIMUR KALIMANTAN_TIMUR_UUS RIAU_DAN_KEPRI RIAU_DAN_KEPRI_UUS SUMSEL_DAN_BABEL SUMSEL_DAN_BABEL_UUS LAMPUNG
    KALIMANTAN_SELATAN KALIMANTAN_SELATAN_UUS KALIMANTAN_BARAT KALIMANTAN_BARAT_UUS KALIMANTAN_TENGAH SULSELBAR
    SULSELBAR_UUS SULUT NUSA_TENGGARA_BARAT NUSA_TENGGARA_BARAT_UUS BALI NUSA_TENGGARA_TIMUR MALUKU PAPUA BENGKULU
    SULAWESI SULAWESI_TENGGARA BANTEN NUSANTARA_PARAHYANGAN INDIA MUAMALAT MESTIKA_DHARMA SHINHAN SINARMAS SINARMAS_UUS
    MASPION HAGAKITA GANESHA WINDU_KENTJANA ICBC HARMONI QNB_INDONESIA BTN BTN_UUS HIMPUNAN_SAUDARA WOORI_SAUDARA
    SMBC_INDONESIA JENIUS TABUNGAN_PENSIUNAN_NASIONAL KOP_INTIDANA SWAGUNA VICTORIA_SYR BRI_SYR BJB_SYR MEGA BNI_SYR
    BUKOPIN BSI BISNIS_INTERNASIONAL ANDARA JASA_JAKARTA HANA MNC_INTERNASIONAL BNC MITRANIAGA AGRONIAGA SBI_INDONESIA
    BCA_DIGITAL NATIONALNOBU MEGA_SYR INA_PERDANA PANIN_SYR PRIMA_MASTER BUKOPIN_SYR SAHABAT_SAMPOERNA BARCLAYS
    DINAR_INDONESIA OKE ANGLOMAS AMAR SEABANK BCA_SYR JAGO BTPN_SYARIAH MULTI_ARTA_SENTOSA MAS MAYORA INDEX_SELINDO PUNDI
    CNB FAMA MANDIRI_TASPEN VICTORIA_INTERNASIONAL HARDA_INTERNASIONAL SUPRA MANDIRI_BPR KS EKA IBK AGRIS MERINCORP
    ALADIN OCBC_INDONESIA CTBC COMMONWEALTH GOPAY OVO SHOPEEPAY DANA LINKAJA
    """.split()  # noqa: SIM905 - two hundred pairs of quotes would help nobody
)


@dataclass(frozen=True, slots=True)
class Problem:
    """One line of section 7; the HTTP status is V-1."""

    code: str
    http: int
    message: str
    detail: str
    type: str = "API_ERROR"
    trace: str = "traceId"


PROBLEMS: dict[str, Problem] = {
    "credentials_invalid": Problem("credentials_invalid", 401, "Access Token is Invalid", "Request new access token"),
    "field_format_invalid": Problem(
        "field_format_invalid", 400, "Format Field is Invalid", "Make sure {field} format is correct"
    ),
    "field_required": Problem("field_required", 400, "Mandatory Field is Missing", "Make sure {field} value is fulfilled"),
    "amount_below_limit": Problem(
        "amount_below_limit", 400, "Amount Value below the minimum", "Make sure {field} amount is above minimum"
    ),
    "amount_above_limit": Problem(
        "amount_above_limit", 400, "Amount value above the maximum", "Make sure {field} amount is below maximum"
    ),
    "request_id_used": Problem("resource_already_exists", 409, "X-REQUEST-ID is already exists", "Use unique X-EXTERNAL-ID"),
    "resource_already_exists": Problem("resource_already_exists", 409, "ID is already exists", "Use unique {field}"),
    "service_unavailable": Problem(
        "service_unavailable", 503, "Gateway service is unavailable", "Please hit periodically", "GATEWAY_ERROR"
    ),
    "balance_insufficient": Problem("balance_insufficient", 422, "Merchant Balance is Insufficient", "Re Top-up your Balance"),
    "unsupported_channel_code": Problem(
        "unsupported_channel_code", 400, "Channel Code is currently not supported", "Make sure channel code is listed"
    ),
    "resource_missing": Problem("resource_missing", 404, "Payout ID is not exist", "Make sure payout id is correct"),
    "inquiry_missing": Problem("resource_missing", 404, "Inquiry ID is not exist", "Make sure inquiry id is correct"),
    "too_many_rows": Problem(
        "format_invalid", 400, "Payout format is invalid", "Make sure payout object no more than 1000 items"
    ),
    "format_invalid": Problem(
        "format_invalid",
        400,
        "Payouts format is invalid",
        "Make sure Payout request format is correct",
        trace="trace_id",
    ),
    "daily_payout_limit_exceeded": Problem(
        "daily_payout_limit_exceeded", 422, "Exceed daily Payout limit", "Remaining amount today: Rp 0", trace="trace_id"
    ),
    "payouts_in_process": Problem(
        "payouts_in_process", 422, "Payouts are being process", "Wait a moment to retrieve the Payout", trace="trace_id"
    ),
    "general_error": Problem("general_error", 500, "General Error", "Please contact our representative team"),
}

# What a status alone says, where a fault or an unknown path asks for it. Not `resource_missing` for 404: that would
# claim a look-up which never took place.
CODE_BY_STATUS = {
    400: "format_invalid",
    401: "credentials_invalid",
    408: "service_unavailable",
    502: "service_unavailable",
    503: "service_unavailable",
    504: "service_unavailable",
}

FINAL_ROW_WORDS = frozenset({"SUCCESS", "FAILED", "CANCELLED", "RETURNED"})
ROW_WORDS = FINAL_ROW_WORDS | {"PENDING", "APPROVED"}
REQUEST_WORDS = frozenset({"IN_PROGRESS", "PENDING", "DONE", "DELAYED", "CANCELLED"})
TOTAL_OF = {"SUCCESS": "Success", "FAILED": "Failed", "RETURNED": "Failed", "CANCELLED": "Cancelled"}  # rest: Pending


class PivotSettings(SandboxSettings):
    done_after_ms: float | None = None  # create -> DONE or PENDING
    row_after_ms: float = 0  # > 0: rows are PENDING at DONE and become final so much later
    timeout_hidden_ms: float | None = None  # V-7
    token_ttl_ms: float = TOKEN_TTL_MS
    request_id_ttl_ms: float = REQUEST_ID_TTL_MS
    in_process_error: bool = False  # True: reads answer `payouts_in_process` while IN_PROGRESS (section 6)
    callback_mode: Literal["by_count", "single", "bulk"] = "by_count"  # V-6
    min_amount: int = MIN_RUPIAH
    payout_fee: int = 0  # per row; 4,000 was seen (section 8)
    inquiry_fee: int = 0  # 450 was seen
    inquiry_pending_ms: float = 0


class MerchantForm(ControlForm):
    merchant_id: str | None = Field(default=None, min_length=1)
    merchant_secret: str | None = Field(default=None, min_length=1)
    callback_url: str | None = None
    callback_api_key: str | None = None
    balance: int | None = None


@dataclass(slots=True)
class Merchant:
    id: str
    secret: str
    callback_url: str | None
    callback_key: str
    balance: int


@dataclass(slots=True)
class Token:
    merchant: str
    expires_ms: int


@dataclass(slots=True)
class Inquiry:
    merchant: str
    channel: str
    account: str
    name: str
    ready_ms: int


@dataclass(slots=True)
class Payout:
    """A request with its rows. `states[i]` belongs to `rows[i]`: status, reason, updatedMs, held, effects."""

    uuid: str
    merchant: str
    request_id: str
    fingerprint: str
    created_ns: int
    updated_ms: int
    status: str
    rows: list[dict[str, Any]]
    states: list[dict[str, Any]]
    funded: bool
    next: str  # "decide", "finish" or "": the step that waits
    due_ms: int
    hidden_until_ms: int = 0  # V-7: reads say payouts_in_process until then
    first_code: str = ""  # V-7: the first answer was this error, and is repeated


class PivotSandbox(Sandbox[PivotSettings]):
    name = "pivot"
    settings_type = PivotSettings
    retry_policy = RETRIES
    idempotency_header = "X-REQUEST-ID"
    settings: PivotSettings

    CHECKED_TEXTS: ClassVar[tuple[tuple[str, int], ...]] = (("accountNumber", 60), ("accountName", 60))

    def declare_tables(self) -> None:
        self.merchants = self.journal.table("merchant", Merchant)
        self.tokens = self.journal.table("token", Token)
        self.inquiries = self.journal.table("inquiry", Inquiry)
        self.payouts = self.journal.table("payout", Payout)

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

    def routes(self) -> list[Route]:
        return [
            Route("POST", "/v1/access-token", "token", self._token),
            Route("POST", "/v1/inquiry-account", "inquire_account", self._inquire),
            Route("GET", "/v1/inquiry-account/{uuid}", "get_inquiry", self._get_inquiry),
            Route("POST", "/v1/payouts", "create_payout", self._create),
            Route("GET", "/v1/payouts/balance", "get_balance", self._payout_balance),
            Route("GET", "/v1/balances", "list_balances", self._balances),
            Route("GET", "/v1/payouts/{id}", "get_payout", self._get, _read_operation, ("find_payout",)),
        ]

    # --- answers

    def error_answer(self, status: int) -> web.Response:
        return problem(CODE_BY_STATUS.get(status, "general_error"), http=status)

    def refusal_answer(self, params: dict[str, Any]) -> web.Response:
        """Params: `code` (a key of PROBLEMS), `field`, `http`."""
        return problem(params.get("code", "balance_insufficient"), params.get("field", ""), http=params.get("http"))

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
        )
        self.merchants.add(merchant_id, merchant)
        return {
            "merchant": merchant.id,
            "merchantId": merchant.id,
            "merchantSecret": merchant.secret,
            "callbackUrl": merchant.callback_url,
            "callbackApiKey": merchant.callback_key,
            "balance": merchant.balance,
        }

    def show_merchants(self) -> list[dict[str, Any]]:
        return [{"merchant": m.id, "callbackUrl": m.callback_url, "balance": m.balance} for m in self.merchants.rows.values()]

    # --- token and auth

    async def _token(self, request: web.Request) -> web.Response:
        merchant = self.merchants.rows.get(request.headers.get("X-MERCHANT-ID", ""))
        secret = request.headers.get("X-MERCHANT-SECRET", "")
        if merchant is None or not hmac.compare_digest(secret.encode(), merchant.secret.encode()):
            raise Refused(problem("credentials_invalid"))
        if _object(await request.read()).get("grantType") != "client_credentials":
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

    # --- account inquiry

    async def _inquire(self, request: web.Request) -> web.Response:
        merchant = self._merchant(request)
        body = _object(await request.read())
        channel, account, name = self._channel(body)
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
            result = _inquiry_result(inquiry)
        return success({"uuid": key, "merchantId": inquiry.merchant, "inquiryResult": result}, message="OK")

    # --- create

    async def _create(self, request: web.Request) -> web.Response:
        merchant = self._merchant(request)
        raw = await request.read()
        request_id = self._request_id(request)
        body = _object(raw)
        fingerprint = hashlib.blake2b(orjson.dumps(body, option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()
        known = self.payouts.rows.get(self._by_request_id.get((merchant.id, request_id), ""))
        if known is not None and now_ms() - known.created_ns // 1_000_000 < self.settings.request_id_ttl_ms:
            if known.fingerprint != fingerprint:
                raise Refused(problem("request_id_used"))
            return self._created_answer(known)
        rows = self._rows(merchant, body)  # V-8: one bad row refuses all
        payout = self._accept(merchant, request_id, fingerprint, rows)
        answer = self._created_answer(payout)
        await self.before_answer(payout.uuid, payout.uuid, request)
        return answer

    def _request_id(self, request: web.Request) -> str:
        value = request.headers.get("X-REQUEST-ID", "")
        if not value:
            raise Refused(problem("field_required", "X-REQUEST-ID"))
        if not REQUEST_ID.fullmatch(value):
            raise Refused(problem("field_format_invalid", "X-REQUEST-ID"))
        return value

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
        reference = _text(row, "referenceId", 100)
        inquiry_id = row.get("inquiryId") or ""
        if inquiry_id and ("channelCode" in row or "channelInformation" in row):
            raise Refused(problem("field_format_invalid", "inquiryId"))  # V-11
        if inquiry_id:
            inquiry = self.inquiries.rows.get(str(inquiry_id))
            if inquiry is None or inquiry.merchant != merchant.id:
                raise Refused(problem("inquiry_missing", "inquiryId"))
            channel, account, name = inquiry.channel, inquiry.account, inquiry.name
        else:
            channel, account, name = self._channel(row)
        description = row.get("description") or ""
        if description and not (isinstance(description, str) and DESCRIPTION.fullmatch(description)):
            raise Refused(problem("field_format_invalid", "description"))
        return {
            "amount": self._amount(row.get("amount")),
            "inquiryId": inquiry_id,
            "channelCode": channel,
            "channelInformation": {"accountName": name, "accountNumber": account},
            "description": description,
            "referenceId": reference,
        }

    def _channel(self, body: dict[str, Any]) -> tuple[str, str, str]:
        channel = _text(body, "channelCode", 30)
        information = body.get("channelInformation")
        if not isinstance(information, dict):
            raise Refused(problem("field_required", "channelInformation"))
        account, name = (_text(information, field, limit) for field, limit in self.CHECKED_TEXTS)
        if channel not in CHANNELS:
            raise Refused(problem("unsupported_channel_code", "channelCode"))
        return channel, account, name

    def _amount(self, amount: Any) -> dict[str, str]:
        if not isinstance(amount, dict):
            raise Refused(problem("field_required", "amount"))
        value = amount.get("value")
        if value is None:
            raise Refused(problem("field_required", "amount.value"))
        if not isinstance(value, str) or not WHOLE_RUPIAH.fullmatch(value):
            raise Refused(problem("field_format_invalid", "amount.value"))  # a JSON number too (section 4)
        if amount.get("currency") != "IDR":
            raise Refused(problem("field_format_invalid", "amount.currency"))
        if int(value) < self.settings.min_amount:
            raise Refused(problem("amount_below_limit", "amount.value"))
        return {"currency": "IDR", "value": value}

    def _accept(self, merchant: Merchant, request_id: str, fingerprint: str, rows: list[dict[str, Any]]) -> Payout:
        need = sum(int(row["amount"]["value"]) + self.settings.payout_fee for row in rows)
        accounts = {row["channelInformation"]["accountNumber"] for row in rows}
        # A balance that is too low is silent here (section 6): it shows as PENDING later.
        funded = merchant.balance >= need and NO_FUNDS_ACCOUNT not in accounts
        timeout = TIMEOUT_ACCOUNT in accounts
        wait_ms = self.delay_ms(self.settings.done_after_ms, DONE_AFTER_MS)
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
            states=[{"status": "", "reason": "", "updatedMs": now, "held": funded, "effects": 0} for _ in rows],
            funded=funded,
            next="decide",
            due_ms=now + wait_ms,
            hidden_until_ms=now + wait_ms if timeout else 0,
            first_code="service_unavailable" if timeout else "",
        )
        with self.journal.together():
            self.payouts.add(payout.uuid, payout)
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
                "status": "IN_PROGRESS",
                "updated": created,
                "uuid": payout.uuid,
            }
        )

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
        if await self.hidden(_read_operation(request), request, payout.created_ns // 1_000_000):
            raise Refused(problem("resource_missing"))
        if payout.hidden_until_ms and payout.status == "IN_PROGRESS":
            raise Refused(problem("payouts_in_process"))  # V-7
        if payout.status == "IN_PROGRESS" and self.settings.in_process_error:
            raise Refused(problem("payouts_in_process"))
        if position is not None:
            return success([_row_view(payout, position)])
        reference = request.query.get("referenceId")
        if reference is not None:
            return self._one_row(payout, reference)
        return self._whole(payout, request.query)

    def _one_row(self, payout: Payout, reference: str) -> web.Response:
        key, position = self._row_of.get((payout.merchant, reference), ("", 0))
        if key != payout.uuid:
            raise Refused(problem("resource_missing"))
        # Section 3: no created, status or updated at request level in this shape.
        data = {"merchantId": payout.merchant, "payoutResults": _totals(payout), "uuid": payout.uuid}
        return success({**data, "payouts": _row_view(payout, position)})

    def _whole(self, payout: Payout, query: Mapping[str, str]) -> web.Response:
        page, per_page = _paging(query, "page", 1, None), _paging(query, "perPage", 20, 100)
        positions = range(len(payout.rows))[(page - 1) * per_page : page * per_page]
        data = {
            "created": iso_seconds(payout.created_ns // 1_000_000),
            "merchantId": payout.merchant,
            "payoutResults": _totals(payout),
            "payouts": [_row_view(payout, position) for position in positions],
            "status": payout.status,
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

    async def _payout_balance(self, request: web.Request) -> web.Response:
        merchant = self._merchant(request)
        if request.query.get("currency", "IDR") != "IDR":
            raise Refused(problem("field_format_invalid", "currency"))
        return success({"availableBalance": {"currency": "IDR", "value": f"{merchant.balance}.00"}})

    async def _balances(self, request: web.Request) -> web.Response:
        merchant = self._merchant(request)
        use = request.query.get("usecase", "DISBURSEMENT")
        if use not in ("DISBURSEMENT", "PAYMENT", "WALLET"):
            raise Refused(problem("field_format_invalid", "usecase"))
        value = merchant.balance if use == "DISBURSEMENT" else 0  # payouts draw on no other (section 3)
        return success({"availableBalance": {"currency": "IDR", "value": f"{value}.00"}})

    # --- states over time

    def _due(self, key: str) -> None:
        payout = self.payouts.rows.get(key)
        if payout is not None and payout.next and payout.due_ms <= now_ms():
            self.step(key)

    def step(self, key: str) -> bool:
        payout = self.payouts.rows[key]
        if not payout.next:
            return False
        everyone = range(len(payout.rows))
        if payout.next == "decide" and not payout.funded:
            self._mark(payout, dict.fromkeys(everyone, ("APPROVED", SHORT_OF_FUNDS)), "PENDING")
        elif payout.next == "decide" and self.settings.row_after_ms > 0:
            self._mark(payout, dict.fromkeys(everyone, ("PENDING", "")), "DONE", then="finish")
        else:
            self._mark(payout, {position: _outcome(payout, position) for position in everyone}, "DONE")
        return True

    def _mark(self, payout: Payout, marks: dict[int, tuple[str, str]], status: str, then: str = "") -> None:
        """Give rows a new status with its effect on the money, then tell the merchant. Money first."""
        now = now_ms()
        states = [dict(state) for state in payout.states]
        movements: list[Money] = []
        change = 0
        for position, (word, reason) in marks.items():
            change += _move(payout, position, states[position], word, movements)
            states[position].update(status=word, reason=reason, updatedMs=now)
        self.ledger.write(movements)
        was_done = payout.status == "DONE"
        with self.journal.together():
            if change:
                balance = self.merchants.rows[payout.merchant].balance
                self.merchants.change(payout.merchant, balance=balance + change)
            due_ms = int(now + self.settings.row_after_ms) if then else 0
            self.payouts.change(
                payout.uuid, states=states, status=status, updated_ms=now, next=then, due_ms=due_ms, hidden_until_ms=0
            )
            self._announce(payout, marks, again=was_done)
        if then:
            self.schedule.add(due_ms, self._due, payout.uuid)

    def _announce(self, payout: Payout, marks: dict[int, tuple[str, str]], *, again: bool) -> None:
        mode = self.settings.callback_mode
        single = mode == "single" or (mode == "by_count" and len(payout.rows) == 1)  # V-6
        words = {word for word, _ in marks.values()}
        if single:
            for position, (word, _) in marks.items():
                if word in ("SUCCESS", "FAILED", "RETURNED"):
                    self._single_event(payout, position, "SUCCESS" if word == "SUCCESS" else "FAILED")
        if words == {"CANCELLED"}:
            self._bulk_event(payout, "CANCELLED")  # only the bulk list knows this event
        elif not single and not (again and words <= {"PENDING"}):
            self._bulk_event(payout, payout.status)

    def _single_event(self, payout: Payout, position: int, event: str) -> None:
        row, state = payout.rows[position], payout.states[position]
        told = {
            "referenceId": row["referenceId"],
            "amount": row["amount"],
            "status": state["status"],
            "reason": state["reason"] or None,
        }
        data = {"uuid": payout.uuid, "merchantId": payout.merchant, "payouts": told}
        self._post(payout, f"PAYOUT.{event}", data)

    def _bulk_event(self, payout: Payout, event: str) -> None:
        data = {
            "uuid": payout.uuid,
            "merchantId": payout.merchant,
            "payoutResults": _totals(payout),
            "status": payout.status,
        }
        self._post(payout, f"PAYOUT.{event}", data)

    def _post(self, payout: Payout, event: str, data: dict[str, Any]) -> None:
        self.courier.post(payout.merchant, payout.uuid, event, {"event": event, "data": data})

    def advance(self, ref: str, to: str, reason: str | None, *, hold: bool) -> dict[str, Any]:
        payout, position = self._find(ref)
        if position is not None and to in ROW_WORDS:
            self._advance_rows(payout, [position], to, reason)
        elif position is None and to in ROW_WORDS - {"PENDING"}:
            self._advance_rows(payout, list(range(len(payout.rows))), to, reason)
        elif to in REQUEST_WORDS:
            self._advance_request(payout, to)
        else:
            raise ControlError(f"Pivot knows no status {to}")
        if hold:
            self.payouts.change(payout.uuid, next="", due_ms=0)
        return {"uuid": payout.uuid, "status": payout.status, "rows": [state["status"] for state in payout.states]}

    def _find(self, ref: str) -> tuple[Payout, int | None]:
        payout = self.payouts.rows.get(ref)
        if payout is not None:
            return payout, None
        for merchant in self.merchants.rows:
            found = self._row_of.get((merchant, ref))
            if found is not None:
                return self.payouts.rows[found[0]], found[1]
        raise ControlError("there is no payout with this uuid or referenceId")

    def _advance_rows(self, payout: Payout, positions: list[int], to: str, reason: str | None) -> None:
        default = {"APPROVED": SHORT_OF_FUNDS, "FAILED": "Failed to process by Bank Network"}.get(to, "")
        status = "PENDING" if to == "APPROVED" else "DONE"
        rest = {
            position: _outcome(payout, position)
            for position, state in enumerate(payout.states)
            if position not in positions and status == "DONE" and not state["status"]
        }
        marks = {**rest, **dict.fromkeys(positions, (to, default if reason is None else reason))}
        self._mark(payout, marks, status)

    def _advance_request(self, payout: Payout, to: str) -> None:
        if to == "DELAYED":
            self._announce_delay(payout)
        elif to == "IN_PROGRESS":  # the dashboard's retry after a top-up
            self._retry(payout)
        elif to == "PENDING":
            self._advance_rows(payout, list(range(len(payout.rows))), "APPROVED", None)
        else:
            self._mark(payout, {p: _outcome(payout, p) for p in range(len(payout.rows))}, "DONE")

    def _announce_delay(self, payout: Payout) -> None:
        if len(payout.rows) == 1:
            self._single_event(payout, 0, "DELAYED")
        else:
            self._bulk_event(payout, "DELAYED")

    def _retry(self, payout: Payout) -> None:
        merchant = self.merchants.rows[payout.merchant]
        need = sum(int(row["amount"]["value"]) for row in payout.rows)
        if any(state["status"] not in ("", "APPROVED") for state in payout.states):
            raise ControlError("only a request that waits for a top-up can be retried")
        held = any(state["held"] for state in payout.states)
        funded = held or merchant.balance >= need
        due_ms = now_ms() + self.delay_ms(self.settings.done_after_ms, DONE_AFTER_MS)
        states = [{**state, "status": "", "reason": "", "held": funded} for state in payout.states]
        with self.journal.together():
            if funded and not held:
                self.merchants.change(merchant.id, balance=merchant.balance - need)
            self.payouts.change(payout.uuid, states=states, status="IN_PROGRESS", funded=funded, next="decide", due_ms=due_ms)
        self.schedule.add(due_ms, self._due, payout.uuid)

    # --- webhooks

    def webhook_url(self, merchant: str) -> str | None:
        return self.merchants.rows[merchant].callback_url

    def prove(self, merchant: str, body: bytes, *, forged: bool) -> CIMultiDict[str]:
        del body  # the key is static: it proves a sender, not a body (section 10)
        key = secrets.token_hex(16) if forged else self.merchants.rows[merchant].callback_key
        return CIMultiDict({"Content-Type": "application/JSON", "Accept": "application/JSON", "X-API-Key": key})

    def invent(self, body: dict[str, Any]) -> dict[str, Any]:
        data = dict(body["data"])
        if "payouts" in data:
            data["payouts"] = {**data["payouts"], "status": "LEVITATING"}
        else:
            data["status"] = "LEVITATING"
        return {"event": "PAYOUT.LEVITATING", "data": data}


# --- bodies and small rules


def success(data: Any, *, message: str = "Success", pagination: dict[str, int] | None = None) -> web.Response:
    body = {"code": "00", "message": message, "data": data}
    if pagination is not None:
        body["pagination"] = pagination
    return reply(body)


def problem(code: str, field: str = "", *, http: int | None = None) -> web.Response:
    what = PROBLEMS.get(code) or Problem(code, 400, code, code)
    details = [{"field": field, "message": what.detail.format(field=field)}]
    error = {"type": what.type, "details": details, what.trace: secrets.token_hex(16)}
    return reply({"code": what.code, "message": what.message, "error": error}, http or what.http)


def _read_operation(request: web.Request) -> str:
    return "find_payout" if request.query.get("type") == "single" else "get_payout"


def _object(raw: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        raise Refused(problem("format_invalid"))
    return body


def _text(body: dict[str, Any], field: str, limit: int) -> str:
    value = body.get(field)
    if value is None or value == "":
        raise Refused(problem("field_required", field))
    if not isinstance(value, str) or len(value) > limit:
        raise Refused(problem("field_format_invalid", field))
    return value


def _paging(query: Mapping[str, str], name: str, default: int, most: int | None) -> int:
    text = query.get(name, str(default))
    if not text.isdecimal() or int(text) < 1 or (most is not None and int(text) > most):
        raise Refused(problem("field_format_invalid", name))
    return int(text)


def _jwt(merchant: str) -> str:
    """Looks like a JWT and means nothing: the sandbox looks tokens up."""
    claims = orjson.dumps({"sub": merchant, "jti": secrets.token_hex(8)})
    parts = (b'{"alg":"HS256","typ":"JWT"}', claims, secrets.token_bytes(32))
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def _inquiry_result(inquiry: Inquiry) -> dict[str, str]:
    if inquiry.account == UNKNOWN_ACCOUNT:
        return {"status": "INVALID", "detail": "Account number not found."}
    is_test_account = inquiry.account in MAGIC_ACCOUNTS or inquiry.account in (NO_FUNDS_ACCOUNT, TIMEOUT_ACCOUNT)
    if not is_test_account or inquiry.name == BANK_NAME:
        return {"status": "VALID"}
    similar = inquiry.name.casefold() in BANK_NAME.casefold()
    words = "is not quite the bank's" if similar else "differs from the bank's"
    return {"status": "WARNING", "detail": f"The given account name {words}. Bank record: {BANK_NAME}"}


def _outcome(payout: Payout, position: int) -> tuple[str, str]:
    account = payout.rows[position]["channelInformation"]["accountNumber"]
    return MAGIC_ACCOUNTS.get(account, ("SUCCESS", ""))


def _move(payout: Payout, position: int, state: dict[str, Any], word: str, movements: list[Money]) -> int:
    """The money side of a row's change of status: notes the movement, answers the change of the balance."""
    amount = int(payout.rows[position]["amount"]["value"])
    was_paid = state["status"] == "SUCCESS"
    if word == "SUCCESS":
        change = 0 if was_paid or state["held"] else -amount
        if not was_paid:
            movements.append(_money(payout, position, state, "sent"))
        state["held"] = False
        return change
    if was_paid and word in FINAL_ROW_WORDS:  # V-5
        movements.append(_money(payout, position, state, "returned"))
        return amount
    if state["held"] and word != "PENDING":
        state["held"] = False
        return amount
    return 0


def _money(payout: Payout, position: int, state: dict[str, Any], kind: Literal["sent", "returned"]) -> Money:
    row = payout.rows[position]
    state["effects"] += 1
    return Money(
        effect=f"{payout.uuid}/{position}#{state['effects']}",
        kind=kind,
        merchant=payout.merchant,
        provider_ref=payout.uuid,
        our_ref=row["referenceId"],
        amount=row["amount"]["value"],
        currency="IDR",
        destination=f"{row['channelCode']} {last4(row['channelInformation']['accountNumber'])}",
        other_refs={"requestId": payout.request_id} if len(payout.rows) == 1 else {},
    )


def _row_view(payout: Payout, position: int) -> dict[str, Any]:
    row, state = payout.rows[position], payout.states[position]
    view = {**row, "created": iso_seconds(payout.created_ns // 1_000_000)}
    if state["status"]:  # section 6: a row of an IN_PROGRESS request has none yet
        view.update(status=state["status"], reason=state["reason"])
    view["updated"] = iso_seconds(state["updatedMs"])
    return view


def _totals(payout: Payout) -> dict[str, int]:
    names = ("Failed", "Pending", "Success", "Cancelled")
    totals = {f"total{name}{unit}": 0 for name in names for unit in ("Amount", "Count")}
    for row, state in zip(payout.rows, payout.states, strict=True):
        name = TOTAL_OF.get(state["status"], "Pending")
        totals[f"total{name}Count"] += 1
        totals[f"total{name}Amount"] += int(row["amount"]["value"])
    return totals
