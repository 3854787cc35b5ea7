"""Indicators: vectorised, and functions of their window alone.

Value *i* of an indicator depends on bars up to *i* only, and on nothing but the bars in its window,
bit for bit: a longer history, an earlier start or a different chunking cannot move it.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from apps.backtests.engine.bars import Floats

LONGEST_WINDOW = 5_000

# Two limbs of 40 bits: the sum of a window of up to 2**13 values of one limb stays below 2**53, so
# it converts to float64 without rounding.
_LIMB = 40

# Decimal prices are not exact in binary: each is off by up to 2**-53 of itself, and so is their mean;
# adding and dividing round once each. Two averages are thus known to 3 * 2**-53, their difference
# to less than 2**-50 of either. What is closer than that is a tie.
_TIE = 2.0**-50


class MovingAverage:
    """Simple moving averages of one series, for any number of windows.

    The series is split into fixed-point integers whose prefix sums are exact (int64; they may wrap
    around, their differences do not). A window's sum is therefore the correctly rounded sum of its
    values, without the drift of running floating point sums, and the average adds one
    rounding for the division. This holds while the highest value is less than 2**27 times
    the lowest; beyond that, a value counts to within 2**-80 of the highest.
    """

    def __init__(self, values: Floats) -> None:
        self._count = len(values)
        exponent = math.frexp(float(values.max()))[1] if len(values) else 0
        self._unit = math.ldexp(1.0, exponent - _LIMB)
        scaled = values * math.ldexp(1.0, _LIMB - exponent)
        high = np.floor(scaled)
        scaled -= high
        scaled *= 2.0**_LIMB
        self._high = _prefix_sums(high)
        self._low = _prefix_sums(np.rint(scaled, out=scaled))

    def over(self, window: int) -> Floats:
        """The averages over *window* values, shape ``(n,)``; NaN for the first ``window - 1``."""
        if not 1 <= window <= LONGEST_WINDOW:
            raise ValueError(f"a window has 1 to {LONGEST_WINDOW} bars, not {window}")
        result = np.full(self._count, np.nan)
        if window <= self._count:
            total = (self._low[window:] - self._low[:-window]).astype(np.float64)
            # Scaling by a power of two is exact: the sum of the limbs is the one rounding.
            total *= 2.0**-_LIMB
            total += self._high[window:] - self._high[:-window]
            total *= self._unit
            np.divide(total, window, out=result[window - 1 :])
        return result


def crosses(a: Floats, b: Floats, *, strict: bool = False) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Where *a* crosses above and below *b*: two boolean arrays of shape ``(n,)``.

    Up at bar *i*: ``a[i-1] <= b[i-1]`` and ``a[i] > b[i]``; down is the mirror image. A line that
    touches the other and goes on has crossed. With *strict* the earlier comparison is ``<`` (``>``),
    so that a tie on the bar before suppresses the cross, as some other engines have it. Positive
    values closer than 2**-50 of themselves are equal (see ``_TIE``); NaN crosses nothing.
    """
    gap = a - b
    margin = b * _TIE
    above = gap > margin
    below = gap < np.negative(margin, out=margin)
    up = np.zeros(len(a), np.bool_)
    down = np.zeros(len(a), np.bool_)
    if strict:
        up[1:] = above[1:] & below[:-1]
        down[1:] = below[1:] & above[:-1]
    else:
        known = ~np.isnan(gap[:-1])
        up[1:] = above[1:] & ~above[:-1] & known
        down[1:] = below[1:] & ~below[:-1] & known
    return up, down


def _prefix_sums(limb: Floats) -> NDArray[np.int64]:
    sums = np.zeros(len(limb) + 1, np.int64)
    np.cumsum(limb.astype(np.int64), out=sums[1:])
    return sums
