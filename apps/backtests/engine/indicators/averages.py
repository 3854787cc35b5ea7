"""Simple moving averages of prices: exact sums, and nothing but the window counts."""

from __future__ import annotations

import math
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from apps.backtests.engine.bars import Floats
from apps.backtests.engine.indicators.compiled import compiled, frozen

LONGEST_WINDOW = 5_000

# Two limbs of 40 bits: the sum of a window of up to 2**13 values of one limb stays below 2**53, so
# it converts to float64 without rounding.
_LIMB = 40
# The limbs hold every bit of a value whose exponent is at most this much below the highest.
_SPAN = 2 * _LIMB - 53


class MovingAverage:
    """Simple moving averages of one series of prices, for any number of windows.

    A window's sum is the correctly rounded sum of its values, without the drift of running
    floating point sums, and the average adds one rounding for the division. Value *i* is therefore a
    function of the values in its window alone, bit for bit.

    The series is split into fixed-point integers whose prefix sums are exact (int64; they may wrap
    around, their differences do not). Where the highest value is 2**27 times the lowest or more, as
    hardly any market has it, integers of any length take their place: slower, with the same result.
    *values* are finite and within the prices that ``Bars`` allows.
    """

    def __init__(self, values: Floats) -> None:
        self._count = len(values)
        top = math.frexp(float(values.max()))[1] if len(values) else 0
        lowest = float(values.min()) if len(values) else 1.0
        self._long: list[int] | None = None
        if len(values) and (lowest <= 0 or math.frexp(lowest)[1] < top - _SPAN):
            self._long, self._unit = _long_sums(values)
            return
        self._unit = math.ldexp(1.0, top - _LIMB)
        self._high, self._low = _limb_sums(values, math.ldexp(1.0, _LIMB - top))

    @property
    def nbytes(self) -> int:
        """Memory held, for caches; an estimate for integers of any length."""
        return 40 * self._count if self._long is not None else self._high.nbytes + self._low.nbytes

    def over(self, window: int) -> Floats:
        """The averages over *window* values, shape ``(n,)``; NaN for the first ``window - 1``."""
        if not 1 <= window <= LONGEST_WINDOW:
            raise ValueError(f"a window has 1 to {LONGEST_WINDOW} bars, not {window}")
        if window > self._count:
            return np.full(self._count, np.nan)
        result = np.empty(self._count)
        result[: window - 1] = np.nan
        if self._long is not None:
            sums = self._long
            result[window - 1 :] = [
                float(sums[i + window] - sums[i]) * self._unit for i in range(self._count - window + 1)
            ]
            result[window - 1 :] /= window
            return result
        loop = compiled("window_means")
        if loop is not None:
            loop(frozen(self._high), frozen(self._low), window, self._unit, result)
            return result
        total = (self._low[window:] - self._low[:-window]).astype(np.float64)
        # Scaling by a power of two is exact: the sum of the limbs is the one rounding.
        total *= 2.0**-_LIMB
        total += self._high[window:] - self._high[:-window]
        total *= self._unit
        np.divide(total, window, out=result[window - 1 :])
        return result


def _limb_sums(values: Floats, scale: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    high, low = np.zeros(len(values) + 1, np.int64), np.zeros(len(values) + 1, np.int64)
    loop = compiled("prefix_sums")
    if loop is not None:
        loop(frozen(values), scale, high, low)
        return high, low
    scaled = values * scale
    whole = np.floor(scaled)
    scaled -= whole
    scaled *= 2.0**_LIMB
    np.cumsum(whole.astype(np.int64), out=high[1:])
    np.cumsum(np.rint(scaled, out=scaled).astype(np.int64), out=low[1:])
    return high, low


def _long_sums(values: Floats) -> tuple[list[int], float]:
    """Prefix sums in units of the last bit of the smallest value, and that unit."""
    mantissas, exponents = np.frexp(values)
    bottom = int(exponents.min())
    whole = (mantissas * 2.0**53).astype(np.int64).tolist()
    shifts = (exponents - bottom).tolist()
    parts = (number << shift for number, shift in zip(whole, shifts, strict=True))
    return list(accumulate(parts, initial=0)), math.ldexp(1.0, bottom - 53)
