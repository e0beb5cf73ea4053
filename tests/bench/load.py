"""The load generator: a process of its own that sends creates over keep-alive connections and times the answers.

A bare asyncio protocol under uvloop with request bytes put together beforehand, because a full HTTP client would cost
more than the handler that is measured. Reads one job (JSON) a line, answers one result a line:

    flood   {port, connections, seconds, warm_s, auth, bodies}: every connection sends again as soon as it is answered
    steady  {port, connections, seconds, auth, bodies, dsn, amounts, window}: as many creates as keep `window` payouts open,
            read from the balances (what is in transit, by the fixed amount of its currency)

`auth` is {bearer} or {key_id, secret}. Every request has an Idempotency-Key and a merchantReference of its own.
"""

import asyncio
import hashlib
import hmac
import itertools
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import Any

import asyncpg
import orjson
import uvloop
from child import lines_from_parent, say

PATH = "/api/v1/payouts"
_UNIQUE = b"%(unique)s"
_TICK_S = 0.02
_ANSWERS_WITHIN_S = 30.0


def _by_bearer(key: str) -> Callable[[bytes, bytes], bytes]:
    line = f"Authorization: Bearer {key}\r\n".encode()
    return lambda _unique, _body: line


def _by_signature(key_id: str, secret: str) -> Callable[[bytes, bytes], bytes]:
    keyed = hmac.new(secret.encode(), digestmod=hashlib.sha256)
    stamp = str(int(time.time()))  # one for the whole run: it is good for minutes

    def sign(unique: bytes, body: bytes) -> bytes:
        signature = keyed.copy()
        signature.update(f"POST\n{PATH}\n{stamp}\n{hashlib.sha256(body).hexdigest()}\n{unique.decode()}".encode())
        return (
            f"X-Plugipay-Timestamp: {stamp}\r\nAuthorization: Plugipay-HMAC-SHA256 keyId={key_id}, scope=*, "
            f"signature={signature.hexdigest()}\r\n"
        ).encode()

    return sign


def requests(auth: list[dict[str, str]], bodies: list[dict[str, Any]]) -> Iterator[bytes]:
    """Requests without end; body n goes with key n of `auth`, in turn."""
    kinds = []
    for given, fields in zip(auth, bodies, strict=True):
        template = orjson.dumps({**fields, "merchantReference": _UNIQUE.decode()}).split(_UNIQUE)
        sign = _by_bearer(given["bearer"]) if "bearer" in given else _by_signature(given["key_id"], given["secret"])
        length = sum(map(len, template)) + 32
        head = f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n"
        kinds.append((head.encode() + b"Idempotency-Key: ", sign, template[0], template[1]))
    run = os.urandom(8).hex().encode()
    for number, (head, sign, before, after) in enumerate(itertools.cycle(kinds)):
        unique = b"%s%016x" % (run, number)
        body = before + unique + after
        yield b"".join((head, unique, b"\r\n", sign(unique, body), b"\r\n", body))


class Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request under way."""

    def __init__(self, answered: Callable[["Connection", int, float], None]) -> None:
        self._answered = answered
        self._sent_at = 0.0
        self._buffer = b""
        self._transport: Any = None
        self.first_refusal = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self._sent_at:
            self._answered(self, 0, 0.0)

    def send(self, request: bytes) -> None:
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
        end = data.find(b"\r\n\r\n")
        length_at = data.find(b"Content-Length: ")
        if end < 0 or length_at < 0 or len(data) < end + 4 + int(data[length_at + 16 : data.index(b"\r", length_at)]):
            self._buffer = data
            return
        self._buffer = b""
        took_s = time.perf_counter() - self._sent_at
        self._sent_at = 0.0
        status = int(data[9:12])
        if status >= 300 and not self.first_refusal:
            self.first_refusal = data[end + 4 :]
        self._answered(self, status, took_s)

    def close(self) -> None:
        if self._transport:
            self._transport.close()


async def _connect(job: dict[str, Any], answered: Callable[[Connection, int, float], None]) -> list[Connection]:
    loop = asyncio.get_running_loop()
    made = [loop.create_connection(lambda: Connection(answered), "127.0.0.1", job["port"]) for _ in range(job["connections"])]
    return [connection for _, connection in await asyncio.gather(*made)]


def _result(connections: list[Connection], statuses: Counter[int], took: list[float], seconds: float) -> dict[str, Any]:
    took.sort()
    refusal = next((c.first_refusal for c in connections if c.first_refusal), b"")
    return {
        "seconds": seconds,
        "answers": sum(statuses.values()),
        "refused": sum(many for status, many in statuses.items() if status not in (200, 201)),
        "refusal": refusal.decode(errors="replace"),
        "p50_ms": took[len(took) // 2] * 1000 if took else 0.0,
        "p99_ms": took[int(len(took) * 0.99)] * 1000 if took else 0.0,
    }


async def flood(job: dict[str, Any]) -> dict[str, Any]:
    """Closed loop over all connections. Answers during the warm-up are not counted."""
    source = requests(job["auth"], job["bodies"])
    started = time.perf_counter() + job["warm_s"]
    ends = started + job["seconds"]
    statuses: Counter[int] = Counter()
    took: list[float] = []
    open_ones = job["connections"]
    over = asyncio.Event()

    def answered(connection: Connection, status: int, took_s: float) -> None:
        nonlocal open_ones
        now = time.perf_counter()
        if started <= now < ends:
            statuses[status] += 1
            took.append(took_s)
        if now < ends and status:
            connection.send(next(source))
            return
        open_ones -= 1
        if not open_ones:
            over.set()

    connections = await _connect(job, answered)
    for connection in connections:
        connection.send(next(source))
    await asyncio.sleep(job["warm_s"])
    say(measuring=True)
    await asyncio.sleep(max(0.0, ends - time.perf_counter()))
    say(measuring=False)
    await asyncio.wait_for(over.wait(), _ANSWERS_WITHIN_S)
    for connection in connections:
        connection.close()
    return _result(connections, statuses, took, job["seconds"])


async def steady(job: dict[str, Any]) -> dict[str, Any]:
    """Offers as much as keeps `window` payouts open, for `seconds`; then waits until all are answered."""
    source = requests(job["auth"], job["bodies"])
    statuses: Counter[int] = Counter()
    took: list[float] = []
    idle: deque[Connection] = deque()
    under_way = 0

    def answered(connection: Connection, status: int, took_s: float) -> None:
        nonlocal under_way
        under_way -= 1
        statuses[status] += 1
        took.append(took_s)
        if status:
            idle.append(connection)

    connections = await _connect(job, answered)
    idle.extend(connections)
    database = await asyncpg.connect(job["dsn"])
    started = time.perf_counter()
    say(measuring=True)
    while time.perf_counter() < started + job["seconds"]:
        open_ones = 0
        for record in await database.fetch("select currency, sum(in_transit)::bigint as held from balance group by currency"):
            open_ones += record["held"] // job["amounts"][record["currency"]]
        for _ in range(min(len(idle), job["window"] - open_ones - under_way)):
            under_way += 1
            idle.popleft().send(next(source))
        await asyncio.sleep(_TICK_S)
    await database.close()
    async with asyncio.timeout(_ANSWERS_WITHIN_S):
        while under_way:
            await asyncio.sleep(_TICK_S)
    for connection in connections:
        connection.close()
    return _result(connections, statuses, took, time.perf_counter() - started)


async def main() -> None:
    say(ready=True)
    jobs = await lines_from_parent()
    while line := await jobs.readline():
        job = orjson.loads(line)
        say(**await (flood if job["kind"] == "flood" else steady)(job))


if __name__ == "__main__":
    uvloop.run(main())
