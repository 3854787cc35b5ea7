"""How long a failed attempt waits for the next."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Backoff:
    """Exponential back-off with full jitter (seconds).

    The wait before attempt n + 1 is drawn evenly from 0 to ``min(maximum, base * factor ** (n - 1))``,
    so that runs which failed together do not return together.
    """

    base: float = 5.0
    factor: float = 2.0
    maximum: float = 900.0

    def __post_init__(self) -> None:
        if not (self.base >= 0 and self.factor >= 1 and self.maximum >= self.base):
            raise ValueError("Backoff needs base >= 0, factor >= 1 and maximum >= base")

    def ceiling(self, attempt: int) -> float:
        """The longest wait after *attempt* (the first is 1) has failed."""
        # The exponent is bounded: past it every factor has long reached the maximum or is 1.
        return float(min(self.maximum, self.base * self.factor ** min(attempt - 1, 64)))

    def delay(self, attempt: int) -> float:
        """The wait after *attempt* has failed."""
        return random.uniform(0, self.ceiling(attempt))  # noqa: S311 (jitter, not a secret)
