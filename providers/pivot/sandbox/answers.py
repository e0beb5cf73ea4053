"""The bodies that Pivot answers with: successes, the problems of section 7, rows with their totals, account names.

Shows what is there. Never changes a payout, and never decides which problem a request has.
"""

import secrets
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from providers.pivot.sandbox.facts import BANK_NAME, MAGIC_ACCOUNTS, NO_FUNDS_ACCOUNT, TIMEOUT_ACCOUNT, UNKNOWN_ACCOUNT
from providers.pivot.sandbox.records import Inquiry, Payout
from providers.sandbox.base import reply
from providers.sandbox.clock import iso_seconds


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

# The rest is Pending. Where REJECTED and RETURNED are counted is ours: nobody has seen them.
TOTAL_OF = {"SUCCESS": "Success", "FAILED": "Failed", "REJECTED": "Failed", "RETURNED": "Failed", "CANCELLED": "Cancelled"}


def success(data: Any, *, message: str = "Success", pagination: dict[str, int] | None = None) -> web.Response:
    body = {"code": "00", "message": message, "data": data}
    if pagination is not None:
        body["pagination"] = pagination
    return reply(body)


def problem(code: str, field: str = "", *, http: int | None = None, detail: str | None = None) -> web.Response:
    what = PROBLEMS.get(code) or Problem(code, 400, code, code)
    details = [{"field": field, "message": detail or what.detail.format(field=field)}]
    error = {"type": what.type, "details": details, what.trace: secrets.token_hex(16)}
    return reply({"code": what.code, "message": what.message, "error": error}, http or what.http)


def row_view(payout: Payout, position: int) -> dict[str, Any]:
    row, state = payout.rows[position], payout.states[position]
    view = {**row, "created": iso_seconds(payout.created_ns // 1_000_000)}
    if state["status"]:  # section 6: a row of an IN_PROGRESS request has none yet
        view.update(status=state["status"], reason=state["reason"])
    view["updated"] = iso_seconds(state["updatedMs"])
    return view


def totals(payout: Payout, *, old: bool = False) -> dict[str, int]:
    names = ("Failed", "Pending", "Success") if old else ("Failed", "Pending", "Success", "Cancelled")
    totals = {f"total{name}{unit}": 0 for name in names for unit in ("Amount", "Count")}
    for row, state in zip(payout.rows, payout.states, strict=True):
        name = TOTAL_OF.get(state["status"], "Pending")
        if name not in names:
            continue
        totals[f"total{name}Count"] += 1
        totals[f"total{name}Amount"] += int(row["amount"]["value"])
    return totals


def inquiry_result(inquiry: Inquiry) -> dict[str, str]:
    if inquiry.account == UNKNOWN_ACCOUNT:
        return {"status": "INVALID", "detail": "Account number not found."}
    is_test_account = inquiry.account in MAGIC_ACCOUNTS or inquiry.account in (NO_FUNDS_ACCOUNT, TIMEOUT_ACCOUNT)
    if not is_test_account or inquiry.name == BANK_NAME:
        return {"status": "VALID"}
    similar = inquiry.name.casefold() in BANK_NAME.casefold()
    words = "is not quite the bank's" if similar else "differs from the bank's"
    return {"status": "WARNING", "detail": f"The given account name {words}. Bank record: {BANK_NAME}"}
