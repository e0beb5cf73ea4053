"""What every provider sandbox is made of, and how one request passes through: log, faults, handler.

A provider adds its routes, its states over time and its bodies. This class knows no provider's words, and nothing
here decides whether money moves.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import aiohttp
import orjson
from aiohttp import web
from multidict import CIMultiDict
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from providers.sandbox.clock import Schedule, now_ms
from providers.sandbox.faults import Fault, FaultPlan
from providers.sandbox.journal import Journal
from providers.sandbox.ledger import MoneyLedger
from providers.sandbox.request_log import Entry, RequestLog
from providers.sandbox.spoil import CUTS_CONNECTION, SPOILERS
from providers.sandbox.webhooks import Courier, RetryPolicy

JSON = "application/json"


class SandboxSettings(BaseModel):
    """Settings common to all providers. Delays given in ms are taken as they are; only defaults follow `speed`."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)
    speed: float = Field(default=1.0, gt=0)  # 1 = realistic; also divides the waits between webhook attempts


class ControlForm(BaseModel):
    """Base of what the control surface takes."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)


Settings = TypeVar("Settings", bound=SandboxSettings)


class Refused(Exception):  # noqa: N818 - the provider's answer on its way out, not a mistake in the program
    """Ends a handler with the provider's own error answer."""

    def __init__(self, answer: web.Response) -> None:
        super().__init__(answer.status)
        self.answer = answer


class ControlError(Exception):
    """The control surface was asked for something that cannot be; the text says what."""


Handler = Callable[[web.Request], Awaitable[web.Response]]


@dataclass(frozen=True, slots=True)
class Route:
    """One operation of a provider. `operation_of` tells apart operations that share a path."""

    method: str
    path: str
    operation: str
    handler: Handler
    operation_of: Callable[[web.Request], str] | None = None
    operations: tuple[str, ...] = ()


@dataclass(slots=True)
class StoredSettings:
    values: dict[str, Any]


def reply(body: Any, status: int = 200, content_type: str = JSON, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(body), headers={"Content-Type": content_type, **(headers or {})})


class Sandbox(ABC, Generic[Settings]):
    """One provider: its tables, its money, its clock, its webhooks."""

    name: ClassVar[str]
    settings_type: type[Settings]
    retry_policy: ClassVar[RetryPolicy]
    idempotency_header: ClassVar[str | None] = None

    def __init__(self, data_dir: Path, *, speed: float, seed: int) -> None:
        data_dir.mkdir(parents=True, exist_ok=True)
        self._process_speed = speed
        self.journal = Journal(data_dir / f"{self.name}.journal.jsonl")
        self.ledger = MoneyLedger(data_dir / f"{self.name}.money.jsonl")
        self.faults = FaultPlan(f"{seed}/{self.name}")
        self.requests = RequestLog()
        self.schedule = Schedule()
        self._stored_settings = self.journal.table("settings", StoredSettings)
        self.declare_tables()
        self.courier = Courier(self.journal, self.schedule, self.faults, self.retry_policy, self)
        self.journal.load()
        self._apply_settings()
        self.reindex()

    # --- what a provider adds

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
    def error_answer(self, status: int) -> web.Response:
        """The provider's own error body for an HTTP status."""

    @abstractmethod
    def refusal_answer(self, params: dict[str, Any]) -> web.Response:
        """The provider's own refusal of a create, shaped by the fault's parameters."""

    @abstractmethod
    def webhook_url(self, merchant: str) -> str | None: ...

    @abstractmethod
    def prove(self, merchant: str, body: bytes, *, forged: bool) -> CIMultiDict[str]: ...

    @abstractmethod
    def invent(self, body: dict[str, Any]) -> dict[str, Any]: ...

    @abstractmethod
    def step(self, key: str) -> bool:
        """Do the payout's next step now, however far off it is. False when it has none."""

    def finished(self, request: web.Request) -> None:
        """The answer is out, or can no longer get out."""

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
        self.faults.clear()
        self.requests = RequestLog()
        self._apply_settings()
        self.reindex()

    # --- settings

    @property
    def speed(self) -> float:
        return self.settings.speed

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

    def delay_ms(self, explicit_ms: float | None, realistic_ms: float) -> int:
        return int(explicit_ms if explicit_ms is not None else realistic_ms / self.settings.speed)

    # --- one request

    async def serve(self, route: Route, request: web.Request) -> web.StreamResponse:
        operation = route.operation_of(request) if route.operation_of else route.operation
        key = request.headers.get(self.idempotency_header) if self.idempotency_header else None
        requests = self.requests  # a reset may replace it
        entry = requests.arrived(request.method, request.path_qs, operation, key)
        answer: web.StreamResponse | None = None
        try:
            if self.faults.any:
                answer = await self._serve_with_faults(route, operation, request, entry)
            else:
                answer = await self._handle(route, request)
            return answer
        finally:
            self.finished(request)
            requests.answered(entry, None if answer is None or entry.fault in CUTS_CONNECTION else answer.status)

    async def before_answer(self, key: str, ref: str, request: web.Request) -> None:
        """Where a fault asks for it: run the payout to its end and deliver the webhooks before the create answers."""
        if not self.faults.any or self.faults.before_answer(await _text(request)) is None:
            return
        while self.step(key):
            pass
        await self.courier.send_now(ref)

    async def hidden(self, operation: str, request: web.Request, created_ms: int) -> bool:
        """Whether a fault makes this read lie about a payout made at `created_ms`."""
        return self.faults.any and self.faults.hides(operation, await _text(request), now_ms() - created_ms)

    async def _handle(self, route: Route, request: web.Request) -> web.Response:
        try:
            return await route.handler(request)
        except Refused as refused:
            return refused.answer

    async def _serve_with_faults(self, route: Route, operation: str, request: web.Request, entry: Entry) -> web.StreamResponse:
        text = await _text(request)
        fault = self.faults.for_request(operation, "before", text)
        if fault is not None:
            entry.fault = fault.kind
            spoilt = await self._spoil(fault, request, None)
            if spoilt is not None:
                return spoilt
        answer = await self._handle(route, request)
        fault = self.faults.for_request(operation, "after", text)
        if fault is None:
            return answer
        entry.fault = fault.kind
        spoilt = await self._spoil(fault, request, answer)
        return answer if spoilt is None else spoilt  # an answer is a mapping and may be falsy: no `or`

    async def _spoil(self, fault: Fault, request: web.Request, answer: web.Response | None) -> web.StreamResponse | None:
        if fault.kind == "refuse":
            return self.refusal_answer(fault.params)
        if fault.kind == "status" and "body" not in fault.params:
            spoilt = self.error_answer(int(fault.params.get("status", 500)))
            spoilt.headers.update(fault.params.get("headers", {}))
            return spoilt
        return await SPOILERS[fault.kind](request, answer, fault.params)


async def _text(request: web.Request) -> str:
    body = await request.read()
    return f"{request.method} {request.path_qs}\n{body.decode('utf-8', 'replace')}"
