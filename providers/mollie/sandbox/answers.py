"""The bodies that Mollie answers with: problems, payouts and balances as resources, their links and pages.

Shows what is there. Never changes a payout or a balance, and never decides which problem a request has.
"""

from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from providers.mollie.sandbox.amounts import amount_body, decimal_text
from providers.mollie.sandbox.facts import API_HOST, DOCS, HAL, REASONS, TITLES
from providers.mollie.sandbox.records import Balance, Payout, Subscription
from providers.sandbox.base import reply
from providers.sandbox.clock import iso_offset
from providers.sandbox.ledger import last4


def hal(body: Any, status: int = 200) -> web.Response:
    return reply(body, status, HAL)


def problem(status: int, detail: str, at: str | None = None) -> web.Response:
    body: dict[str, Any] = {"status": status, "title": TITLES.get(status, "Error"), "detail": detail}
    if at is not None:
        body["field"] = at
    body["_links"] = {"documentation": docs("/errors")}
    return hal(body, status)


def no_payout(payout_id: str) -> web.Response:
    return problem(404, f"No payout exists with token {payout_id}.")


def link(href: str) -> dict[str, str]:
    return {"href": href, "type": HAL}


def docs(path: str) -> dict[str, str]:
    return {"href": f"{DOCS}{path}", "type": "text/html"}


def page_url(request: web.Request, start: str | None) -> str:
    """The address of another page of the same list, on the host that was asked, so that it can be followed."""
    query = {name: value for name, value in request.query.items() if name != "from"}
    if start is not None:
        query["from"] = start
    return f"{request.scheme}://{request.host}{request.path}?{urlencode(query)}"


def payout_view(payout: Payout, *, documented: bool = True) -> dict[str, Any]:
    """The payout as an answer: list items carry no documentation link (section 5.1)."""
    links = {"self": link(f"{API_HOST}/v2/payouts/{payout.id}")}
    if documented:
        links["documentation"] = docs("/reference/get-payout")
    return {**payout_entity(payout), "_links": links}


def payout_entity(payout: Payout) -> dict[str, Any]:
    def stamp(at_ms: int) -> str | None:
        return iso_offset(at_ms) if at_ms else None

    return {
        "resource": "payout",
        "id": payout.id,
        "mode": payout.mode,
        "balanceId": payout.balance,
        "amount": amount_body(payout.currency, payout.amount_minor),
        "description": payout.description,
        "status": payout.status,
        "statusReason": {"code": payout.reason, "message": REASONS.get(payout.reason, payout.reason)},
        "createdAt": iso_offset(payout.created_ms),
        "initiatedAt": stamp(payout.initiated_ms),
        "completedAt": stamp(payout.completed_ms),
        "canceledAt": stamp(payout.canceled_ms),
    }


def balance_view(balance: Balance, mode: str) -> dict[str, Any]:
    return {
        "resource": "balance",
        "id": balance.id,
        "mode": mode,
        "createdAt": iso_offset(balance.created_ms),
        "currency": balance.currency,
        "description": "Balance",
        "status": balance.status,
        "availableAmount": amount_body(balance.currency, balance.available_minor),
        "pendingAmount": amount_body(balance.currency, 0),
        "transferFrequency": balance.frequency,
        "transferThreshold": amount_body(balance.currency, 0),
        "transferReference": None,
        "transferDestination": {
            "type": "bank-account",
            "bankAccount": balance.bank_account,
            "beneficiaryName": "Sandbox",
        },
        "_links": {
            "self": link(f"{API_HOST}/v2/balances/{balance.id}"),
            "documentation": docs("/reference/get-balance"),
        },
    }


def balance_line(balance: Balance) -> dict[str, str]:
    return {
        "id": balance.id,
        "currency": balance.currency,
        "available": decimal_text(balance.available_minor),
        "status": balance.status,
        "mode": balance.mode,
        "bankAccount": last4(balance.bank_account),
    }


def subscription_view(hook: Subscription) -> dict[str, Any]:
    return {
        "resource": "webhook",
        "id": hook.id,
        "url": hook.url,
        "profileId": None,
        "createdAt": iso_offset(hook.created_ms),
        "name": hook.name,
        "eventTypes": hook.event_types,
        "status": hook.status,
        "mode": hook.mode,
        "_links": {"self": link(f"{API_HOST}/v2/webhooks/{hook.id}"), "documentation": docs("/reference/get-webhook")},
    }
