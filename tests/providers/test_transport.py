"""The transport on real sockets: what is "not sent", what is unclear, and how often a request goes out."""

import asyncio
import socket
from typing import Any

import aiohttp
import pytest

from providers.transport import USER_AGENT, Answer, Timeouts, Transport
from schemas.report import NotSent, Unclear
from tests.ports import free_port
from tests.providers import scripted
from tests.providers.conftest import Heard
from tests.providers.scripted import Reply, Scripted

SECRET = "s3cret-" + "k" * 20
HEADERS = {"Authorization": SECRET, "Content-Type": "application/json"}


async def send(transport: Transport, url: str, body: bytes = b"{}") -> Any:
    return await transport.send("acme", "create", url, headers=HEADERS, body=body)


async def test_an_answer_is_complete(server: Scripted, transport: Transport, heard: Heard) -> None:
    server.on("POST", "/pay", Reply(422, {"why": "because"}, {"Content-Type": "application/json", "X-Two": "2"}))
    answer = await send(transport, server.base_url + "/pay", b'{"a":1}')
    assert isinstance(answer, Answer)
    assert (answer.status, answer.headers["x-two"], answer.body) == (422, "2", b'{"why": "because"}')
    (seen,) = server.seen
    assert seen.body == b'{"a":1}'
    assert seen.headers["User-Agent"] == USER_AGENT
    assert seen.headers["Accept-Encoding"] == "identity"
    assert heard.outcomes("create") == ["4xx"]


async def test_connection_refused_is_not_sent(transport: Transport, heard: Heard) -> None:
    outcome = await send(transport, f"http://127.0.0.1:{free_port()}/pay")
    assert isinstance(outcome, NotSent)
    assert heard.outcomes("create") == ["not_sent"]


async def test_unknown_host_is_not_sent(transport: Transport) -> None:
    assert isinstance(await send(transport, "http://provider.invalid/pay"), NotSent)


async def test_failed_tls_handshake_is_not_sent(server: Scripted, transport: Transport) -> None:
    outcome = await send(transport, server.base_url.replace("http", "https") + "/pay")
    assert isinstance(outcome, NotSent)
    assert server.seen == []


async def test_connect_timeout_is_not_sent() -> None:
    """A listener whose queue is full takes no further connection and refuses none."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        try:
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(address)
            await asyncio.sleep(0.05)
            async with Transport(send_timeouts=Timeouts(connect_s=0.2, answer_s=5, total_s=5)) as transport:
                outcome = await send(transport, f"http://127.0.0.1:{address[1]}/pay")
        finally:
            for filler in fillers:
                filler.close()
    assert isinstance(outcome, NotSent)


async def test_no_free_connection_is_not_sent(server: Scripted) -> None:
    """Waiting for a place in our own pool is waiting to connect: nothing has left."""
    server.on("POST", "/pay", scripted.hanging_answer)
    timeouts = Timeouts(connect_s=0.1, answer_s=0.3, total_s=0.5)
    async with Transport(send_timeouts=timeouts, max_connections=1) as transport:
        outcomes = await asyncio.gather(*(send(transport, server.base_url + "/pay") for _ in range(2)))
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NotSent", "Unclear"]
    assert len(server.seen) == 1


async def test_an_address_that_the_guard_refuses_is_not_sent(server: Scripted) -> None:
    def refuse(_address: aiohttp.AddrInfoType) -> socket.socket:
        raise OSError("refused by policy")

    async with Transport(socket_factory=refuse) as transport:
        assert isinstance(await send(transport, server.base_url + "/pay"), NotSent)
    assert server.seen == []


UNCLEAR = {
    "drop": scripted.dropped_answer,
    "hang": scripted.hanging_answer,
    "half": scripted.half_answer,
    "drip": scripted.dripping_answer,
    "oversized": scripted.oversized_answer,
    "bomb": scripted.bomb_answer,
}


@pytest.mark.parametrize("fault", scripted.faults(UNCLEAR))
async def test_after_the_request_arrived_nothing_is_certain(
    fault: str, server: Scripted, transport: Transport, heard: Heard
) -> None:
    server.on("POST", "/pay", UNCLEAR[fault])
    outcome = await send(transport, server.base_url + "/pay")
    assert isinstance(outcome, Unclear)
    assert len(server.seen) == 1
    assert heard.outcomes("create") == ["unclear"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer_and_is_not_followed(status: int, server: Scripted, transport: Transport) -> None:
    server.on("POST", "/pay", Reply(status, b"", {"Location": server.base_url + "/elsewhere"}))
    answer = await send(transport, server.base_url + "/pay")
    assert isinstance(answer, Answer)
    assert answer.status == status
    assert [seen.path for seen in server.seen] == ["/pay"]


async def test_an_address_that_is_none_is_unclear(transport: Transport) -> None:
    """Nothing left, but the allow-list has two entries and this is neither."""
    assert isinstance(await send(transport, "nonsense"), Unclear)


async def test_garbage_instead_of_http_is_unclear(transport: Transport) -> None:
    async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"\x00\xffnot http\r\n\r\n")
        await writer.drain()
        writer.close()

    listening = await asyncio.start_server(garbage, "127.0.0.1", 0)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        assert isinstance(await send(transport, f"http://127.0.0.1:{port}/pay"), Unclear)


async def test_each_send_has_a_connection_of_its_own(server: Scripted, transport: Transport) -> None:
    ports: list[Any] = []

    async def note(request: Any) -> Any:
        ports.append(request.transport.get_extra_info("peername")[1])
        return await Reply(200, {})(request)

    server.on("POST", "/pay", note)
    server.on("GET", "/read", note)
    for _ in range(3):
        await send(transport, server.base_url + "/pay")
    assert len(set(ports)) == 3
    ports.clear()
    for _ in range(3):
        await transport.read("acme", "read", server.base_url + "/read", headers={})
    assert len(set(ports)) == 1


async def test_a_lost_read_is_repeated_and_then_unclear(server: Scripted, transport: Transport, heard: Heard) -> None:
    server.on("GET", "/read", scripted.half_answer, Reply(200, {"fine": True}))
    answer = await transport.read("acme", "read", server.base_url + "/read", headers={})
    assert isinstance(answer, Answer)
    assert heard.outcomes("read") == ["unclear", "2xx"]
    server.on("GET", "/lost", scripted.half_answer)
    assert isinstance(await transport.read("acme", "lost", server.base_url + "/lost", headers={}), Unclear)
    assert heard.outcomes("lost") == ["unclear", "unclear"]


async def test_a_read_or_delete_never_says_not_sent(transport: Transport) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}/"
    assert isinstance(await transport.read("acme", "read", nowhere, headers={}), Unclear)
    assert isinstance(await transport.delete("acme", "cancel", nowhere, headers={}), Unclear)


async def test_cookies_of_one_account_never_reach_another(server: Scripted, transport: Transport) -> None:
    server.on("GET", "/read", Reply(200, {}, {"Content-Type": "application/json", "Set-Cookie": "who=first"}))
    by_name = server.base_url.replace("127.0.0.1", "localhost")  # cookies of a bare address are dropped in any case
    for _ in range(2):
        await transport.read("acme", "read", by_name + "/read", headers={})
    assert len(server.seen) == 2
    assert all("Cookie" not in seen.headers for seen in server.seen)


async def test_the_size_limit_is_exact(server: Scripted, transport: Transport) -> None:
    server.on("GET", "/read", Reply(200, b"x" * 1000))
    url = server.base_url + "/read"
    assert isinstance(await transport.read("acme", "read", url, headers={}, max_bytes=1000), Answer)
    assert isinstance(await transport.read("acme", "read", url, headers={}, max_bytes=999), Unclear)


async def test_a_cancelled_send_is_counted_and_passes_on(server: Scripted, transport: Transport, heard: Heard) -> None:
    server.on("POST", "/pay", scripted.hanging_answer)
    task = asyncio.create_task(send(transport, server.base_url + "/pay"))
    await server.until("POST", "/pay")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert heard.outcomes("create") == ["cancelled"]


async def test_nothing_secret_in_outcomes(server: Scripted, transport: Transport, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    server.on("POST", "/pay.*", Reply(200, {"echo": SECRET}, {"X-Echo": SECRET}), scripted.dropped_answer)
    shown = [repr(await send(transport, f"{server.base_url}/pay?token={SECRET}", SECRET.encode())) for _ in range(2)]
    shown.append(repr(await send(transport, f"http://127.0.0.1:{free_port()}/pay?token={SECRET}")))
    shown.append(repr(await send(transport, f"bad://{SECRET}")))
    assert SECRET not in "".join(shown) + caplog.text + repr(transport)
