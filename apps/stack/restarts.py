"""When a process that ended by itself is started again, and when that is given up."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field


@dataclass(kw_only=True)
class Restarts:
    """The crashes of one process: *limit* of them within *window* seconds are too many.

    The delays before a new start double from *first* to *longest* seconds while crashes keep coming.
    """

    limit: int = 6
    window: float = 60.0
    first: float = 0.25
    longest: float = 8.0
    _crashes: deque[float] = field(default_factory=deque)

    def delay(self, now: float) -> float | None:
        """Count a crash at *now* (seconds of any steady clock): how long to wait, or None to give up."""
        while self._crashes and self._crashes[0] <= now - self.window:
            self._crashes.popleft()
        self._crashes.append(now)
        if len(self._crashes) >= self.limit:
            return None
        return float(min(self.longest, self.first * 2 ** (len(self._crashes) - 1)))
