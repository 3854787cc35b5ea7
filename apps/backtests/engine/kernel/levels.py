"""What a position is worth, and the prices at which something happens to it."""

from __future__ import annotations

from apps.backtests.engine.kernel.layout import (
    BOOK,
    CASH,
    CEILING,
    DISTANCE,
    ENDLESS,
    ENTRY_PRICE,
    FLOOR,
    FRACTION,
    MAINTENANCE,
    MARK,
    NEW_TRAIL_BY,
    NOTHING,
    SIZE,
    STOP,
    STOP_BY,
    STOP_KIND,
    STOP_LEVEL,
    TARGET,
    TARGET_BY,
    TARGET_KIND,
    TARGET_LEVEL,
    TRAIL,
    TRAIL_BY,
    TRAIL_KIND,
    TRAIL_LEVEL,
    Vector,
)


def worth(width: int, account: Vector, books: Vector) -> float:
    """Equity with every position at its last price."""
    total = account[CASH]
    for m in range(width):
        b = m * BOOK
        total += books[b + SIZE] * (books[b + MARK] - books[b + ENTRY_PRICE])
    return total  # type: ignore[no-any-return]


def set_levels(b: int, base: float, side: float, params: Vector, books: Vector) -> None:
    """Stop, target and trailing stop of a position of *side*, measured from *base*.

    A distance that is not known leaves the level that there is; the trailing stop is never moved away.
    """
    if params[STOP_KIND] == FRACTION:
        books[b + STOP_LEVEL] = base * (1.0 - side * params[STOP])
    elif params[STOP_KIND] == DISTANCE and books[b + STOP_BY] == books[b + STOP_BY]:
        books[b + STOP_LEVEL] = base - side * books[b + STOP_BY]
    if params[TARGET_KIND] == FRACTION:
        books[b + TARGET_LEVEL] = base * (1.0 + side * params[TARGET])
    elif params[TARGET_KIND] == DISTANCE and books[b + TARGET_BY] == books[b + TARGET_BY]:
        books[b + TARGET_LEVEL] = base + side * books[b + TARGET_BY]
    level = NOTHING
    if params[TRAIL_KIND] == FRACTION:
        level = base * (1.0 - side * params[TRAIL])
    elif params[TRAIL_KIND] == DISTANCE and books[b + NEW_TRAIL_BY] == books[b + NEW_TRAIL_BY]:
        books[b + TRAIL_BY] = books[b + NEW_TRAIL_BY]
        level = base - side * books[b + TRAIL_BY]
    if level == level and not side * books[b + TRAIL_LEVEL] >= side * level:
        books[b + TRAIL_LEVEL] = level


def follow(b: int, close: float, params: Vector, books: Vector) -> None:
    """Let the trailing stop of a position follow the close; never away from it."""
    side = 1.0 if books[b + SIZE] > 0.0 else -1.0
    level = close * (1.0 - side * params[TRAIL])
    if params[TRAIL_KIND] == DISTANCE:
        level = close - side * books[b + TRAIL_BY]
    if side * level > side * books[b + TRAIL_LEVEL]:
        books[b + TRAIL_LEVEL] = level
        if side > 0.0:
            books[b + FLOOR] = max(books[b + FLOOR], level)
        else:
            books[b + CEILING] = min(books[b + CEILING], level)


def guard(b: int, width: int, params: Vector, account: Vector, books: Vector) -> None:
    """Set the band within which no bar does anything to the position."""
    size = books[b + SIZE]
    side = 1.0 if size > 0.0 else -1.0
    stop = books[b + STOP_LEVEL]
    if not side * stop >= side * books[b + TRAIL_LEVEL] and books[b + TRAIL_LEVEL] == books[b + TRAIL_LEVEL]:
        stop = books[b + TRAIL_LEVEL]
    margin = params[MAINTENANCE]
    if margin >= 0.0:
        ruin = side * ENDLESS
        if width == 1:
            ruin = (size * books[b + ENTRY_PRICE] - account[CASH]) / (size - margin * abs(size))
        if not side * stop >= side * ruin:
            stop = ruin
    if stop != stop:
        stop = -side * ENDLESS
    target = books[b + TARGET_LEVEL]
    if target != target:
        target = side * ENDLESS
    books[b + FLOOR] = stop if side > 0.0 else target
    books[b + CEILING] = target if side > 0.0 else stop


def liquidation(m: int, width: int, worst: float, params: Vector, account: Vector, books: Vector) -> float:
    """The price at which the margin of *m* is used up, if the bar's *worst* price reaches it; else NaN.

    The other positions count at their last prices.
    """
    b = m * BOOK
    size = books[b + SIZE]
    rest = account[CASH] - size * books[b + ENTRY_PRICE]
    value = 0.0
    for k in range(width):
        if k != m:
            c = k * BOOK
            rest += books[c + SIZE] * (books[c + MARK] - books[c + ENTRY_PRICE])
            value += abs(books[c + SIZE]) * books[c + MARK]
    margin = params[MAINTENANCE]
    if rest + size * worst > margin * (abs(size) * worst + value):
        return NOTHING
    return (margin * value - rest) / (size - margin * abs(size))  # type: ignore[no-any-return]
