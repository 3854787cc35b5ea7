"""How often something may start."""

from __future__ import annotations

from dataclasses import dataclass

from apps.core.rates import parse_rate


@dataclass(frozen=True, kw_only=True)
class Rate:
    """At most *limit* in any *period* seconds, counted over a window that slides."""

    limit: int
    period: float

    def __post_init__(self) -> None:
        if self.limit < 1 or self.period <= 0:
            raise ValueError("a rate needs a limit of at least 1 and a period above 0 s")

    @classmethod
    def parse(cls, text: str) -> Rate:
        """``1200/m``, ``10/s``, ``5/30s``, ``100/h``, ``1/d``. Raises `ValueError`."""
        limit, seconds = parse_rate(text)
        return cls(limit=limit, period=float(seconds))
