"""An answer whose body is all there, written to the connection in one step. Knows nothing of what is in it."""

from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http import HttpVersion11


class WholeAnswer(web.Response):
    """aiohttp's response, without its preparations for bodies that grow, which take a tenth of the time of a create.

    Only to the usual request, HTTP/1.1 on a connection that stays; to any other it is aiohttp's own. The bytes are the same.
    """

    def __init__(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        super().__init__(status=status, body=body, headers=headers)
        self._whole = body
        self._out: AbstractStreamWriter | None = None

    @property
    def keep_alive(self) -> bool | None:
        """Whether the connection stays open; None before this is known."""
        return super().keep_alive if self._out is None else True

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Write the head, which waits for the body."""
        is_usual = request.version == HttpVersion11 and request.keep_alive and request.method != "HEAD"
        if not is_usual or super().keep_alive is False:
            return await super().prepare(request)
        self.headers["Content-Length"] = str(len(self._whole))
        self.headers["Date"] = rfc822_formatted_time()
        self._out = request.writer
        await self._out.write_headers(f"HTTP/1.1 {self.status} {self.reason}", self.headers)
        return self._out

    async def write_eof(self, data: Any = b"") -> None:
        """Write the body, and the head with it."""
        if self._out is None:
            await super().write_eof(data)
        else:
            await self._out.write_eof(self._whole)
