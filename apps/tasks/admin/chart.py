"""The last hour as bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from apps.tasks.stats import Minute

#: Of the drawing, whose unit is one bar's width.
HEIGHT = 24.0


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One minute: succeeded at the bottom, failed on top, requested as a mark. Heights are of `HEIGHT`."""

    minute: Minute
    x: int
    succeeded: float
    failed: float
    requested: float

    @property
    def succeeded_top(self) -> float:
        """From the top of the drawing."""
        return HEIGHT - self.succeeded

    @property
    def failed_top(self) -> float:
        """From the top of the drawing."""
        return self.succeeded_top - self.failed

    @property
    def requested_top(self) -> float:
        """From the top of the drawing."""
        return HEIGHT - self.requested


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Bars of equal scale."""

    bars: list[Bar]
    #: The number that the full height stands for.
    peak: int
    width: int
    height: float = HEIGHT


def chart(minutes: Sequence[Minute]) -> Chart:
    """Draw *minutes*, so that the highest bar or mark has the full height."""
    peak = max((max(one.requested, one.succeeded + one.failed) for one in minutes), default=0)
    scale = HEIGHT / peak if peak else 0.0
    bars = [
        Bar(
            minute=one,
            x=place,
            succeeded=round(one.succeeded * scale, 2),
            failed=round(one.failed * scale, 2),
            requested=round(one.requested * scale, 2),
        )
        for place, one in enumerate(minutes)
    ]
    return Chart(bars=bars, peak=peak, width=len(bars))
