"""Plexy: saves cards, pays to their tokens, and reads a payout back by its id, or by our reference where the list shows it.

A send carries no key and Plexy removes no doubles (X-8): this file sends once, and nobody may send the same again.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote as quote_path

from multidict import CIMultiDictProxy

from providers.answers import found_object, json_object
from providers.base import Connector, UnreadableNoticeError
from providers.plexy.amounts import CURRENCY, to_number
from providers.plexy.reading import Reader, plain
from providers.plexy.settings import PlexySecrets, PlexySettings
from providers.plexy.tables import PAYMENT_EVENTS
from providers.plexy.transactions import Transactions
from providers.proof import static_secret
from providers.reads import each
from providers.transport import Answer, Transport
from providers.words import reference
from schemas.checks import Channel, DestinationCheck, ProviderBalance, Verdict
from schemas.destination import BankAccount
from schemas.failure import FailureCode
from schemas.listing import Listing
from schemas.notice import AboutPayout, CardSavedFact, Fact, PayoutFact
from schemas.order import CardToken, Lookup, Order
from schemas.report import NotSent, Progress, RefusalCause, Refused, Report, Taken, Unclear, Words
from schemas.strict_json import StrictJsonError, load_object

MAX_CARD_DIGITS = 19  # a card number in the clear; encrypted fields are far longer and hold letters


class PlexyConnector(Connector):
    """See `providers.base.Connector`."""

    def __init__(self, settings: PlexySettings, secrets: PlexySecrets, transport: Transport) -> None:
        api_key = secrets.api_key.get_secret_value()
        self._webhook_token = secrets.webhook_token.get_secret_value()
        self._settings = settings
        self._headers = {"Authorization": api_key}  # raw, without "Bearer" (sheet section 2)
        self._send_headers = {**self._headers, "Content-Type": "application/json"}
        self._transport = transport
        self._hide = (api_key, self._webhook_token)
        self._reader = Reader(settings, transport.on_unknown_word, self._hide)
        self._transactions = Transactions(self._reader, self._read_page, self._read_payout)

    async def submit(self, submission_key: str, orders: Sequence[Order]) -> list[Report]:
        """One payout per order; the contract allows one order at a time."""
        del submission_key  # no key travels
        return [await self._pay(order) for order in orders]

    async def find(self, lookups: Sequence[Lookup]) -> list[Report]:
        """By their id once known; else by our reference, should the list show it. Absence there is never believed (X-8)."""
        by_reference = await self._transactions.find([lookup for lookup in lookups if lookup.provider_ref is None])

        async def find(lookup: Lookup) -> Report:
            if lookup.provider_ref is None:
                return by_reference[lookup.attempt_id]
            return await self._read_payout(lookup.provider_ref)

        return await each(find, lookups)

    def verify_notice(self, headers: CIMultiDictProxy[str], body: bytes) -> bool:
        """The static bearer token: it proves a sender, not these bytes."""
        del body
        given = [value.removeprefix("Bearer ") for value in headers.getall("Authorization", []) if value[:7] == "Bearer "]
        return static_secret(given, self._webhook_token)

    def read_notice(self, body: bytes) -> list[Fact]:
        """A saved card, known by its content (X-10), or a payout's news; other names are no news to us (X-15)."""
        try:
            notice = load_object(body)
        except StrictJsonError as error:
            raise UnreadableNoticeError(f"a Plexy notice that cannot be read: {error}; nothing was changed") from None
        name, data = notice.get("name"), notice.get("data")
        if not isinstance(data, dict):
            raise UnreadableNoticeError("a Plexy notice without data; nothing was changed")
        token = plain(data.get("cardTokenId"))
        if token is not None and data.get("amount") is None:
            return [_card_saved(token, data)]
        if not isinstance(name, str) or not name.startswith("transaction.") or name in PAYMENT_EVENTS:
            return []
        provider_ref = self._reader.id_of(data)
        if provider_ref is None:
            raise UnreadableNoticeError("a Plexy notice that names no transaction; nothing was changed")
        report = self._reader.transaction(notice, provider_ref)
        return [PayoutFact(AboutPayout(provider_ref), report if isinstance(report, Taken) else None)]

    async def cancel(self, lookup: Lookup) -> Report:
        """No cancel is documented (sheet section 9)."""
        del lookup
        return Unclear("Plexy has no cancel")

    def card_problem(self, card_fields: Mapping[str, str]) -> str | None:
        """All of the fields and no others (X-5), and none of them in the clear."""
        if set(card_fields) != set(self._settings.card_fields):
            return f"must be exactly these: {', '.join(self._settings.card_fields)}"
        if any(value.isdigit() and len(value) <= MAX_CARD_DIGITS for value in card_fields.values()):
            return "must be encrypted for Plexy"
        return None

    async def save_card(self, card_id: str, card_fields: Mapping[str, str]) -> Report:
        """Hand on the encrypted fields with our id beside them (X-5); the token comes by notice."""
        if problem := self.card_problem(card_fields):
            return NotSent(f"the card's fields {problem}; nothing was sent or kept")
        body = json.dumps({"cardData": dict(card_fields), "externalUserId": card_id}, separators=(",", ":")).encode()
        url = f"{self._settings.base_url}/v1/cards"
        outcome = await self._transport.send("plexy", "save_card", url, headers=self._send_headers, body=body)
        if not isinstance(outcome, Answer):
            return outcome
        if not 200 <= outcome.status < 300:
            return self._reader.refusal(outcome)
        answer = json_object(outcome)
        customer = None if isinstance(answer, Unclear) else reference(plain(answer.get("customerId")))
        return Taken(Progress.PENDING, provider_ref=customer)

    async def check_destination(self, destination: BankAccount, begun: str | None = None) -> DestinationCheck:
        """Saving a card is no check either: it only makes a token (sheet section 3)."""
        del destination, begun
        return DestinationCheck(Verdict.NOT_OFFERED, reason="Plexy checks no destinations")

    async def balance(self) -> list[ProviderBalance] | Unclear:
        """No endpoint is known (X-13)."""
        return Unclear("not offered: Plexy shows no balance")

    async def channels(self) -> list[Channel] | Unclear:
        """Cards are paid, and no list of them is documented."""
        return Unclear("not offered: Plexy pays to cards")

    async def listed(self, since: datetime, until: datetime) -> Listing | Unclear:
        """Payments and payouts alike: nothing in a row says which it is."""
        return await self._transactions.listed(since, until)

    async def _pay(self, order: Order) -> Report:
        body = self._body_of(order)
        if isinstance(body, Refused):
            return body
        url = f"{self._settings.base_url}/v1/payout"
        outcome = await self._transport.send("plexy", "create_payout", url, headers=self._send_headers, body=body)
        return self._reader.created(outcome) if isinstance(outcome, Answer) else outcome

    def _body_of(self, order: Order) -> bytes | Refused:
        if not isinstance(order.destination, CardToken):
            return _unsent(FailureCode.INVALID_DESTINATION, "Plexy pays to saved cards only")
        if order.currency != CURRENCY or order.amount_minor <= 0:
            return _unsent(FailureCode.AMOUNT_NOT_ALLOWED, "Plexy pays positive amounts of KZT only")
        fields = {"tokenId": json.dumps(order.destination.token), "amount": to_number(order.amount_minor, self._scale)}
        # each of these only where a person has switched it on.
        extra = {"currency": order.currency, "description": order.description, "merchantReference": order.attempt_id}
        for name, value in extra.items():
            if name in self._settings.payout_fields and value is not None:
                fields[name] = json.dumps(value)
        # Put together by hand, because the amount's digits must not pass through a float.
        return ("{" + ",".join(f'"{name}":{value}' for name, value in fields.items()) + "}").encode()

    @property
    def _scale(self) -> int:
        return self._settings.amount_scale

    async def _read_page(self, page: int, size: int) -> dict[str, Any] | Unclear:
        url = f"{self._settings.base_url}{self._settings.path_list}?page={page}&size={size}"
        answer = await self._transport.read("plexy", "list_payouts", url, headers=self._headers)
        return found_object(answer, hide=self._hide)

    async def _read_payout(self, provider_ref: str) -> Report:
        path = self._settings.path_get.replace("{id}", quote_path(provider_ref, safe=""))
        url = f"{self._settings.base_url}{path}"
        answer = await self._transport.read("plexy", "get_payout", url, headers=self._headers)
        # Also a 404 proves nothing: that this path knows payouts at all is an assumption.
        body = found_object(answer, hide=self._hide)
        if isinstance(body, Unclear):
            return body
        if self._reader.id_of(body) != provider_ref:
            return Unclear("the answer names no transaction, or another one")
        return self._reader.transaction(body, provider_ref)


def _card_saved(token: object, data: dict[str, Any]) -> CardSavedFact:
    card_id, known_token = reference(plain(data.get("externalUserId"))), reference(token)
    customer_ref = reference(plain(data.get("customerId")))
    if (card_id is None and customer_ref is None) or known_token is None:  # X-10b: by our id, else by theirs, else by a person
        raise UnreadableNoticeError("a saved card that names nobody or has an unreadable token; nothing was changed")
    brand, last4 = plain(data.get("brand")), plain(data.get("last4"))
    return CardSavedFact(
        card_id,
        known_token,
        brand=reference(brand),
        last4=last4 if isinstance(last4, str) and last4.isascii() and last4.isdigit() and len(last4) == 4 else None,
        customer_ref=customer_ref,
    )


def _unsent(code: FailureCode, why: str) -> Refused:
    return Refused(code, RefusalCause.PAYOUT, Words(text=f"not sent: {why}"))


def connect(settings: PlexySettings, secrets: PlexySecrets, transport: Transport) -> PlexyConnector:
    """A connector for one connection."""
    return PlexyConnector(settings, secrets, transport)
