"""Pacing: how many sends a connection may start now, by a token bucket, and pauses that a provider asks for.

Pure arithmetic over times that are passed in. Each process paces for itself: with several processes a provider sees the
sum, so the rate of a connection is divided by their number where it matters.
"""

from dataclasses import dataclass

MAX_PAUSE_S = 300.0  # a provider may ask for years; nobody waits longer than this before trying once


@dataclass(slots=True)
class Bucket:
    """Tokens of one connection. Times are seconds on one monotonic clock."""

    rate_per_s: float
    burst: float
    tokens: float
    filled_at: float
    closed_until: float = 0.0

    @classmethod
    def full(cls, rate_per_s: float, now_s: float) -> "Bucket":
        """A bucket that lets a second's worth through at once, and at least one."""
        burst = max(1.0, rate_per_s)
        return cls(rate_per_s, burst, burst, now_s)

    def available(self, now_s: float) -> int:
        """How many sends may start now."""
        self._fill(now_s)
        return 0 if now_s < self.closed_until else int(self.tokens)

    def take(self, count: int, now_s: float) -> None:
        """Count sends that have started, more than were available too: the next ones wait longer."""
        self._fill(now_s)
        self.tokens -= count

    def pause(self, retry_after_s: float | None, now_s: float) -> None:
        """The provider asked for less: start nothing for as long as it says, within reason."""
        wait_s = 1.0 if retry_after_s is None else min(max(retry_after_s, 0.0), MAX_PAUSE_S)
        self.closed_until = max(self.closed_until, now_s + wait_s)
        self.tokens = min(self.tokens, 0.0)

    def _fill(self, now_s: float) -> None:
        self.tokens = min(self.burst, self.tokens + max(0.0, now_s - self.filled_at) * self.rate_per_s)
        self.filled_at = now_s
