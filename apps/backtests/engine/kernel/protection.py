"""Stops, liquidation and targets inside a bar."""

from __future__ import annotations

from apps.backtests.engine.kernel.fills import leave
from apps.backtests.engine.kernel.layout import (
    AMBIGUOUS,
    AT_STOP,
    AT_TARGET,
    AT_TRAIL,
    BEFORE,
    BOOK,
    BY_LIMIT,
    BY_STOP,
    ENTERED,
    IN_LIQUIDATION,
    MAINTENANCE,
    OPTIMISTIC,
    SIZE,
    START,
    STOP_LEVEL,
    TARGET_LEVEL,
    TRAIL_LEVEL,
    Vector,
)
from apps.backtests.engine.kernel.levels import liquidation


def protect(
    bar: int,
    m: int,
    width: int,
    open_: float,
    high: float,
    low: float,
    close: float,
    params: Vector,
    account: Vector,
    books: Vector,
    trades: Vector,
) -> None:
    """Leave a position whose stop, trailing stop, liquidation price or target the bar reaches."""
    b = m * BOOK
    side = 1.0
    worst = low
    best = high
    if books[b + SIZE] < 0.0:
        side = -1.0
        worst = high
        best = low
    stop = books[b + STOP_LEVEL]
    reason = AT_STOP
    trail = books[b + TRAIL_LEVEL]
    if trail == trail and not side * stop >= side * trail:
        stop = trail
        reason = AT_TRAIL
    if params[MAINTENANCE] >= 0.0:
        ruin = liquidation(m, width, worst, params, account, books)
        if ruin == ruin and not side * stop >= side * ruin:
            stop = ruin
            reason = IN_LIQUIDATION
    target = books[b + TARGET_LEVEL]
    how = books[b + ENTERED]
    start = open_
    if how != BEFORE:
        start = books[b + START]
    if side * start <= side * stop:
        leave(bar, m, start, reason, params, account, books, trades)
        return
    if side * start >= side * target:
        leave(bar, m, start, AT_TARGET, params, account, books, trades)
        return
    stopped = side * worst <= side * stop
    reached = side * best >= side * target
    if not stopped and not reached:
        return
    # What a bar reached before a position began inside it does not count; where that cannot be known, and
    # where both were reached, the bar is ambiguous.
    surely_stopped = stopped and (how != BY_STOP or side * close <= side * stop)
    surely_reached = reached and (how != BY_LIMIT or side * close >= side * target)
    if (stopped and reached) or surely_stopped != stopped or surely_reached != reached:
        account[AMBIGUOUS] += 1.0
        if params[OPTIMISTIC] != 0.0:
            stopped = False
        else:
            reached = False
    if stopped:
        leave(bar, m, stop, reason, params, account, books, trades)
    elif reached:
        leave(bar, m, target, AT_TARGET, params, account, books, trades)
