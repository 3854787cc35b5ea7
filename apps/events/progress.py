"""Saying how far long work has come."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic


class Progress:
    """Counts, and says so every few seconds; work that is done sooner says nothing."""

    def __init__(
        self, say: Callable[[str], object], what: str, *, total: int | None = None, every: float = 5.0
    ) -> None:
        """*total* is an estimate, of what there is to count."""
        self._say, self._what, self._total, self._every = say, what, total, every
        self.count = 0
        self._began = self._said = monotonic()

    def advance(self, count: int = 1) -> None:
        """*count* more are done."""
        self.count += count
        now = monotonic()
        if now - self._said >= self._every:
            self._said = now
            of = f" of about {max(self._total, self.count):,}" if self._total else ""
            self._say(f"{self._what}: {self.count:,}{of} after {now - self._began:.0f} s")


SILENT = Progress(lambda line: None, "", every=float("inf"))
"""For callers who do not want to hear."""
