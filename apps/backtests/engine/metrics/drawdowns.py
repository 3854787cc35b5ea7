"""Drawdowns: how deep, how long, and how much of the time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apps.backtests.engine.bars import Floats, Times
from apps.backtests.engine.metrics.table import Value

Indices = NDArray[np.int64]

_ROW = 128  # bars per block in the search for highs
# Values that stay in a processor's cache between two passes. Dot products of more than 10,000 are given to
# several threads by some BLAS, which costs more than it gains and makes the last digit depend on the machine.
_BLOCK = 9900


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawdowns:
    """All drawdowns of a curve in order; columns of shape ``(number of drawdowns,)``.

    Attributes:
        start: bar of the high before the fall; of several equal highs the last.
        end: first bar that is as high again, or the last bar.
        depth: largest fall below the high, a positive fraction.
        recovered: whether the last one has ended; True if there is none.
    """

    start: Indices
    end: Indices
    depth: Floats
    recovered: bool

    def __len__(self) -> int:
        return len(self.start)


def drawdowns_of(equity: Floats) -> Drawdowns:
    """The drawdowns of *equity*, at least one bar and none negative."""
    high = _highs(equity)
    # The first bar is a high. Then falls and recoveries take turns.
    turns = np.flatnonzero(high[1:] != high[:-1])
    start, end = turns[::2], turns[1::2] + 1
    recovered = len(end) == len(start)
    if not recovered:
        end = np.append(end, len(equity) - 1)
    # Until the next drawdown begins equity is not below the high, so the lowest is within the drawdown.
    lowest = np.minimum.reduceat(equity, start) if len(start) else np.empty(0)
    return Drawdowns(start=start, end=end, depth=1 - lowest / equity[start], recovered=recovered)


def drawdown_metrics(ts: Times, equity: Floats) -> dict[str, Value]:
    """The metrics of drawdowns, by name, in the units of ``METRICS``."""
    found = drawdowns_of(equity)
    values: dict[str, Value] = {
        "peak_equity": float(equity[0]),
        "max_drawdown_pct": 0.0,
        "avg_drawdown_pct": None,
        "current_drawdown_pct": 0.0,
        "ulcer_index_pct": 0.0,
        "n_drawdowns": len(found),
        "max_drawdown_duration": 0,
        "avg_drawdown_duration": None,
        "current_drawdown_duration": 0,
    }
    last = float(equity[-1])
    if not len(found):  # it never fell
        return values | {"peak_equity": last}
    durations = ts[found.end] - ts[found.start]
    peak = float(equity[found.start[-1]])
    values |= {
        "peak_equity": max(peak, last),
        "max_drawdown_pct": -float(found.depth.max()) * 100,
        "avg_drawdown_pct": -float(found.depth.mean()) * 100,
        "ulcer_index_pct": _ulcer(equity, found) * 100,
        "max_drawdown_duration": int(durations.max()),
        "avg_drawdown_duration": float(durations.mean()),
    }
    if not found.recovered:
        values["current_drawdown_pct"] = (last / peak - 1) * 100
        values["current_drawdown_duration"] = int(durations[-1])
    return values


def _highs(equity: Floats) -> NDArray[np.bool_]:
    """Which bars are as high as any before them.

    A running maximum over all bars is slow, as each step waits for the one before. Most blocks of a
    curve do not reach the maximum of what lies before them, and need no look inside.
    """
    count = len(equity)
    rows = count // _ROW
    tops = np.maximum.reduceat(equity, np.arange(0, count, _ROW))
    before = np.append(-np.inf, np.maximum.accumulate(tops)[:-1])
    high = np.zeros(count, np.bool_)
    blocks, marks = equity[: rows * _ROW].reshape(rows, _ROW), high[: rows * _ROW].reshape(rows, _ROW)
    ties = np.flatnonzero(tops[:rows] == before[:rows])
    marks[ties] = blocks[ties] == before[ties, None]
    rising = np.flatnonzero(tops[:rows] > before[:rows])
    inside = blocks[rising]
    running = np.maximum.accumulate(inside, axis=1)
    np.maximum(running, before[rising, None], out=running)
    marks[rising] = inside == running
    if rows * _ROW < count:
        tail = equity[rows * _ROW :]
        running = np.maximum(np.maximum.accumulate(tail), before[-1])
        high[rows * _ROW :] = tail == running
    return high


def _ulcer(equity: Floats, found: Drawdowns) -> float:
    """Root of the mean squared fall below the high, over all bars."""
    count = len(equity)
    highs = equity[found.start]
    first = np.arange(int(found.start[0]), count, _BLOCK)
    stop = np.minimum(first + _BLOCK, count)
    # The drawdowns that a block begins and ends in.
    low = np.searchsorted(found.start, first, side="right") - 1
    high = np.searchsorted(found.start, stop - 1, side="right") - 1
    buffer = np.empty(_BLOCK)
    total = 0.0
    for start, end, a, b in zip(first.tolist(), stop.tolist(), low.tolist(), high.tolist(), strict=True):
        part = equity[start:end]
        fall = buffer[: end - start]
        if a == b:
            np.subtract(part, highs[a], out=fall)
            if end > found.end[a]:
                np.minimum(fall, 0.0, out=fall)
            total += float(fall @ fall) / float(highs[a]) / float(highs[a])
            continue
        edges = found.start[a : b + 1] - start
        edges[0] = 0
        over = np.repeat(highs[a : b + 1], np.diff(edges, append=end - start))
        np.divide(part, over, out=fall)
        np.subtract(fall, 1.0, out=fall)
        np.minimum(fall, 0.0, out=fall)
        total += float(fall @ fall)
    return math.sqrt(total / count)
