"""The simulation: one event loop over bars, compiled where numba is, run as it is where not.

The loop is plain Python within numba's subset. Compiled it works on numpy arrays, uncompiled on
lists; both do the same IEEE operations in the same order, so their results are equal byte for byte.
Everything the loop knows between two bars is in the state vector: a run may be cut anywhere.

What happens on bar *i*, in this order:

1. The orders decided at the close of bar *i-1* are filled at the open: a position is left when its
   exit bit or the entry bit of the other side is set, then a new one is entered if none is open.
   An entry is void when its own exit bit or the other side's entry bit is set as well.
2. Equity is cash plus the position at the close: ``cash + size * (close - entry price)``. Cash holds
   realised results only; a position ties up none of it, so longs and shorts are treated alike.
3. An account whose equity is not above zero is bankrupt: the position is left at the close, what is
   owed is written off, equity is 0 to the end and nothing is traded any more.

Fills: a buy pays ``price * (1 + slippage)``, a sale gets ``price * (1 - slippage)``; an entry pays the
whole ``spread`` on top. ``commission`` is a fraction of the fill's value, taken at entry and exit.
Size: the most for which value and entry commission fit into ``fraction`` of the cash, rounded down to
a multiple of ``lot`` if that is not 0; money that pays for a lot exactly does so, whatever the last
binary digits of the decimal amounts are. An entry that cannot fill one lot is skipped and counted.

The compiled code is cached by the modification time of this file alone: constants and helpers of the
loop must stay in it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

Vector = Any  # a numpy array when compiled, a list (of lists, for trades) when not

ENTER_LONG, EXIT_LONG, ENTER_SHORT, EXIT_SHORT = 1, 2, 4, 8
LEAVES_LONG = EXIT_LONG | ENTER_SHORT
LEAVES_SHORT = EXIT_SHORT | ENTER_LONG

# The parameter vector.
COMMISSION, SPREAD, SLIPPAGE, FRACTION, LOT = range(5)
PARAMS = 5

# The state vector: SIZE is negative for a short, 0 when flat; PENDING holds the bits of the bar before.
CASH, SIZE, ENTRY_PRICE, ENTRY_BAR, ENTRY_COMMISSION = range(5)
PENDING, TRADES, SKIPPED, WRITTEN_OFF = range(5, 9)
STATE = 9

# The columns of a trade.
T_ENTRY_BAR, T_EXIT_BAR, T_SIZE, T_ENTRY_PRICE, T_EXIT_PRICE = range(5)
T_COMMISSION, T_PNL, T_RETURN, T_REASON = range(5, 9)
TRADE = 9

# Why a trade ended.
BY_SIGNAL, AT_END, IN_BANKRUPTCY = 0, 1, 2

_WHOLE = 9007199254740992.0  # 2**53: every float64 from here on is a whole number
_UP = 1.0 + 8.881784197001252e-16  # 1 + 2**-50: more than the roundings before it can have taken away


def enter(bar: int, price: float, side: float, params: Vector, state: Vector) -> None:
    """Open a position of *side* (1.0 or -1.0) at *price* before costs; flat before."""
    commission = params[COMMISSION]
    lot = params[LOT]
    fill = price * (1.0 + side * (params[SPREAD] + params[SLIPPAGE]))
    budget = state[CASH] * params[FRACTION]
    cost = fill * (1.0 + commission)
    if lot > 0.0:
        lots = budget / (cost * lot) * _UP
        if lots < _WHOLE:
            lots = float(int(lots))
        size = lots * lot
    else:
        size = budget / cost
    if size <= 0.0:
        state[SKIPPED] += 1.0
        return
    fee = size * fill * commission
    state[CASH] -= fee
    state[SIZE] = side * size
    state[ENTRY_PRICE] = fill
    state[ENTRY_BAR] = bar
    state[ENTRY_COMMISSION] = fee


def leave(bar: int, price: float, reason: int, params: Vector, state: Vector, trades: Vector) -> None:
    """Close the open position at *price* before costs and record the trade."""
    size = state[SIZE]
    entry = state[ENTRY_PRICE]
    if size > 0.0:
        units = size
        fill = price * (1.0 - params[SLIPPAGE])
        move = fill / entry - 1.0
    else:
        units = -size
        fill = price * (1.0 + params[SLIPPAGE])
        move = 1.0 - fill / entry
    gross = size * (fill - entry)
    fee = units * fill * params[COMMISSION]
    fees = state[ENTRY_COMMISSION] + fee
    cash = state[CASH] + gross - fee
    if cash <= 0.0:
        reason = IN_BANKRUPTCY
        state[WRITTEN_OFF] = -cash
        cash = 0.0
    number = int(state[TRADES])
    row = trades[number]
    row[T_ENTRY_BAR] = state[ENTRY_BAR]
    row[T_EXIT_BAR] = bar
    row[T_SIZE] = size
    row[T_ENTRY_PRICE] = entry
    row[T_EXIT_PRICE] = fill
    row[T_COMMISSION] = fees
    row[T_PNL] = gross - fees
    row[T_RETURN] = move - fees / (units * entry)
    row[T_REASON] = reason
    state[TRADES] = number + 1.0
    state[CASH] = cash
    state[SIZE] = 0.0
    state[ENTRY_PRICE] = 0.0
    state[ENTRY_COMMISSION] = 0.0


def simulate(
    first: int,
    opens: Vector,
    closes: Vector,
    signals: Vector,
    params: Vector,
    state: Vector,
    equity: Vector,
    trades: Vector,
) -> None:
    """Run the bars of one chunk; *first* is the index of its first bar in the whole run.

    *opens*, *closes*, *signals* and *equity* (written) have one element per bar of the chunk; *params*,
    *state* (read and written) and *trades* (rows written) belong to the run. The caller provides a
    row for every bar with an entry bit.
    """
    cash = state[CASH]
    size = state[SIZE]
    entry = state[ENTRY_PRICE]
    pending = int(state[PENDING])
    for i in range(len(closes)):
        if pending != 0:
            if size > 0.0:
                if pending & LEAVES_LONG:
                    leave(first + i, opens[i], BY_SIGNAL, params, state, trades)
            elif size < 0.0 and pending & LEAVES_SHORT:
                leave(first + i, opens[i], BY_SIGNAL, params, state, trades)
            if state[SIZE] == 0.0 and state[CASH] > 0.0:
                if pending & ENTER_LONG:
                    if not pending & LEAVES_LONG:
                        enter(first + i, opens[i], 1.0, params, state)
                elif pending & ENTER_SHORT and not pending & LEAVES_SHORT:
                    enter(first + i, opens[i], -1.0, params, state)
            cash = state[CASH]
            size = state[SIZE]
            entry = state[ENTRY_PRICE]
        worth = cash + size * (closes[i] - entry)
        if worth <= 0.0 and size != 0.0:
            leave(first + i, closes[i], IN_BANKRUPTCY, params, state, trades)
            cash = state[CASH]
            size = state[SIZE]
            entry = state[ENTRY_PRICE]
            worth = cash
        equity[i] = worth
        pending = int(signals[i])
    state[PENDING] = float(pending)


@cache
def compiled() -> Callable[..., None] | None:
    """``simulate`` as machine code, or None where numba is absent or does not fit this numpy.

    The code is kept on disk (``NUMBA_CACHE_DIR``, else beside this file, else in the user's cache), or
    in memory only when none of these can be written. It holds no interpreter lock while running.
    """
    try:
        from numba import njit
        from numba.extending import register_jitable
    except ImportError:
        return None
    register_jitable(enter)
    register_jitable(leave)
    loop: Any
    try:
        loop = njit(cache=True, nogil=True)(simulate)
    except RuntimeError:  # "cannot cache function …: no locator available": a read-only installation
        loop = njit(nogil=True)(simulate)
    return loop  # type: ignore[no-any-return]


def chosen(jit: bool | None) -> Callable[..., None] | None:
    """The compiled loop, or None for the uncompiled one.

    *jit* None takes the compiled loop if there is one, unless the environment has ``CHANDLERY_JIT=0``;
    True insists on it (RuntimeError without numba); False never takes it.
    """
    if jit is False or (jit is None and os.environ.get("CHANDLERY_JIT") == "0"):
        return None
    loop = compiled()
    if jit and loop is None:
        raise RuntimeError("jit=True needs numba, which cannot be imported here")
    return loop


def warm_up() -> bool:
    """Compile or load the loop now and say whether there is one.

    A worker calls this before it forks: its children then start a run in under a millisecond.
    """
    loop = chosen(None)
    if loop is None:
        return False
    nothing = np.zeros(0)
    nothing.flags.writeable = False
    bits = np.zeros(0, np.uint8)
    bits.flags.writeable = False
    loop(0, nothing, nothing, bits, np.zeros(PARAMS), np.zeros(STATE), np.zeros(0), np.zeros((0, TRADE)))
    return True
