"""How large a run is, and how long its parts may take. Only numbers."""

from dataclasses import dataclass, field

from tests.prove.nemesis import Temper


@dataclass(frozen=True, slots=True)
class Plan:
    """One run."""

    seed: int
    payouts: int
    policy: str
    bug: str | None = None
    gateways: int = 3
    accounts: int = 4
    per_s: float = 150.0  # creates, at most
    window: int = 400  # and only while so many payouts are open
    faults_at_least_s: float = 45.0
    converge_s: float = 60.0
    quiet_s: float = 4.0  # after all is known: what comes late must have come
    scale: float = 1.0  # of all times of gateways and providers: see `quick`
    temper: Temper = field(default_factory=Temper)

    @property
    def pace_per_s(self) -> float:
        """Spread over the time of faults, or as fast as allowed where that is too short."""
        return min(self.per_s, self.payouts / self.faults_at_least_s)
