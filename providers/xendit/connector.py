"""Xendit: one create per payout with our key, read back by its id or, when we never learnt it, by our reference.

Sends each create once. Our key is both the idempotency key and the `reference_id`, since only the first protects against
doubles and only the second can be asked for.
"""

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from urllib.parse import quote as quote_path

from multidict import CIMultiDictProxy

from providers.base import Connector, UnreadableNoticeError
from providers.proof import static_secret
from providers.reads import each
from providers.transport import Answer, Transport
from providers.words import reference, translate
from providers.xendit.account import balance_of, channels_of
from providers.xendit.orders import body_of
from providers.xendit.reading import Reader, bare_array
from providers.xendit.settings import XenditSecrets, XenditSettings
from providers.xendit.tables import EVENT
from schemas.checks import Channel, DestinationCheck, ProviderBalance, Verdict
from schemas.destination import BankAccount
from schemas.listing import Listing
from schemas.notice import AboutKey, AboutPayout, Fact, PayoutFact
from schemas.order import Lookup, Order
from schemas.report import NotSent, Refused, Report, Taken, Unclear
from schemas.strict_json import StrictJsonError, load_object

TOKEN_HEADER = "x-callback-token"  # noqa: S105 - the name of a header, not a token


class XenditConnector(Connector):
    """See `providers.base.Connector`."""

    def __init__(self, settings: XenditSettings, secrets: XenditSecrets, transport: Transport) -> None:
        api_key = secrets.api_key.get_secret_value()
        basic = base64.b64encode(f"{api_key}:".encode()).decode()  # the key is the user, the password is empty
        self._callback_token = secrets.callback_token.get_secret_value()
        self._cancels_by_get = settings.cancel_method == "GET"
        self._base_url = settings.base_url
        self._payouts_url = f"{settings.base_url}/v2/payouts"
        self._currency = settings.currency
        self._headers = {"Authorization": f"Basic {basic}"}
        if settings.for_user_id is not None:
            self._headers["for-user-id"] = settings.for_user_id
        self._send_headers = {**self._headers, "Content-Type": "application/json"}
        self._transport = transport
        self._reader = Reader(transport.on_unknown_word, (basic, api_key, self._callback_token), settings.list_shape)

    async def submit(self, submission_key: str, orders: Sequence[Order]) -> list[Report]:
        """One create per order; the contract allows one order at a time."""
        del submission_key  # the order's own key travels as idempotency-key
        return [await self._create(order) for order in orders]

    async def find(self, lookups: Sequence[Lookup]) -> list[Report]:
        """By id once known; else by our reference."""
        return await each(self._find, lookups)

    def verify_notice(self, headers: CIMultiDictProxy[str], body: bytes) -> bool:
        """The static token of the dashboard: it proves a sender, not these bytes."""
        del body
        return static_secret(headers.getall(TOKEN_HEADER, []), self._callback_token)

    def read_notice(self, body: bytes) -> list[Fact]:
        """An event with its payout, nested or flat (E-8): what we read of it stands in the same place in both.

        Named by our reference rather than by their id: a notice may be faster than the answer that tells us the id.
        """
        try:
            notice = load_object(body)
        except StrictJsonError as error:
            raise UnreadableNoticeError(f"a Xendit event that cannot be read: {error}; nothing was changed") from None
        event, data = notice.get("event"), notice.get("data")
        if not isinstance(event, str) or not isinstance(data, dict):
            raise UnreadableNoticeError("a Xendit notice that is no event; nothing was changed")
        if not event.startswith("payout."):  # other products, and v3: somebody else's
            return []
        translate(EVENT, event, self._transport.on_unknown_word)  # a new name is counted and read all the same
        key, provider_ref = reference(data.get("reference_id")), reference(data.get("id"))
        if key is not None:
            report = self._reader.payout(data, key)
            return [PayoutFact(AboutKey(key), report if isinstance(report, Taken) else None)]
        if provider_ref is not None:
            return [PayoutFact(AboutPayout(provider_ref), None)]
        raise UnreadableNoticeError("a Xendit event that names no payout; nothing was changed")

    async def cancel(self, lookup: Lookup) -> Report:
        """Possible while ACCEPTED. What Xendit answers when it is too late is unknown (E-1): then the payout is read."""
        if lookup.provider_ref is None:
            return Unclear("Xendit cancels by its own id, which we do not know; find it first")
        answer = await self._ask_to_cancel(f"{self._url_of(lookup.provider_ref)}/cancel")
        if isinstance(answer, NotSent):
            return Unclear(answer.reason)
        if isinstance(answer, Answer) and 400 <= answer.status < 500:
            return await self._find(lookup)
        payout = self._reader.found(answer)
        return payout if isinstance(payout, Unclear) else self._reader.payout(payout, lookup.key, lookup.provider_ref)

    async def save_card(self, card_id: str, card_fields: Mapping[str, str]) -> Report:
        """Xendit pays to bank accounts and wallets."""
        del card_id, card_fields
        return NotSent("Xendit saves no cards")

    async def check_destination(self, destination: BankAccount, begun: str | None = None) -> DestinationCheck:
        """No check of an account is documented for v2."""
        del destination, begun
        return DestinationCheck(Verdict.NOT_OFFERED, reason="Xendit checks no destinations")

    async def balance(self) -> list[ProviderBalance] | Unclear:
        """What payouts draw on: the CASH account, in the currency that this key pays."""
        if self._currency is None:
            return Unclear("not known whose: say in this connection's setting `currency` which currency its key pays")
        url = f"{self._base_url}/balance?account_type=CASH&currency={self._currency}"
        body = self._reader.found(await self._transport.read("xendit", "get_balance", url, headers=self._headers))
        return body if isinstance(body, Unclear) else balance_of(body, self._currency)

    async def channels(self) -> list[Channel] | Unclear:
        """All of them, whatever their currency: the list says which."""
        answer = await self._transport.read(
            "xendit", "list_channels", f"{self._base_url}/payouts_channels", headers=self._headers
        )
        rows = None if isinstance(answer, Unclear) else bare_array(answer)
        if rows is not None:
            return channels_of(rows)
        body = self._reader.found(answer)
        return body if isinstance(body, Unclear) else Unclear("the answer is no list of channels")

    async def listed(self, since: datetime, until: datetime) -> Listing | Unclear:
        """The list of payouts can only be asked for one reference (sheet section 3)."""
        del since, until
        return Unclear("not offered: Xendit lists payouts by reference only")

    async def _create(self, order: Order) -> Report:
        body = body_of(order)
        if isinstance(body, Refused):
            return body
        headers = {**self._send_headers, "idempotency-key": order.key}
        outcome = await self._transport.send("xendit", "create_payout", self._payouts_url, headers=headers, body=body)
        return self._reader.created(outcome, order) if isinstance(outcome, Answer) else outcome

    async def _find(self, lookup: Lookup) -> Report:
        if lookup.provider_ref is None:
            url = f"{self._payouts_url}?reference_id={quote_path(lookup.key, safe='')}"
            answer = await self._transport.read("xendit", "list_payouts", url, headers=self._headers)
            return self._reader.listed(answer, lookup.key)
        url = self._url_of(lookup.provider_ref)
        payout = self._reader.found(await self._transport.read("xendit", "get_payout", url, headers=self._headers))
        # A 404 of an id that Xendit gave us means another key or sub-account, not that no money moved: Unclear.
        return payout if isinstance(payout, Unclear) else self._reader.payout(payout, lookup.key, lookup.provider_ref)

    async def _ask_to_cancel(self, url: str) -> Answer | NotSent | Unclear:
        if self._cancels_by_get:
            return await self._transport.read("xendit", "cancel_payout", url, headers=self._headers)
        return await self._transport.send("xendit", "cancel_payout", url, headers=self._send_headers, body=b"{}")

    def _url_of(self, provider_ref: str) -> str:
        return f"{self._payouts_url}/{quote_path(provider_ref, safe='')}"


def connect(settings: XenditSettings, secrets: XenditSecrets, transport: Transport) -> XenditConnector:
    """A connector for one connection, which is one key."""
    return XenditConnector(settings, secrets, transport)
