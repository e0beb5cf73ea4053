"""A merchant at the Plexy sandbox, with one saved card that is paid."""

import base64
from typing import Any, ClassVar

from tests.sandboxes.desk import HOUR_MS, MINOR, Desk

GOOD_CARD = "4111111111111111"


class PlexyDesk(Desk):
    name, create_path = "plexy", "/v1/payout"
    begun, paid = "new", "settled"
    ends: ClassVar = {
        "paid": ("settled", ["sent"]),
        "paid_then_returned": ("failed", ["sent", "returned"]),
        "stuck": ("processing", []),
        "rejected_by_bank": ("rejected", []),
        "failed": ("failed", []),
        "no_funds": ("rejected", []),
        "recipient_limit": ("rejected", []),
        "failed_but_paid": ("failed", ["sent"]),
    }
    out_of_order: ClassVar = ["failed", "settled"]
    held_back: ClassVar = {"processingAfterMs": HOUR_MS}
    refusal = ({"code": 5}, b"unprocessable entity")
    misquoted = b'"amount":201.0'
    has_keys = False

    async def open(self) -> "Desk":
        made = await self.control("POST", "merchants", {"webhookUrl": self.world.receiver.url, "balance": 1_000_000})
        self.headers = {"Authorization": made["apiKey"]}
        self.proof = f"Bearer {made['webhookToken']}"
        await self.settings(processingAfterMs=2, settledAfterMs=3, webhookAfterMs=2, cardSavedAfterMs=0)
        self.token = await self.save(GOOD_CARD)
        return self

    async def save(self, number: str) -> str:
        others = ("ExpiryMonth", "ExpiryYear", "Cvv", "CardholderName")
        card = {f"encrypted{name}": "opaque" for name in others}
        card["encryptedCardNumber"] = base64.b64encode(number.encode()).decode()
        saved = await self.call("POST", "/v1/cards", json={"cardData": card})
        listed = await self.call("GET", f"/v1/customers/{saved.json['customerId']}/card-tokens")
        await self.world.hooks(1)
        self.world.receiver.hooks.clear()
        return str(listed.json["data"][0]["cardTokenId"])

    async def pay(
        self, minor: int = MINOR, *, headers: dict[str, str] | None = None, key: str | None = None, **more: Any
    ) -> Any:
        options = more.pop("options", {})
        body = {"tokenId": self.token, "amount": minor / 100, "description": key or "", **more}
        return await self.call("POST", self.create_path, json=body, headers=headers or {}, **options)

    async def read(self, payout: str) -> Any:
        return await self.call("GET", f"/v1/transactions/{payout}")

    async def newest(self, key: str) -> str:
        del key  # the list does not show it
        rows = (await self.call("GET", "/v1/transactions")).json["data"]
        return str(rows[0]["transactionId"]) if rows else ""

    async def shows(self, key: str, minor: int) -> bool:
        del key
        return minor / 100 in [row["amount"] for row in (await self.call("GET", "/v1/transactions")).json["data"]]

    def told(self, hook: Any) -> tuple[str, str]:
        return hook.json["name"], hook.json["data"]["status"]

    def proved(self, hook: Any) -> bool:
        return bool(hook.headers["Authorization"] == self.proof)
