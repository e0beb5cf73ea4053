"""Rate limits that are switched on: who is counted with whom, what a 429 says, and that nothing moves meanwhile."""

import time
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from tests.sandboxes.desk import Desk
from tests.sandboxes.desks import DESKS


@pytest.fixture
async def desk(world: Any, request: pytest.FixtureRequest) -> Desk:
    return await DESKS[request.param](world).open()


async def _lines(desk: Desk) -> int:
    return len(await desk.kinds())


@pytest.mark.parametrize("desk", DESKS, indirect=True)
async def test_a_limit_holds_for_a_window_and_an_operation(desk: Desk) -> None:
    await desk.settings(rateLimit=2, rateWindowMs=400, retryAfter="seconds")
    statuses = [(await desk.pay()).status for _ in range(3)]
    assert statuses[2] == 429
    assert 429 not in statuses[:2]
    assert (await desk.read("somebody")).status == 404  # another operation

    async def let_in() -> bool:
        return (await desk.pay()).status != 429

    await desk.world.until(let_in)

    async def paid() -> bool:
        return await _lines(desk) == 3

    await desk.world.until(paid)


@pytest.mark.parametrize("desk", DESKS, indirect=True)
@pytest.mark.parametrize("form", ["seconds", "date", "none"])
async def test_the_forms_of_retry_after(desk: Desk, form: str) -> None:
    await desk.settings(rateLimit=0, rateWindowMs=30_000, retryAfter=form)
    answer = await desk.pay()
    assert answer.status == 429
    assert answer.json
    told = answer.headers.get("Retry-After")
    if form == "none":
        assert told is None
    elif form == "seconds":
        assert told == "30"
    else:
        assert 20 < parsedate_to_datetime(told).timestamp() - time.time() < 40
    await desk.settings(rateLimit=None)
    assert (await desk.pay()).status in (200, 201)


@pytest.mark.parametrize("desk", ["xendit"], indirect=True)
async def test_xendits_own_limits_and_headers(desk: Desk) -> None:
    assert "Rate-Limit-Limit" not in (await desk.pay()).headers
    await desk.settings(documentedRates=True, rateWindowMs=60_000)
    answer = await desk.pay()
    assert (answer.headers["Rate-Limit-Limit"], answer.headers["Rate-Limit-Remaining"]) == ("60", "59")
    assert 0 < float(answer.headers["Rate-Limit-Reset"]) <= 60
    for _ in range(60):
        answer = await desk.call("GET", "/balance")
    assert answer.status == 200  # an operation of its own
    limited = await desk.call("GET", "/balance")
    assert (limited.status, limited.json["error_code"]) == (429, "RATE_LIMIT_EXCEEDED")
    assert limited.headers["Rate-Limit-Remaining"] == "0"
    assert "Retry-After" not in limited.headers


@pytest.mark.parametrize("desk", ["pivot"], indirect=True)
async def test_pivot_counts_by_merchant_and_not_by_token(desk: Desk) -> None:
    await desk.settings(rateLimit=1, rateWindowMs=30_000)
    assert (await desk.pay()).status == 200
    (merchant,) = (await desk.control("GET", "merchants"))["merchants"]
    secret = (await desk.control("POST", "merchants", {"merchantId": merchant["merchant"]}))["merchantSecret"]
    ids = {"X-MERCHANT-ID": merchant["merchant"], "X-MERCHANT-SECRET": secret}
    token = await desk.world.call("POST", "/pivot/v1/access-token", json={"grantType": "client_credentials"}, headers=ids)
    desk.headers = {"Authorization": f"Bearer {token.json['data']['accessToken']}"}
    assert (await desk.pay()).status == 429
