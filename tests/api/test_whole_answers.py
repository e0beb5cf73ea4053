"""Answers on the wire: the same whether they are written in one step or by aiohttp's own way."""

import asyncio
import re

import pytest

from gateway.api.operations import OPERATIONS

PATHS = ["/api/v1/payouts?limit=1", "/api/v1/payouts/po_00000000000000000000000000000000", "/nothing"]
_VARIES = re.compile(rb'req_[0-9a-f]{32}|"timestamp":"[^"]+"|Date: [^\r]+')


async def exchange(port: int, *requests: bytes) -> list[tuple[bytes, list[bytes], bytes]]:
    """(status line, header lines, body) of each answer on one connection, and an empty one where it was closed before."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answers = []
    try:
        async with asyncio.timeout(5):
            for request in requests:
                writer.write(request)
                try:
                    head = await reader.readuntil(b"\r\n\r\n")
                except asyncio.IncompleteReadError:
                    answers.append((b"", [], b""))
                    continue
                status, *headers = head.rstrip().split(b"\r\n")
                length = int(re.search(rb"Content-Length: (\d+)", head)[1])
                body = b"" if request.startswith(b"HEAD") else await reader.readexactly(length)
                answers.append((status, [_VARIES.sub(b"~", header) for header in headers], _VARIES.sub(b"~", body)))
    finally:
        writer.close()
    return answers


def asked(shop, path: str, *lines: str, method: str = "GET", version: str = "1.1") -> bytes:
    head = [f"{method} {path} HTTP/{version}", "Host: here", f"Authorization: Bearer {shop.bearer}", *lines, "", ""]
    return "\r\n".join(head).encode()


@pytest.mark.parametrize("path", PATHS)
async def test_on_a_connection_that_stays_as_on_one_that_closes(shop, path):
    port = shop.world.gateways[0].port
    first, second = await exchange(port, asked(shop, path), asked(shop, path))
    assert first == second
    closing, nothing = await exchange(port, asked(shop, path, "Connection: close"), asked(shop, path))
    status, headers, body = first
    assert closing == (status, [*headers, b"Connection: close"], body)
    assert nothing == (b"", [], b"")


@pytest.mark.parametrize("path", PATHS)
async def test_to_old_clients(shop, path):
    port = shop.world.gateways[0].port
    [(_, headers, body)] = await exchange(port, asked(shop, path))
    [(status, old_headers, old_body)] = await exchange(port, asked(shop, path, version="1.0"))
    assert status.startswith(b"HTTP/1.0 ")
    assert (old_headers, old_body) == (headers, body)
    kept = await exchange(port, *[asked(shop, path, "Connection: keep-alive", version="1.0")] * 2)
    assert [b"Connection: keep-alive" in headers for _, headers, _ in kept] == [True, True]


# Without those that change by themselves from one moment to the next.
SERVED = [
    operation.path.format(id="po_00000000000000000000000000000000")
    for operation in OPERATIONS
    if operation.method == "GET" and operation.name not in {"metrics", "list_providers"}
]


@pytest.mark.parametrize("path", [*SERVED, *PATHS])
async def test_to_head_without_a_body(shop, path):
    port = shop.world.gateways[0].port
    get, head, again = await exchange(port, *(asked(shop, path, method=m) for m in ("GET", "HEAD", "GET")))
    assert head[0] == get[0]
    assert sorted(head[1]) == sorted(get[1])
    assert again == get
