"""F3: an error, or the end of its task, at every named point: done or not done, never half, and what is left goes on."""

import signal

import pytest

from gateway.points import POINTS
from tests.kill.judge import judge
from tests.kill.sweep import FULL


async def test_f3_an_error_at_every_point(stage):
    """The process goes on, and needs nobody."""
    await stage.start(",".join(f"{name}:raise:1" for name in POINTS))
    for _ in range(4):
        await stage.load()
    await stage.settled()
    await judge(stage)


# A task is only ever cancelled when its process ends, so a loop that is cancelled need not go on.
@pytest.mark.parametrize(
    "names", [[name] for name in POINTS] if FULL else [list(POINTS)], ids=lambda names: names[0] if FULL else "all"
)
async def test_f3_its_task_ends_at_a_point(stage, names):
    """Whatever the task had begun is undone or done, and another process takes over."""
    process = await stage.start(",".join(f"{name}:cancel:1" for name in names))
    await stage.load()
    await stage.start()
    await stage.load()
    process.signal(signal.SIGTERM)
    await stage.settled()
    await judge(stage)
