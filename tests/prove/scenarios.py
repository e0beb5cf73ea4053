"""For each planted bug what it takes to see it, as a scene that is green without it. Nothing here knows of any bug's code.

Each scenario leaves the scene settled, or as it was when the process died; then the checker is asked.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

from gateway import apply
from schemas.contract import KeyFormat
from schemas.report import Progress
from tests.model.truth import Answer
from tests.prove.checker import Wrong
from tests.prove.scene import Scene

Copy = Callable[[], Awaitable[str]]  # a copy of the scene's database as it is now


@dataclass(frozen=True, slots=True)
class Scenario:
    """What happens, and what the checker must say when the bug is there."""

    play: Callable[[Scene, Copy], Awaitable[None]]
    shows: Wrong
    through: tuple[str, ...] = ("keyed", "keyless")
    contract: dict[str, Any] = field(default_factory=dict)


async def _dies_after_sending(scene: Scene, _copy: Copy) -> None:
    """The provider has taken it, and the process is gone before it hears so. The next one sees what is on disk."""
    scene.truth.script["keyless"] = [Answer.DIE_AFTER]
    await scene.pay()
    await scene.dispatch()
    await scene.die()
    await scene.dispatch()
    await scene.settle()


async def _lands_late(scene: Scene, _copy: Copy) -> None:
    """The answer is lost at once, the order arrives a minute later; meanwhile it is sent again."""
    scene.truth.script["keyed"] = [Answer.LAND_LATE]
    await scene.pay()
    await scene.dispatch()
    await scene.time_passes(6.0)
    await scene.reconcile()
    await scene.settle()


async def _answer_lost(scene: Scene, _copy: Copy) -> None:
    """The provider has taken it, and nobody hears so."""
    scene.truth.script["keyed"] = [Answer.LOSE_AFTER]
    await scene.pay()
    await scene.dispatch()
    await scene.settle()


async def _sleeps_between_claim_and_send(scene: Scene, _copy: Copy) -> None:
    """A process stands still with a claim in its hands, until the payout has gone out elsewhere; then it goes on."""
    await scene.pay()
    await scene.claim()
    held, scene.held = scene.held, []
    scene.truth.script["keyed"] = [Answer.LOSE_BEFORE] * 8
    for _ in range(4):
        await scene.time_passes(200.0)
        held = [_later(one, 200.0) for one in held]
        await scene.reconcile()
        await scene.dispatch()
    scene.held, scene.truth.script["keyed"] = held, []
    await scene.send()
    await scene.settle()


def _later(held: Any, seconds: float) -> Any:
    return replace(held, send_before=held.send_before - seconds)


async def _news_between_deciding_and_writing(scene: Scene, _copy: Copy) -> None:
    """While one process believes "not found" and is about to write so, another hears that the provider has it."""
    scene.truth.script["keyed"] = [Answer.LAND_LATE]
    await scene.pay()
    await scene.dispatch()
    effect = scene.truth.effects[0]
    effect.lands_at = 10_000.0  # reads will not see it for hours
    await scene.time_passes(400.0)  # the last send was long ago, and the key is not used again
    written = apply.record_changes

    async def after_the_news(*given: Any) -> set[str]:
        apply.record_changes = written
        await scene.tell(effect, progress=Progress.PENDING)
        return await written(*given)

    apply.record_changes = after_the_news
    await scene.reconcile()
    effect.lands_at = 0.0
    await scene.settle()


async def _cancelled_while_sending(scene: Scene, _copy: Copy) -> None:
    """The merchant wants it back while the order is on its way."""
    payout_id = await scene.pay()
    await scene.claim()
    await scene.post(f"/{payout_id}/cancel", {})
    await scene.send()
    await scene.settle()


async def _many_want_the_same_money(scene: Scene, _copy: Copy) -> None:
    """Two crowds ask at the same moment for all that there is."""
    await scene.together(80, at_least=100_000)
    await scene.settle()


async def _dies_after_a_change(scene: Scene, _copy: Copy) -> None:
    """A change is on disk, and the process is gone in the next moment."""
    await scene.pay()
    await scene.dispatch()
    await scene.die()
    await scene.settle()


async def _told_twice(scene: Scene, _copy: Copy) -> None:
    """The same notice comes three times, while other money is under way."""
    await scene.pay()
    await scene.dispatch()
    await scene.pay()
    await scene.pay()
    await scene.tell(scene.truth.effects[0], times=3, progress=Progress.PAID)
    await scene.settle()


async def _told_another_amount(scene: Scene, _copy: Copy) -> None:
    """A notice is proven and says paid, and the amount is not what was asked for: that much has left."""
    await scene.pay()
    await scene.dispatch()
    effect = scene.truth.effects[0]
    effect.amount_minor, effect.progress = 999, Progress.PAID
    await scene.tell(effect)


async def _accepted(scene: Scene, _copy: Copy) -> None:
    """Nothing goes wrong."""
    await scene.pay()
    await scene.dispatch()
    await scene.settle()


async def _restored(scene: Scene, copy: Copy) -> None:
    """The database is lost after a payout was sent; its backup was made before."""
    await scene.pay()
    await scene.dispatch()  # what came before the backup is known to both
    await scene.pay()
    await scene.leave()
    dsn = await copy()
    await scene.come_back()
    await scene.dispatch()
    await scene.leave()
    await scene.come_back(dsn)
    await scene.dispatch()
    await scene.settle()


SCENARIOS: dict[str, Scenario] = {
    "B1": Scenario(_dies_after_sending, Wrong.PAID_TWICE, through=("keyless",)),
    "B2": Scenario(_lands_late, Wrong.PAID_TWICE),
    "B5": Scenario(_answer_lost, Wrong.PAID_TWICE),
    "B8": Scenario(_sleeps_between_claim_and_send, Wrong.PAID_TWICE),
    "B9": Scenario(_news_between_deciding_and_writing, Wrong.PAID_TWICE),
    "B10": Scenario(_cancelled_while_sending, Wrong.FAILED_BUT_PAID),
    "B11": Scenario(_many_want_the_same_money, Wrong.BOOKS),
    "B12": Scenario(_dies_after_a_change, Wrong.BOOKS),
    "B14": Scenario(_told_twice, Wrong.BOOKS),
    "B15": Scenario(_told_another_amount, Wrong.PAID_BUT_NOT),
    "B20": Scenario(_accepted, Wrong.UNKNOWN_KEY, contract={"key_format": KeyFormat.UUID4}),
    "B25": Scenario(_restored, Wrong.PAID_TWICE, through=("keyless",)),
}
