"""Which handler serves which operation."""

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.api import cards, desk, money, notices, payouts, routing, seeing, steering
from gateway.api.operations import OPERATIONS

HANDLERS: dict[str, Handler] = {
    "create_payout": payouts.create,
    "list_payouts": payouts.list_,
    "get_payout": payouts.get,
    "get_timeline": payouts.timeline,
    "get_balance": money.balance,
    "get_bank_account": money.get_bank_account,
    "update_bank_account": money.update_bank_account,
    "cancel_payout": steering.cancel,
    "mark_in_transit": steering.mark_in_transit,
    "mark_paid": steering.mark_paid,
    "mark_failed": steering.mark_failed,
    "mark_returned": steering.mark_returned,
    "resolve_payout": desk.resolve,
    "save_card": cards.save,
    "list_cards": cards.list_,
    "get_card": cards.get,
    "delete_card": cards.delete,
    "list_providers": seeing.providers,
    "get_routing": routing.get,
    "put_routing": routing.put,
    "preview_route": routing.preview,
    "credit_balance": money.credit,
    "list_entries": money.entries,
    "receive_notice": notices.receive,
    "healthz": seeing.healthz,
    "readyz": seeing.readyz,
    "metrics": seeing.metrics,
    "openapi": seeing.openapi,
    "docs": seeing.docs,
}


def add_routes(app: web.Application) -> None:
    """Route every operation of the table to its handler."""
    for operation in OPERATIONS:
        app.router.add_route(operation.method, operation.path, HANDLERS[operation.name])
        if operation.method == "GET":  # HTTP wants both; the server leaves the body out
            app.router.add_route("HEAD", operation.path, HANDLERS[operation.name])
