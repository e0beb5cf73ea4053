"""A merchant at the Xendit sandbox, who pays rupiah to one account."""

import base64
import json
import uuid
from typing import Any, ClassVar

from tests.sandboxes.desk import HOUR_MS, MINOR, Desk


class XenditDesk(Desk):
    name, create_path = "xendit", "/v2/payouts"
    begun, paid = "ACCEPTED", "SUCCEEDED"
    ends: ClassVar = {
        "paid": ("SUCCEEDED", ["sent"]),
        "paid_then_returned": ("REVERSED", ["sent", "returned"]),
        "stuck": ("ACCEPTED", []),
        "rejected_by_bank": ("FAILED", []),
        "failed": ("FAILED", []),
        "no_funds": ("FAILED", []),
        "recipient_limit": ("FAILED", []),
        "cancelled": ("CANCELLED", []),
        "compliance_hold": ("PENDING_COMPLIANCE_ASSESSMENT", []),
        "compliance_rejected": ("COMPLIANCE_REJECTED", []),
    }
    out_of_order: ClassVar = ["REVERSED", "SUCCEEDED"]
    held_back: ClassVar = {"requestedAfterMs": HOUR_MS}
    refusal = ({"code": "INSUFFICIENT_BALANCE", "http": 422}, b"INSUFFICIENT_BALANCE")
    misquoted = b'"amount":20001'

    async def open(self) -> "Desk":
        wanted = {"webhookUrl": self.world.receiver.url, "balance": 1_000_000_000}
        made = await self.control("POST", "merchants", wanted)
        user = base64.b64encode(f"{made['apiKey']}:".encode()).decode()
        self.headers = {"Authorization": f"Basic {user}"}
        self.proof = made["callbackToken"]
        await self.settings(requestedAfterMs=2, succeededAfterMs=3, failedAfterMs=3, complianceAfterMs=3)
        return self

    async def pay(
        self, minor: int = MINOR, *, headers: dict[str, str] | None = None, key: str | None = None, **more: Any
    ) -> Any:
        options, account = more.pop("options", {}), more.pop("account", "0000000099")
        key = key or uuid.uuid4().hex
        body = {
            "reference_id": key,
            "channel_code": "ID_BCA",
            "channel_properties": {"account_number": account, "account_holder_name": more.pop("holder", "PT Contoh")},
            "amount": minor,
            "currency": "IDR",
            **more,
        }
        sent = {"idempotency-key": key, "Content-Type": "application/json", **(headers or {})}
        return await self.call("POST", self.create_path, data=json.dumps(body), headers=sent, **options)

    async def read(self, payout: str) -> Any:
        return await self.call("GET", f"/v2/payouts/{payout}")

    async def newest(self, key: str) -> str:
        rows = (await self.call("GET", f"/v2/payouts?reference_id={key}")).json["data"]
        return str(rows[0]["id"]) if rows else ""

    def told(self, hook: Any) -> tuple[str, str]:
        return hook.json["event"], hook.json["data"]["status"]

    def proved(self, hook: Any) -> bool:
        return bool(hook.headers["x-callback-token"] == self.proof)
