"""What arrives broken, and what must not leak when something breaks: unreadable bytes, damaged secrets, refused rows."""

import json

import pytest

from gateway.app import make_gateway
from gateway.sealing import MasterKeyError, Seal, new_master_key
from gateway.settings import Role, Settings
from tests.api.asking import PAYOUTS, ask
from tests.api.test_bad_input import BODY, FRAMES, send
from tests.api.test_secrets_stay_secret import ACCOUNT_NUMBER, PERSONAL, TO_BANK, leaks, log  # noqa: F401 - a fixture
from tests.flows.world import MASTER_KEY, QUICK


async def test_not_in_the_logs_when_the_database_refuses_a_row(log, own_world, monkeypatch):  # noqa: F811 - the fixture
    """PostgreSQL's DETAIL of a violated check quotes the whole row; asyncpg quotes an argument that it cannot encode."""
    gateway = await own_world.start_gateway(roles=frozenset({Role.API}))
    shop = await own_world.merchant()
    await gateway.pool.execute("alter table payout add check (note <> 'refuse')")
    assert (await ask(shop, "POST", PAYOUTS, {**TO_BANK, "note": "refuse"})).status == 500

    async def cannot_encode(pool, *_args):
        await pool.fetch("select $1::bigint", ACCOUNT_NUMBER)

    monkeypatch.setattr("gateway.store.ledger.balances", cannot_encode)
    assert (await ask(shop, "GET", f"{PAYOUTS}/balance")).status == 500
    assert any("DataError" in str(line.get("exception")) for line in log.lines)
    assert leaks(log.getvalue().decode(), PERSONAL) == []


async def test_a_gateway_with_another_master_key_does_not_start(own_world):
    await own_world.start_gateway(roles=frozenset({Role.API}))
    await own_world.merchant()
    wrong = await make_gateway(Settings(port=0), own_world.dsn, new_master_key(), QUICK)
    try:
        with pytest.raises(MasterKeyError):
            await wrong.start()
    finally:
        await wrong.stop()


def test_a_sealed_value_that_is_cut_short():
    for cut in (b"", b"\x01", b"\x01" + b"n" * 5, b"\x02" + Seal(MASTER_KEY).seal(b"x", "p")[1:]):
        with pytest.raises(MasterKeyError):
            Seal(MASTER_KEY).open(cut, "p")


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
async def test_a_body_that_says_it_is_compressed_and_is_not(shop, coding):
    answer = await ask(shop, "POST", PAYOUTS, raw=BODY, headers={"Content-Encoding": coding})
    assert answer.refusal == (415, "unsupported_media_type", "Content-Encoding")


@pytest.mark.parametrize("frame", [f for name, f in FRAMES.items() if name != "an unknown expectation"])
async def test_frames_that_are_not_http_get_the_envelope(shop, frame):
    answer = await send(shop, frame(shop))
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] in {"bad_request", "request_refused"}
