"""Positions begin and end."""

from __future__ import annotations

from apps.backtests.engine.kernel.layout import (
    AT_TARGET,
    BANKRUPT,
    BASE,
    BASE_IS_CLOSE,
    BEFORE,
    BOOK,
    BY_CASH,
    BY_LIMIT,
    BY_RISK,
    BY_UNITS,
    CASH,
    DISTANCE,
    DUST,
    ENTERED,
    ENTRIES,
    ENTRY_BAR,
    ENTRY_FEES,
    ENTRY_PRICE,
    FEES,
    FIXED,
    FRACTION,
    GROSS_LOSS,
    GROSS_PROFIT,
    HELD,
    HELD_BARS,
    HELD_FROM,
    HELD_TO,
    IN_BANKRUPTCY,
    IN_LIQUIDATION,
    LAST_BAR,
    LEAST_VALUE,
    LEVERAGE,
    LOT,
    MAKER,
    MARK,
    MAX_POSITIONS,
    NOTHING,
    PAID_FUNDING,
    PNL,
    PNL_SQUARES,
    POSITIONS,
    PYRAMIDING,
    RESTING,
    RETURNS,
    SIZE,
    SIZING,
    SKIPPED,
    SLIPPAGE,
    SPREAD,
    START,
    STOP,
    STOP_BY,
    STOP_KIND,
    STOP_LEVEL,
    T_COMMISSION,
    T_ENTRIES,
    T_ENTRY_BAR,
    T_ENTRY_PRICE,
    T_EXIT_BAR,
    T_EXIT_PRICE,
    T_FUNDING,
    T_INSTRUMENT,
    T_PNL,
    T_REASON,
    T_RETURN,
    T_SIZE,
    TAKER,
    TARGET_LEVEL,
    TRADES,
    TRAIL_LEVEL,
    UP,
    VALUE,
    WHOLE,
    WINS,
    WRITTEN_OFF,
    Vector,
)
from apps.backtests.engine.kernel.levels import guard, set_levels, worth


def size_of(fill: float, rate: float, loss: float, free: float, equity: float, params: Vector) -> float:
    """Units that an entry at *fill* buys or sells, 0.0 when it cannot be paid for.

    *loss* is what a unit loses when the stop is filled at its price.
    """
    cost = fill * (1.0 + rate)
    most = free * params[LEVERAGE] - params[FIXED]
    if most <= equity * params[LEVERAGE] * DUST:
        return 0.0
    asked = params[SIZING] == BY_UNITS or params[SIZING] == BY_CASH
    if asked:
        size = params[VALUE]
        if params[SIZING] == BY_CASH:
            size = size / fill
    elif params[SIZING] == BY_RISK:
        if not loss > 0.0:
            return 0.0
        size = min(equity * params[VALUE] / loss, most / cost)
    else:
        size = min(equity * params[LEVERAGE] * params[VALUE] - params[FIXED], most) / cost
    lot = params[LOT]
    if lot > 0.0:
        lots = size / lot * UP
        if lots < WHOLE:
            size = float(int(lots)) * lot
    if (asked and size * cost > most * UP) or not size * fill > LEAST_VALUE:
        return 0.0
    return size  # type: ignore[no-any-return]


def enter(
    bar: int,
    m: int,
    width: int,
    price: float,
    side: float,
    how: int,
    params: Vector,
    account: Vector,
    books: Vector,
) -> None:
    """Open or add to a position of *side* (1.0 or -1.0) at *price* before costs; *how* as in ENTERED."""
    b = m * BOOK
    held = books[b + SIZE]
    if account[BANKRUPT] != 0.0:
        return
    if side * held < 0.0 or (held != 0.0 and books[b + ENTRIES] > params[PYRAMIDING]):
        return
    if held == 0.0 and params[MAX_POSITIONS] > 0.0 and account[POSITIONS] >= params[MAX_POSITIONS]:
        account[SKIPPED] += 1.0
        return
    rate = params[TAKER]
    slippage = params[SLIPPAGE]
    if how == BY_LIMIT:
        rate = params[MAKER]
        slippage = 0.0
    fill = price * (1.0 + side * (params[SPREAD] + slippage))
    base = fill
    if params[BASE_IS_CLOSE] != 0.0:
        base = books[b + BASE]
    stop = NOTHING
    if params[STOP_KIND] == FRACTION:
        stop = base * (1.0 - side * params[STOP])
    elif params[STOP_KIND] == DISTANCE:
        stop = base - side * books[b + STOP_BY]
    equity = worth(width, account, books)
    used = 0.0
    for k in range(width):
        used += abs(books[k * BOOK + SIZE]) * books[k * BOOK + MARK]
    loss = side * (fill - stop)
    size = size_of(fill, rate, loss, equity - used / params[LEVERAGE], equity, params)
    if size <= 0.0:
        account[SKIPPED] += 1.0
        return
    fee = size * fill * rate + params[FIXED]
    account[CASH] -= fee
    account[FEES] += fee
    if held == 0.0:
        if account[POSITIONS] == 0.0:
            account[HELD_FROM] = max(float(bar), account[HELD_TO])
        account[POSITIONS] += 1.0
        books[b + SIZE] = side * size
        books[b + ENTRY_PRICE] = fill
        books[b + ENTRY_BAR] = bar
        books[b + ENTRY_FEES] = fee
        books[b + PAID_FUNDING] = 0.0
        books[b + ENTRIES] = 1.0
        books[b + HELD] = 0.0
        books[b + STOP_LEVEL] = NOTHING
        books[b + TARGET_LEVEL] = NOTHING
        books[b + TRAIL_LEVEL] = NOTHING
    else:
        units = abs(held) + size
        fill = (abs(held) * books[b + ENTRY_PRICE] + size * fill) / units
        books[b + SIZE] = side * units
        books[b + ENTRY_PRICE] = fill
        books[b + ENTRY_FEES] += fee
        books[b + ENTRIES] += 1.0
        if params[BASE_IS_CLOSE] == 0.0:
            base = fill
    books[b + LAST_BAR] = bar
    books[b + ENTERED] = how
    books[b + START] = price
    set_levels(b, base, side, params, books)
    guard(b, width, params, account, books)


def leave(
    bar: int,
    m: int,
    price: float,
    reason: int,
    params: Vector,
    account: Vector,
    books: Vector,
    trades: Vector,
) -> None:
    """Close the position at *price* before costs and record the trade."""
    b = m * BOOK
    size = books[b + SIZE]
    entry = books[b + ENTRY_PRICE]
    slippage = params[SLIPPAGE]
    rate = params[TAKER]
    if reason == AT_TARGET:
        slippage = 0.0
        rate = params[MAKER]
    if size > 0.0:
        units = size
        fill = price * (1.0 - slippage)
        move = fill / entry - 1.0
    else:
        units = -size
        fill = price * (1.0 + slippage)
        move = 1.0 - fill / entry
    gross = size * (fill - entry)
    fee = units * fill * rate + params[FIXED]
    fees = books[b + ENTRY_FEES] + fee
    funding = books[b + PAID_FUNDING]
    pnl = gross - fees - funding + 0.0  # of a short that gains nothing, gross is -0.0
    gain = move - (fees + funding) / (units * entry)
    cash = account[CASH] + gross - fee
    account[POSITIONS] -= 1.0
    # What rounding left of nothing is nothing: no later trade may live on it.
    if cash <= units * entry * DUST and account[POSITIONS] == 0.0:
        reason = IN_BANKRUPTCY if reason != IN_LIQUIDATION else reason
        account[WRITTEN_OFF] = max(0.0 - cash, 0.0)
        account[BANKRUPT] = 1.0
        cash = 0.0
    number = int(account[TRADES])
    if number < len(trades):
        row = trades[number]
        row[T_ENTRY_BAR] = books[b + ENTRY_BAR]
        row[T_EXIT_BAR] = bar
        row[T_SIZE] = size
        row[T_ENTRY_PRICE] = entry
        row[T_EXIT_PRICE] = fill
        row[T_COMMISSION] = fees
        row[T_FUNDING] = funding
        row[T_PNL] = pnl
        row[T_RETURN] = gain
        row[T_REASON] = reason
        row[T_INSTRUMENT] = m
        row[T_ENTRIES] = books[b + ENTRIES]
    account[TRADES] = number + 1.0
    account[FEES] += fee
    away = pnl * number - account[PNL]
    if number > 0:
        account[PNL_SQUARES] += away * away / (number * (number + 1.0))
    account[PNL] += pnl
    account[RETURNS] += gain
    if pnl > 0.0:
        account[WINS] += 1.0
    if gain > 0.0:
        account[GROSS_PROFIT] += gain
    else:
        account[GROSS_LOSS] -= gain
    if account[POSITIONS] == 0.0:
        account[HELD_BARS] += max(bar + 1.0 - account[HELD_FROM], 0.0)
        account[HELD_TO] = bar + 1.0
    account[CASH] = cash
    books[b + SIZE] = 0.0
    books[b + ENTRY_PRICE] = 0.0
    books[b + ENTERED] = BEFORE
    books[b + RESTING] = 0.0
