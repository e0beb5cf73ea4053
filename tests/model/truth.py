"""What really happens at two made-up providers: an exact record of money, against which the gateway is judged.

One honours keys and can be asked for them; the other knows no key and can only be asked by its own id. Both keep what their
contracts promise and nothing more. They share nothing with the gateway but the interface of connectors.
"""

import asyncio
from dataclasses import dataclass, replace
from enum import StrEnum

from providers.base import Provider, ProviderModel
from providers.registry import PROVIDERS
from schemas.checks import DestinationCheck, Verdict
from schemas.contract import CancelRule, KeyFormat, Proof
from schemas.failure import FailureCode
from schemas.report import NotFound, NotSent, Progress, RefusalCause, Refused, Taken, Unclear

VISIBILITY_S = 60.0
REPLAY_S = 300.0
_MANUAL = PROVIDERS["manual"].contract
KEYED = replace(
    _MANUAL, provider="keyed", title="Keyed", operator_marks=False, key_format=KeyFormat.HEX32, proof=Proof.SIGNATURE,
    find_by_key=True, visibility_s=VISIBILITY_S, replay_window_s=REPLAY_S, cancel=CancelRule.WHILE_PENDING,
    return_window_s=100_000.0, review_after_s=2_000.0, poll_after_s=(5.0, 30.0, 120.0, 600.0), submit_timeout_s=5.0,
    rate_per_s=None, reads_balance=False,
)  # fmt: skip
KEYLESS = replace(
    KEYED, provider="keyless", title="Keyless", find_by_key=False, visibility_s=0.0, replay_window_s=0.0,
    cancel=CancelRule.NEVER,
)  # fmt: skip


class Answer(StrEnum):
    """What a provider does with the next send."""

    ACCEPT = "accept"
    NOT_SENT = "not_sent"
    REFUSE = "refuse"
    REFUSE_RECIPIENT = "refuse_recipient"
    LOSE_BEFORE = "lose_before"  # the request is gone, and so is its answer
    LOSE_AFTER = "lose_after"  # accepted, and the answer is gone
    LAND_LATE = "land_late"  # the answer is gone at once; the request arrives later, within the visibility time
    DIE_BEFORE = "die_before"  # the gateway dies before a byte has left
    DIE_AFTER = "die_after"  # it dies after the provider has accepted


@dataclass
class Effect:
    """One payout at a provider. It is live while its money is out or may still go out."""

    provider: str
    ref: str
    key: str
    amount_minor: int
    currency: str
    progress: Progress = Progress.PENDING
    lands_at: float = 0.0

    @property
    def live(self) -> bool:
        return self.progress in (Progress.PENDING, Progress.IN_TRANSIT, Progress.PAID)


class Truth:
    """Both providers, their clock, and what they will do next."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.effects: list[Effect] = []
        self.script: dict[str, list[Answer]] = {"keyed": [], "keyless": []}
        self.sends = 0

    def live_by_key(self) -> dict[str, list[Effect]]:
        grouped: dict[str, list[Effect]] = {}
        for effect in self.effects:
            if effect.live:
                grouped.setdefault(effect.key, []).append(effect)
        return grouped

    def landed(self, provider: str) -> list[Effect]:
        return [e for e in self.effects if e.provider == provider and e.lands_at <= self.now_s]

    def taken(self, effect: Effect) -> Taken:
        code = {Progress.FAILED: FailureCode.INSUFFICIENT_PROVIDER_FUNDS, Progress.RETURNED: FailureCode.RETURNED}
        return Taken(
            effect.progress, provider_ref=effect.ref, amount_minor=effect.amount_minor, currency=effect.currency,
            failure_code=code.get(effect.progress),
        )  # fmt: skip

    def accept(self, provider: str, order, *, late_s: float = 0.0) -> Effect:
        if provider == "keyed":
            for effect in self.effects:
                if effect.provider == provider and effect.key == order.key:
                    return effect
        effect = Effect(
            provider, f"{provider}{len(self.effects)}", order.key, order.amount_minor, order.currency,
            lands_at=self.now_s + late_s,
        )  # fmt: skip
        self.effects.append(effect)
        return effect


class TruthfulConnector:
    """A connector straight to the truth: what it answers is decided by the script."""

    def __init__(self, truth: Truth, provider: str) -> None:
        self._truth = truth
        self._provider = provider

    async def submit(self, submission_key, orders):
        del submission_key
        return [self._send(order) for order in orders]

    def _send(self, order):
        truth = self._truth
        truth.sends += 1
        script = truth.script[self._provider]
        answer = script.pop(0) if script else Answer.ACCEPT
        match answer:
            case Answer.NOT_SENT:
                return NotSent("refused")
            case Answer.REFUSE:
                return Refused(FailureCode.INSUFFICIENT_PROVIDER_FUNDS, RefusalCause.PAYOUT)
            case Answer.REFUSE_RECIPIENT:
                return Refused(FailureCode.INVALID_DESTINATION, RefusalCause.RECIPIENT)
            case Answer.LOSE_BEFORE:
                return Unclear("lost")
            case Answer.LOSE_AFTER:
                truth.accept(self._provider, order)
                return Unclear("lost")
            case Answer.LAND_LATE:
                truth.accept(self._provider, order, late_s=VISIBILITY_S - 1)
                return Unclear("lost")
            case Answer.DIE_BEFORE:
                raise asyncio.CancelledError
            case Answer.DIE_AFTER:
                truth.accept(self._provider, order)
                raise asyncio.CancelledError
            case Answer.ACCEPT:
                return truth.taken(truth.accept(self._provider, order))

    async def find(self, lookups):
        return [self._find(lookup) for lookup in lookups]

    def _find(self, lookup):
        for effect in self._truth.landed(self._provider):
            known = effect.ref == lookup.provider_ref
            if known or (self._provider == "keyed" and effect.key == lookup.key):
                return self._truth.taken(effect)
        if self._provider == "keyed":
            return NotFound("no such key")
        return Unclear("cannot be asked without an id")

    async def cancel(self, lookup):
        for effect in self._truth.landed(self._provider):
            if effect.ref == lookup.provider_ref and effect.progress is Progress.PENDING:
                effect.progress = Progress.CANCELLED
        return Unclear("the answer of a cancel is never believed")

    def verify_notice(self, headers, body):
        return False

    def read_notice(self, body):
        return []

    async def save_card(self, card_id, card_fields):
        return NotSent("no cards")

    async def check_destination(self, destination, begun=None):
        return DestinationCheck(Verdict.NOT_OFFERED, reason="no checks")

    async def balance(self):
        return Unclear("not offered")

    async def channels(self):
        return Unclear("not offered")

    async def listed(self, since, until):
        return Unclear("not offered")


class Nothing(ProviderModel):
    """No settings and no secrets."""


def providers_of(truth: Truth) -> dict[str, Provider]:
    """The registry of a gateway that pays through these two."""
    return {
        contract.provider: Provider(
            contract, Nothing, Nothing, lambda _settings, _secrets, _transport, p=contract.provider: TruthfulConnector(truth, p)
        )
        for contract in (KEYED, KEYLESS)
    }
