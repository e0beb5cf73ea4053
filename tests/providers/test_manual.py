"""Manual payouts: taken at once, known to people only, nothing over a network."""

from typing import Any

from multidict import CIMultiDictProxy

from providers import manual
from providers.base import ProviderModel
from providers.manual.settings import ManualSecrets, ManualSettings
from providers.transport import Transport
from schemas.order import Order
from schemas.report import Progress, Taken, Unclear
from tests.providers.conftest import Heard
from tests.providers.contract_suite import BANK, SUBMISSION_KEY, ConnectorContract, lookup_of


class TestManual(ConnectorContract):
    provider = manual.PROVIDER

    def settings(self, base_url: str) -> ProviderModel:
        del base_url
        return ManualSettings()

    def secrets(self) -> ProviderModel:
        return ManualSecrets()

    def order(self, number: int = 1, **changes: Any) -> Order:
        fields = {"amount_minor": 100_000_00, "currency": "IDR", "destination": BANK} | changes
        return Order(f"pa_{number:032x}", f"00000000-0000-4000-8000-{number:012x}", **fields)

    def good_notice(self) -> tuple[CIMultiDictProxy[str], bytes] | None:
        return None

    async def test_taken_for_a_person(self, transport: Transport, heard: Heard) -> None:
        order = self.order()
        (report,) = await self.connector(transport).submit(SUBMISSION_KEY, [order])
        assert report == Taken(Progress.PENDING, amount_minor=order.amount_minor, currency="IDR")
        assert heard.calls == []

    async def test_only_a_person_knows(self, transport: Transport) -> None:
        assert await self.connector(transport).find([lookup_of(self.order())]) == [Unclear("only a person knows")]

    async def test_cancel_takes_it_off_the_list(self, transport: Transport) -> None:
        report = await self.connector(transport).cancel(lookup_of(self.order()))
        assert isinstance(report, Taken)
        assert report.progress is Progress.CANCELLED

    def test_operators_mark(self) -> None:
        assert self.provider.contract.operator_marks
