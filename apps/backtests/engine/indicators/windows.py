"""Statistics over a window: of finite values, without drift, in time that does not grow with the window.

For sums the series is cut into blocks as long as the window. Every window is the end of one block and the
beginning of the next, so two running results per block give all of them. Nothing that left the window
leaves a trace; how the sum is rounded depends on the place of the window in its block.

Every function takes finite values of shape ``(n,)`` and returns shape ``(n,)`` with NaN for the first
``window - 1``.
"""

from __future__ import annotations

import numpy as np

from apps.backtests.engine.bars import Floats
from apps.backtests.engine.indicators.compiled import compiled, frozen
from apps.backtests.engine.indicators.library import talib

_SHORT = 64  # up to here TA-Lib, which may look at its whole window again, is the fastest in the worst case


def rolling_sum(values: Floats, window: int) -> Floats:
    """Sum of the window."""
    result = _unknown(values, window)
    count = len(values) - window + 1
    if count <= 0:
        return result
    loop = compiled("window_sums")
    if loop is not None:
        loop(frozen(values), window, np.empty(window), result)
        return result
    blocks = _blocks(values, window)
    ahead = np.cumsum(blocks, axis=1).reshape(-1)
    behind = np.cumsum(blocks[:, ::-1], axis=1)[:, ::-1].reshape(-1)
    result[window - 1 :] = behind[:count]
    # The last value of a window that is one whole block ends its block: nothing is to be added.
    ahead = ahead[window - 1 : len(values)]
    ahead[::window] = 0.0
    result[window - 1 :] += ahead
    return result


def rolling_mean(values: Floats, window: int) -> Floats:
    """Mean of the window. For prices, ``MovingAverage`` is exact."""
    result = rolling_sum(values, window)
    result /= window
    return result


def rolling_deviation(values: Floats, window: int) -> Floats:
    """Standard deviation of the window's values from their mean, divided by their number.

    Both sums are of differences to a value near or in the window, so that little is lost to cancellation.
    """
    result = _unknown(values, window)
    count = len(values) - window + 1
    if count <= 0:
        return result
    loop = compiled("window_deviations")
    if loop is not None:
        loop(frozen(values), window, np.empty((4, window)), result)
        return result
    blocks = _blocks(values, window)
    anchor = blocks[:, -1:].copy()
    # The last block may be filled up; no window begins in it unless it is whole.
    end = blocks - anchor
    start = np.zeros_like(blocks)
    start[1:] = blocks[1:] - anchor[:-1]
    first = _joined(end, start, window, count)
    second = _joined(np.square(end, out=end), np.square(start, out=start), window, count)
    np.multiply(first, first, out=first)
    second *= window
    second -= first
    np.sqrt(np.maximum(second, 0.0, out=second), out=second)
    np.divide(second, window, out=result[window - 1 :])
    return result


def rolling_extreme(values: Floats, window: int, *, highest: bool) -> Floats:
    """Highest or lowest value of the window."""
    if 1 < window <= _SHORT:
        found: Floats = (talib().MAX if highest else talib().MIN)(values, window)
        return found
    result = _unknown(values, window)
    if len(values) < window:
        return result
    loop = compiled("window_extremes")
    if loop is not None:
        loop(frozen(values), window, 1.0 if highest else -1.0, np.empty(window), result)
        return result
    # Extremes of 2, 4, 8 … values, each from two of the stage before; the last two may overlap.
    pick = np.maximum if highest else np.minimum
    stage, width = values, 1
    while 2 * width <= window:
        stage = pick(stage[:-width], stage[width:])
        width *= 2
    count = len(values) - window + 1
    pick(stage[:count], stage[window - width : window - width + count], out=result[window - 1 :])
    result += 0.0  # takes the sign of zero away, as the loop does
    return result


def volume_weighted(price: Floats, volume: Floats, window: int) -> Floats:
    """Mean of the window's *price*, weighted by *volume*; NaN where nothing was traded."""
    with np.errstate(over="ignore", invalid="ignore"):
        traded = rolling_sum(volume, window)
        value = rolling_sum(price * volume, window)
        traded[traded <= 0.0] = np.nan
        value /= traded
    return value


def _unknown(values: Floats, window: int) -> Floats:
    result = np.empty(len(values))
    result[: window - 1] = np.nan
    return result


def _blocks(values: Floats, window: int) -> Floats:
    """The values in rows of *window*; the last row is filled up with zeros."""
    rows = -(-len(values) // window)
    if rows * window == len(values):
        return values.reshape(rows, window)
    filled = np.empty(rows * window)
    filled[: len(values)] = values
    filled[len(values) :] = 0.0
    return filled.reshape(rows, window)


def _joined(end: Floats, start: Floats, window: int, count: int) -> Floats:
    """Sums over windows: the end of a block by *end*, the beginning of the next by *start*."""
    result = np.cumsum(end[:, ::-1], axis=1)[:, ::-1].reshape(-1)[:count]
    ahead = np.cumsum(start, axis=1).reshape(-1)[window - 1 : window - 1 + count]
    ahead[::window] = 0.0
    result += ahead
    return result
