"""Circuit breaker: when a connection's provider does not answer, stop starting new payouts there for a while.

Pure: outcomes and times are passed in. It holds back what was never sent; it says nothing about what was. After the pause
one send goes through to try; its outcome opens or closes the circuit again.
"""

from dataclasses import dataclass
from enum import StrEnum

OPENS_AFTER = 5  # troubles in a row
FIRST_PAUSE_S = 2.0
MAX_PAUSE_S = 60.0


class Circuit(StrEnum):
    """Whether sends may start."""

    CLOSED = "closed"
    HALF_OPEN = "half_open"
    OPEN = "open"


@dataclass(slots=True)
class Breaker:
    """The circuit of one connection. Times are seconds on one monotonic clock."""

    troubles: int = 0
    opened: int = 0  # how often in a row, so that pauses grow
    open_until: float = 0.0
    is_trying: bool = False

    def state(self, now_s: float) -> Circuit:
        """Where the circuit stands."""
        if self.opened == 0:
            return Circuit.CLOSED
        return Circuit.OPEN if now_s < self.open_until else Circuit.HALF_OPEN

    def allowed(self, wanted: int, now_s: float) -> int:
        """How many of the wanted sends may start: all, one to try, or none."""
        match self.state(now_s):
            case Circuit.CLOSED:
                return wanted
            case Circuit.HALF_OPEN:
                return 0 if self.is_trying else min(1, wanted)
            case Circuit.OPEN:
                return 0

    def started(self, now_s: float) -> None:
        """A send has started; while half open it is the one that tries."""
        self.is_trying = self.state(now_s) is Circuit.HALF_OPEN

    def gave_up(self) -> None:
        """The send ended without saying anything about the provider: another one may try."""
        self.is_trying = False

    def answered(self) -> None:
        """The provider gave a clear answer, whichever: it works."""
        self.troubles = self.opened = 0
        self.is_trying = False

    def troubled(self, now_s: float) -> None:
        """No clear answer came: not sent, or unclear."""
        self.troubles += 1
        if self.is_trying or self.troubles >= OPENS_AFTER:
            self.open_until = now_s + min(FIRST_PAUSE_S * 2**self.opened, MAX_PAUSE_S)
            self.opened += 1
            self.troubles = 0
            self.is_trying = False
