"""A merchant at Pivot who creates payouts of one row: the provider on which each kind of fault is tried."""

import uuid
from typing import Any


class Shop:
    """A merchant at Pivot who creates payouts of one row."""

    def __init__(self, world: Any) -> None:
        self.world = world

    async def open(self) -> "Shop":
        wanted = {"callbackUrl": self.world.receiver.url}
        merchant = await self.world.control("pivot", "POST", "merchants", wanted)
        self.key = merchant["callbackApiKey"]
        headers = {"X-MERCHANT-ID": merchant["merchantId"], "X-MERCHANT-SECRET": merchant["merchantSecret"]}
        body = {"grantType": "client_credentials"}
        answer = await self.world.call("POST", "/pivot/v1/access-token", json=body, headers=headers)
        self.headers = {"Authorization": f"Bearer {answer.json['data']['accessToken']}"}
        return self

    async def create(self, reference: str, request_id: str = "", **options: Any) -> Any:
        row = {
            "referenceId": reference,
            "channelCode": "BCA",
            "channelInformation": {"accountNumber": "5551234", "accountName": "Somebody"},
            "amount": {"value": "10000", "currency": "IDR"},
        }
        headers = {**self.headers, "X-REQUEST-ID": request_id or uuid.uuid4().hex, **options.pop("headers", {})}
        return await self.world.call("POST", "/pivot/v1/payouts", json={"payouts": [row]}, headers=headers, **options)

    async def find(self, reference: str) -> Any:
        return await self.world.call("GET", f"/pivot/v1/payouts/{reference}?type=single", headers=self.headers)

    async def paid(self) -> list[str]:
        return [line["ourRef"] for line in await self.world.money("pivot")]

    async def until_paid(self, *references: str) -> None:
        async def reached() -> bool:
            return sorted(await self.paid()) == sorted(references)

        await self.world.until(reached)
