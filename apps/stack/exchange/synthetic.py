"""Prices out of nothing: every minute of a market as a pure function of symbol, minute and seed.

The logarithm of the price is a sum of value noise over octaves from one minute to two years, each as
strong as the square root of its length, which gives the rough-at-every-scale look of a market. Only
basic arithmetic, square roots and integer hashes are used, whose results IEEE 754 fixes to the last
bit: so a restart, another machine and any cutting into pages give the same candles.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apps.stack.exchange.bars import Bars, Column, no_bars
from apps.stack.exchange.intervals import MINUTE_MS
from apps.stack.exchange.markets import Market

Floats = NDArray[np.float64]

# Lengths of the octaves in minutes: about e apart, and without common divisors, so that their
# turning points do not coincide.
_OCTAVES = (1, 3, 7, 19, 53, 139, 379, 1031, 2803, 7621, 20707, 56299, 153001, 415913, 1130557)
# Octaves up to this length breathe with the market's activity.
_SHORT = 1031
_DAY = 1440
# The distance between the 2**53 numbers that a hash can become.
_STEP = 2.0**-53


def _key(*parts: object) -> np.uint64:
    digest = hashlib.sha256(":".join(map(str, parts)).encode()).digest()
    return np.uint64(int.from_bytes(digest[:8], "little"))


def _unit(key: np.uint64, index: Column) -> Floats:
    """Numbers in [0, 1) that belong to *key* and each index: the finaliser of SplitMix64."""
    x = index.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + key
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return (x >> np.uint64(11)).astype(np.float64) * _STEP


def _noise(key: np.uint64, length: int, minutes: Column) -> Floats:
    """Value noise in [-0.5, 0.5): random values every *length* minutes, smooth between them.

    *minutes* must be consecutive.
    """
    cell, offset = np.divmod(minutes + int(key) % length, length)
    first = int(cell[0])
    lattice = _unit(key, np.arange(first, int(cell[-1]) + 2, dtype=np.int64))
    left = lattice[cell - first]
    right = lattice[cell - first + 1]
    t = offset / length
    noise: Floats = left + (right - left) * (t * t * (3.0 - 2.0 * t)) - 0.5
    return noise


def _exponential(x: Floats) -> Floats:
    """About e**x, by ten squarings: the library's own differs by processor in the last bit."""
    result = 1.0 + x * 2.0**-10
    for _ in range(10):
        result = result * result
    return result


@dataclass(frozen=True, kw_only=True)
class Synthetic:
    """The endless history of one market, from its listing to the present minute."""

    market: Market
    seed: int

    @property
    def kind(self) -> str:
        return "synthetic"

    @property
    def first(self) -> int:
        return self.market.listed_ms // MINUTE_MS

    @property
    def last(self) -> int | None:
        return None

    def _keyed(self, purpose: str) -> np.uint64:
        return _key(self.seed, self.market.symbol, purpose)

    def _activity(self, minutes: Column) -> Floats:
        """How lively the market is at each of *minutes*: 1 on average, between 0.3 and 2.5."""
        hours = _noise(self._keyed("activity:hours"), 197, minutes)
        days = _noise(self._keyed("activity:days"), 3001, minutes)
        through_day = np.abs(minutes % _DAY - _DAY // 2) / (_DAY // 2)
        return (0.55 + (hours + 0.5) * 0.9) * (0.75 + (days + 0.5) * 0.5) * (1.2 - 0.4 * through_day)

    def _ticks(self, minutes: Column, activity: Floats) -> Column:
        """The price at the start of each of *minutes*, in ticks, at least 1."""
        level = np.zeros(len(minutes))
        for length in _OCTAVES:
            wave = _noise(self._keyed(f"octave:{length}"), length, minutes)
            wave *= 2.0 * self.market.volatility * math.sqrt(length)
            level += wave * activity if length <= _SHORT else wave
        price = self.market.price * float(10**self.market.price_scale) * _exponential(level)
        return np.maximum(np.floor(price + 0.5), 1.0).astype(np.int64)

    def _quiet(self, minutes: Column) -> NDArray[np.bool_]:
        """Which of *minutes* pass without a trade: never two in a row, where they have bars."""
        if not self.market.bars_when_quiet:
            return _unit(self._keyed("quiet"), minutes) < self.market.quiet
        around = np.arange(int(minutes[0]) - 1, int(minutes[-1]) + 1, dtype=np.int64)
        silent = _unit(self._keyed("quiet"), around) < self.market.quiet
        result: NDArray[np.bool_] = silent[1:] & ~silent[:-1]
        return result

    def _complete(self, start: int, stop: int) -> Bars:
        """The minutes from *start* to before *stop* as they are once they have ended."""
        edges = np.arange(start, stop + 1, dtype=np.int64)
        minutes = edges[:-1]
        activity = self._activity(edges)
        ticks = self._ticks(edges, activity)
        activity = activity[:-1]
        quiet = self._quiet(minutes)

        # A minute opens where the one before closed, but for a small step now and then.
        step = _unit(self._keyed("step"), minutes)
        leap = np.floor(ticks[:-1] * self.market.volatility * 0.2) + 1.0
        gap = np.where(step < 0.05, -leap, np.where(step > 0.95, leap, 0.0)).astype(np.int64)
        opening = np.where(quiet, ticks[:-1], np.maximum(ticks[:-1] + gap, 1))
        close = np.where(quiet, ticks[:-1], ticks[1:])

        reach = ticks[:-1] * self.market.volatility * activity
        above = np.floor(reach * _unit(self._keyed("above"), minutes) ** 2).astype(np.int64)
        below = np.floor(reach * _unit(self._keyed("below"), minutes) ** 2).astype(np.int64)
        high = np.maximum(opening, close) + np.where(quiet, 0, above)
        low = np.maximum(np.minimum(opening, close) - np.where(quiet, 0, below), 1)

        crowd = _unit(self._keyed("volume"), minutes)
        excitement = 1.0 + np.abs(close - opening) / np.maximum(reach, 1.0)
        lots = self.market.volume * float(10**self.market.lot_scale) * activity * activity * excitement
        lots = lots * (0.1 + 0.3 * crowd * crowd / (1.04 - crowd))
        volume = np.where(quiet, 0, np.maximum(np.floor(lots), 1.0).astype(np.int64))
        size = np.maximum(1, np.int64(self.market.volume * float(10**self.market.lot_scale) / 400))
        taker = np.floor(volume * (0.3 + 0.4 * _unit(self._keyed("taker"), minutes))).astype(np.int64)
        mean = (opening + high + low + close) // 4
        return Bars(
            minute=minutes,
            open=opening,
            high=high,
            low=low,
            close=close,
            volume=volume,
            quote=mean * volume,
            trades=np.where(quiet, 0, 1 + volume // size),
            taker_base=taker,
            taker_quote=mean * taker,
        )

    def step(self, minute: int, count: int) -> int:
        if self.market.bars_when_quiet:
            return minute + count
        while count:  # each round leaves the share that was quiet
            reached = minute + count
            passed = np.arange(min(minute, reached), max(minute, reached), dtype=np.int64)
            quiet = int(self._quiet(passed).sum())
            minute, count = reached, quiet if count > 0 else -quiet
        return minute

    def minutes(self, start: int, stop: int, *, now_ms: int) -> Bars:
        """The minutes from *start* to before *stop*; the present minute shows what it has had so far."""
        current, elapsed = divmod(now_ms, MINUTE_MS)
        start, stop = max(start, self.first), min(stop, current + 1)
        if start >= stop:
            return no_bars()
        bars = self._complete(start, stop)
        if stop > current:
            bars = _forming(bars, elapsed / MINUTE_MS)
        return bars if self.market.bars_when_quiet else bars.where(bars.volume > 0)


def so_far(prices: Sequence[int], share: float) -> tuple[int, int, int, int]:
    """Open, high, low and close (*prices* of a whole minute) after *share* of it.

    The close goes straight from the opening to its end, the high only up and the low only down.
    """
    opening, whole_high, whole_low, whole_close = prices
    close = opening + int((whole_close - opening) * share)
    above = int((whole_high - max(opening, whole_close)) * share)
    below = int((min(opening, whole_close) - whole_low) * share)
    return opening, max(opening, close) + above, min(opening, close) - below, close


def _forming(bars: Bars, share: float) -> Bars:
    """*bars* with the last of them cut off after *share* of its minute."""

    def partly(column: Column) -> Column:
        result = column.copy()
        result[-1] = int(int(column[-1]) * share)
        return result

    def ending(column: Column, value: int) -> Column:
        result = column.copy()
        result[-1] = value
        return result

    whole = [int(column[-1]) for column in (bars.open, bars.high, bars.low, bars.close)]
    opening, high, low, close = so_far(whole, share)
    volume, taker = partly(bars.volume), partly(bars.taker_base)
    mean = (opening + high + low + close) // 4
    return Bars(
        minute=bars.minute,
        open=bars.open,
        high=ending(bars.high, high),
        low=ending(bars.low, low),
        close=ending(bars.close, close),
        volume=volume,
        quote=ending(bars.quote, mean * int(volume[-1])),
        trades=partly(bars.trades),
        taker_base=taker,
        taker_quote=ending(bars.taker_quote, mean * int(taker[-1])),
    )
