"""How often something may start."""

from __future__ import annotations

import re
from dataclasses import dataclass

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_TEXT = re.compile(r"\s*([0-9]+)\s*/\s*([0-9]*)\s*([smhd])\s*")


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
        found = _TEXT.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is no rate: write it as 1200/m, 10/s or 5/30s")
        limit, count, unit = found.groups()
        return cls(limit=int(limit), period=int(count or 1) * _UNITS[unit])
