"""Fewer points and fewer bars for a drawing, with every extreme kept; nothing loops over points."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.backtests.engine.bars import Bars, Floats, Times

#: The most bars, and the most points of a curve, that a document holds.
POINTS = 5_000


def kept(values: Floats, points: int = POINTS) -> NDArray[np.int64]:
    """Indices of at most *points* of *values*, ascending: the first, the last, and of equal buckets between
    them the lowest and the highest value, the first of equal ones. All where there are no more; *points*
    is at least 4.
    """
    count = len(values)
    if count <= points:
        return np.arange(count, dtype=np.int64)
    width = -(-(count - 2) // ((points - 2) // 2))
    whole = (count - 2) // width
    blocks = values[1 : 1 + whole * width].reshape(whole, width)
    starts = 1 + width * np.arange(whole, dtype=np.int64)
    chosen = [np.array([0, count - 1], np.int64), starts + blocks.argmin(1), starts + blocks.argmax(1)]
    rest = values[1 + whole * width : count - 1]
    if len(rest):
        chosen.append(1 + whole * width + np.array([rest.argmin(), rest.argmax()], np.int64))
    return np.unique(np.concatenate(chosen))


def curve(ts: Times, values: Floats, points: int = POINTS) -> dict[str, list[Any]]:
    """A curve as columns ``ts`` (ms) and ``value``, of at most *points* points; see `kept`."""
    where = kept(values, points)
    return {"ts": ts[where].tolist(), "value": values[where].tolist()}


def buckets(bars: Bars, points: int = POINTS) -> dict[str, Any]:
    """Bars as columns, of at most *points* bars of equally many of the given ones each.

    ``width`` is how many those are. A bucket opens with its first bar, closes with its last, and has the
    highest high, the lowest low and the sum of the volumes of all.
    """
    count = len(bars)
    width = max(1, -(-count // points))
    at = np.arange(0, count, width)
    if width == 1:
        high, low, volume, close = bars.high, bars.low, bars.volume, bars.close
    else:
        high, low = np.maximum.reduceat(bars.high, at), np.minimum.reduceat(bars.low, at)
        volume = np.add.reduceat(bars.volume, at)
        close = bars.close[np.append(at[1:], count) - 1]
    return {
        "width": width,
        "ts": bars.ts[at].tolist(),
        "open": bars.open[at].tolist(),
        "high": high.tolist(),
        "low": low.tolist(),
        "close": close.tolist(),
        "volume": volume.tolist(),
    }


def drawdown(equity: Floats) -> Floats:
    """Percent that each value lies below the highest so far, the first included: 0 or negative."""
    highest = np.maximum.accumulate(equity)
    with np.errstate(all="ignore"):
        below = (equity / highest - 1) * 100
    return np.where(highest > 0, below, 0.0)
