"""Notices at the edge: proven, stored raw, answered. What they mean is read later, by the inbox."""

import hashlib

from aiohttp import web

from gateway.api.body import read_body
from gateway.api.envelope import ApiError, ok
from gateway.api.parts import parts_of
from gateway.ids import new_id
from gateway.points import point
from gateway.sealing import notice_place
from gateway.store.notices import NewNotice
from schemas import ids


async def receive(request: web.Request) -> web.Response:
    """`POST /webhooks/{provider}/{connectionId}`. A connection that does not exist looks like a wrong proof."""
    parts = parts_of(request)
    body = await read_body(request)
    connection_id = request.match_info["connection_id"]
    connection = await parts.connections.get(connection_id) if ids.is_id(connection_id, ids.CONNECTION) else None
    if (
        connection is None
        or connection.row.provider != request.match_info["provider"]
        or not connection.connector.verify_notice(request.headers, body)
    ):
        known = connection.row.provider if connection else "unknown"
        parts.metrics.notices.labels(known, "refused").inc()
        raise ApiError(401, "invalid_signature", "This notice is not proven to come from the provider.")
    digest = hashlib.sha256(body).digest()
    point("notice_proven")
    is_new = await parts.notices.submit(
        NewNotice(
            account_id=connection.row.account_id,
            connection_id=connection.row.id,
            provider=connection.row.provider,
            id=new_id(ids.NOTICE),
            digest=digest,
            body_sealed=parts.seal.seal(body, notice_place(connection_id, digest)),
        )
    )
    point("notice_stored")
    parts.metrics.notices.labels(connection.row.provider, "stored" if is_new else "repeated").inc()
    parts.wake_inbox()
    return ok(request, {"received": True})
