"""The one table of operations: what the router serves and what the API's description says come from here."""

from dataclasses import dataclass

from pydantic import BaseModel

from schemas import answers, requests
from schemas.policy import RoutingPolicy


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the API. `name` is also the name of its handler in `gateway.api.routes`."""

    name: str
    method: str
    path: str
    summary: str
    tag: str
    answer: type[BaseModel] | None = None
    request: type[requests.Request] | None = None
    status: int = 200
    also: int | None = None  # a second status of success
    is_list: bool = False
    needs_key: bool = False
    query: tuple[str, ...] = ()
    is_authenticated: bool = True


_V1 = "/api/v1"
_LIST_FILTERS = (
    *("limit", "cursor", "status", "phase", "provider", "connectionId", "currency", "merchantReference"),
    *("createdAfter", "createdBefore", "needsPerson"),
)

# Static paths before `{id}`: the router takes the first that fits.
OPERATIONS: tuple[Operation, ...] = (
    Operation("create_payout", "POST", f"{_V1}/payouts", "Pay someone", "payouts", answers.PayoutAnswer,
              requests.CreatePayout, status=201, needs_key=True),
    Operation("list_payouts", "GET", f"{_V1}/payouts", "List payouts, newest first", "payouts", answers.PayoutAnswer,
              is_list=True, query=_LIST_FILTERS),
    Operation("get_balance", "GET", f"{_V1}/payouts/balance", "What can be paid out", "money", answers.BalanceAnswer,
              query=("currency",)),
    Operation("get_bank_account", "GET", f"{_V1}/payouts/bank-account", "Read the default bank account", "money",
              answers.BankAccountAnswer),
    Operation("update_bank_account", "PATCH", f"{_V1}/payouts/bank-account", "Set the default bank account", "money",
              answers.BankAccountAnswer, requests.UpdateBankAccount),
    Operation("get_payout", "GET", f"{_V1}/payouts/{{id}}", "Read a payout", "payouts", answers.PayoutAnswer),
    Operation("get_timeline", "GET", f"{_V1}/payouts/{{id}}/timeline", "Every step of a payout, and who said so", "payouts",
              answers.TimelineStep, is_list=True),
    Operation("cancel_payout", "POST", f"{_V1}/payouts/{{id}}/cancel", "Cancel a payout that was not sent", "payouts",
              answers.PayoutAnswer, requests.Cancel, needs_key=True),
    Operation("mark_in_transit", "POST", f"{_V1}/payouts/{{id}}/mark-in-transit", "Manual: the transfer was started",
              "manual payouts", answers.PayoutAnswer, requests.MarkWithReference, needs_key=True),
    Operation("mark_paid", "POST", f"{_V1}/payouts/{{id}}/mark-paid", "Manual: the bank confirmed it", "manual payouts",
              answers.PayoutAnswer, requests.MarkPaid, needs_key=True),
    Operation("mark_failed", "POST", f"{_V1}/payouts/{{id}}/mark-failed", "Manual: it did not work", "manual payouts",
              answers.PayoutAnswer, requests.MarkFailed, needs_key=True),
    Operation("mark_returned", "POST", f"{_V1}/payouts/{{id}}/mark-returned", "Manual: the money came back", "manual payouts",
              answers.PayoutAnswer, requests.MarkReturned, needs_key=True),
    Operation("resolve_payout", "POST", f"{_V1}/payouts/{{id}}/resolve", "The desk: say how it ended; a second person confirms",
              "the desk", answers.PayoutAnswer, requests.Resolve, status=202, also=200, needs_key=True),
    Operation("save_card", "POST", f"{_V1}/cards", "Save a card for payouts", "cards", answers.CardAnswer, requests.SaveCard,
              status=201, needs_key=True),
    Operation("list_cards", "GET", f"{_V1}/cards", "List saved cards", "cards", answers.CardAnswer, is_list=True,
              query=("limit", "cursor")),
    Operation("get_card", "GET", f"{_V1}/cards/{{id}}", "Read a saved card", "cards", answers.CardAnswer),
    Operation("delete_card", "DELETE", f"{_V1}/cards/{{id}}", "Forget a card and its token", "cards", status=204),
    Operation("list_providers", "GET", f"{_V1}/providers", "What each provider can do", "providers", answers.ProviderAnswer,
              is_list=True),
    Operation("get_routing", "GET", f"{_V1}/routing", "Read the routing policy", "routing", RoutingPolicy),
    Operation("put_routing", "PUT", f"{_V1}/routing", "Replace the routing policy", "routing", RoutingPolicy, RoutingPolicy),
    Operation("preview_route", "POST", f"{_V1}/routing/preview", "The route that a payout would take, and why", "routing",
              answers.RouteAnswer, requests.CreatePayout),
    Operation("credit_balance", "POST", f"{_V1}/ledger/credits", "Book money that came in", "money", answers.CreditAnswer,
              requests.CreditBalance, status=201),
    Operation("list_entries", "GET", f"{_V1}/ledger/entries", "The ledger, newest first", "money", answers.EntryAnswer,
              is_list=True, query=("limit", "cursor", "currency", "payoutId")),
    Operation("receive_notice", "POST", "/webhooks/{provider}/{connection_id}", "Where providers send their notices", "notices",
              answers.NoticeAnswer, is_authenticated=False),
    Operation("healthz", "GET", "/healthz", "The process lives", "seeing", is_authenticated=False),
    Operation("readyz", "GET", "/readyz", "It can take requests", "seeing", is_authenticated=False),
    Operation("metrics", "GET", "/metrics", "For Prometheus", "seeing", is_authenticated=False),
    Operation("openapi", "GET", "/openapi.json", "This description", "seeing", is_authenticated=False),
    Operation("docs", "GET", "/docs", "This description, for people", "seeing", is_authenticated=False),
)  # fmt: skip
QUERY_OF = {(operation.method, operation.path): operation.query for operation in OPERATIONS}
