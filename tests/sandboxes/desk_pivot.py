"""A merchant at the Pivot sandbox, who creates payouts of one row."""

import uuid
from typing import Any, ClassVar

from tests.sandboxes.desk import HOUR_MS, MINOR, Desk


class PivotDesk(Desk):
    name, create_path, read_operation = "pivot", "/v1/payouts", "find_payout"
    begun, paid = "IN_PROGRESS", "SUCCESS"
    ends: ClassVar = {
        "paid": ("SUCCESS", ["sent"]),
        "paid_then_returned": ("FAILED", ["sent", "returned"]),
        "stuck": ("PENDING", []),
        "rejected_by_bank": ("FAILED", []),
        "failed": ("FAILED", []),
        "no_funds": ("APPROVED", []),
        "recipient_limit": ("FAILED", []),
        "cancelled": ("CANCELLED", []),
    }
    out_of_order: ClassVar = ["FAILED", "SUCCESS"]
    held_back: ClassVar = {"doneAfterMs": HOUR_MS}
    refusal = ({"code": "daily_payout_limit_exceeded"}, b"daily_payout_limit_exceeded")
    misquoted = b'"20001"'
    forgotten_key_pays = False  # its references are unique for ever

    async def open(self) -> "Desk":
        made = await self.control("POST", "merchants", {"callbackUrl": self.world.receiver.url, "balance": 1_000_000_000})
        ids = {"X-MERCHANT-ID": made["merchantId"], "X-MERCHANT-SECRET": made["merchantSecret"]}
        token = await self.world.call("POST", "/pivot/v1/access-token", json={"grantType": "client_credentials"}, headers=ids)
        self.headers = {"Authorization": f"Bearer {token.json['data']['accessToken']}"}
        self.proof = made["callbackApiKey"]
        await self.settings(doneAfterMs=3)
        return self

    async def pay(
        self, minor: int = MINOR, *, headers: dict[str, str] | None = None, key: str | None = None, **more: Any
    ) -> Any:
        options, account = more.pop("options", {}), more.pop("account", "5551234")
        row = {
            "referenceId": key or uuid.uuid4().hex,
            "channelCode": "BCA",
            "channelInformation": {"accountNumber": account, "accountName": "Somebody"},
            "amount": {"value": str(minor), "currency": "IDR"},
            **more,
        }
        sent = {"X-REQUEST-ID": f"{key or uuid.uuid4().hex:0>16}", **(headers or {})}
        return await self.call("POST", self.create_path, json={"payouts": [row]}, headers=sent, **options)

    def id_of(self, answer: Any) -> str:
        return str(answer.json["data"]["payouts"][0]["referenceId"])

    async def read(self, payout: str) -> Any:
        return await self.call("GET", f"/v1/payouts/{payout}?type=single")

    async def newest(self, key: str) -> str:
        return key if (await self.read(key)).status == 200 else ""

    def word(self, read: Any) -> str:
        return str(read.json["data"][0].get("status", "IN_PROGRESS"))

    def told(self, hook: Any) -> tuple[str, str]:
        data = hook.json["data"]
        return hook.json["event"], data["payouts"]["status"] if "payouts" in data else data["status"]

    def proved(self, hook: Any) -> bool:
        return bool(hook.headers["X-API-Key"] == self.proof)
