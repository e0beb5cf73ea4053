"""The tests of this folder have seen red: with a planted bug the same kills and pauses pay twice, and the judge says so."""

import pytest

from tests.kill.judge import judge
from tests.kill.test_pause import go_on_elsewhere, paused, wake


async def test_b1_an_attempt_stored_after_sending(stage):
    """A provider that knows no keys is paid again by whoever finds the payout in the queue."""
    process = await stage.start("after_send:kill:1", bug="B1")
    for _ in range(3):
        stage.go(stage.pay_card())
    await stage.until(lambda: not process.is_alive, "after_send was never reached")
    await stage.start()
    await stage.settled()
    with pytest.raises(AssertionError, match="money left 2 times"):
        await judge(stage)


async def test_b8_no_lease_check(stage):
    """Whoever wakes up late sends what went on elsewhere long ago."""
    zombie = await paused(stage, "before_send", bug="B8")
    await go_on_elsewhere(stage)
    await wake(stage, [zombie])
    with pytest.raises(AssertionError, match="money left 2 times"):
        await judge(stage)
