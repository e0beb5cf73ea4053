"""Asking the gateway over a real socket. Every answer that comes by here is held against `schemas.answers`."""

import asyncio
import hashlib
import hmac
import json
import re
import time
import uuid
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from gateway.api.operations import OPERATIONS, Operation
from gateway.sealing import connection_place
from gateway.store import accounts
from schemas.answers import Envelope
from schemas.ids import REQUEST, is_id

NEW = object()  # an idempotency key that nobody has used
PAYOUTS = "/api/v1/payouts"
ERROR_CODE = re.compile(r"[a-z]+(_[a-z]+)*")
# How pydantic and Python talk; none of it is for merchants.
JARGON = re.compile(r"Input should|String should|Value error|valid dictionary|Traceback|Exception|None|unexpected keyword")


@dataclass(frozen=True)
class Answer:
    """One answer: its envelope, and what came around it."""

    status: int
    headers: CIMultiDictProxy[str]
    envelope: dict[str, Any]

    @property
    def data(self) -> Any:
        return self.envelope["data"]

    @property
    def error(self) -> Any:
        return self.envelope["error"]

    @property
    def meta(self) -> dict[str, Any]:
        return self.envelope["meta"]

    @property
    def refusal(self) -> tuple[int, str, str | None]:
        """(status, code, field) of an answer that must be an error."""
        assert self.error, self.envelope
        return self.status, self.error["code"], self.error.get("field")


def operation_of(method: str, path: str) -> Operation | None:
    """The operation that a request is for: the first that fits, as the router takes it."""
    bare = unquote(path.partition("?")[0])
    for operation in OPERATIONS:
        if operation.method == method and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", operation.path), bare):
            return operation
    return None


def check_envelope(status: int, headers: CIMultiDictProxy[str], text: str, operation: Operation | None) -> dict[str, Any]:
    """The envelope of an answer, if it is one and holds what its operation promises."""
    assert headers["Content-Type"] == "application/json", headers
    model = (operation.answer if operation and status < 400 else None) or dict[str, Any]
    data = list[model] if operation and operation.is_list else model
    checked = Envelope[data].model_validate_json(text, strict=True)
    envelope = json.loads(text)
    assert set(envelope) == {"data", "error", "meta"}
    assert is_id(checked.meta.request_id, REQUEST)
    assert headers["X-Request-Id"] == checked.meta.request_id
    if status < 400:
        assert checked.error is None
        assert checked.model_dump(mode="json", by_alias=True)["data"] == envelope["data"], "a key of the data is missing"
    else:
        assert checked.data is None
        assert checked.error is not None
        assert ERROR_CODE.fullmatch(checked.error.code)
        assert len(checked.error.message) > 10
        assert not JARGON.search(checked.error.message), checked.error.message
    return envelope


def headers_of(shop, method, body, raw, key, changes) -> CIMultiDict[str]:
    """Headers of a good request, then `changes`: a value replaces, a list gives several of the same, None leaves out."""
    headers = CIMultiDict(Authorization=f"Bearer {shop.bearer}")
    if key is NEW and method == "POST":
        headers["Idempotency-Key"] = uuid.uuid4().hex
    elif isinstance(key, str):
        headers["Idempotency-Key"] = key
    if body is not None or raw is not None:
        headers["Content-Type"] = "application/json"
    for name, value in (changes or {}).items():
        headers.pop(name, None)
        for one in value if isinstance(value, list) else [value]:
            if one is not None:
                headers.add(name, one)
    return headers


async def ask(shop, method, path, body=None, *, raw=None, key=NEW, headers=None, gateway=0) -> Answer:
    """One request to the gateway, exactly as given; `raw` is a body of bytes, or several that are sent in chunks."""
    url = URL(f"http://127.0.0.1:{shop.world.gateways[gateway].port}{path}", encoded=True)
    sent = {"json": body} if body is not None else {"data": raw} if raw is not None else {}
    given = headers_of(shop, method, body, raw, key, headers)
    leave_out = {name for name, value in (headers or {}).items() if value is None}
    async with shop.world.http.request(
        method, url, headers=given, skip_auto_headers=leave_out, allow_redirects=False, **sent
    ) as answer:
        text = await answer.text()
        if method == "HEAD" or answer.status == 204:
            assert text == ""
            return Answer(answer.status, answer.headers, {})
        return Answer(
            answer.status, answer.headers, check_envelope(answer.status, answer.headers, text, operation_of(method, path))
        )


def sign(shop, method, path, body=b"", *, key=None, at=None, secret=None, key_id=None) -> dict[str, str]:
    """Headers of a signed request, written down here a second time from the Plugipay sheet, section 3.1."""
    stamp = str(int(time.time()) if at is None else at)
    lines = [method.upper(), path, stamp, hashlib.sha256(body).hexdigest(), *([key] if key else [])]
    mac = hmac.new((secret or shop.signing_secret).encode(), "\n".join(lines).encode(), hashlib.sha256).hexdigest()
    return {
        "Authorization": f"Plugipay-HMAC-SHA256 keyId={key_id or shop.signing_id}, scope=*, signature={mac}",
        "X-Plugipay-Timestamp": stamp,
    }


async def secrets_of(world, connection_id) -> dict[str, Any]:
    """What is sealed of a connection, opened as the gateway does it."""
    gateway = world.gateways[0]
    row = await accounts.find_connection(gateway.pool, connection_id)
    return json.loads(gateway.seal.open(row.secrets_sealed, connection_place(row.account_id, row.id)))


TABLES = ("account", "payout", "request_key", "attempt", "event", "report", "ledger_entry", "ledger_credit", "balance", "card",
          "notice", "api_key", "decision")  # fmt: skip
_EVERYTHING = " union all ".join(
    f"select '{table}' as name, coalesce(string_agg(r::text, chr(10) order by r::text), '') as rows from {table} r"
    for table in TABLES
)


async def everything(pool) -> dict[str, str]:
    """All that is written down for merchants, row by row: equal before and after means that nothing was done."""
    return {record["name"]: record["rows"] for record in await pool.fetch(_EVERYTHING)}


_MOVING = """select (select count(*) from payout where phase = 'queued') + (select count(*) from card where state = 'saving')
    + (select count(*) from notice where state = 'new') + (select count(*) from attempt a where state = 'sending' or
       not exists (select from report r where r.account_id = a.account_id and r.attempt_id = a.id))"""


async def at_rest(pool) -> dict[str, str]:
    """Everything, once the loops have nothing left to do; for worlds where no provider is still at work."""
    async with asyncio.timeout(10):
        while await pool.fetchval(_MOVING):
            await asyncio.sleep(0.01)
    return await everything(pool)
