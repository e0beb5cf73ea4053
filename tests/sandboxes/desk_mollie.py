"""A merchant at the Mollie sandbox, with a balance of its own for every order."""

import uuid
from typing import Any, ClassVar

from providers.mollie.sandbox import sign
from tests.sandboxes.desk import HOUR_MS, MINOR, Desk


class MollieDesk(Desk):
    name, create_path, events = "mollie", "/v2/payouts", 3
    begun, paid = "requested", "completed"
    ends: ClassVar = {
        "paid": ("completed", ["sent"]),
        "paid_then_returned": ("failed", ["sent", "returned"]),
        "stuck": ("requested", []),
        "rejected_by_bank": ("failed", []),
        "failed": ("failed", []),
        "no_funds": ("failed", []),
        "cancelled": ("canceled", []),
    }
    out_of_order: ClassVar = ["processing-at-bank", "initiated", "failed", "completed"]
    held_back: ClassVar = {"initiatedAfterMs": HOUR_MS}
    refusal = ({"detail": "The balance is not active.", "field": "balanceId"}, b"The balance is not active.")
    misquoted = b'"201.00"'

    async def open(self) -> "Desk":
        made = await self.control("POST", "merchants", {"apiKey": "test_desk", "webhookUrl": self.world.receiver.url})
        self.headers = {"Authorization": "Bearer test_desk"}
        self.secret = made["webhookSecret"]
        await self.settings(initiatedAfterMs=2, atBankAfterMs=3, completedAfterMs=3)
        return self

    async def pay(
        self, minor: int = MINOR, *, headers: dict[str, str] | None = None, key: str | None = None, **more: Any
    ) -> Any:
        options = more.pop("options", {})
        balance = f"bal_{key or uuid.uuid4().hex}"  # one payout waits per balance: each order has its own
        known = [
            line["id"] for merchant in (await self.control("GET", "merchants"))["merchants"] for line in merchant["balances"]
        ]
        if balance not in known:
            await self.control("POST", "merchants", {"apiKey": "test_desk", "balances": [{"id": balance}]})
        amount = {"currency": "EUR", "value": f"{minor // 100}.{minor % 100:02d}"}
        sent = {**({"Idempotency-Key": key} if key else {}), **(headers or {})}
        body = {"balanceId": balance, "amount": amount, "description": key or "", **more}
        return await self.call("POST", self.create_path, json=body, headers=sent, **options)

    async def read(self, payout: str) -> Any:
        return await self.call("GET", f"/v2/payouts/{payout}")

    async def newest(self, key: str) -> str:
        rows = (await self.call("GET", "/v2/payouts")).json["_embedded"]["payouts"]
        return str(next((row["id"] for row in rows if row["description"] == key), ""))

    def told(self, hook: Any) -> tuple[str, str]:
        return hook.json["type"], hook.json["_embedded"]["entity"]["status"]

    def proved(self, hook: Any) -> bool:
        return bool(hook.headers["X-Mollie-Signature"] == sign(self.secret, hook.raw))
