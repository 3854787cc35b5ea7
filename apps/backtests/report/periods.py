"""Returns by calendar month and year."""

from __future__ import annotations

from typing import Any

import numpy as np

from apps.backtests.engine.bars import Floats, Times


def calendar(ts: Times, equity: Floats, cash: float) -> list[dict[str, Any]]:
    """Returns in percent by UTC year and month, a row for each year from the first to the last.

    A month's return is the last equity in it over the last one before it (*cash* before the first),
    less 1; a year's likewise. ``months`` has twelve values, None for a month without a bar and for one
    that began with nothing.
    """
    months = ts.astype("datetime64[ms]").astype("datetime64[M]").astype(np.int64)
    returns = _returns(months, equity, cash)
    totals = _returns(months // 12, equity, cash)
    return [
        {
            "year": 1970 + year,
            "months": [returns.get(12 * year + month) for month in range(12)],
            "total": totals.get(year),
        }
        for year in range(int(months[0]) // 12, int(months[-1]) // 12 + 1)
    ]


def _returns(periods: Times, equity: Floats, cash: float) -> dict[int, float | None]:
    """By period: what equity gained in it, in percent."""
    last = np.flatnonzero(np.append(periods[1:] != periods[:-1], True))
    after = equity[last]
    before = np.concatenate([[cash], after[:-1]])
    found: dict[int, float | None] = {}
    for period, begun, ended in zip(periods[last].tolist(), before.tolist(), after.tolist(), strict=True):
        found[period] = (ended / begun - 1) * 100 if begun > 0 else None
    return found
