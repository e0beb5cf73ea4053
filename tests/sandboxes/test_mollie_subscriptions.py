"""Mollie's webhook subscriptions, pings and events (`mollie.md` section 9), and who may do what (section 2)."""

from typing import Any

import pytest

from providers.mollie.sandbox import sign

NEVER_MS = 3_600_000


class Token:
    """An organisation-level token in test mode."""

    def __init__(self, world: Any) -> None:
        self.world = world

    async def open(self, **merchant: Any) -> "Token":
        wanted = {"apiKey": "access_example", "balances": [{"id": "bal_org", "available": "100.00"}], **merchant}
        await self.world.control("mollie", "POST", "merchants", wanted)
        await self.world.settings("mollie", initiatedAfterMs=2, atBankAfterMs=2, completedAfterMs=2)
        return self

    async def call(self, method: str, path: str, body: Any = None, *, live: bool = False, **headers: str) -> Any:
        query = "" if live or method in ("POST", "PATCH") else f"{'&' if '?' in path else '?'}testmode=true"
        sent = {**body, "testmode": not live} if body is not None else None
        headers = {"Authorization": "Bearer access_example", **headers}
        return await self.world.call(method, f"/mollie/v2{path}{query}", json=sent, headers=headers)

    async def subscribe(self, types: Any = "*", **body: Any) -> Any:
        body = {"name": "mine", "url": self.world.receiver.url, "eventTypes": types, **body}
        return await self.call("POST", "/webhooks", body)

    async def pay(self) -> str:
        body = {"balanceId": "bal_org", "amount": {"currency": "EUR", "value": "10.00"}}
        answer = await self.call("POST", "/payouts", body)
        assert answer.status == 201, answer.raw
        return str(answer.json["id"])


@pytest.fixture
async def token(world: Any) -> Token:
    return await Token(world).open()


async def test_a_subscription_gets_its_events_signed_with_its_own_secret(token: Token, world: Any) -> None:
    made = await token.subscribe("payout.completed")
    assert made.status == 201
    hook_id, secret = made.json["id"], made.json["webhookSecret"]
    assert hook_id.startswith("hook_")
    assert (made.json["status"], made.json["eventTypes"], made.json["mode"]) == ("enabled", ["payout.completed"], "test")
    shown = await token.call("GET", f"/webhooks/{hook_id}")
    assert "webhookSecret" not in shown.json
    payout = await token.pay()
    (hook,) = await world.hooks(1)
    assert hook.json["type"] == "payout.completed"
    assert hook.json["_embedded"]["entity"]["id"] == payout
    assert hook.headers.getall("X-Mollie-Signature") == [sign(secret, hook.raw)]
    event = await token.call("GET", f"/events/{hook.json['id']}")
    assert event.json == hook.json
    assert (await token.call("GET", f"/events/{hook.json['id']}", live=True)).status == 404
    assert (await token.call("GET", "/events/event_nobody")).status == 404


async def test_the_limits_of_test_mode_and_what_a_subscription_must_say(token: Token) -> None:
    for body in ({"url": "ftp://x"}, {"url": None}):
        refused = await token.subscribe(**body)
        assert (refused.status, refused.json["field"], refused.json["detail"]) == (422, "url", "The URL is not valid.")
    assert (await token.subscribe([])).json["field"] == "eventTypes"
    assert (await token.subscribe("no type")).json["field"] == "eventTypes"
    assert (await token.subscribe(name="")).json["field"] == "name"
    made = [(await token.subscribe(name=name)).json["id"] for name in ("one", "two")]
    assert (await token.subscribe()).status == 422
    live = {"name": "x", "url": "http://example.com", "eventTypes": "*"}
    assert (await token.call("POST", "/webhooks", live, live=True)).json["field"] == "url"  # HTTPS in live mode
    for n in range(4):
        live["url"] = f"https://example.com/{n}"
        assert (await token.call("POST", "/webhooks", live, live=True)).status == (201 if n < 3 else 422)
    listed = (await token.call("GET", "/webhooks")).json
    assert [hook["id"] for hook in listed["_embedded"]["webhooks"]] == made[::-1]
    page = (await token.call("GET", "/webhooks?limit=1&sort=asc")).json
    assert [hook["id"] for hook in page["_embedded"]["webhooks"]] == made[:1]
    assert f"from={made[1]}" in page["_links"]["next"]["href"]
    assert (await token.call("GET", "/webhooks?from=hook_nobody")).status == 400
    assert (await token.call("GET", "/webhooks?eventTypes=payout.failed")).json["count"] == 0


async def test_change_ping_and_delete(token: Token, world: Any) -> None:
    hook = (await token.subscribe("payout.failed")).json["id"]
    changed = await token.call("PATCH", f"/webhooks/{hook}", {"eventTypes": ["payout.initiated"], "name": "other"})
    assert (changed.status, changed.json["name"], changed.json["eventTypes"]) == (200, "other", ["payout.initiated"])
    ping = await token.call("POST", f"/webhooks/{hook}/ping", {})
    assert (ping.status, ping.raw) == (202, b"")
    (told,) = await world.hooks(1)
    assert told.json["type"] == "hook.ping"  # M-6: a type that nobody knows
    assert (await token.call("GET", f"/events/{told.json['id']}")).status == 200
    assert (await token.call("DELETE", f"/webhooks/{hook}")).status == 204
    gone = await token.call("DELETE", f"/webhooks/{hook}")
    assert (gone.status, gone.json["detail"]) == (422, "The webhook was deleted already.")
    assert (await token.call("POST", f"/webhooks/{hook}/ping", {})).status == 422
    assert (await token.call("GET", f"/webhooks/{hook}")).json["status"] == "deleted"
    assert (await token.call("GET", "/webhooks/hook_nobody")).status == 404
    await token.pay()
    assert (await token.call("GET", "/webhooks")).json["count"] == 0
    assert len(world.receiver.hooks) == 1


async def test_a_subscription_that_always_fails_is_blocked(token: Token, world: Any) -> None:
    hook = (await token.subscribe("payout.initiated")).json["id"]
    await world.settings("mollie", speed=5_000_000)
    world.receiver.statuses = [500] * 20
    await token.pay()

    async def blocked() -> bool:
        return bool((await token.call("GET", f"/webhooks/{hook}")).json["status"] == "blocked")

    await world.until(blocked)
    assert len(world.receiver.hooks) == 10


async def test_keys_guard_every_post(token: Token) -> None:
    body = {"name": "mine", "url": "http://example.com", "eventTypes": "*"}
    first = await token.call("POST", "/webhooks", body, **{"Idempotency-Key": "k"})
    again = await token.call("POST", "/webhooks", body, **{"Idempotency-Key": "k"})
    assert again.json == first.json
    assert again.headers["Idempotent-Replayed"] == "true"
    payout = {"balanceId": "bal_org", "amount": {"currency": "EUR", "value": "10.00"}}
    other = await token.call("POST", "/payouts", payout, **{"Idempotency-Key": "k"})
    assert other.status == 400  # the key belongs to another endpoint


async def test_refusals_are_remembered_unless_told_otherwise(token: Token, world: Any) -> None:
    await world.settings("mollie", cacheRefusals=False)
    payout = {"balanceId": "bal_late", "amount": {"currency": "EUR", "value": "10.00"}}
    assert (await token.call("POST", "/payouts", payout, **{"Idempotency-Key": "k"})).status == 422
    await world.control("mollie", "POST", "merchants", {"apiKey": "access_example", "balances": [{"id": "bal_late"}]})
    assert (await token.call("POST", "/payouts", payout, **{"Idempotency-Key": "k"})).status == 201


async def test_permissions(world: Any) -> None:
    token = await Token(world).open(permissions=["payouts.write"])
    payout = await token.pay()
    assert (await token.call("GET", f"/payouts/{payout}")).status == 403
    assert (await token.call("GET", "/balances")).status == 403
    assert (await token.subscribe()).status == 403
    await world.control("mollie", "POST", "merchants", {"apiKey": "access_example", "permissions": None})
    assert (await token.call("GET", f"/payouts/{payout}")).status == 200
    await world.control("mollie", "POST", "merchants", {"apiKey": "test_key"})
    key = {"Authorization": "Bearer test_key"}
    for path in ("/webhooks", "/balances", "/events/event_x"):
        assert (await world.call("GET", f"/mollie/v2{path}", headers=key)).status == 403


@pytest.mark.parametrize("obstacle", ["payouts_blocked", "queued_refunds", "negative_balance", "bank_account"])
async def test_what_else_forbids_a_payout(token: Token, world: Any, obstacle: str) -> None:
    balance = {"id": "bal_org", "obstacle": obstacle}
    await world.control("mollie", "POST", "merchants", {"apiKey": "access_example", "balances": [balance]})
    payout = {"balanceId": "bal_org", "amount": {"currency": "EUR", "value": "10.00"}}
    refused = await token.call("POST", "/payouts", payout)
    assert (refused.status, refused.json["field"]) == (422, "balanceId")


async def test_reserve_and_british_merchants(token: Token, world: Any) -> None:
    wanted = {"apiKey": "access_example", "uk": True, "balances": [{"id": "bal_org", "available": "50.00", "reserve": "20.00"}]}
    await world.control("mollie", "POST", "merchants", wanted)
    chosen = {"balanceId": "bal_org", "amount": {"currency": "EUR", "value": "10.00"}}
    assert (await token.call("POST", "/payouts", chosen)).json["field"] == "amount"
    everything = await token.call("POST", "/payouts", {"balanceId": "bal_org"})
    assert everything.json["amount"]["value"] == "30.00"


async def test_lists_show_payouts_that_nobody_made_by_api(token: Token, world: Any) -> None:
    await world.settings("mollie", initiatedAfterMs=NEVER_MS)
    order = {"balanceId": "bal_org", "amount": "12.00", "description": "by hand", "mode": "test"}
    made = await world.control("mollie", "POST", "payouts", order)
    (row,) = (await token.call("GET", "/payouts")).json["_embedded"]["payouts"]
    assert (row["id"], row["description"], row["amount"]["value"]) == (made["id"], "by hand", "12.00")
    assert (await world.call("POST", "/_sandbox/mollie/payouts", json={**order, "balanceId": "bal_x"})).status == 400
    assert (await world.call("POST", "/_sandbox/plexy/payouts", json={})).status == 400
