"""Durations counted by size, and the quantiles that can be told from that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

#: Upper bounds in seconds; what is longer than the last is counted beyond it.
BOUNDS = (
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0,
    500.0, 1000.0, 2000.0, 5000.0, 10_000.0,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Durations:
    """How many durations there were between each two of `BOUNDS`, and their sum in seconds."""

    counts: tuple[int, ...] = ()
    seconds: float = 0.0

    @property
    def count(self) -> int:
        """How many durations there were."""
        return sum(self.counts)

    @property
    def mean(self) -> float | None:
        """Their mean in seconds, which is exact."""
        return self.seconds / self.count if self.count else None

    def plus(self, counts: Sequence[int], seconds: float) -> Durations:
        """These and others."""
        summed = tuple(a + b for a, b in zip_longest(self.counts, counts, fillvalue=0))
        return Durations(counts=summed, seconds=self.seconds + seconds)

    def quantile(self, q: float) -> float | None:
        """The duration that the share *q* of them does not exceed, in seconds.

        Interpolated between the two bounds around it, so it lies between the same two as the true one.
        """
        wanted, below, lower = q * self.count, 0, 0.0
        for count, upper in zip(self.counts, (*BOUNDS, BOUNDS[-1]), strict=False):
            if count and below + count >= wanted:
                return lower + (upper - lower) * (wanted - below) / count
            below, lower = below + count, upper
        return None
