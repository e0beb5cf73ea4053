"""How many requests a caller may make: fixed windows, one for each caller and operation.

Only counts. Off unless the setting `rateLimit` says otherwise, and never remembered over a restart.
"""

from dataclasses import dataclass

from providers.sandbox.clock import now_ms

_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a caller is after this request."""

    limit: int
    used: int
    reset_ms: int  # until the window ends

    @property
    def is_over(self) -> bool:
        return self.used > self.limit

    @property
    def remaining(self) -> int:
        return max(0, self.limit - self.used)


class RateLimits:
    def __init__(self) -> None:
        self._windows: dict[tuple[str, str], tuple[int, int]] = {}  # -> its end, the requests so far

    def count(self, caller: str, operation: str, limit: int, window_ms: int) -> Standing:
        now = now_ms()
        if len(self._windows) > _KEPT:
            self._windows = {key: window for key, window in self._windows.items() if window[0] > now}
        end, used = self._windows.get((caller, operation), (0, 0))
        if end <= now:
            end, used = now + window_ms, 0
        self._windows[caller, operation] = (end, used + 1)
        return Standing(limit, used + 1, end - now)
