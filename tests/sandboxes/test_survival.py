"""What a sandbox remembers over a restart and over `kill -9`, and how the money file stays true."""

import asyncio
import contextlib
import json
import os
from pathlib import Path
from typing import Any, Self

import aiohttp
import pytest

from providers.sandbox.clock import Schedule, now_ms
from providers.sandbox.journal import Journal
from providers.sandbox.ledger import Money, MoneyLedger
from providers.sandbox.webhooks import Delivery
from tests.forked import Forked
from tests.ports import free_port

EUR = {"currency": "EUR", "value": "10.00"}


async def test_restart_keeps_merchants_payouts_keys_settings_and_schedules(world: Any) -> None:
    wanted = {"apiKey": "test_a", "webhookUrl": world.receiver.url, "balances": [{"id": "bal_a", "available": "30.00"}]}
    first = await world.control("mollie", "POST", "merchants", wanted)
    await world.settings("mollie", businessDay=150)
    headers = {"Authorization": "Bearer test_a", "Idempotency-Key": "k"}
    body = {"balanceId": "bal_a", "amount": EUR}
    created = await world.call("POST", "/mollie/v2/payouts", json=body, headers=headers)
    await world.restart()
    replay = await world.call("POST", "/mollie/v2/payouts", json=body, headers=headers)
    assert replay.headers["Idempotent-Replayed"] == "true"
    assert replay.raw == created.raw
    again = await world.control("mollie", "POST", "merchants", {"apiKey": "test_a"})
    assert again["webhookSecrets"] == first["webhookSecrets"]
    assert (await world.control("mollie", "GET", "settings"))["businessDay"] == 150
    hooks = await world.hooks(3)  # the pending transitions go on
    assert "payout.completed" in [hook.json["type"] for hook in hooks]
    await world.restart()
    assert len(await world.money("mollie")) == 1
    (merchant,) = (await world.control("mollie", "GET", "merchants"))["merchants"]
    assert merchant["balances"][0]["available"] == "20.00"


async def test_a_waiting_webhook_survives_a_restart(world: Any) -> None:
    wanted = {"apiKey": "test_a", "webhookUrl": world.receiver.url, "balances": [{"id": "bal_a"}]}
    await world.control("mollie", "POST", "merchants", wanted)
    headers = {"Authorization": "Bearer test_a"}
    created = await world.call("POST", "/mollie/v2/payouts", json={"balanceId": "bal_a", "amount": EUR}, headers=headers)
    world.receiver.statuses = [500]
    await world.call("DELETE", f"/mollie/v2/payouts/{created.json['id']}", headers=headers)
    await world.hooks(1)
    await world.restart(speed=1000)
    first, second = await world.hooks(2)
    assert first.raw == second.raw


async def test_reset_forgets_everything(world: Any) -> None:
    await world.control("plexy", "POST", "merchants", {"apiKey": "pr_x"})
    await world.settings("plexy", failureStatus="failed")
    await world.control("plexy", "POST", "reset")
    assert (await world.control("plexy", "GET", "merchants"))["merchants"] == []
    assert (await world.control("plexy", "GET", "settings"))["failureStatus"] == "rejected"
    await world.restart()
    assert (await world.control("plexy", "GET", "merchants"))["merchants"] == []


class Process:
    """The sandboxes as a process of their own."""

    def __init__(self, data_dir: Path) -> None:
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self._options = ["--port", str(self.port), "--data-dir", str(data_dir), "--speed", "20"]

    async def __aenter__(self) -> Self:
        self.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True))
        await self.start()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.session.close()
        self.child.end()

    async def start(self) -> None:
        self.child = Forked("providers.sandbox", *self._options, env=os.environ)
        await self.until_heard()

    async def until_heard(self) -> None:
        for _ in range(1000):
            with contextlib.suppress(aiohttp.ClientError):
                async with self.session.get(f"{self.base}/_sandbox"):
                    return
            await asyncio.sleep(0.01)
        pytest.fail("the sandboxes do not answer")

    async def kill(self) -> None:
        self.child.end()

    async def call(self, method: str, path: str, **more: Any) -> Any:
        async with self.session.request(method, f"{self.base}{path}", **more) as answer:
            return await answer.json()


async def test_kill_9_pays_once_and_goes_on(tmp_path: Path) -> None:
    async with Process(tmp_path) as process:
        merchant = await process.call("POST", "/_sandbox/pivot/merchants", json={})
        ids = {"X-MERCHANT-ID": merchant["merchantId"], "X-MERCHANT-SECRET": merchant["merchantSecret"]}
        grant = {"grantType": "client_credentials"}
        token = (await process.call("POST", "/pivot/v1/access-token", json=grant, headers=ids))["data"]
        rows = [
            {
                "referenceId": f"r{n}",
                "channelCode": "BCA",
                "channelInformation": {"accountNumber": "12345", "accountName": "x"},
                "amount": {"value": "10000", "currency": "IDR"},
            }
            for n in range(200)
        ]
        headers = {"Authorization": f"Bearer {token['accessToken']}", "X-REQUEST-ID": "a" * 16}
        for n, row in enumerate(rows):
            headers["X-REQUEST-ID"] = f"{n:016d}"
            await process.call("POST", "/pivot/v1/payouts", json={"payouts": [row]}, headers=headers)
        await process.kill()  # some are paid by now, some are not
        await process.start()
        summary: Any = None
        for _ in range(500):
            summary = await process.call("GET", "/_sandbox/pivot/ledger/summary")
            if summary["sent"] == 200:
                break
            await asyncio.sleep(0.01)
        assert (summary["sent"], summary["doublePayments"]) == (200, [])
        again = await process.call("POST", "/pivot/v1/payouts", json={"payouts": [row]}, headers=headers)
        assert again["code"] == "00"  # the access token and the answer are still known

        # And one more thing that only a process of its own can do: be out of reach for a while.
        assert await process.call("POST", "/_sandbox/unreachable", json={"ms": 300}) == {"unreachableMs": 300}
        await asyncio.sleep(0.15)
        with pytest.raises(aiohttp.ClientConnectorError):
            await process.call("GET", "/_sandbox")
        await process.until_heard()
        assert (await process.call("GET", "/_sandbox/pivot/ledger/summary"))["sent"] == 200


async def test_only_a_process_of_its_own_can_go_deaf(world: Any) -> None:
    assert (await world.call("POST", "/_sandbox/unreachable", json={"ms": 1})).status == 400


async def test_orders_for_one_payout_survive_a_restart(world: Any) -> None:
    wanted = {"apiKey": "test_a", "webhookUrl": world.receiver.url, "balances": [{"id": "bal_a"}]}
    await world.control("mollie", "POST", "merchants", wanted)
    await world.settings("mollie", initiatedAfterMs=60_000)
    headers = {"Authorization": "Bearer test_a", "X-Sandbox-Scenario": "webhook_lost"}
    created = await world.call("POST", "/mollie/v2/payouts", json={"balanceId": "bal_a", "amount": EUR}, headers=headers)
    await world.restart()
    await world.control("mollie", "POST", f"payouts/{created.json['id']}/advance", {"to": "completed"})
    await asyncio.sleep(0.05)
    assert world.receiver.hooks == []
    assert len(await world.money("mollie")) == 1


def _money(number: int, ref: str | None = "r") -> Money:
    return Money(f"e{number}", "sent", "m", f"p{number}", ref, "10.50", "EUR", "****1", {"description": "d"})


def test_money_file_is_idempotent_paged_and_cuts_a_torn_tail(tmp_path: Path) -> None:
    path = tmp_path / "x.money.jsonl"
    ledger = MoneyLedger(path)
    ledger.write([_money(1), _money(2, None)])
    ledger.write([_money(2, None), _money(3)])
    ledger.close()
    with path.open("ab") as file:
        file.write(b'{"effect":"e4","ki')  # killed in the middle of a line
    ledger = MoneyLedger(path)
    ledger.write([_money(3)])
    ledger.write([_money(4, None)])
    assert [line["effect"] for line in ledger.page(0, 10)] == ["e1", "e2", "e3", "e4"]
    assert [(line["n"], line["effect"]) for line in ledger.page(2, 1)] == [(3, "e3")]
    summary = ledger.summary()
    assert summary["sums"] == {"EUR": {"sent": "42.00", "returned": "0"}}
    assert summary["doublePayments"] == [{"ref": "ourRef", "merchant": "m", "ourRef": "r", "count": 2, "lines": [1, 3]}]
    assert summary["repeatedOtherRefs"][0]["count"] == 4
    ledger.close()
    assert len([json.loads(line) for line in path.read_text().splitlines()]) == 4


def test_journal_is_all_or_nothing_and_compacts(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"

    def open_journal() -> tuple[Journal, Any]:
        journal = Journal(path)
        table = journal.table("delivery", Delivery)
        journal.load()
        return journal, table

    journal, table = open_journal()
    with journal.together():
        table.add("a", Delivery("a", "m", "r", "e", "{}", 1))
        table.add("b", Delivery("b", "m", "r", "e", "{}", 2))
    for n in range(30_000):
        table.change("a", due_ms=n)
    table.remove("b")
    journal.close()
    with path.open("ab") as file:
        file.write(b'["-","delivery","a"')
    before = path.stat().st_size
    journal, table = open_journal()
    assert list(table.rows) == ["a"]
    assert table.rows["a"].due_ms == 29_999
    assert path.stat().st_size < before / 100
    journal.close()


async def test_schedule_runs_in_order_and_outlives_a_broken_step(caplog: pytest.LogCaptureFixture) -> None:
    schedule, seen = Schedule(), []

    def step(key: str) -> None:
        seen.append(key)
        if key == "broken":
            raise ValueError(key)

    start = now_ms()
    for after_ms, key in ((90, "c"), (0, "a"), (60, "broken")):
        schedule.add(start + after_ms, step, key)
    schedule.start()
    schedule.add(start + 30, step, "b")
    await asyncio.sleep(0.4)
    schedule.stop()
    assert seen == ["a", "b", "broken", "c"]
    assert "failed" in caplog.text
