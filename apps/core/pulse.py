"""Whether what has to go round still does."""

from __future__ import annotations

import time


class Pulse:
    """The loop of a process: alive while it goes round at least once in *limit* seconds."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._last = time.monotonic()

    def beat(self) -> None:
        """It went round."""
        self._last = time.monotonic()

    def trouble(self) -> str:
        """Why it does not count as alive; empty while it does."""
        silent = time.monotonic() - self._last
        return f"no sign of life for {silent:.0f} s" if silent > self._limit else ""
