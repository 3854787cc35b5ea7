"""Columns of bars, and bars of a higher timeframe made from them without looking ahead."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from apps.backtests.engine.bars import Bars, Floats, Times
from apps.backtests.engine.language.nodes import Refused

MINUTE = 60_000
DAY = 86_400_000
TIMEFRAMES = {
    "1m": MINUTE,
    "5m": 5 * MINUTE,
    "15m": 15 * MINUTE,
    "30m": 30 * MINUTE,
    "1h": 60 * MINUTE,
    "4h": 240 * MINUTE,
    "1d": DAY,
    "1w": 7 * DAY,
}
_MONDAY = 4 * DAY  # 5 January 1970


def check_timeframe(timeframe: str, step: int) -> None:
    """Raises Refused where bars of *step* milliseconds cannot be joined to *timeframe*."""
    width = TIMEFRAMES[timeframe]
    if width <= step:
        raise Refused(f'on("{timeframe}", …) needs a timeframe that is wider than that of the bars')
    if width % step:
        raise Refused(f'on("{timeframe}", …) needs a timeframe that is a multiple of that of the bars')


@dataclass
class Columns:
    """The columns of some bars by name; hl2, hlc3 and ohlc4 are computed when asked for."""

    ts: Times
    given: dict[str, Floats]
    _made: dict[str, Floats] = field(default_factory=dict)

    @classmethod
    def of(cls, bars: Bars) -> Columns:
        names = ("open", "high", "low", "close", "volume")
        return cls(bars.ts, {name: getattr(bars, name) for name in names})

    def __len__(self) -> int:
        return len(self.ts)

    def column(self, name: str) -> Floats:
        if name in self.given:
            return self.given[name]
        if name not in self._made:
            column = self.given["high"] + self.given["low"]
            if name == "hl2":
                column *= 0.5
            elif name == "hlc3":
                column += self.given["close"]
                column /= 3.0
            else:
                column += self.given["open"]
                column += self.given["close"]
                column *= 0.25
            self._made[name] = column
        return self._made[name]


@dataclass
class Higher:
    """Bars of a higher timeframe.

    ``known`` has one element per bar below: the last higher bar that is complete at that bar's close,
    -1 before the first. A higher bar is complete at the close of the bar that reaches its end, or, if that
    one is missing, at the close of the first bar behind it.
    """

    columns: Columns
    known: NDArray[np.int64]

    @property
    def nbytes(self) -> int:
        """Memory held, for caches, with the columns that may still be made."""
        return self.known.nbytes + 9 * self.columns.ts.nbytes

    def spread(self, values: Floats) -> Floats:
        """Values of the higher bars for the bars below; NaN before the first is known."""
        first = int(np.searchsorted(self.known, 0))
        result = np.empty(len(self.known))
        result[:first] = np.nan
        np.take(values, self.known[first:], out=result[first:])
        return result

    def spread_flags(self, flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The same for what is true or not; false before the first is known."""
        first = int(np.searchsorted(self.known, 0))
        result = np.zeros(len(self.known), np.bool_)
        np.take(flags, self.known[first:], out=result[first:])
        return result

    def start(self, start: int) -> int:
        """The first bar below at which the higher bar *start* is known; their number if it never is."""
        return int(np.searchsorted(self.known, start))


def higher(bars: Bars, step: int, timeframe: str) -> Higher:
    """*bars* of *step* milliseconds joined to *timeframe*; weeks begin on Monday, all else at midnight UTC.

    If the data begin inside a higher bar, this first one is left out. A higher bar in which no bar lies
    does not exist.
    """
    check_timeframe(timeframe, step)
    width = TIMEFRAMES[timeframe]
    origin = _MONDAY if timeframe == "1w" else 0
    count = len(bars)
    if not count:
        return Higher(Columns.of(bars), np.zeros(0, np.int64))
    number = (bars.ts - origin) // width
    starts = np.concatenate([[0], np.flatnonzero(number[1:] != number[:-1]) + 1])
    opened = number[starts] * width + origin
    last = np.append(starts[1:], count) - 1
    complete = np.where(bars.ts[last] + step >= opened + width, last, last + 1)
    if bars.ts[0] != opened[0]:
        starts, opened, last, complete = starts[1:], opened[1:], last[1:], complete[1:]
    known = np.cumsum(np.bincount(complete, minlength=count + 1)[:count]) - 1
    if not len(starts):
        nothing = dict.fromkeys(("open", "high", "low", "close", "volume"), np.zeros(0))
        return Higher(Columns(opened, nothing), known)
    columns = {
        "open": bars.open[starts],
        "high": np.maximum.reduceat(bars.high, starts),
        "low": np.minimum.reduceat(bars.low, starts),
        "close": bars.close[last],
        "volume": np.add.reduceat(bars.volume, starts),
    }
    return Higher(Columns(opened, columns), known)
