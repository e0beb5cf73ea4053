"""The named scenarios: what a merchant's developer can have happen to a payout, under the same name at every provider.

A scenario is a course (what becomes of the payout; each provider says in its own table how) and steps of misbehaviour
around it. It is chosen by the payout's amount, by a header, or beforehand by the control surface. Only describes and
chooses; never moves a payout.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from providers.sandbox.faults import Match
from providers.sandbox.steps import Step, steps_of

MARK = 77700  # a payout of 777.NN, or of 777NN where the smallest unit is a whole one, asks for scenario NN

# The courses. PAID is also what happens without any scenario, unless the payout's own data say otherwise.
PAID, RETURNED, STUCK, REJECTED, FAILED = "paid", "paid_then_returned", "stuck", "rejected_by_bank", "failed"
NO_FUNDS, LIMIT, CANCELLED = "no_funds", "recipient_limit", "cancelled"
HELD, SANCTIONED, FAILED_BUT_SENT = "compliance_hold", "compliance_rejected", "failed_but_paid"


@dataclass(frozen=True, slots=True)
class Scenario:
    number: int
    name: str
    tells: str
    course: str = PAID
    words: str = ""  # the steps around it, as `steps_of` reads them
    pace: float = 1.0  # everything the provider does takes so many times as long
    once: bool = False  # only the first try of an order; the same order sent again goes through
    needs_key: bool = False  # only where the provider knows idempotency keys

    @property
    def steps(self) -> list[Step]:
        return steps_of(self.words)


SCENARIOS = (
    Scenario(1, "paid", "It is paid."),
    Scenario(2, "paid_then_returned", "It is paid, and some time later the money comes back.", RETURNED),
    Scenario(3, "stuck", "It is accepted and never becomes final; where the provider can cancel, it can be cancelled.", STUCK),
    Scenario(4, "rejected_by_bank", "The recipient's bank refuses it for good, and no money moves.", REJECTED),
    Scenario(5, "failed", "It fails for a technical reason, and no money moves.", FAILED),
    Scenario(6, "no_funds", "The balance at the provider is too low, whatever it says.", NO_FUNDS),
    Scenario(7, "recipient_limit", "The recipient has reached a limit at the bank, and no money moves.", LIMIT),
    Scenario(8, "cancelled", "Somebody cancels it at the provider's dashboard before it is sent.", CANCELLED),
    Scenario(9, "compliance_hold", "It is held for a review that does not end by itself.", HELD),
    Scenario(10, "compliance_rejected", "It is held for a review and then refused.", SANCTIONED),
    Scenario(11, "failed_but_paid", "It is reported as failed although the money was sent.", FAILED_BUT_SENT),
    Scenario(12, "slow", "It is paid, and every step takes ten times as long.", pace=10),
    Scenario(20, "refused", "The create is refused at once, and no payout exists.", words="refuse"),
    Scenario(21, "answer_lost_but_paid", "The create ends in a cut connection, and the payout is paid.", words="drop after"),
    Scenario(
        22,
        "answer_lost_and_not_paid",
        "The connection is cut before anything has happened; the same order sent again is paid.",
        words="drop before",
        once=True,
    ),
    Scenario(23, "answer_slow", "The create is answered after three seconds.", words="slow 3000 after"),
    Scenario(24, "answer_half_but_paid", "Only half of the answer arrives, and the payout is paid.", words="half_body after"),
    Scenario(25, "error_but_paid", "The create is answered by a 500, and the payout is paid.", words="status 500 after"),
    Scenario(
        26,
        "rate_limited",
        "The create is answered by a 429 before anything has happened; the same order sent again is paid.",
        words="rate_limited 1 before",
        once=True,
    ),
    Scenario(27, "wrong_amount_told", "The create answers another amount than is paid.", words="wrong_echo amount"),
    Scenario(28, "not_found_at_first", "For ten seconds no read knows the payout; it is paid.", words="not_found_for 10000"),
    Scenario(
        29,
        "key_forgotten",
        "The provider forgets the idempotency key at once: the same order sent again is another order.",
        words="forget_key 0",
        needs_key=True,
    ),
    Scenario(40, "webhook_lost", "It is paid, and no webhook ever says so.", words="never"),
    Scenario(41, "webhook_twice", "Every webhook is sent twice.", words="twice"),
    Scenario(42, "webhook_late", "Every webhook is sent ten seconds late.", words="late 10000"),
    Scenario(
        43,
        "webhook_out_of_order",
        "It is paid and comes back, and each webhook but the last arrives after its successor.",
        RETURNED,
        words="out_of_order",
    ),
    Scenario(44, "webhook_first", "It ends, and its webhooks arrive, before the create is answered.", words="before_answer"),
    Scenario(45, "webhook_forged", "Before each webhook comes a copy with a wrong proof.", words="forged extra=true"),
    Scenario(
        46, "webhook_unknown_status", "Webhooks carry a status that does not exist; reads are true.", words="invented_status"
    ),
)

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
_BY_NUMBER = {scenario.number: scenario for scenario in SCENARIOS}


def named(text: str) -> Scenario:
    """By its name; people also write `paid then returned`. Raises ValueError."""
    scenario = BY_NAME.get(text.strip().lower().replace(" ", "_").replace("-", "_"))
    if scenario is None:
        raise ValueError(f"there is no scenario {text}; there are {', '.join(BY_NAME)}")
    return scenario


def by_amount(minor: int) -> Scenario | None:
    """The scenario that an amount asks for, in the smallest unit that this provider's wire knows."""
    return _BY_NUMBER.get(minor - MARK)


class Choice(BaseModel):
    """What the control surface asks for: this scenario for the next payouts."""

    model_config = ConfigDict(extra="forbid")
    name: str
    times: Annotated[int, Field(ge=1)] | None = 1  # requests; null = until it is taken back
    match: Match = Match()
    hits: int = 0

    @field_validator("name")
    @classmethod
    def _exists(cls, name: str) -> str:
        return named(name).name


class Choices:
    """The choices in force, oldest first."""

    def __init__(self) -> None:
        self._waiting: list[Choice] = []

    def add(self, choice: Choice) -> None:
        choice.hits = 0
        self._waiting.append(choice)

    def clear(self) -> None:
        self._waiting.clear()

    @property
    def any(self) -> bool:
        return bool(self._waiting)

    def take(self, text: str) -> Scenario | None:
        for choice in self._waiting:
            if choice.match.fits(text):
                choice.hits += 1
                if choice.times is not None and choice.hits >= choice.times:
                    self._waiting.remove(choice)
                return BY_NAME[choice.name]
        return None

    def show(self) -> list[dict[str, Any]]:
        return [choice.model_dump(mode="json") for choice in self._waiting]


def distinct(chosen: Iterable[Scenario | None]) -> list[Scenario]:
    """Each scenario once, in the order of the rows."""
    return list({scenario.name: scenario for scenario in chosen if scenario is not None}.values())
