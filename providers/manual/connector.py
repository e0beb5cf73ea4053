"""Manual payouts: every order is taken at once and waits for a person's mark. No network, no money moves here."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from multidict import CIMultiDictProxy

from providers.base import Connector, UnreadableNoticeError
from providers.manual.settings import ManualSecrets, ManualSettings
from providers.transport import Transport
from schemas.checks import Channel, DestinationCheck, ProviderBalance, Verdict
from schemas.destination import BankAccount
from schemas.listing import Listing
from schemas.notice import Fact
from schemas.order import Lookup, Order
from schemas.report import NotSent, Progress, Report, Taken, Unclear


class ManualConnector(Connector):
    """See `providers.base.Connector`."""

    async def submit(self, submission_key: str, orders: Sequence[Order]) -> list[Report]:
        """Taken: the payout is on the operators' list."""
        del submission_key  # nobody far away has to recognise a repetition
        return [Taken(Progress.PENDING, amount_minor=order.amount_minor, currency=order.currency) for order in orders]

    async def find(self, lookups: Sequence[Lookup]) -> list[Report]:
        """Nothing to read: the state is what people have marked."""
        return [Unclear("only a person knows") for _ in lookups]

    def verify_notice(self, headers: CIMultiDictProxy[str], body: bytes) -> bool:
        """There are no notices, so none is genuine."""
        del headers, body
        return False

    def read_notice(self, body: bytes) -> list[Fact]:
        """There are no notices."""
        del body
        raise UnreadableNoticeError("manual payouts have no notices; nothing was changed")

    async def cancel(self, lookup: Lookup) -> Report:
        """Taken off the operators' list. The gateway asks only while nobody has marked it in transit."""
        return Taken(Progress.CANCELLED, amount_minor=lookup.amount_minor, currency=lookup.currency)

    async def save_card(self, card_id: str, card_fields: Mapping[str, str]) -> Report:
        """A person cannot pay to a card token."""
        del card_id, card_fields
        return NotSent("manual connections save no cards")

    async def check_destination(self, destination: BankAccount, begun: str | None = None) -> DestinationCheck:
        """Whoever makes the transfer sees what their bank says."""
        del destination, begun
        return DestinationCheck(Verdict.NOT_OFFERED, reason="manual connections check no destinations")

    async def balance(self) -> list[ProviderBalance] | Unclear:
        """The bank account is the operator's own."""
        return Unclear("not offered: manual connections have no balance that we can read")

    async def channels(self) -> list[Channel] | Unclear:
        """A person reaches whom their bank reaches."""
        return Unclear("not offered: manual connections have no list of banks")

    async def listed(self, since: datetime, until: datetime) -> Listing | Unclear:
        """The bank's statement is the operator's own."""
        del since, until
        return Unclear("not offered: manual connections have no list that we can read")


def connect(settings: ManualSettings, secrets: ManualSecrets, transport: Transport) -> ManualConnector:
    """A connector that needs none of the three."""
    del settings, secrets, transport
    return ManualConnector()
