"""Every fault that spoils an answer, before and after the money moved, at every provider: what the client meets, what is paid.

The judge is the sandbox's own ledger, once its clock has run: `before` is no payment, `after` exactly one, whatever the
answer looked like.
"""

import gzip
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from providers.sandbox.steps import KINDS
from tests.sandboxes.desk import MINOR, Desk
from tests.sandboxes.desks import DESKS

WITH_KEYS = [name for name, desk in DESKS.items() if desk.has_keys]
TRIED, WITNESS = "tried00000000000", "witness000000000"
HALF_A_MEGABYTE = 512 * 1024


@pytest.fixture
async def desk(world: Any, request: pytest.FixtureRequest) -> Desk:
    return await DESKS[request.param](world).open()


async def order(desk: Desk, **options: Any) -> Any:
    return await desk.pay(MINOR, key=TRIED, options=options)


# --- what the client meets


async def cut(desk: Desk) -> None:
    with pytest.raises(aiohttp.ClientError):
        await order(desk)


async def silent(desk: Desk) -> None:
    with pytest.raises(TimeoutError):
        await order(desk, timeout_s=0.1)


async def html(desk: Desk) -> None:
    answer = await order(desk)
    assert (answer.status, answer.headers["Content-Type"].split(";")[0]) == (200, "text/html")


async def broken(desk: Desk) -> None:
    answer = await order(desk)
    assert answer.status == 500
    assert told_as_error(answer)


async def bad_gateway(desk: Desk) -> None:
    answer = await order(desk)
    assert (answer.status, answer.headers["Retry-After"]) == (502, "7")
    assert told_as_error(answer)


async def limited(desk: Desk) -> None:
    answer = await order(desk)
    assert (answer.status, answer.headers["Retry-After"]) == (429, "3")
    assert told_as_error(answer)


async def redirected(desk: Desk) -> None:
    assert (await order(desk)).status == 307


async def late(desk: Desk) -> None:
    begin = time.monotonic()
    assert (await order(desk)).status in (200, 201)
    assert time.monotonic() - begin > 0.05


async def dripping(desk: Desk) -> None:
    begin = time.monotonic()
    answer = await order(desk)
    assert answer.json
    assert time.monotonic() - begin > len(answer.raw) / 40 * 0.001


async def bloated(desk: Desk) -> None:
    assert len((await order(desk)).raw) > HALF_A_MEGABYTE


async def bomb(desk: Desk) -> None:
    answer = await order(desk, auto_decompress=False)
    assert len(answer.raw) < 4096
    assert answer.headers["Content-Encoding"] == "gzip"
    assert len(gzip.decompress(answer.raw)) > HALF_A_MEGABYTE


async def misquoted(desk: Desk) -> None:
    answer = await order(desk)
    assert answer.status in (200, 201)
    assert desk.misquoted in answer.raw


async def refused(desk: Desk) -> None:
    answer = await order(desk)
    assert answer.status == 422
    assert desk.refusal[1] in answer.raw


def told_as_error(answer: Any) -> bool:
    """Whether it is an error in one of the providers' own shapes."""
    return bool({"code", "status", "error_code"} & set(answer.json))


@dataclass(frozen=True)
class Trouble:
    kind: str
    meets: Callable[[Desk], Awaitable[None]]
    params: dict[str, Any] = field(default_factory=dict)
    harmless: bool = False  # the request is handled all the same


TROUBLES = {
    "refuse": Trouble("refuse", refused),
    "drop": Trouble("drop", cut),
    "hang": Trouble("hang", silent),
    "half a body": Trouble("half_body", cut),
    "wrong content type": Trouble("wrong_content_type", html),
    "500": Trouble("status", broken),
    "502": Trouble("status", bad_gateway, {"status": 502, "headers": {"Retry-After": "7"}}),
    "429": Trouble("rate_limited", limited, {"s": 3}),
    "slow": Trouble("slow", late, {"ms": 60}, harmless=True),
    "drip": Trouble("drip", dripping, {"ms": 1, "bytes": 40}),
    "redirect": Trouble("redirect", redirected),
    "oversized": Trouble("oversized", bloated, {"mb": 0.6}),
    "gzip bomb": Trouble("gzip_bomb", bomb, {"mb": 0.6}),
    "wrong echo": Trouble("wrong_echo", misquoted, {"field": "amount"}),
}
CASES = [
    (name, trouble, when)
    for name in DESKS
    for trouble in TROUBLES
    for when in ("before", "after")
    if when == "after" or not KINDS[TROUBLES[trouble].kind].fixed
]


def test_the_table_holds_every_kind_that_spoils_an_answer() -> None:
    assert {trouble.kind for trouble in TROUBLES.values()} == {name for name, kind in KINDS.items() if "answer" in kind.touches}


async def paid(desk: Desk) -> list[str]:
    return [line["ourRef"] for line in await desk.world.money(desk.name) if line["kind"] == "sent"]


async def until_paid(desk: Desk, *orders: str) -> None:
    """Exactly these, each as often as it is named."""

    async def reached() -> bool:
        return sorted(await paid(desk)) == sorted(orders)

    await desk.world.until(reached)


@pytest.mark.parametrize(("desk", "name", "when"), CASES, indirect=["desk"])
async def test_the_money_depends_on_when_and_not_on_the_answer(desk: Desk, name: str, when: str) -> None:
    trouble = TROUBLES[name]
    params = desk.refusal[0] if trouble.kind == "refuse" else trouble.params
    await desk.fault("create_payout", trouble.kind, when=when, times=1, params=params)
    await trouble.meets(desk)

    # A payout that is ordered later is paid later: once it is, the first one would have been paid too.
    assert (await desk.pay(MINOR, key=WITNESS)).status in (200, 201)
    happened = [TRIED] if when == "after" or trouble.harmless else []
    await until_paid(desk, WITNESS, *happened)

    # Sent again as it was: without keys it is another payout.
    assert (await order(desk)).status in (200, 201)
    await until_paid(desk, WITNESS, TRIED, *([] if desk.has_keys else happened))

    (fault,) = (await desk.control("GET", "faults"))["faults"]
    assert fault["hits"] == 1
    log = await desk.control("GET", "requests")
    assert log["operations"]["create_payout"] == 3
    first, *others = [entry for entry in log["requests"] if entry["operation"] == "create_payout"]
    assert (first["fault"], first["method"], first["path"]) == (trouble.kind, "POST", f"/{desk.name}{desk.create_path}")
    assert (first["status"] is None) == (trouble.kind in ("drop", "hang"))
    assert [entry["fault"] for entry in others] == [None, None]


# --- the other ways to order one


@pytest.mark.parametrize("desk", DESKS, indirect=True)
async def test_for_one_request_by_its_header(desk: Desk) -> None:
    for key, step in (("after00000000000", "drop after"), ("before0000000000", "drop")):
        with pytest.raises(aiohttp.ClientError):
            await desk.pay(MINOR, key=key, headers={"X-Sandbox-Fault": step})
    assert (await desk.pay(MINOR, key=WITNESS)).status in (200, 201)
    await until_paid(desk, "after00000000000", WITNESS)


@pytest.mark.parametrize("desk", DESKS, indirect=True)
async def test_by_script(desk: Desk) -> None:
    steps = ["drop after", "status 503", "ok", "slow 5, status 502 after"]
    await desk.control("POST", "scripts", {"operation": "create_payout", "steps": steps})
    met: list[int | None] = []
    for n in range(5):
        try:
            met.append((await desk.pay(MINOR, key=f"script{n:010d}")).status)
        except aiohttp.ClientError:
            met.append(None)
    fine = met[4]
    assert met == [None, 503, fine, 502, fine]
    assert fine in (200, 201)
    await until_paid(desk, *(f"script{n:010d}" for n in (0, 2, 3, 4)))


@pytest.mark.parametrize("desk", DESKS, indirect=True)
async def test_by_probability(desk: Desk) -> None:
    await desk.fault("create_payout", "status", params={"status": 503}, probability=0.5)
    met = {f"chance{n:010d}": (await desk.pay(MINOR, key=f"chance{n:010d}")).status for n in range(16)}
    assert len(set(met.values())) == 2
    await until_paid(desk, *(key for key, status in met.items() if status != 503))


# --- what the provider does not remember


@pytest.mark.parametrize("desk", DESKS, indirect=True)
async def test_reads_lie_for_a_while_and_the_money_moves_meanwhile(desk: Desk) -> None:
    await desk.fault(desk.read_operation, "not_found_for", params={"ms": 400})
    payout = desk.id_of(await desk.pay(MINOR, key=TRIED))
    assert await desk.status(payout) is None
    await until_paid(desk, TRIED)
    assert await desk.status(payout) is None
    await desk.until_status(payout, desk.paid)


@pytest.mark.parametrize("desk", WITH_KEYS, indirect=True)
async def test_a_key_is_forgotten_early(desk: Desk) -> None:
    await desk.fault("create_payout", "forget_key", params={"ms": 60_000}, times=1)
    first = await order(desk)
    await until_paid(desk, TRIED)
    assert desk.id_of(await order(desk)) == desk.id_of(first)  # too young to be forgotten
    await until_paid(desk, TRIED)
    await desk.control("DELETE", "faults")
    await desk.fault("create_payout", "forget_key", times=1)
    again = await order(desk)
    if not desk.forgotten_key_pays:
        assert 400 <= again.status < 500
        return
    assert desk.id_of(again) != desk.id_of(first)
    await until_paid(desk, TRIED, TRIED)
