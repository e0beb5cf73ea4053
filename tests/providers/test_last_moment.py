"""The last moment of a send on real sockets: after it no byte leaves, however late the process finds out (I15)."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from providers.last_moment import leave_by
from providers.pivot.connector import connect
from providers.pivot.settings import PivotSecrets, PivotSettings
from providers.transport import Answer, Transport
from schemas.destination import BankAccount
from schemas.order import Order
from schemas.report import NotSent
from tests.providers.scripted import Reply, Scripted

_STILL_S = 5.0


class Counting:
    """A server that answers everything with an empty object, and counts connections and bytes."""

    def __init__(self) -> None:
        self.connections = self.bytes = 0
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while data := await reader.read(65536):
            self.bytes += len(data)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
        writer.close()


@pytest.fixture
async def counting() -> AsyncIterator[Counting]:
    server = Counting()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/pay"
    async with listening:
        yield server


async def send(transport: Transport, url: str, body: bytes = b"{}") -> Any:
    return await transport.send("acme", "create", url, headers={"Content-Type": "application/json"}, body=body)


@pytest.mark.parametrize("body", [b"{}", b"x" * 500_000], ids=["small", "large"])
async def test_no_byte_leaves_after_it(counting: Counting, body: bytes) -> None:
    """The process stands still between the open connection and the first byte."""
    async with Transport(on_leaving=lambda: time.sleep(0.05)) as transport:
        with leave_by(time.monotonic() + 0.04):
            outcome = await send(transport, counting.url, body)
        await asyncio.sleep(0.02)
    assert isinstance(outcome, NotSent)
    assert "before its time was over" in outcome.reason
    assert (counting.connections, counting.bytes) == (1, 0)


async def test_before_it_and_without_one_everything_goes_out(counting: Counting) -> None:
    async with Transport() as transport:
        with leave_by(time.monotonic() + _STILL_S):
            assert isinstance(await send(transport, counting.url), Answer)
        with leave_by(0.0):
            pass
        assert isinstance(await send(transport, counting.url), Answer), "it ends with its block"


async def test_tasks_take_it_along_and_reads_are_not_bound(counting: Counting) -> None:
    async with Transport() as transport:
        with leave_by(0.0):
            task = asyncio.create_task(send(transport, counting.url))
            read = await transport.read("acme", "find", counting.url, headers={})
        assert isinstance(await task, NotSent)
        assert isinstance(read, Answer)


async def test_a_slow_token_does_not_make_a_late_payout(server: Scripted) -> None:
    """Pivot's token comes when the lease is over: the create stays here."""

    async def slow_token(request: Any) -> Any:
        await asyncio.sleep(0.1)
        return await Reply(200, {"code": "00", "data": {"accessToken": "t", "expiresIn": "900"}})(request)

    server.on("POST", "/v1/access-token", slow_token)
    secrets = PivotSecrets.model_validate({"client_id": "c", "client_secret": "s", "callback_key": "k"})
    order = Order(
        attempt_id="pa_1",
        key="k" * 32,
        amount_minor=100_00,
        currency="IDR",
        destination=BankAccount(
            type="bank_account", bank_code="BCA", bank_name="BCA", bank_account_number="1234567890", bank_account_holder="PT X"
        ),
    )
    async with Transport() as transport:
        connector = connect(PivotSettings(base_url=server.base_url), secrets, transport)
        with leave_by(time.monotonic() + 0.05):
            (report,) = await connector.submit("0" * 32, [order])
    assert isinstance(report, NotSent)
    assert [seen.path for seen in server.seen] == ["/v1/access-token"]
