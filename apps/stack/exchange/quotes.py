"""The present price of each market, and when a price was reached."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from apps.stack.exchange.bars import Bars, Source
from apps.stack.exchange.intervals import MINUTE_MS
from apps.stack.exchange.synthetic import so_far

# Minutes looked at together: bounds the memory that an order open for years takes.
_PIECE = 65_536


class Quotes:
    """Prices in ticks, out of the minutes of each market; nothing else moves them.

    The last price is the close of the minute that is forming, and of a replayed file its last close. Buyers
    pay one tick more than it, sellers get one tick less.
    """

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self._sources = sources
        # The last minute of each market that was looked at, as it ends.
        self._whole: dict[str, tuple[int, tuple[int, int, int, int]]] = {}

    def latest(self, symbol: str, count: int, *, now_ms: int) -> Bars:
        """The latest *count* minutes that exist, fewer at the start of history, at least one."""
        source = self._sources[symbol]
        last = now_ms // MINUTE_MS if source.last is None else source.last
        return source.minutes(last + 1 - count, last + 1, now_ms=now_ms)

    def last(self, symbol: str, *, now_ms: int) -> int:
        if self._sources[symbol].last is not None:
            return int(self.latest(symbol, 1, now_ms=now_ms).close[-1])
        return self._forming(symbol, now_ms)[3]

    def bid(self, symbol: str, *, now_ms: int) -> int:
        """What sellers get."""
        return max(self.last(symbol, now_ms=now_ms) - 1, 1)

    def ask(self, symbol: str, *, now_ms: int) -> int:
        """What buyers pay."""
        return self.last(symbol, now_ms=now_ms) + 1

    def average(self, symbol: str, minutes: int, *, now_ms: int) -> int:
        """The mean price of the latest *minutes*, by volume."""
        bars = self.latest(symbol, minutes, now_ms=now_ms)
        volume = int(bars.volume.sum())
        return int(bars.quote.sum()) // volume if volume else int(bars.close[-1])

    def reached(self, symbol: str, price: int, *, falling: bool, after_ms: int, now_ms: int) -> int | None:
        """When the market first came to *price*, after *after_ms* and up to *now_ms*; None: it did not.

        *falling* to it or below it, otherwise rising. What a minute had reached before *after_ms* does not
        count. The answer is the same whenever it is asked for, and from whatever moment without a hit on.
        """
        if self._sources[symbol].last is not None:
            return None
        sign = 1 if falling else -1
        # With signs turned, a rise is a fall.
        wanted = sign * price
        minute = after_ms // MINUTE_MS
        before = self._extreme(symbol, after_ms, sign)
        found = self._within(symbol, minute, min(wanted, before - 1), sign, after_ms, now_ms)
        minute += 1
        while found is None and minute <= now_ms // MINUTE_MS:
            stop = min(minute + _PIECE, now_ms // MINUTE_MS + 1)
            bars = self._sources[symbol].minutes(minute, stop, now_ms=now_ms)
            extremes = bars.low if falling else -bars.high
            hits = np.flatnonzero(extremes <= wanted)
            if len(hits):
                hit = int(bars.minute[hits[0]])
                found = self._within(symbol, hit, wanted, sign, hit * MINUTE_MS - 1, now_ms)
            minute = stop
        return found

    def _within(
        self, symbol: str, minute: int, wanted: int, sign: int, after_ms: int, now_ms: int
    ) -> int | None:
        """The first moment of *minute*, or the end of it, at which its extreme is at *wanted*."""
        low, high = after_ms, min((minute + 1) * MINUTE_MS, now_ms)
        if high <= low or self._extreme(symbol, high, sign, minute) > wanted:
            return None
        while high - low > 1:
            middle = (low + high) // 2
            if self._extreme(symbol, middle, sign, minute) <= wanted:
                high = middle
            else:
                low = middle
        return high

    def _extreme(self, symbol: str, moment_ms: int, sign: int, minute: int | None = None) -> int:
        """The low, or the high with its sign turned, that *minute* has had by *moment_ms*."""
        prices = self._forming(symbol, moment_ms, minute)
        return prices[2] if sign > 0 else -prices[1]

    def _forming(self, symbol: str, moment_ms: int, minute: int | None = None) -> tuple[int, int, int, int]:
        """Open, high, low and close that *minute*, or the one of *moment_ms*, has had by then."""
        minute = moment_ms // MINUTE_MS if minute is None else minute
        known, whole = self._whole.get(symbol, (-1, (0, 0, 0, 0)))
        if known != minute:
            bars = self._sources[symbol].minutes(minute, minute + 1, now_ms=(minute + 1) * MINUTE_MS)
            columns = (bars.open, bars.high, bars.low, bars.close)
            whole = (int(columns[0][0]), int(columns[1][0]), int(columns[2][0]), int(columns[3][0]))
            self._whole[symbol] = (minute, whole)
        return so_far(whole, min((moment_ms - minute * MINUTE_MS) / MINUTE_MS, 1.0))
