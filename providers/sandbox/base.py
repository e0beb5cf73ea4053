"""What every provider sandbox is made of: its files, its clock, its settings, and the hooks that a provider fills in.

A provider adds its routes, its states over time and its bodies. This class knows no provider's words, and nothing
here decides whether money moves; how a request passes through is told in `serving`.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, TypeVar

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from providers.sandbox.answering import ControlError, Refused, Route, reply
from providers.sandbox.clock import Schedule
from providers.sandbox.faults import FaultPlan
from providers.sandbox.journal import Journal
from providers.sandbox.ledger import MoneyLedger
from providers.sandbox.orders import LostTry, PayoutOrder
from providers.sandbox.rate_limit import RateLimits
from providers.sandbox.request_log import RequestLog
from providers.sandbox.scenarios import BY_NAME, MARK, Choices
from providers.sandbox.serving import Serving
from providers.sandbox.webhooks import Courier, RetryPolicy

__all__ = ["ControlError", "ControlForm", "Refused", "Route", "Sandbox", "SandboxSettings", "reply"]

RATE_WINDOW_MS = 60_000
RETURNED_AFTER_MS = 60_000  # the scenarios that pay and then return: so long after the payment


class SandboxSettings(BaseModel):
    """Settings common to all providers. Delays given in ms are taken as they are; only defaults follow `speed`."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)
    speed: float = Field(default=1.0, gt=0)  # 1 = realistic; also divides the waits between webhook attempts
    rate_limit: int | None = Field(default=None, ge=0)  # requests per window, caller and operation; None = any number
    rate_window_ms: float | None = Field(default=None, gt=0)
    retry_after: Literal["seconds", "date", "none"] = "seconds"  # what a 429 says about it
    scenario_amounts: bool = True  # whether an amount may ask for a scenario
    returned_after_ms: float | None = Field(default=None, ge=0)


class ControlForm(BaseModel):
    """Base of what the control surface takes."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)


Settings = TypeVar("Settings", bound=SandboxSettings)


@dataclass(slots=True)
class StoredSettings:
    values: dict[str, Any]


class Sandbox(Serving, Generic[Settings]):
    """One provider: its tables, its money, its clock, its webhooks."""

    name: ClassVar[str]
    settings_type: type[Settings]
    retry_policy: ClassVar[RetryPolicy]
    also_by: ClassVar[Mapping[str, str]] = {}  # scenario -> the documented test value that asks for the same

    def __init__(self, data_dir: Path, *, speed: float, seed: int) -> None:
        data_dir.mkdir(parents=True, exist_ok=True)
        self._process_speed = speed
        self.journal = Journal(data_dir / f"{self.name}.journal.jsonl")
        self.ledger = MoneyLedger(data_dir / f"{self.name}.money.jsonl")
        self.faults = FaultPlan(f"{seed}/{self.name}")
        self.choices = Choices()
        self.limits = RateLimits()
        self.requests = RequestLog()
        self.schedule = Schedule()
        self._stored_settings = self.journal.table("settings", StoredSettings)
        self.orders = self.journal.table("order", PayoutOrder)
        self.lost_tries = self.journal.table("lost_try", LostTry)
        self.declare_tables()
        self.courier = Courier(self.journal, self.schedule, self)
        self.journal.load()
        self._apply_settings()
        self.reindex()

    # --- what a provider adds, besides what `Serving` asks for

    @abstractmethod
    def declare_tables(self) -> None: ...

    @abstractmethod
    def reindex(self) -> None:
        """Build everything that is derived from the tables, the schedule included."""

    @abstractmethod
    def routes(self) -> list[Route]: ...

    @abstractmethod
    def put_merchant(self, body: dict[str, Any]) -> dict[str, Any]:
        """Create or update a merchant; answers its credentials."""

    @abstractmethod
    def show_merchants(self) -> list[dict[str, Any]]:
        """The merchants without their secrets."""

    @abstractmethod
    def advance(self, ref: str, to: str, reason: str | None, *, hold: bool) -> dict[str, Any]:
        """Force a state now. Raises `ControlError` for an unknown payout or word."""

    @abstractmethod
    def webhook_url(self, merchant: str) -> str | None: ...

    @abstractmethod
    def prove(self, merchant: str, body: bytes, *, forged: bool) -> CIMultiDict[str]: ...

    @abstractmethod
    def invent(self, body: dict[str, Any]) -> dict[str, Any]: ...

    def scenario_amount(self, number: int) -> str:
        """The amount that asks for a scenario, as a person would write it."""
        return f"{(MARK + number) // 100}.{(MARK + number) % 100:02d}"

    def retries(self, status: int | None) -> bool:
        """Whether a webhook that was answered so is tried again."""
        return self.retry_policy.retried(status)

    def make_payout(self, body: dict[str, Any]) -> dict[str, Any]:
        """A payout that nobody asked for by the API: made in the dashboard, or by the provider's own schedule."""
        del body
        raise ControlError("at this provider all payouts are made by the API")

    def gave_up(self, merchant: str) -> None:
        """All attempts of a webhook have failed."""
        del merchant

    # --- life

    async def start(self, session: aiohttp.ClientSession) -> None:
        self.schedule.start()
        self.courier.start(session)

    async def stop(self) -> None:
        self.schedule.stop()
        await self.courier.stop()
        self.journal.close()
        self.ledger.close()

    def reset(self) -> None:
        """Forget everything, the money too."""
        self.schedule.clear()
        self.courier.forget()
        self.journal.clear()
        self.ledger.clear()
        self.behave()
        self.limits = RateLimits()
        self.requests = RequestLog()
        self._apply_settings()
        self.reindex()

    def behave(self) -> None:
        """No more faults, scripts and chosen scenarios. Payouts that exist keep what they were made with."""
        self.faults.clear()
        self.choices.clear()

    # --- settings

    @property
    def speed(self) -> float:
        return self.settings.speed

    @property
    def amounts_choose(self) -> bool:
        return self.settings.scenario_amounts

    def change_settings(self, changes: dict[str, Any]) -> None:
        stored = self._stored_settings.rows.get("settings")
        merged = {**(stored.values if stored else {}), **changes}
        values = {name: value for name, value in merged.items() if value is not None}  # null = the default again
        self.settings_type.model_validate(values)  # refuse before anything changes
        self._stored_settings.add("settings", StoredSettings(values))
        self._apply_settings()

    def _apply_settings(self) -> None:
        stored = self._stored_settings.rows.get("settings")
        values = {"speed": self._process_speed, **(stored.values if stored else {})}
        self.settings = self.settings_type.model_validate(values)

    def delay_ms(self, explicit_ms: float | None, realistic_ms: float, scenario: str = "") -> int:
        """How long to wait; a scenario may have its own pace."""
        pace = BY_NAME[scenario].pace if scenario else 1.0
        return int((explicit_ms if explicit_ms is not None else realistic_ms / self.settings.speed) * pace)

    def returned_after_ms(self) -> int:
        return self.delay_ms(self.settings.returned_after_ms, RETURNED_AFTER_MS)

    def rate_rule(self, request: web.Request) -> tuple[int | None, int, str]:
        del request  # a provider may look at it
        settings = self.settings
        return settings.rate_limit, self.delay_ms(settings.rate_window_ms, RATE_WINDOW_MS), settings.retry_after

    async def send_webhooks_now(self, ref: str) -> None:
        await self.courier.send_now(ref)


def course_of(scenario: str) -> str:
    """What becomes of a payout of this scenario; "" without one."""
    return BY_NAME[scenario].course if scenario else ""
