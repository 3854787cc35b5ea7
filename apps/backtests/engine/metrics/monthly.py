"""The table of monthly and yearly returns."""

from __future__ import annotations

import numpy as np

from apps.backtests.engine.bars import Floats, Times
from apps.backtests.engine.metrics.periods import changes, ends_before


def monthly_returns(ts: Times, equity: Floats, cash: float) -> list[tuple[int, int, float]]:
    """Year, month (1 to 12) and return of each UTC month that has bars, oldest first.

    A return is a fraction: the month's last equity over that of the month before with bars (*cash*
    for the first month) - 1, and 0 after a bankruptcy.
    """
    return [
        (1970 + at // 12, at % 12 + 1, change) for at, change in _changes(ts, equity, cash, "datetime64[M]")
    ]


def yearly_returns(ts: Times, equity: Floats, cash: float) -> list[tuple[int, float]]:
    """Year and return of each UTC year that has bars, defined as for months."""
    return [(1970 + at, change) for at, change in _changes(ts, equity, cash, "datetime64[Y]")]


def _changes(ts: Times, equity: Floats, cash: float, unit: str) -> list[tuple[int, float]]:
    """Calendar unit (counted from 1970) and return."""
    if not len(ts):
        return []
    first, last = ts[[0, -1]].astype("datetime64[ms]").astype(unit).astype(np.int64).tolist()
    units = np.arange(first + 1, last + 1).astype(unit)
    ends = ends_before(ts, units.astype("datetime64[ms]").astype(np.int64))
    names = ts[ends].astype("datetime64[ms]").astype(unit).astype(np.int64)
    returns = changes(np.append(cash, equity[ends]))
    return list(zip(names.tolist(), returns.tolist(), strict=True))
