"""Loops over bars as machine code, where numba is; every caller has a numpy form with the same bits.

The compiled code is cached by the bytes of this file: what the loops use must stay in it. Floating point
operations are never reordered or fused, so both forms round alike.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from apps.backtests.engine import jit

Vector = Any  # a numpy array when compiled, a list when not

LIMB = 1099511627776.0  # 2**40
ROUNDER = 6755399441055744.0  # 1.5 * 2**52
TIE = 8.881784197001252e-16  # 2**-50


def prefix_sums(values: Vector, scale: float, high: Vector, low: Vector) -> None:
    """Write the running sums of both limbs of ``values * scale``, of positive values; they begin with 0."""
    upper = 0
    lower = 0
    high[0] = 0
    low[0] = 0
    for i in range(len(values)):
        scaled = values[i] * scale
        whole = int(scaled)
        # Adding and taking away what has no binary digits below one rounds to the nearest, ties to even.
        rest = ((scaled - float(whole)) * LIMB + ROUNDER) - ROUNDER
        upper += whole
        lower += int(rest)
        high[i + 1] = upper
        low[i + 1] = lower


def window_means(high: Vector, low: Vector, window: int, unit: float, result: Vector) -> None:
    """Write the means of *window* values from the running sums of their limbs."""
    for i in range(len(high) - window):
        total = float(low[i + window] - low[i]) * (1.0 / LIMB) + float(high[i + window] - high[i])
        result[i + window - 1] = total * unit / window


def crossings(a: Vector, b: Vector, strict: bool, up: Vector, down: Vector) -> None:
    """Write where *a* crosses *b*; see ``crosses``.

    Nothing is carried from bar to bar, so that several are compared at once.
    """
    if len(a) > 0:
        up[0] = False
        down[0] = False
    if strict:
        for i in range(1, len(a)):
            before = a[i - 1] - b[i - 1]
            tie = abs(b[i - 1]) * TIE
            gap = a[i] - b[i]
            margin = abs(b[i]) * TIE
            up[i] = (gap > margin) & (before < -tie)
            down[i] = (gap < -margin) & (before > tie)
    else:
        for i in range(1, len(a)):
            before = a[i - 1] - b[i - 1]
            tie = abs(b[i - 1]) * TIE
            gap = a[i] - b[i]
            margin = abs(b[i]) * TIE
            up[i] = (gap > margin) & (before <= tie)
            down[i] = (gap < -margin) & (before >= -tie)


def supertrend(
    first: int, stop: int, close: Vector, middle: Vector, distance: Vector, state: Vector, result: Vector
) -> None:
    """Write the trailing band: below the close in a rise, above it in a fall; NaN where *distance* is.

    *state*, at first zeros, has three places for what is carried from the bars before *first*.
    """
    upper, lower, side = state[0], state[1], state[2]
    for i in range(first, stop):
        room = distance[i]
        if room != room:
            side = 0.0
            continue
        high = middle[i] + room
        low = middle[i] - room
        if side == 0.0:
            upper = high
            lower = low
            side = 1.0 if close[i] >= middle[i] else -1.0
        else:
            before = close[i - 1]
            if high < upper or before > upper:
                upper = high
            if low > lower or before < lower:
                lower = low
            if side < 0.0 and close[i] > upper:
                side = 1.0
            elif side > 0.0 and close[i] < lower:
                side = -1.0
        result[i] = lower if side > 0.0 else upper
    state[0], state[1], state[2] = upper, lower, side


def window_sums(values: Vector, window: int, scratch: Vector, result: Vector) -> None:
    """Write the sums of *window* values, as ``windows.rolling_sum`` does.

    *scratch* has a window's length.
    """
    count = len(values)
    for start in range(0, count - window + 1, window):
        total = 0.0
        for i in range(window - 1, -1, -1):
            total = values[start + i] if i == window - 1 else total + values[start + i]
            scratch[i] = total
        result[start + window - 1] = scratch[0]
        total = 0.0
        for i in range(min(window - 1, count - start - window)):
            value = values[start + window + i]
            total = value if i == 0 else total + value
            result[start + window + i] = scratch[i + 1] + total


def window_deviations(values: Vector, window: int, scratch: Vector, result: Vector) -> None:
    """Write the standard deviations of *window* values, as ``windows.rolling_deviation`` does.

    *scratch* has four rows of a window's length.
    """
    first, second, once, twice = scratch[0], scratch[1], scratch[2], scratch[3]
    count = len(values)
    for start in range(0, count - window + 1, window):
        anchor = values[start + window - 1]
        total = 0.0
        squares = 0.0
        for i in range(window - 1, -1, -1):
            gap = values[start + i] - anchor
            total += gap
            squares += gap * gap
            first[i] = total
            second[i] = squares
        total = 0.0
        squares = 0.0
        once[0] = 0.0
        twice[0] = 0.0
        more = min(window, count - start - window + 1)
        for i in range(1, more):
            gap = values[start + window + i - 1] - anchor
            total += gap
            squares += gap * gap
            once[i] = total
            twice[i] = squares
        for i in range(more):
            total = first[i] + once[i]
            spread = (second[i] + twice[i]) * window - total * total
            result[start + window - 1 + i] = math.sqrt(max(spread, 0.0)) / window


def window_extremes(values: Vector, window: int, sign: float, scratch: Vector, result: Vector) -> None:
    """Write the highest of *window* values for a *sign* of 1, the lowest for one of -1.

    *scratch* has a window's length.
    """
    count = len(values)
    for start in range(0, count - window + 1, window):
        best = values[start + window - 1] * sign
        for i in range(window - 1, -1, -1):
            best = max(best, values[start + i] * sign)
            scratch[i] = best
        # Adding zero takes its sign away, which depends on the order of equal values.
        result[start + window - 1] = best * sign + 0.0
        for i in range(min(window - 1, count - start - window)):
            value = values[start + window + i] * sign
            best = value if i == 0 else max(best, value)
            result[start + window + i] = max(best, scratch[i + 1]) * sign + 0.0


def trend_strength(
    first: int, stop: int, high: Vector, low: Vector, window: int, state: Vector, result: Vector
) -> None:
    """Write Wilder's average directional index, 0 to 100, from bar ``2 * window - 1`` on.

    The true range cancels out of it. Where price has not moved yet, it stays as it was. *state*, at first
    zeros, has three places for what is carried from the bars before *first*.
    """
    rise, fall, strength = state[0], state[1], state[2]
    kept = 1.0 - 1.0 / window
    for i in range(max(first, 1), stop):
        up = high[i] - high[i - 1]
        down = low[i - 1] - low[i]
        more_up = up if up > down and up > 0.0 else 0.0
        more_down = down if down > up and down > 0.0 else 0.0
        if i < window:
            rise += more_up
            fall += more_down
            continue
        rise = rise * kept + more_up
        fall = fall * kept + more_down
        moved = rise + fall
        if i < 2 * window:
            if moved > 0.0:
                strength += 100.0 * abs(rise - fall) / moved
            if i == 2 * window - 1:
                strength /= window
                result[i] = strength
            continue
        if moved > 0.0:
            strength = strength * kept + 100.0 * abs(rise - fall) / moved / window
        result[i] = strength
    state[0], state[1], state[2] = rise, fall, strength


_LOOPS = (
    prefix_sums,
    window_means,
    crossings,
    supertrend,
    window_sums,
    window_deviations,
    window_extremes,
    trend_strength,
)


@cache
def _compiled() -> dict[str, Callable[..., None]] | None:
    try:
        from numba import njit
        from numba.extending import register_jitable
    except ImportError:
        return None
    # The loops allocate nothing: no reference needs to be counted.
    options: dict[str, Any] = {"nogil": True, "_nrt": False}
    source = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    loops: dict[str, Callable[..., None]] = {}
    for loop in _LOOPS:
        entry = _entry(register_jitable(_nrt=False)(loop), source)
        try:
            loops[loop.__name__] = njit(cache=True, **options)(entry)
        except RuntimeError:  # no place to write the cache to: a read-only installation
            loops[loop.__name__] = njit(**options)(entry)
    return loops


def _entry(loop: Callable[..., None], source: str) -> Callable[..., None]:
    """What is compiled. Closing over *source* makes it part of the key under which code is cached.

    Some versions of numba look at the time and the size of the file only, which another one may share.
    """

    def entry(*arguments: Any) -> None:
        if source:
            loop(*arguments)

    # Each loop has a file of its own in the cache.
    entry.__qualname__ = f"entry_{loop.__name__}"
    return entry


def compiled(name: str) -> Callable[..., None] | None:
    """The loop *name* as machine code, or None without numba or with ``CHANDLERY_JIT=0``."""
    if jit.chosen(None) is None:
        return None
    loops = _compiled()
    return loops[name] if loops else None


def frozen(values: Any) -> Any:
    """A read-only contiguous view: the loops are compiled for one kind of array."""
    view = np.ascontiguousarray(values).view()
    view.flags.writeable = False
    return view


def warm_up() -> bool:
    """Compile or load every loop now and say whether there are any; for a worker before it forks."""
    if compiled("crossings") is None:
        return False
    two = np.ones(2)
    sums, flags = np.zeros(3, np.int64), np.zeros(2, np.bool_)
    given = frozen(two)
    _run("prefix_sums", given, 1.0, sums, sums.copy())
    _run("window_means", frozen(sums), frozen(sums), 1, 1.0, two.copy())
    _run("crossings", given, given, False, flags, flags.copy())
    _run("supertrend", 0, 2, given, given, given, np.zeros(3), two.copy())
    _run("window_sums", given, 1, np.ones(1), two.copy())
    _run("window_deviations", given, 1, np.ones((4, 1)), two.copy())
    _run("window_extremes", given, 1, 1.0, np.ones(1), two.copy())
    _run("trend_strength", 0, 2, given, given, 2, np.zeros(3), two.copy())
    return True


def _run(name: str, *arguments: Any) -> None:
    loop = compiled(name)
    if loop is not None:
        loop(*arguments)
