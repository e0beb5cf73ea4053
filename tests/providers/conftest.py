"""A scripted server, a transport that remembers what its hooks heard, and repaired aioresponses."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import Mock

import aioresponses.core
import pytest
from aiohttp import ClientResponse
from aioresponses import aioresponses as _aioresponses

from providers.transport import Timeouts, Transport
from tests.providers.scripted import Scripted


class _Response(ClientResponse):
    """aioresponses 0.7.9 does not know the `stream_writer` that aiohttp 3.14 wants (its issue 289)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, stream_writer=Mock(output_size=0), **kwargs)


@pytest.fixture
def canned(monkeypatch: pytest.MonkeyPatch) -> Iterator[_aioresponses]:
    """Canned answers without a socket: for shapes of answers only, never for failures."""
    monkeypatch.setattr(aioresponses.core, "ClientResponse", _Response)
    with _aioresponses() as mock:
        yield mock


@pytest.fixture
async def server() -> AsyncIterator[Scripted]:
    scripted = Scripted()
    await scripted.start()
    yield scripted
    await scripted.stop()


@dataclass
class Heard:
    calls: list[tuple[str, str, str, float]] = field(default_factory=list)
    words: list[tuple[str, str, str]] = field(default_factory=list)

    def outcomes(self, operation: str) -> list[str]:
        return [outcome for _, name, outcome, _ in self.calls if name == operation]


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
async def transport(heard: Heard, request: pytest.FixtureRequest) -> AsyncIterator[Transport]:
    # A busy machine that stalls is no provider that hangs: only a test that waits for the end of a time gets a short one.
    hasty = request.node.get_closest_marker("hasty") is not None
    timeouts = Timeouts(connect_s=10, answer_s=0.2, total_s=0.4) if hasty else Timeouts(connect_s=10, answer_s=10, total_s=20)
    made = Transport(
        on_call=lambda *call: heard.calls.append(call),
        on_unknown_word=lambda *word: heard.words.append(word),
        send_timeouts=timeouts,
        read_timeouts=timeouts,
    )
    yield made
    await made.close()
