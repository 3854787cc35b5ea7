"""What TA-Lib computes, on what it needs: finite values and enough of them.

TA-Lib carries one NaN to the end of a series, or ignores it, depending on the function. Here a value
that is not finite ends a series: each run of finite values is a series of its own, and the indicator
begins anew behind the gap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from apps.backtests.engine.bars import Floats
from apps.backtests.engine.indicators import compiled
from apps.backtests.engine.indicators.library import talib

Check = Callable[[], object]

_CHECKED = 4096  # runs between two checks: about 20 ms
_STRETCH = 65_536  # bars between two checks of an uncompiled loop: about 40 ms
_PIECE = 16_384  # bars between two checks: about 20 ms where each looks at 500 bars


def plain(name: str) -> Callable[..., Any]:
    """TA-Lib's function *name*, for arrays followed by its options in order."""

    def compute(*arguments: Any) -> Any:
        return getattr(talib(), name)(*arguments)

    return compute


def ema(values: Floats, window: int) -> Floats:
    """Exponential average that begins with the mean of its first window; of one bar, the series itself."""
    return values.copy() if window == 1 else talib().EMA(values, window)


def wma(values: Floats, window: int) -> Floats:
    return values.copy() if window == 1 else talib().WMA(values, window)


def aroon(high: Floats, low: Floats, window: int) -> tuple[Floats, Floats]:
    """Up and down, 0 to 100."""
    down, up = talib().AROON(high, low, window)
    return up, down


def supertrend(
    high: Floats, low: Floats, close: Floats, window: int, width: float, *, check: Check | None = None
) -> Floats:
    """The band of *width* average true ranges around the middle of the bar that price has not crossed."""
    distance = talib().ATR(high, low, close, window) if window > 1 else talib().TRANGE(high, low, close)
    return _looped(compiled.supertrend, (close, (high + low) * 0.5, distance * width), check=check)


def adx(high: Floats, low: Floats, window: int, *, check: Check | None = None) -> Floats:
    """Wilder's average directional index, 0 to 100, begun as TA-Lib does, in half its time."""
    return _looped(compiled.trend_strength, (high, low), window, check=check)


def _looped(
    loop: Callable[..., None], columns: Sequence[Floats], *options: int, check: Check | None
) -> Floats:
    """What *loop*, of three carried values, writes for all bars; uncompiled, with *check* in between."""
    count, state, result = len(columns[0]), np.zeros(3), np.full(len(columns[0]), np.nan)
    machine = compiled.compiled(loop.__name__)
    if machine is not None:
        machine(0, count, *map(compiled.frozen, columns), *options, state, result)
        return result
    lists, carried, written = [column.tolist() for column in columns], state.tolist(), result.tolist()
    for first in range(0, count, _STRETCH):
        if check is not None:
            check()
        loop(first, min(first + _STRETCH, count), *lists, *options, carried, written)
    return np.array(written)


def over_windows(
    compute: Callable[..., Floats], values: Floats, options: tuple[float, ...], *, start: int, window: int
) -> Floats:
    """``compute(values, *options)`` from bar *start* on, of a function of its window alone.

    NaN where the window holds a value that is not finite.
    """
    body = values[start:]
    whole = _all_finite(body)
    if whole and start == 0:
        return compute(values, *options)
    result = np.full(len(values), np.nan)
    if whole:
        result[start:] = compute(body, *options)
        return result
    unknown = ~np.isfinite(body)
    part = compute(np.where(unknown, 0.0, body), *options)
    seen = np.cumsum(unknown)
    seen[window:] -= seen[:-window].copy()
    part[seen > 0] = np.nan
    result[start:] = part
    return result


def over_pieces(
    compute: Callable[..., Any],
    columns: Sequence[Floats],
    options: tuple[float, ...],
    *,
    window: int,
    check: Check | None = None,
) -> Any:
    """``compute(*columns, *options)`` of a function of its window alone, with *check* in between.

    The bits are those of one call. How the function rounds may depend on the place of the window in
    multiples of its length, so pieces begin at such. *compute* may return a tuple.
    """
    count, step = len(columns[0]), max(_PIECE // window, 2) * window
    parts = []
    for at in range(0, max(count - window + 1, 1), step):
        if check is not None and at:
            check()
        stop = min(at + step + window - 1, count)
        found = compute(*(column[at:stop] for column in columns), *options)
        if stop == count and not at:
            return found
        # The warm-up of a piece is the end of the one before.
        known = at + window - 1 if at else 0
        parts.append((known, stop, _cut(found, known - at)))
    return _together(parts, count)


def over_runs(
    compute: Callable[..., Any],
    values: Floats,
    options: tuple[float, ...],
    *,
    start: int,
    lookback: int,
    check: Check | None = None,
) -> Any:
    """``compute(values, *options)`` on every run of finite values from bar *start* on.

    The first *lookback* values of each run, and what is in no run, are NaN. *compute* may return a tuple.
    *check* is called now and then where there are many runs.
    """
    whole = _all_finite(values[start:])
    if whole and start == 0:
        return compute(values, *options)
    runs = [(start, len(values))] if whole else _runs(values, start)
    parts = []
    for number, (at, stop) in enumerate(runs):
        if check is not None and number % _CHECKED == _CHECKED - 1:
            check()
        if stop - at > lookback:
            parts.append((at, stop, compute(values[at:stop], *options)))
    if not parts:
        # What compute returns for too short a series has the form that the caller expects.
        return compute(np.full(len(values), np.nan), *options)
    return _together(parts, len(values))


def _all_finite(values: Floats) -> bool:
    with np.errstate(over="ignore", invalid="ignore"):
        # A sum that overflows only makes the longer way be taken, with the same result.
        return bool(np.isfinite(values.sum()))


def _cut(found: Any, start: int) -> Any:
    return tuple(one[start:] for one in found) if isinstance(found, tuple) else found[start:]


def _together(parts: list[tuple[int, int, Any]], count: int) -> Any:
    if isinstance(parts[0][2], tuple):
        return tuple(
            _placed([(at, stop, part[column]) for at, stop, part in parts], count)
            for column in range(len(parts[0][2]))
        )
    return _placed(parts, count)


def _placed(parts: list[tuple[int, int, Any]], count: int) -> Floats:
    result = np.full(count, np.nan)
    for at, stop, part in parts:
        result[at:stop] = part
    return result


def _runs(values: Floats, start: int) -> list[tuple[int, int]]:
    finite = np.zeros(len(values) + 2, np.int8)
    finite[start + 1 : -1] = np.isfinite(values[start:])
    edges = np.flatnonzero(np.diff(finite)).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))
