"""The market itself: buying and holding, and what of a run's returns the market explains."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from apps.backtests.engine.bars import Floats

_BLOCK = 8191  # values that stay in a processor's cache; see ``drawdowns``


def buy_and_hold(closes: Sequence[Floats], warmup: int) -> Floats:
    """Worth of equal money in every instrument, bought at the close of bar *warmup*, without costs.

    *closes* are columns of shape ``(n,)``, with NaN where an instrument has no bar: its price is the
    last one known. Money for an instrument that has no price yet waits as cash until its first one. The
    result, shape ``(n,)``, is 1 at *warmup* (below n); before, it is what the same units were worth.
    """
    worth = np.zeros(len(closes[0]))
    for close in closes:
        known = ~np.isnan(close)
        if not known.any():
            worth += 1.0
            continue
        first = int(np.argmax(known))
        last_known = np.maximum.accumulate(np.where(known, np.arange(len(close)), first))
        price = close[last_known]
        worth += price / price[warmup]
    return worth / len(closes)


def beta(equity: Floats, market: Floats) -> float | None:
    """Slope of the log returns of *equity* on those of *market*; None if either has none or does not vary."""
    count = len(equity) - 1
    if count < 2:
        return None
    both = squares = 0.0
    logs, left, right = np.empty(_BLOCK + 1), np.empty(_BLOCK), np.empty(_BLOCK)
    for start in range(0, count, _BLOCK):
        size = min(_BLOCK, count - start)
        part = np.log(equity[start : start + size + 1], out=logs[: size + 1])
        own = np.subtract(part[1:], part[:-1], out=left[:size])
        part = np.log(market[start : start + size + 1], out=logs[: size + 1])
        its = np.subtract(part[1:], part[:-1], out=right[:size])
        both += float(own @ its)
        squares += float(its @ its)
    # Log returns add up to the log of the whole, so that their means cost no pass.
    rise = float(np.log(market[-1]) - np.log(market[0]))
    gain = float(np.log(equity[-1]) - np.log(equity[0]))
    variance = squares - rise * rise / count
    if not variance > 1e-12 * squares:  # nothing but rounding: a market that moves evenly or not at all
        return None
    return (both - gain * rise / count) / variance
