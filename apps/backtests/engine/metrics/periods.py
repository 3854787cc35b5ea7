"""Period returns: what annual figures are made of, and how many of them make a year."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from apps.backtests.engine.bars import Floats, Times

DAY = 86_400_000
YEAR = 365.25 * DAY

# A median distance of bars from so many days on: so many periods a year.
_COARSE = ((360, 1), (28, 12), (7, 52))


def periods_per_year(ts: Times) -> int:
    """N for at least one bar at *ts*, as ``METRICS`` defines it."""
    coarse = _coarse(ts)
    if coarse:
        return coarse
    days = ts[day_ends(ts)] // DAY
    # Day 0, 1970-01-01, was a Thursday: day 2 was a Saturday, and so is every seventh from there.
    traded = int(np.count_nonzero(days % 7 == 2))
    possible = (int(days[-1]) + 5) // 7 - (int(days[0]) + 4) // 7
    return 252 if 2 * traded < possible else 365


def period_equity(ts: Times, equity: Floats) -> Floats:
    """The last equity of each UTC day with bars; of each bar where bars are of a week or more."""
    return equity if _coarse(ts) else equity[day_ends(ts)]


def changes(values: Floats) -> Floats:
    """Relative changes from value to value of the last axis; 0 where there was nothing left to change."""
    before, after = values[..., :-1], values[..., 1:]
    with np.errstate(all="ignore"):
        relative: Floats = np.where(before > 0, after / before - 1, 0.0)
    return relative


def day_ends(ts: Times) -> NDArray[np.int64]:
    """Indices of the last bar of each UTC day that has bars."""
    first, last = int(ts[0]) // DAY, int(ts[-1]) // DAY
    if last - first < len(ts):  # dense: look each midnight up instead of dividing every time
        return ends_before(ts, np.arange(first + 1, last + 1) * DAY)
    days = ts // DAY
    return np.append(np.flatnonzero(days[1:] != days[:-1]), len(ts) - 1)


def ends_before(ts: Times, edges: Times) -> NDArray[np.int64]:
    """Indices of the last bars before increasing *edges*, each index once, and of the last bar of all."""
    found = np.append(np.searchsorted(ts, edges) - 1, len(ts) - 1)
    kept = np.append(True, found[1:] != found[:-1])
    return found[kept & (found >= 0)]


def _coarse(ts: Times) -> int:
    """Periods per year of bars of a week or more; 0 for finer bars."""
    steps = len(ts) - 1
    # A median of a week needs half of the steps to be that long, and these have to fit in the range.
    if steps < 1 or 2 * int(ts[-1] - ts[0]) < steps * 7 * DAY:
        return 0
    distance = float(np.median(np.diff(ts)))
    return next((periods for least, periods in _COARSE if distance >= least * DAY), 0)
