"""Mollie: one create per payout with our key, read back by its id or, when we never learnt it, by its description.

Sends each create once. It never asks for "everything that is there": the amount is always explicit (M-9).
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote as quote_path

from multidict import CIMultiDictProxy

from providers.answers import found_object
from providers.base import Connector, UnreadableNoticeError
from providers.mollie.contract import CONTRACT
from providers.mollie.history import History
from providers.mollie.reading import Reader
from providers.mollie.settings import ORGANISATION_TOKEN, MollieSecrets, MollieSettings
from providers.mollie.tables import EVENT_TYPE
from providers.proof import hmac_sha256_hex
from providers.reads import each
from providers.transport import Answer, Transport
from providers.words import reference, translate
from schemas.checks import Channel, DestinationCheck, ProviderBalance, Verdict
from schemas.destination import BankAccount
from schemas.failure import FailureCode
from schemas.listing import Listing
from schemas.money import to_decimal_text
from schemas.notice import AboutPayout, Fact, PayoutFact
from schemas.order import Lookup, Order, OwnBalance
from schemas.report import NotSent, RefusalCause, Refused, Report, Taken, Unclear, Words
from schemas.strict_json import StrictJsonError, load_object

PER_PAGE = 50
SIGNATURE_HEADER = "X-Mollie-Signature"


class MollieConnector(Connector):
    """See `providers.base.Connector`."""

    def __init__(self, settings: MollieSettings, secrets: MollieSecrets, transport: Transport) -> None:
        api_key = secrets.api_key.get_secret_value()
        self._webhook_secrets = [secret.get_secret_value() for secret in secrets.webhook_secrets]
        self._settings = settings
        self._payouts_url = f"{settings.base_url}/v2/payouts"
        self._headers = {"Authorization": f"Bearer {api_key}"}
        # M-8: an API key has its mode built in and may not name one; an organisation's token must.
        self._testmode = settings.testmode if api_key.startswith(ORGANISATION_TOKEN) else None
        self._hide = (api_key, *self._webhook_secrets)
        self._transport = transport
        self._reader = Reader(settings.balance_id, transport.on_unknown_word, self._hide)
        self._history = History(self._reader, self._read_page, self._read_payout)

    async def submit(self, submission_key: str, orders: Sequence[Order]) -> list[Report]:
        """One create per order; the contract allows one order at a time."""
        del submission_key  # the order's own key travels as Idempotency-Key
        return [await self._create(order) for order in orders]

    async def find(self, lookups: Sequence[Lookup]) -> list[Report]:
        """By id once known; else through the balance's list."""
        return await each(self._find, lookups)

    def verify_notice(self, headers: CIMultiDictProxy[str], body: bytes) -> bool:
        """Every signature against every secret: while a secret is being replaced, each delivery has two (section 9)."""
        given = [part.strip() for value in headers.getall(SIGNATURE_HEADER, []) for part in value.split(",")]
        return hmac_sha256_hex([value.removeprefix("sha256=") for value in given], body, self._webhook_secrets)

    def read_notice(self, body: bytes) -> list[Fact]:
        """An event, with or without the payout in it. The signature has no time, so the event may be an old one."""
        try:
            event = load_object(body)
        except StrictJsonError as error:
            raise UnreadableNoticeError(f"a Mollie event that cannot be read: {error}; nothing was changed") from None
        if event.get("resource") == "payout":  # a bare object, against the guide (section 9): take its id and read it
            return [PayoutFact(AboutPayout(_payout_id(event.get("id"))), None)]
        if event.get("resource") != "event":
            raise UnreadableNoticeError("a Mollie notice that is no event; nothing was changed")
        kind = event.get("type")
        if isinstance(kind, str) and not kind.startswith("payout."):
            return []
        known = translate(EVENT_TYPE, kind, self._transport.on_unknown_word)
        if isinstance(known, Unclear):
            return []
        provider_ref = _payout_id(event.get("entityId"))
        embedded = event.get("_embedded")
        entity = embedded.get("entity") if isinstance(embedded, dict) else None
        report = self._reader.payout(entity, provider_ref) if entity is not None else None
        return [PayoutFact(AboutPayout(provider_ref), report if isinstance(report, Taken) else None)]

    async def cancel(self, lookup: Lookup) -> Report:
        """Possible while `requested`; a 409 says that it is too late (section 10)."""
        if lookup.provider_ref is None:
            return Unclear("Mollie cancels by its own id, which we do not know; find it first")
        answer = await self._transport.delete(
            "mollie", "cancel_payout", self._url_of(lookup.provider_ref), headers=self._headers
        )
        payout = self._object(answer)
        return payout if isinstance(payout, Unclear) else self._reader.payout(payout, lookup.provider_ref)

    async def save_card(self, card_id: str, card_fields: Mapping[str, str]) -> Report:
        """Mollie pays to the balance's bank account only."""
        del card_id, card_fields
        return NotSent("Mollie saves no cards")

    async def check_destination(self, destination: BankAccount, begun: str | None = None) -> DestinationCheck:
        """The bank account is the one that Mollie has verified for the balance."""
        del destination, begun
        return DestinationCheck(Verdict.NOT_OFFERED, reason="Mollie checks no destinations")

    async def balance(self) -> list[ProviderBalance] | Unclear:
        """What is available on this connection's balance; an API key may not read it (sheet section 2)."""
        query = "" if self._testmode is None else f"?testmode={str(self._testmode).lower()}"
        url = f"{self._settings.base_url}/v2/balances/{self._settings.balance_id}{query}"
        answer = await self._transport.read("mollie", "get_balance", url, headers=self._headers)
        if isinstance(answer, Answer) and answer.status == 403:
            return Unclear("Mollie shows balances only to tokens with balances.read; an API key pays out, and cannot read them")
        found = self._object(answer)
        return found if isinstance(found, Unclear) else self._reader.balance(found)

    async def channels(self) -> list[Channel] | Unclear:
        """There is one destination: the balance's own bank account."""
        return Unclear("not offered: Mollie pays to the balance's own bank account only")

    async def listed(self, since: datetime, until: datetime) -> Listing | Unclear:
        """This balance's payouts, whoever made them: by API, in the dashboard or by Mollie's own schedule."""
        return await self._history.listed(since, until)

    async def _create(self, order: Order) -> Report:
        body = self._body_of(order)
        if isinstance(body, Refused):
            return body
        headers = {**self._headers, "Content-Type": "application/json", "Idempotency-Key": order.key}
        outcome = await self._transport.send("mollie", "create_payout", self._payouts_url, headers=headers, body=body)
        if not isinstance(outcome, Answer):
            return outcome
        return self._reader.created(outcome, self._settings.refusal_http)

    def _body_of(self, order: Order) -> bytes | Refused:
        if not isinstance(order.destination, OwnBalance):
            return _unsent(FailureCode.INVALID_DESTINATION, "Mollie pays to the balance's own bank account only")
        if order.currency not in CONTRACT.amounts or order.amount_minor <= 0:
            return _unsent(FailureCode.AMOUNT_NOT_ALLOWED, "Mollie pays positive amounts of its balance currencies only")
        if order.description is not None and not re.fullmatch(CONTRACT.descriptor_pattern or "", order.description):
            return _unsent(FailureCode.REJECTED_BY_PROVIDER, "the statement descriptor is too long for Mollie")
        content: dict[str, Any] = {
            "balanceId": self._settings.balance_id,
            "amount": {"currency": order.currency, "value": to_decimal_text(order.amount_minor, order.currency)},
            # Our only reference that Mollie keeps (section 4): `history` finds the payout by it.
            "description": f"{order.description} {order.attempt_id}" if order.description else order.attempt_id,
        }
        if self._testmode is not None:
            content["testmode"] = self._testmode
        return json.dumps(content, separators=(",", ":")).encode()

    async def _find(self, lookup: Lookup) -> Report:
        if lookup.provider_ref is None:
            return await self._history.find(lookup)
        payout = await self._read_payout(lookup.provider_ref)
        # A 404 of an id that Mollie gave us means other credentials or the other mode, not that no money moved: Unclear.
        return payout if isinstance(payout, Unclear) else self._reader.payout(payout, lookup.provider_ref)

    async def _read_payout(self, provider_ref: str) -> dict[str, Any] | Unclear:
        answer = await self._transport.read("mollie", "get_payout", self._url_of(provider_ref), headers=self._headers)
        return self._object(answer)

    async def _read_page(self, start: str | None) -> dict[str, Any] | Unclear:
        query = f"?balanceId={self._settings.balance_id}&limit={PER_PAGE}&sort=desc"
        if start is not None:
            query += f"&from={start}"
        if self._testmode is not None:
            query += f"&testmode={str(self._testmode).lower()}"
        answer = await self._transport.read("mollie", "list_payouts", self._payouts_url + query, headers=self._headers)
        return self._object(answer)

    def _url_of(self, provider_ref: str) -> str:
        query = "" if self._testmode is None else f"?testmode={str(self._testmode).lower()}"
        return f"{self._payouts_url}/{quote_path(provider_ref, safe='')}{query}"

    def _object(self, answer: Answer | Unclear) -> dict[str, Any] | Unclear:
        """The object of a successful read or cancel."""
        return found_object(answer, code="field", text="detail", hide=self._hide)


def _payout_id(value: object) -> str:
    provider_ref = reference(value)
    if provider_ref is None:
        raise UnreadableNoticeError("a Mollie event that names no payout; nothing was changed")
    return provider_ref


def _unsent(code: FailureCode, why: str) -> Refused:
    return Refused(code, RefusalCause.PAYOUT, Words(text=f"not sent: {why}"))


def connect(settings: MollieSettings, secrets: MollieSecrets, transport: Transport) -> MollieConnector:
    """A connector for one connection, which is one balance."""
    return MollieConnector(settings, secrets, transport)
