"""What was admitted, in the window in which it is most."""

from __future__ import annotations

from collections.abc import Sequence


def worst_window(moments: Sequence[float], window: float) -> int:
    """The most of these that lie in one window, its ends included."""
    ordered = sorted(moments)
    first = worst = 0
    for last, moment in enumerate(ordered):
        while moment - ordered[first] > window:
            first += 1
        worst = max(worst, last - first + 1)
    return worst
