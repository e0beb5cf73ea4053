"""The same few moves at every provider: open a merchant, order one payout, read it back, look at the money."""

import base64
import json
import uuid
from dataclasses import dataclass, field
from typing import Any

GOOD_CARD = "4111111111111111"


@dataclass
class Desk:
    """A merchant at one provider, as far as it can be told the same way everywhere."""

    world: Any
    headers: dict[str, str] = field(default_factory=dict)
    hooks_seen: int = 0

    name = ""
    paid = ""  # the provider's word for a payout that was paid
    create_path = ""
    events = 1  # webhooks of a payout that is simply paid

    async def open(self) -> "Desk":
        raise NotImplementedError

    async def pay(
        self, minor: int = 20_000, *, headers: dict[str, str] | None = None, key: str | None = None, **more: Any
    ) -> Any:
        raise NotImplementedError

    def id_of(self, answer: Any) -> str:
        return str(answer.json["id"])

    async def read(self, payout: str) -> Any:
        raise NotImplementedError

    async def newest(self, key: str) -> str:
        """The provider's id of the newest payout with this reference, as lists show it; "" while they do not."""
        raise NotImplementedError

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


class PlexyDesk(Desk):
    name, paid, create_path = "plexy", "settled", "/v1/payout"

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
        self, minor: int = 20_000, *, headers: dict[str, str] | None = None, key: str | None = None, **more: Any
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

    def told(self, hook: Any) -> tuple[str, str]:
        return hook.json["name"], hook.json["data"]["status"]

    def proved(self, hook: Any) -> bool:
        return bool(hook.headers["Authorization"] == self.proof)


class MollieDesk(Desk):
    name, paid, create_path, events = "mollie", "completed", "/v2/payouts", 3

    async def open(self) -> "Desk":
        made = await self.control("POST", "merchants", {"apiKey": "test_desk", "webhookUrl": self.world.receiver.url})
        self.headers = {"Authorization": "Bearer test_desk"}
        self.secret = made["webhookSecret"]
        await self.settings(initiatedAfterMs=2, atBankAfterMs=3, completedAfterMs=3)
        return self

    async def pay(
        self, minor: int = 20_000, *, headers: dict[str, str] | None = None, key: str | None = None, **more: Any
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
        from providers.mollie.sandbox import sign

        return bool(hook.headers["X-Mollie-Signature"] == sign(self.secret, hook.raw))


class PivotDesk(Desk):
    name, paid, create_path = "pivot", "SUCCESS", "/v1/payouts"

    async def open(self) -> "Desk":
        made = await self.control("POST", "merchants", {"callbackUrl": self.world.receiver.url, "balance": 1_000_000_000})
        ids = {"X-MERCHANT-ID": made["merchantId"], "X-MERCHANT-SECRET": made["merchantSecret"]}
        token = await self.world.call("POST", "/pivot/v1/access-token", json={"grantType": "client_credentials"}, headers=ids)
        self.headers = {"Authorization": f"Bearer {token.json['data']['accessToken']}"}
        self.proof = made["callbackApiKey"]
        await self.settings(doneAfterMs=3)
        return self

    async def pay(
        self, minor: int = 20_000, *, headers: dict[str, str] | None = None, key: str | None = None, **more: Any
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

    def word(self, read: Any) -> str:
        return str(read.json["data"][0].get("status", "IN_PROGRESS"))

    def told(self, hook: Any) -> tuple[str, str]:
        data = hook.json["data"]
        return hook.json["event"], data["payouts"]["status"] if "payouts" in data else data["status"]

    def proved(self, hook: Any) -> bool:
        return bool(hook.headers["X-API-Key"] == self.proof)


class XenditDesk(Desk):
    name, paid, create_path = "xendit", "SUCCEEDED", "/v2/payouts"

    async def open(self) -> "Desk":
        wanted = {"webhookUrl": self.world.receiver.url, "balance": 1_000_000_000}
        made = await self.control("POST", "merchants", wanted)
        user = base64.b64encode(f"{made['apiKey']}:".encode()).decode()
        self.headers = {"Authorization": f"Basic {user}"}
        self.proof = made["callbackToken"]
        await self.settings(requestedAfterMs=2, succeededAfterMs=3, failedAfterMs=3, complianceAfterMs=3)
        return self

    async def pay(
        self, minor: int = 20_000, *, headers: dict[str, str] | None = None, key: str | None = None, **more: Any
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


DESKS = {desk.name: desk for desk in (PlexyDesk, MollieDesk, PivotDesk, XenditDesk)}
