"""Pivot's balances, their history, withdrawals and limits (`pivot.md` sections 3, 5 and 13), and its double spellings."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.sandboxes.desks import PivotDesk


@pytest.fixture
async def pivot(world: Any) -> PivotDesk:
    desk = PivotDesk(world)
    await desk.open()
    return desk


async def _move(pivot: PivotDesk, request_id: str = "", **body: Any) -> Any:
    wanted = {
        "referenceId": "w1",
        "withdrawType": "BALANCE_TRANSFER",
        "balanceType": "PAYOUT_BALANCE",
        "isFullAmount": False,
        "amount": {"value": "60000", "currency": "IDR"},
        **body,
    }
    headers = {"X-REQUEST-ID": request_id or uuid.uuid4().hex}
    return await pivot.call("POST", "/v1/withdrawals", json=wanted, headers=headers)


async def _wallet(pivot: PivotDesk, use: str) -> str:
    answer = await pivot.call("GET", f"/v1/balances?usecase={use}")
    return str(answer.json["data"]["availableBalance"]["value"])


async def test_money_moves_between_wallets_once_for_each_request_id(pivot: PivotDesk) -> None:
    (merchant,) = (await pivot.control("GET", "merchants"))["merchants"]
    await pivot.control("POST", "merchants", {"merchantId": merchant["merchant"], "balance": 0, "paymentBalance": 100_000})
    first = await _move(pivot, "a" * 20)
    assert first.json["code"] == "00"
    assert (await _move(pivot, "a" * 20)).json["data"]["uuid"] == first.json["data"]["uuid"]
    assert (await _wallet(pivot, "DISBURSEMENT"), await _wallet(pivot, "PAYMENT")) == ("60000.00", "40000.00")
    assert (await _move(pivot, "a" * 20, referenceId="w2")).status == 409
    assert (await _move(pivot)).json["code"] == "balance_insufficient"
    assert (await _move(pivot, withdrawType="GIFT")).json["code"] == "field_format_invalid"
    # One scope for all endpoints: a payout with this id is the same request with another payload.
    assert (await pivot.pay(headers={"X-REQUEST-ID": "a" * 20})).json["code"] == "resource_already_exists"
    assert (await pivot.pay(headers={"X-REQUEST-ID": "b" * 20})).status == 200
    assert (await _move(pivot, "b" * 20)).status == 409
    assert (await _move(pivot, isFullAmount=True)).json["data"]["amount"]["value"] == "40000"
    assert await _wallet(pivot, "PAYMENT") == "0.00"
    assert await _wallet(pivot, "WALLET") == "0.00"
    assert (await pivot.call("GET", "/v1/balances?usecase=HOLIDAY")).status == 400


async def test_history(pivot: PivotDesk) -> None:
    await pivot.settings(payoutFee=4000)
    await pivot.pay(20_000, key="a1b2c3d4e5f6a7b8")
    rows = [
        {
            "referenceId": name,
            "channelCode": "BCA",
            "channelInformation": {"accountNumber": "1", "accountName": "x"},
            "amount": {"value": "10000", "currency": "IDR"},
        }
        for name in ("x", "y")
    ]
    bulk = await pivot.call("POST", "/v1/payouts", json={"payouts": rows}, headers={"X-REQUEST-ID": "c" * 20})

    async def history(start: datetime, days: int, more: str = "") -> Any:
        span = f"startDate={start:%Y-%m-%d}&endDate={start + timedelta(days=days):%Y-%m-%d}"
        return await pivot.call("GET", f"/v1/balance-histories?{span}{more}")

    today = datetime.now(UTC)
    found = (await history(today - timedelta(days=1), 3)).json
    assert {(r["transactionType"], r["amount"]["value"], r["fee"]["value"]) for r in found["data"]} == {
        ("BULK_DISBURSEMENT", -20_000, -8000),
        ("DISBURSEMENT", -20_000, -4000),
    }
    assert found["pagination"]["totalItems"] == 2
    one = (await history(today - timedelta(days=1), 3, f"&transactionId={bulk.json['data']['uuid']}")).json["data"]
    assert [row["transactionType"] for row in one] == ["BULK_DISBURSEMENT"]
    for start, days in ((today, 40), (today - timedelta(days=200), 10), (today, -3)):
        assert (await history(start, days)).json["code"] == "field_format_invalid"
    assert (await pivot.call("GET", "/v1/balance-histories?startDate=x&endDate=y")).status == 400


async def test_limits_that_are_switched_on(pivot: PivotDesk) -> None:
    await pivot.settings(maxAmount=50_000, dailyLimit=70_000)
    above = await pivot.pay(50_001)
    assert (above.status, above.json["code"]) == (400, "amount_above_limit")
    assert (await pivot.pay(50_000)).status == 200
    too_much = await pivot.pay(20_001)
    assert (too_much.status, too_much.json["code"]) == (422, "daily_payout_limit_exceeded")
    assert too_much.json["error"]["details"][0]["message"] == "Remaining amount today: Rp 20000"
    assert too_much.json["error"]["trace_id"]
    assert (await pivot.pay(20_000)).status == 200


async def test_double_spellings(pivot: PivotDesk, world: Any) -> None:
    await pivot.settings(spacedStatus=True, oldTotals=True, resultsKey="payoutsResults", callbackReason="empty")
    refused = await pivot.pay(description="with some spaces and length")
    assert refused.json["code"] == "field_format_invalid"
    await pivot.settings(looseDescriptions=True)
    made = await pivot.pay(description="with some spaces and length")
    assert made.json["data"]["status"] == "IN PROGRESS"
    (hook,) = await world.hooks(1)
    assert hook.json["data"]["payouts"]["reason"] == ""
    read = (await pivot.call("GET", f"/v1/payouts/{made.json['data']['uuid']}")).json["data"]
    assert set(read["payoutsResults"]) == {
        f"total{name}{unit}" for name in ("Failed", "Pending", "Success") for unit in ("Amount", "Count")
    }
