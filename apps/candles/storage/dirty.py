"""Reading roll-ups that are right although their refresh is still to come.

The log of changes says which buckets of a roll-up may be old. Those are made from the minutes when they
are read, and put in the place of the stored ones.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from apps.candles.ranges import Range, clipped
from apps.candles.timeframes import MINUTE, Timeframe

#: Bars as int64 arrays by column: ``ts`` in milliseconds, the others in units of the scales.
Ticks = dict[str, NDArray[np.int64]]


def touched(frame: Timeframe, changed: Iterable[Range], first: int, last: int) -> list[Range]:
    """The buckets in [first, last), which are whole ones, that changed minutes lie in, as merged ranges.

    *changed* are the first and last touched minutes, both included.
    """
    buckets = ((frame.floor(lo), frame.ceil(hi + MINUTE)) for lo, hi in changed)
    return clipped(buckets, first, last)


def replaced(ticks: Ticks, ranges: Iterable[Range], fresh: Iterable[Ticks]) -> Ticks:
    """*ticks* with what opens in each of the *ranges* replaced by the bars in *fresh*."""
    pieces: list[Ticks] = []
    at = 0
    for (lo, hi), bars in zip(ranges, fresh, strict=True):
        until, following = np.searchsorted(ticks["ts"], (lo, hi))
        pieces += [{name: column[at:until] for name, column in ticks.items()}, bars]
        at = int(following)
    pieces.append({name: column[at:] for name, column in ticks.items()})
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in ticks}


def bucket(frame: Timeframe, ticks: Ticks) -> Ticks:
    """Make bars of *frame* out of narrower ones. Integers in, integers out: sums are exact."""
    opens = frame.floors(ticks["ts"])
    if not len(opens):
        return ticks
    heads = np.flatnonzero(np.diff(opens, prepend=opens[0] - 1))
    tails = np.append(heads[1:], len(opens)) - 1
    return {
        "ts": opens[heads],
        "open": ticks["open"][heads],
        "high": np.maximum.reduceat(ticks["high"], heads),
        "low": np.minimum.reduceat(ticks["low"], heads),
        "close": ticks["close"][tails],
        "volume": np.add.reduceat(ticks["volume"], heads),
    }
