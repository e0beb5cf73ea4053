"""Pivot: one request for many rows, read back by the request's uuid or by our referenceId.

Sends each create once (and once more when the token was refused, since then nothing was processed). It never splits a
batch, never invents a key, and never says "not found" of anything but a read by our own referenceId.
"""

import json
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import quote as quote_path

from multidict import CIMultiDictProxy

from providers.answers import json_object, money_of
from providers.base import Connector, UnreadableNoticeError
from providers.pivot.access_token import AccessToken
from providers.pivot.inquiry import InquiryReader
from providers.pivot.reading import Reader, key_of, rows_of, token_refused
from providers.pivot.rows import body_of, destination_of, destination_problem, row_of
from providers.pivot.settings import PivotSecrets, PivotSettings
from providers.pivot.tables import ACCEPTED, IN_PROCESS, MISSING
from providers.proof import static_secret
from providers.reads import a_few_at_once, each
from providers.transport import Answer, Transport
from providers.words import quote, reference
from schemas.checks import Channel, DestinationCheck, ProviderBalance, Verdict
from schemas.destination import BankAccount
from schemas.failure import FailureCode
from schemas.listing import Listing
from schemas.notice import AboutKey, AboutSubmission, Fact, PayoutFact
from schemas.order import Lookup, Order
from schemas.report import NotFound, NotSent, Progress, RefusalCause, Refused, Report, Taken, Unclear, Words
from schemas.strict_json import StrictJsonError, load_object

ROWS_PER_PAGE = 100  # the most that Pivot gives (sheet section 2)
MAX_PAGES = 20  # a request has at most 1,000 rows; twice that, against an endless list
MAX_SINGLE_READS = 50  # per `find`; the rest waits for the next round

Call = Callable[[str], Awaitable[Answer | NotSent | Unclear]]


class PivotConnector(Connector):
    """See `providers.base.Connector`."""

    def __init__(self, settings: PivotSettings, secrets: PivotSecrets, transport: Transport) -> None:
        client_id, client_secret = secrets.client_id.get_secret_value(), secrets.client_secret.get_secret_value()
        self._callback_key = secrets.callback_key.get_secret_value()
        self._hide = (client_secret, client_id, self._callback_key)
        self._base_url = settings.base_url
        self._headers = {"Content-Type": "application/json"}
        if settings.sub_merchant_id is not None:
            self._headers["x-submerchant-id"] = settings.sub_merchant_id
        self._transport = transport
        self._reader = Reader(transport.on_unknown_word, self._hide, settings.batch_atomic)
        self._inquiries = InquiryReader(transport.on_unknown_word, self._hide)
        self._token = AccessToken(
            transport,
            f"{settings.base_url}/v1/access-token",
            {"Content-Type": "application/json", "X-MERCHANT-ID": client_id, "X-MERCHANT-SECRET": client_secret},
            self._hide,
        )

    async def submit(self, submission_key: str, orders: Sequence[Order]) -> list[Report]:
        """One create for all orders that can be written; the others are refused unsent."""
        rows = [row_of(order) for order in orders]
        sent = [order for order, row in zip(orders, rows, strict=True) if not isinstance(row, Refused)]
        if not sent:
            return [row for row in rows if isinstance(row, Refused)]
        body = body_of([row for row in rows if not isinstance(row, Refused)])

        async def create(token: str) -> Answer | NotSent | Unclear:
            headers = {**self._headers, "Authorization": f"Bearer {token}", "X-REQUEST-ID": submission_key}
            return await self._transport.send(
                "pivot", "create_payouts", f"{self._base_url}/v1/payouts", headers=headers, body=body
            )

        outcome = await self._with_token(create)
        reports: list[Report] = self._reader.created(outcome, sent) if isinstance(outcome, Answer) else [outcome] * len(sent)
        answered = iter(reports)
        return [row if isinstance(row, Refused) else next(answered) for row in rows]

    async def find(self, lookups: Sequence[Lookup]) -> list[Report]:
        """By the request's uuid where we know it, a page at a time; by referenceId for all others."""
        keys: dict[str, set[str]] = defaultdict(set)
        for lookup in lookups:
            if lookup.submission_ref is not None:
                keys[lookup.submission_ref].add(lookup.key)
        reports: dict[str, Report] = {}
        for found in await a_few_at_once([partial(self._find_submission, ref, its_keys) for ref, its_keys in keys.items()]):
            reports.update(found)
        singles = [lookup for lookup in lookups if lookup.key not in reports]
        now = singles[:MAX_SINGLE_READS]
        reports.update(zip((lookup.key for lookup in now), await each(self._find_single, now), strict=True))
        later = Unclear("not read yet: too many single reads in one round")
        return [reports.get(lookup.key, later) for lookup in lookups]

    def verify_notice(self, headers: CIMultiDictProxy[str], body: bytes) -> bool:
        """The static Callback API Key: it proves a sender, not these bytes."""
        del body
        return static_secret(headers.getall("X-API-Key", []), self._callback_key)

    def read_notice(self, body: bytes) -> list[Fact]:
        """Single callbacks carry a row, bulk callbacks only the uuid; both may come at any time (V-6)."""
        try:
            data = load_object(body).get("data")
        except StrictJsonError as error:
            raise UnreadableNoticeError(f"a Pivot callback that cannot be read: {error}; nothing was changed") from None
        submission_ref = reference(data.get("uuid")) if isinstance(data, dict) else None
        if submission_ref is None:
            raise UnreadableNoticeError("a Pivot callback without data.uuid; nothing was changed")
        rows = rows_of(data)
        if not rows:
            return [PayoutFact(AboutSubmission(submission_ref), None)]
        return [self._fact(row, submission_ref) for row in rows]

    async def cancel(self, lookup: Lookup) -> Report:
        """Only the dashboard can cancel (sheet section 3)."""
        del lookup
        return Unclear("Pivot has no cancel by API; a person can cancel in its dashboard")

    async def save_card(self, card_id: str, card_fields: Mapping[str, str]) -> Report:
        """Pivot pays to bank accounts and wallets."""
        del card_id, card_fields
        return NotSent("Pivot saves no cards")

    async def check_destination(self, destination: BankAccount, begun: str | None = None) -> DestinationCheck:
        """An account inquiry (sheet section 8); one that is PENDING is read by its uuid, since each new one costs a fee."""
        if problem := destination_problem(destination):
            return DestinationCheck(Verdict.INVALID, reason=problem)
        if begun is not None:
            body = await self._read("get_inquiry", f"/v1/inquiry-account/{quote_path(begun, safe='')}")
        else:
            body = await self._inquire(json.dumps(destination_of(destination), separators=(",", ":")).encode())
        return self._inquiries.check(body)

    async def balance(self) -> list[ProviderBalance] | Unclear:
        """What payouts draw on: the DISBURSEMENT wallet and no other (sheet section 3)."""
        body = await self._read("get_balance", "/v1/payouts/balance?currency=IDR")
        if isinstance(body, Unclear):
            return body
        data = body.get("data")
        money = money_of(data.get("availableBalance")) if isinstance(data, dict) else None
        if body.get("code") != ACCEPTED or money is None:
            return self._not_shown(body)
        return [ProviderBalance(currency=money[1], amount_minor=money[0])]

    async def channels(self) -> list[Channel] | Unclear:
        """The channel codes are a table in the documentation (sheet section 3)."""
        return Unclear("not offered: Pivot lists its channels in its documentation only")

    async def listed(self, since: datetime, until: datetime) -> Listing | Unclear:
        """Payouts are read by their own ids only (sheet section 3)."""
        del since, until
        return Unclear("not offered: Pivot documents no list of payouts")

    async def _inquire(self, body: bytes) -> dict[str, Any] | Unclear:
        async def post(token: str) -> Answer | NotSent | Unclear:
            headers = {**self._headers, "Authorization": f"Bearer {token}"}
            url = f"{self._base_url}/v1/inquiry-account"
            return await self._transport.send("pivot", "inquire_account", url, headers=headers, body=body)

        return _readable(await self._with_token(post))

    async def _with_token(self, call: Call) -> Answer | NotSent | Unclear | Refused:
        token = await self._token.get()
        if not isinstance(token, str):
            return token
        outcome = await call(token)
        if not (isinstance(outcome, Answer) and token_refused(outcome)):
            return outcome
        renewed = await self._token.get(refused=token)
        match renewed:
            case str():
                return await call(renewed)
            case NotSent(reason):
                # The request did leave, and was refused at the door: it goes out again when tokens can be had.
                return Refused(FailureCode.PROVIDER_UNAVAILABLE, RefusalCause.PACING, Words(text=reason))
            case Refused():
                return renewed

    async def _find_submission(self, submission_ref: str, keys: set[str]) -> dict[str, Report]:
        """Reports for those of `keys` that the request's own pages settle; the others are left to single reads."""
        found: dict[str, Report] = {}
        path = f"/v1/payouts/{quote_path(submission_ref, safe='')}?perPage={ROWS_PER_PAGE}&page="
        for page in range(1, MAX_PAGES + 1):
            body = await self._read("get_payouts", f"{path}{page}")
            left = keys - found.keys()
            if isinstance(body, Unclear):
                return found | dict.fromkeys(left, body)
            if body.get("code") == IN_PROCESS:
                taken = Taken(Progress.PENDING, submission_ref=submission_ref, words=Words(code=IN_PROCESS))
                return found | dict.fromkeys(left, taken)
            if body.get("code") == MISSING:
                return found
            data = body.get("data")
            if body.get("code") != ACCEPTED or not isinstance(data, dict) or data.get("uuid") != submission_ref:
                return found | dict.fromkeys(left, self._not_shown(body))
            for row in rows_of(data):
                key = key_of(row)
                if key in found:
                    found[key] = Unclear("the request lists this referenceId twice", submission_ref=submission_ref)
                elif key in keys:
                    found[key] = self._reader.row(row, key, submission_ref, data.get("status"))
            if keys <= found.keys() or page >= _total_pages(body):
                break
        return found

    async def _find_single(self, lookup: Lookup) -> Report:
        body = await self._read("get_payout", f"/v1/payouts/{quote_path(lookup.key, safe='')}?type=single")
        if isinstance(body, Unclear):
            return body
        if body.get("code") == MISSING:
            return NotFound("Pivot does not know this referenceId")
        if body.get("code") == IN_PROCESS and lookup.submission_ref is not None:
            return Taken(Progress.PENDING, submission_ref=lookup.submission_ref, words=Words(code=IN_PROCESS))
        rows = [row for row in rows_of(body.get("data")) if key_of(row) == lookup.key]
        if body.get("code") != ACCEPTED or len(rows) != 1:
            return self._not_shown(body)
        return self._reader.row(rows[0], lookup.key, lookup.submission_ref)

    async def _read(self, operation: str, path: str) -> dict[str, Any] | Unclear:
        async def get(token: str) -> Answer | Unclear:
            headers = {**self._headers, "Authorization": f"Bearer {token}"}
            return await self._transport.read("pivot", operation, f"{self._base_url}{path}", headers=headers)

        return _readable(await self._with_token(get))

    def _not_shown(self, body: dict[str, Any]) -> Unclear:
        code, text = quote(body.get("code"), limit=64), quote(body.get("message"), self._hide)
        return Unclear("the read did not show this payout", Words(code=code, text=text))

    def _fact(self, row: dict[str, Any], submission_ref: str) -> Fact:
        key = key_of(row)
        if not key:
            raise UnreadableNoticeError("a Pivot callback row without referenceId; nothing was changed")
        report = self._reader.row(row, key, submission_ref)
        return PayoutFact(AboutKey(key), report if isinstance(report, Taken) else None)


def _readable(outcome: Answer | NotSent | Unclear | Refused) -> dict[str, Any] | Unclear:
    """The object that a call other than a create answered with."""
    match outcome:
        case Answer() as answer:
            return json_object(answer)
        case Unclear() as unclear:
            return unclear
        case NotSent(reason):
            return Unclear(reason)
        case Refused(words=words):
            return Unclear("no access token for the read", words)


def _total_pages(body: dict[str, Any]) -> int:
    """How many pages there are; 0 when it does not say, and then single reads take over."""
    pagination = body.get("pagination")
    total = pagination.get("totalPages") if isinstance(pagination, dict) else None
    return total if isinstance(total, int) else 0


def connect(settings: PivotSettings, secrets: PivotSecrets, transport: Transport) -> PivotConnector:
    """A connector for one connection; it keeps that connection's access token."""
    return PivotConnector(settings, secrets, transport)
