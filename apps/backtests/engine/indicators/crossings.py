"""Where one line crosses another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from apps.backtests.engine.bars import Floats
from apps.backtests.engine.indicators.compiled import TIE, compiled, frozen

Flags = NDArray[np.bool_]

# About TIE: decimal prices are not exact in binary. Each is off by up to 2**-53 of itself, and so is their
# mean; adding and dividing round once each. Two averages are thus known to 3 * 2**-53, their difference
# to less than 2**-50 of either. What is closer than that is a tie.


def crosses(a: Floats, b: Floats, *, strict: bool = False) -> tuple[Flags, Flags]:
    """Where *a* crosses above and below *b*: two boolean arrays of shape ``(n,)``.

    Up at bar *i*: ``a[i-1] <= b[i-1]`` and ``a[i] > b[i]``; down is the mirror image. A line that
    touches the other and goes on has crossed. With *strict* the earlier comparison is ``<`` (``>``),
    so that a tie on the bar before suppresses the cross, as some other engines have it. Values
    closer than 2**-50 of ``|b|`` are equal (see ``TIE``); NaN crosses nothing.
    """
    up, down = np.zeros(len(a), np.bool_), np.zeros(len(a), np.bool_)
    loop = compiled("crossings")
    if loop is not None:
        loop(frozen(a), frozen(b), strict, up, down)
        return up, down
    gap = a - b
    margin = np.abs(b)
    margin *= TIE
    above = gap > margin
    below = gap < np.negative(margin, out=margin)
    if strict:
        up[1:] = above[1:] & below[:-1]
        down[1:] = below[1:] & above[:-1]
    else:
        known = ~np.isnan(gap[:-1])
        up[1:] = above[1:] & ~above[:-1] & known
        down[1:] = below[1:] & ~below[:-1] & known
    return up, down
