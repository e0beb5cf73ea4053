"""The same few moves at every provider: open a merchant, order one payout, read it back, look at the money.

One subclass a provider, in a file of its own; `desks` lists them. Whoever has a desk is put through every named scenario
and every fault.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

MINOR = 20_000  # what is ordered unless a test says otherwise
HOUR_MS = 3_600_000


@dataclass
class Desk:
    """A merchant at one provider, as far as it can be told the same way everywhere."""

    world: Any
    headers: dict[str, str] = field(default_factory=dict)
    hooks_seen: int = 0

    name: ClassVar[str]
    create_path: ClassVar[str]
    read_operation: ClassVar[str] = "get_payout"  # the name of what `read` asks for
    begun: ClassVar[str]  # the provider's word for a payout that was just made
    paid: ClassVar[str]  # and for one that was paid
    ends: ClassVar[dict[str, tuple[str, list[str]]]]  # course -> the last word, and what happened to money
    out_of_order: ClassVar[list[str]]  # words of a payout paid and returned, when each webhook waits for the next
    events: ClassVar[int] = 1  # webhooks of a payout that is simply paid
    held_back: ClassVar[dict[str, Any]]  # settings under which no payout goes on by itself
    refusal: ClassVar[tuple[dict[str, Any], bytes]]  # the parameters of a refusal that it really gives, and the sign of it
    misquoted: ClassVar[bytes]  # an amount that is one too high, in the answer to an order of `MINOR`
    has_keys: ClassVar[bool] = True  # the same key again is the same payout
    forgotten_key_pays: ClassVar[bool] = True  # and once it is forgotten, another one

    async def open(self) -> "Desk":
        raise NotImplementedError

    async def pay(
        self, minor: int = MINOR, *, headers: dict[str, str] | None = None, key: str | None = None, **more: Any
    ) -> Any:
        raise NotImplementedError

    def id_of(self, answer: Any) -> str:
        return str(answer.json["id"])

    async def read(self, payout: str) -> Any:
        raise NotImplementedError

    async def newest(self, key: str) -> str:
        """The provider's id of the newest payout with this reference, as lists show it; "" while they do not."""
        raise NotImplementedError

    async def shows(self, key: str, minor: int) -> bool:
        """Whether the provider lets on that it knows this order."""
        del minor
        return bool(await self.newest(key))

    def told(self, hook: Any) -> tuple[str, str]:
        """The event's name and the status in it."""
        raise NotImplementedError

    def proved(self, hook: Any) -> bool:
        raise NotImplementedError

    def word(self, read: Any) -> str:
        return str(read.json["status"])

    async def status(self, payout: str) -> str | None:
        read = await self.read(payout)
        return self.word(read) if read.status == 200 else None

    async def call(self, method: str, path: str, **options: Any) -> Any:
        headers = {**self.headers, **options.pop("headers", {})}
        return await self.world.call(method, f"/{self.name}{path}", headers=headers, **options)

    async def control(self, method: str, path: str, body: Any = None) -> Any:
        return await self.world.control(self.name, method, path, body)

    async def settings(self, **values: Any) -> None:
        await self.world.settings(self.name, **values)

    async def fault(self, operation: str, kind: str, **more: Any) -> Any:
        return await self.world.fault(self.name, operation, kind, **more)

    async def kinds(self) -> list[str]:
        """What happened to money, in order."""
        return [line["kind"] for line in await self.world.money(self.name)]

    async def balance(self) -> Any:
        (merchant,) = (await self.control("GET", "merchants"))["merchants"]
        return merchant["balance"]

    async def until_status(self, payout: str, *wanted: str) -> str:
        async def reached() -> str | None:
            status = await self.status(payout)
            return status if status in wanted else None

        return str(await self.world.until(reached))

    async def until_kinds(self, *wanted: str) -> None:
        async def reached() -> bool:
            return await self.kinds() == list(wanted)

        await self.world.until(reached)


def amount_told(hook: Any) -> float:
    """The amount in a webhook, as a number of what this provider counts in."""
    return next(float(value) for value in _amounts(hook.json))


def _amounts(body: Any) -> Iterator[Any]:
    if isinstance(body, dict):
        amount = body.get("amount")
        if amount is not None:
            yield amount["value"] if isinstance(amount, dict) else amount
        for part in body.values():
            yield from _amounts(part)
