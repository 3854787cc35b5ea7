"""The loop over combinations: what each leaves on a stretch of bars, without keeping its equity.

Written like the kernel: plain Python on lists, or machine code on arrays, with the same bits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from apps.backtests.engine import jit, kernel
from apps.backtests.engine.kernel.fills import leave
from apps.backtests.engine.kernel.layout import AT_END, BOOK, CASH, LAST_BAR, SIZE, Vector
from apps.backtests.engine.kernel.loop import simulate

# What is noted of a combination: its highest equity, the lowest since, the deepest fall of any, the first
# equity, and how many period ends have been noted.
PEAK, TROUGH, DEPTH, FIRST, ENDS = range(5)
TALLY = 5

RUN = 64  # bars that are looked at together; a multiple of 4


def note(equity: Vector, marks: Vector, tally: Vector, ends: Vector) -> None:
    """Add the equity of a stretch of bars to *tally*, and those at the bars *marks* to *ends*."""
    peak = tally[PEAK]
    trough = tally[TROUGH]
    count = len(equity)
    i = 0
    while i < count:
        if i + RUN <= count:
            # Four pairs at a time do not wait for each other.
            high = high_1 = high_2 = high_3 = equity[i]
            low = low_1 = low_2 = low_3 = equity[i]
            for j in range(i, i + RUN, 4):
                value = equity[j]
                high = value if value > high else high
                low = value if value < low else low
                value = equity[j + 1]
                high_1 = value if value > high_1 else high_1
                low_1 = value if value < low_1 else low_1
                value = equity[j + 2]
                high_2 = value if value > high_2 else high_2
                low_2 = value if value < low_2 else low_2
                value = equity[j + 3]
                high_3 = value if value > high_3 else high_3
                low_3 = value if value < low_3 else low_3
            if max(max(high, high_1), max(high_2, high_3)) <= peak:
                trough = min(trough, min(min(low, low_1), min(low_2, low_3)))
                i += RUN
                continue
        for j in range(i, min(i + RUN, count)):
            value = equity[j]
            if value > peak:
                # Below one peak the lowest equity is the deepest fall.
                if trough < peak:
                    tally[DEPTH] = max(tally[DEPTH], 1.0 - trough / peak)
                peak = value
                trough = value
            elif value < trough:
                trough = value
        i += RUN
    tally[PEAK] = peak
    tally[TROUGH] = trough
    at = int(tally[ENDS])
    for j in range(len(marks)):
        ends[at + j] = equity[marks[j]]
    tally[ENDS] = at + float(len(marks))


def stretch(
    first: int,
    width: int,
    final: bool,
    opens: Vector,
    highs: Vector,
    lows: Vector,
    closes: Vector,
    rates: Vector,
    lasts: Vector,
    bits: Vector,
    long_prices: Vector,
    short_prices: Vector,
    stops: Vector,
    targets: Vector,
    trails: Vector,
    params: Vector,
    accounts: Vector,
    books: Vector,
    equity: Vector,
    trades: Vector,
    marks: Vector,
    tallies: Vector,
    ends: Vector,
) -> None:
    """Run one stretch of bars for every combination.

    Prices and *rates* are the kernel's columns, the same for all; *bits* to *trails* have a row of such a
    column for each combination, as have *params*, *accounts*, *books*, *tallies* and *ends*. *equity* is
    scratch. On the *final* stretch positions that are open are closed as *lasts* says, see ``Ground.lasts``.
    """
    count = len(equity)
    for k in range(len(params)):
        simulate(
            first, width, opens, highs, lows, closes, bits[k], long_prices[k], short_prices[k], stops[k],
            targets[k], trails[k], rates, params[k], accounts[k], books[k], equity, trades,
        )  # fmt: skip
        if final:
            for m in range(width):
                if books[k][m * BOOK + SIZE] != 0.0:
                    price = lasts[m]
                    if books[k][m * BOOK + LAST_BAR] >= lasts[2 * width + m]:
                        price = lasts[width + m]
                    leave(first + count - 1, m, price, AT_END, params[k], accounts[k], books[k], trades)
            equity[count - 1] = accounts[k][CASH]
        if first == 0:
            tallies[k][FIRST] = equity[0]
        note(equity, marks, tallies[k], ends[k])


def chosen(compiled: bool | None) -> Callable[..., None] | None:
    """``stretch`` as machine code, or None for the uncompiled one; see ``jit.chosen``."""
    return _compiled() if jit.chosen(compiled) is not None else None


def warm_up() -> bool:
    """Compile or load the loop now and say whether there is one; for a worker before it forks."""
    made = chosen(None)
    if made is None:
        return False
    prices, bits = np.zeros(0), np.zeros((0, 0), np.uint8)
    prices.flags.writeable = False
    table = np.zeros((0, 0))
    columns = [*[prices] * 5, np.zeros(0), bits, *[table] * 5]
    trades = np.zeros((0, kernel.TRADE))
    made(0, 1, False, *columns, table, table, table, np.zeros(0), trades, np.zeros(0, np.int64), table, table)
    return True


@cache
def _compiled() -> Callable[..., None]:
    from numba import njit
    from numba.extending import register_jitable

    # The kernel's functions are known to numba once the kernel has been compiled.
    jit.compiled()
    uncounted: dict[str, Any] = {"_nrt": False}
    register_jitable(**uncounted)(note)
    register_jitable(**uncounted)(stretch)
    source = hashlib.sha256(Path(__file__).read_bytes() + jit.source().encode()).hexdigest()
    entry = _entry(source)
    made: Any
    try:
        made = njit(cache=True, nogil=True, **uncounted)(entry)
    except RuntimeError:  # a read-only installation, as in jit
        made = njit(nogil=True, **uncounted)(entry)
    return made  # type: ignore[no-any-return]


def _entry(source: str) -> Callable[..., None]:
    """What is compiled; *source* is part of the key of the cache, as in ``jit``."""
    loop = stretch

    def entry(
        first: Any,
        width: Any,
        final: Any,
        opens: Any,
        highs: Any,
        lows: Any,
        closes: Any,
        rates: Any,
        lasts: Any,
        bits: Any,
        long_prices: Any,
        short_prices: Any,
        stops: Any,
        targets: Any,
        trails: Any,
        params: Any,
        accounts: Any,
        books: Any,
        equity: Any,
        trades: Any,
        marks: Any,
        tallies: Any,
        ends: Any,
    ) -> None:
        if source:
            loop(
                first, width, final, opens, highs, lows, closes, rates, lasts, bits, long_prices,
                short_prices, stops, targets, trails, params, accounts, books, equity, trades, marks,
                tallies, ends,
            )  # fmt: skip

    return entry
