"""The four payouts of the demo, one of each shape, and how far each of them has come.

They are sent like any merchant's, over HTTP. The operator of the manual one is played here, over HTTP too.
"""

import asyncio
import base64
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiohttp

from gateway.demo.merchant import Merchant, RefusedError
from gateway.demo.screen import Screen
from gateway.demo.setup import BANK
from schemas.money import to_decimal
from schemas.payout import Status

TEST_CARD = "4111111111111111"  # the Plexy sandbox's card that gets paid
_CARD_FIELDS = {
    "encryptedCardNumber": TEST_CARD,
    "encryptedExpiryMonth": "12",
    "encryptedExpiryYear": "2031",
    "encryptedCvv": "123",
    "encryptedCardholderName": "DEMO MERCHANT",
}
_OPERATOR_PAUSE_S = 1.5
# After a kill an attempt may first have to wait until its lease runs out, and it may keep others waiting.
_FINAL_WITHIN_S = 180.0

_OPERATOR_STEPS: tuple[tuple[str, dict[str, str]], ...] = (
    ("mark-in-transit", {"reference": "WIRE-2041"}),
    ("mark-paid", {}),
)


def money(amount_minor: int, currency: str) -> str:
    """150_000_00 IDR -> 'IDR 150,000.00'."""
    return f"{currency} {to_decimal(amount_minor, currency):,f}"


@dataclass(slots=True)
class Sample:
    """One payout of the demo. `status` is what the screen shows; `ended_at` is set once it will not move any more."""

    name: str
    title: str
    said_by: str  # whose webhooks and reads move it
    body: dict[str, Any]
    needs_card: bool = False
    operator: bool = False
    status: str = "waiting"
    payout: dict[str, Any] | None = field(default=None, repr=False)
    started_at: float | None = None
    ended_at: float | None = None

    @property
    def amount(self) -> str:
        """The amount, for a person."""
        return money(self.body["amount"], self.body["currency"])

    @property
    def is_paid(self) -> bool:
        """Whether it reached the state that the demo promises."""
        return self.status == Status.PAID


def make_samples() -> list[Sample]:
    """The four, not yet sent."""
    return [
        Sample(
            "card", "Card token through Plexy", "Plexy", {"amount": 5_000_00, "currency": "KZT", "provider": "plexy"},
            needs_card=True,
        ),
        Sample(
            "balance", "Balance through Mollie", "Mollie",
            {"amount": 250_00, "currency": "EUR", "provider": "mollie", "destination": {"type": "balance"}},
        ),
        Sample(
            "bank", "Bank batch through Pivot", "Pivot",
            {"amount": 150_000_00, "currency": "IDR", "provider": "pivot", **BANK},
        ),
        Sample(
            "manual", "Manual, by an operator", "the operator",
            {"amount": 75_000_00, "currency": "IDR", "provider": "manual", "note": "paid from the bank's own website"},
            operator=True,
        ),
    ]  # fmt: skip


async def send_all(samples: list[Sample], merchant: Merchant, screen: Screen, *, speed: float) -> None:
    """Send all four at once and return when none moves any more."""
    await asyncio.gather(*(_send(sample, merchant, screen, speed) for sample in samples))


async def _send(sample: Sample, merchant: Merchant, screen: Screen, speed: float) -> None:
    sample.started_at = time.monotonic()
    try:
        async with asyncio.timeout(_FINAL_WITHIN_S):
            await _send_one(sample, merchant, screen, speed)
    except RefusedError as error:
        sample.status = "refused"
        screen.step(sample.name, _now(), "refused", str(error), "the gateway")
    except TimeoutError:
        screen.step(sample.name, _now(), sample.status, f"not final after {_FINAL_WITHIN_S:.0f} s; it goes on", "the demo")
    except aiohttp.ClientError as error:
        screen.step(sample.name, _now(), sample.status, f"the gateway does not answer: {type(error).__name__}", "the demo")
    sample.ended_at = time.monotonic()


async def _send_one(sample: Sample, merchant: Merchant, screen: Screen, speed: float) -> None:
    body = dict(sample.body)
    if sample.needs_card:
        sample.status = "saving card"
        screen.step(sample.name, _now(), sample.status, "the test card's encrypted fields go to Plexy", "the merchant")
        # Where a real page encrypts the fields for the provider, the sandbox takes base64.
        fields = {name: base64.b64encode(value.encode()).decode() for name, value in _CARD_FIELDS.items()}
        card_id = await merchant.save_card(fields)
        screen.step(sample.name, _now(), "card saved", f"the token came, sealed as {card_id}", f"{sample.said_by}'s webhook")
        body["destination"] = {"type": "card", "cardId": card_id}
    payout = await merchant.call("POST", "/api/v1/payouts", body)

    def on_step(step: dict[str, Any]) -> None:
        sample.status = step["status"]
        at = datetime.fromisoformat(step["createdAt"])
        screen.step(sample.name, at, step["status"], step["reason"], _who(sample, step))

    operating = asyncio.create_task(_operate(payout["id"], merchant, speed)) if sample.operator else None
    try:
        sample.payout = await merchant.follow(payout["id"], on_step)
    finally:
        if operating:
            operating.cancel()
            await asyncio.gather(operating, return_exceptions=True)


async def _operate(payout_id: str, merchant: Merchant, speed: float) -> None:
    for mark, said in _OPERATOR_STEPS:
        await asyncio.sleep(_OPERATOR_PAUSE_S / speed)
        await merchant.call("POST", f"/api/v1/payouts/{payout_id}/{mark}", said)


def _who(sample: Sample, step: dict[str, Any]) -> str:
    """A step's source, for a person."""
    kind = step["source"].partition(":")[0]
    if kind == "key":
        return "the merchant" if step["type"] == "payout.created" else "the operator"
    if kind == "dispatcher":
        return "the gateway" if sample.operator or step["type"] == "payout.sending" else f"{sample.said_by}'s answer"
    known = {"notice": f"{sample.said_by}'s webhook", "read after a notice": f"{sample.said_by}, read after its webhook"}
    return known.get(kind, f"{sample.said_by}, read back")


def _now() -> datetime:
    return datetime.now(UTC)
