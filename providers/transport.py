"""The one HTTP transport: what all connectors speak through, and the only place that says "nothing was sent".

`Transport` sends once (POST, DELETE) or reads (GET, repeated a little), and returns an `Answer`, `NotSent` or `Unclear`.
It never follows a redirect, never repeats a send, never begins one after its last moment (`providers.last_moment`), never
raises for network trouble, and never puts a header, a body or a query into an error, a log or a repr.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy
from tenacity import AsyncRetrying, retry_if_result, stop_after_attempt, stop_after_delay, wait_random
from yarl import URL

from providers.last_moment import LastMomentBody, TooLateError
from schemas.report import NotSent, Unclear

USER_AGENT = "payout-gateway"
SEND_MAX_BYTES = 1024 * 1024  # the largest answer to a send: a batch of 1,000 rows echoed is about 400 kB
READ_MAX_BYTES = 4 * 1024 * 1024  # a page of 250 objects
READ_ATTEMPTS = 2
READ_AGAIN_WITHIN_S = 3.0  # a read that took longer than this is not repeated: the reconciler comes back anyway
CHUNK_BYTES = 64 * 1024

# Put together once: only the object that is made of it for each read has a state.
_READING_AGAIN: dict[str, Any] = {
    "stop": stop_after_attempt(READ_ATTEMPTS) | stop_after_delay(READ_AGAIN_WITHIN_S),
    "wait": wait_random(0.05, 0.15),
    "retry": retry_if_result(lambda outcome: not isinstance(outcome, Answer)),
    "retry_error_callback": lambda state: state.outcome and state.outcome.result(),  # the last outcome, as it is
}

OnCall = Callable[[str, str, str, float], None]
OnUnknownWord = Callable[[str, str, str], None]


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer within its size limit. Neither headers nor body show in a repr."""

    status: int
    headers: CIMultiDictProxy[str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. Connecting is timed apart from answering: only a timeout while connecting proves that nothing was sent."""

    connect_s: float = 5.0
    answer_s: float = 20.0  # between two bytes of the answer
    total_s: float = 28.0  # everything together; a dripping answer never trips `answer_s`

    def for_aiohttp(self) -> aiohttp.ClientTimeout:
        """The same in aiohttp's words; `connect` also bounds the wait for a free connection."""
        return aiohttp.ClientTimeout(
            total=self.total_s, connect=self.connect_s, sock_connect=self.connect_s, sock_read=self.answer_s
        )


class _OversizedError(Exception):
    """The answer is longer than its limit."""


def _ignore_call(_provider: str, _operation: str, _outcome: str, _seconds: float) -> None:
    pass


def _ignore_word(_provider: str, _table: str, _word: str) -> None:
    pass


def _ignore_leaving() -> None:
    pass


class Transport:
    """Two aiohttp sessions and three hooks. One per process; made and closed by the composition root.

    `on_call(provider, operation, outcome, seconds)` hears of every request; `on_unknown_word(provider, table, word)` of
    every word that is in no table; `on_leaving()` that the first byte of a send is next. All must be quick and must not raise.
    """

    def __init__(
        self,
        *,
        on_call: OnCall = _ignore_call,
        on_unknown_word: OnUnknownWord = _ignore_word,
        on_leaving: Callable[[], None] = _ignore_leaving,
        send_timeouts: Timeouts = Timeouts(),
        read_timeouts: Timeouts = Timeouts(answer_s=15.0, total_s=20.0),
        max_connections: int = 256,
        socket_factory: aiohttp.SocketFactoryType | None = None,  # where an address guard goes: it sees what is dialled
    ) -> None:
        self.on_unknown_word = on_unknown_word
        self._on_call = on_call
        self._on_leaving = on_leaving
        self._send_timeouts = send_timeouts
        self._read_timeouts = read_timeouts
        self._max_connections = max_connections
        self._socket_factory = socket_factory
        self._send_session: aiohttp.ClientSession | None = None
        self._read_session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close both sessions; calls that are under way end as Unclear."""
        for session in (self._send_session, self._read_session):
            if session is not None:
                await session.close()
        self._send_session = self._read_session = None

    async def send(
        self,
        provider: str,
        operation: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes,
        max_bytes: int = SEND_MAX_BYTES,
    ) -> Answer | NotSent | Unclear:
        """POST once. `NotSent` only when no byte of the request left: no connection came about, or it came too late."""
        self._send_session = self._send_session or self._session(self._send_timeouts, keep_alive=False)
        last = LastMomentBody(body, self._on_leaving)
        return await self._timed(provider, operation, self._send_session, "POST", url, headers, last, max_bytes)

    async def delete(
        self, provider: str, operation: str, url: str, *, headers: Mapping[str, str], max_bytes: int = SEND_MAX_BYTES
    ) -> Answer | Unclear:
        """DELETE: for stopping something, never for paying. aiohttp may repeat it, so nothing here proves "not sent"."""
        self._send_session = self._send_session or self._session(self._send_timeouts, keep_alive=False)
        outcome = await self._timed(provider, operation, self._send_session, "DELETE", url, headers, None, max_bytes)
        return Unclear(outcome.reason) if isinstance(outcome, NotSent) else outcome

    async def read(
        self, provider: str, operation: str, url: str, *, headers: Mapping[str, str], max_bytes: int = READ_MAX_BYTES
    ) -> Answer | Unclear:
        """GET, once more after a lost connection. A read that did not leave says nothing about the payout: Unclear."""
        self._read_session = self._read_session or self._session(self._read_timeouts, keep_alive=True)
        outcome: Answer | NotSent | Unclear = await AsyncRetrying(**_READING_AGAIN)(
            self._timed, provider, operation, self._read_session, "GET", url, headers, None, max_bytes
        )
        return Unclear(outcome.reason) if isinstance(outcome, NotSent) else outcome

    def _session(self, timeouts: Timeouts, *, keep_alive: bool) -> aiohttp.ClientSession:
        # A reused connection can be closed by the far side just as we send, and then nobody knows whether the request
        # arrived (field notes 3.3). So sends open a new one each time; reads may reuse.
        limit = self._max_connections
        connector = (
            # A provider that hangs must leave connections to the others.
            aiohttp.TCPConnector(limit=limit, limit_per_host=limit // 4, socket_factory=self._socket_factory)
            if keep_alive
            else aiohttp.TCPConnector(limit=limit, socket_factory=self._socket_factory, force_close=True)
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),  # sessions serve all accounts: no cookie may pass from one to another
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},  # a packed answer hides its true size
            timeout=timeouts.for_aiohttp(),
            trust_env=False,
        )

    async def _timed(
        self,
        provider: str,
        operation: str,
        session: aiohttp.ClientSession,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: LastMomentBody | None,
        max_bytes: int,
    ) -> Answer | NotSent | Unclear:
        started = time.perf_counter()
        label = "cancelled"  # what stays when the task is cancelled while the request is out
        try:
            outcome = await _call(session, method, url, headers, body, max_bytes)
            label = _label(outcome)
        finally:
            self._on_call(provider, operation, label, time.perf_counter() - started)
        return outcome


async def _call(
    session: aiohttp.ClientSession,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: LastMomentBody | None,
    max_bytes: int,
) -> Answer | NotSent | Unclear:
    try:
        # `encoded=True`: the path goes out as the connector wrote it, so nothing in it is resolved or quoted again.
        async with session.request(
            method, URL(url, encoded=True), headers=headers, data=body, allow_redirects=False
        ) as response:
            content = await _read_capped(response, max_bytes)
            return Answer(response.status, CIMultiDictProxy(CIMultiDict(response.headers)), content)
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        # The allow-list of two (field notes 3.1). Both are subclasses of what follows, so they come first.
        return NotSent(f"no connection: {type(error).__name__}")
    except _OversizedError:
        return Unclear(f"the answer is longer than {max_bytes} bytes")
    except TimeoutError as error:
        return Unclear(f"no complete answer in time: {type(error).__name__}")
    except Exception as error:
        if isinstance(error.__cause__, TooLateError):
            return NotSent("it could not leave before its time was over")
        # Whatever else happened, the request may have arrived: never guess.
        return Unclear(f"no complete answer: {type(error).__name__}")


async def _read_capped(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    content = bytearray()
    async for chunk in response.content.iter_chunked(CHUNK_BYTES):
        content += chunk
        if len(content) > max_bytes:
            response.close()
            raise _OversizedError
    return bytes(content)


def _label(outcome: Answer | NotSent | Unclear) -> str:
    match outcome:
        case Answer(status=status):
            return f"{status // 100}xx"
        case NotSent():
            return "not_sent"
        case Unclear():
            return "unclear"
