"""Bytes that aiohttp refuses before they are a request: answered in the envelope like everything else.

Stands on aiohttp's protocol classes, which are not all public: the version is pinned, and tests/api sends such bytes.
"""

from functools import partial

import structlog
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from gateway.api.edge import edge
from gateway.api.envelope import REQUEST_ID, ApiError, fail
from gateway.api.parts import PARTS
from gateway.ids import new_id
from schemas import ids

_log = structlog.get_logger("gateway.api")


class _Protocol(RequestHandler):
    __slots__ = ()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answer without quoting the bytes, and log one line without a traceback: whoever likes can send thousands."""
        if request.writer.output_size > 0:
            return super().handle_error(request, status, exc, message)
        request[REQUEST_ID] = new_id(ids.REQUEST)
        text = "This is not an HTTP request that we can read. Nothing was done."
        error = (
            ApiError(status, "bad_request", text) if status < 500 else ApiError(500, "internal_error", "It broke on our side.")
        )
        _log.info("request.unreadable", requestId=request[REQUEST_ID], status=status, error=type(exc).__name__)
        response = fail(request, error)
        response.headers["X-Request-Id"] = request[REQUEST_ID]
        response.headers["Server"] = "payout-gateway"
        response.force_close()
        return response


class _Server(web.Server):
    def __call__(self) -> RequestHandler:
        return _Protocol(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """Runs an application inside the edge; its refusals of unreadable bytes are envelopes too."""

    __slots__ = ()

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        server.__class__ = _Server
        server.request_handler = partial(edge, handler=server.request_handler, metrics=self.app[PARTS].metrics)
        return server
