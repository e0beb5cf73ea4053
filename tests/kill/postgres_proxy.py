"""A proxy between a gateway and PostgreSQL that cuts connections around a commit (F8, F9).

It reads the messages of the gateway just well enough to know which statement is about to be committed: by `COMMIT`, or by the
Sync after a statement of its own transaction. It changes no byte.
"""

import asyncio
import contextlib
import struct
from dataclasses import dataclass, field
from typing import Self

_CUTS = asyncio.IncompleteReadError, ConnectionError, OSError


@dataclass
class Cut:
    """What to cut: the commit of a statement that holds `text`, before it gets through or after it took effect."""

    text: str
    after: bool
    times: int = 1
    done: int = 0


@dataclass
class PostgresProxy:
    """`async with PostgresProxy("/folder/of/socket", 5432) as proxy`; then gateways connect to `proxy.port`."""

    folder: str
    number: int
    port: int = 0
    cuts: list[Cut] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_unix_connection(f"{self.folder}/.s.PGSQL.{self.number}")
        waiting: list[Cut] = []  # a commit that is through, and whose answer must not be
        answers = asyncio.create_task(_answers(back, writer, waiting))
        texts: dict[bytes, str] = {}  # of the statements that this connection has prepared
        with contextlib.suppress(*_CUTS):
            size = await reader.readexactly(4)
            forth.write(size + await reader.readexactly(struct.unpack("!I", size)[0] - 4))
            current = ""
            while True:
                kind, body, raw = await _message(reader)
                current = _statement(kind, body, texts, current)
                cut = self._cut(current) if kind in b"QS" else None
                if cut and not cut.after:
                    break
                if cut:
                    waiting.append(cut)
                forth.write(raw)
                if kind in b"QS":
                    current = ""
            await asyncio.sleep(0)
        for side in (writer, forth):
            side.close()
        answers.cancel()
        await asyncio.gather(answers, return_exceptions=True)

    def _cut(self, current: str) -> Cut | None:
        for cut in self.cuts:
            if cut.text in current and cut.done < cut.times:
                cut.done += 1
                return cut
        return None


async def _answers(back: asyncio.StreamReader, writer: asyncio.StreamWriter, waiting: list[Cut]) -> None:
    """PostgreSQL's answers. One that must not get through is awaited first: only then its commit is surely there."""
    with contextlib.suppress(*_CUTS):
        while True:
            kind, _, raw = await _message(back)
            if not waiting:
                writer.write(raw)
            elif kind == b"Z":
                break
    writer.transport.abort()


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes, bytes]:
    head = await reader.readexactly(5)
    body = await reader.readexactly(struct.unpack("!I", head[1:])[0] - 4)
    return head[:1], body, head + body


def _statement(kind: bytes, body: bytes, texts: dict[bytes, str], current: str) -> str:
    """The statement that the next Sync ends, as far as it is known after this message."""
    if kind == b"Q":
        return body[:-1].decode()
    if kind == b"P":
        name, text = body.split(b"\0")[:2]
        texts[name] = text.decode()
    if kind == b"B":
        return texts.get(body.split(b"\0")[1], "")
    return current
