"""From decisions to orders, and from orders to fills."""

from __future__ import annotations

from apps.backtests.engine.kernel.fills import enter, leave
from apps.backtests.engine.kernel.layout import (
    AT_OPEN,
    AT_TIME,
    BARS_LEFT,
    BASE,
    BOOK,
    BY_LIMIT,
    BY_SIGNAL,
    BY_STOP,
    DECIDED,
    DISTANCE,
    ENTER_LONG,
    ENTER_SHORT,
    ENTERED,
    ENTERS,
    ENTRIES,
    HELD,
    LATE,
    LEAVES_LONG,
    LEAVES_SHORT,
    LIMIT,
    LONG_PRICE,
    MARK,
    MARKET,
    NEW_TRAIL_BY,
    ORDER,
    PENDING,
    PYRAMIDING,
    RESTING,
    RESTING_PRICE,
    SHORT_PRICE,
    SIZE,
    STOP_BY,
    STOP_KIND,
    TARGET_BY,
    TARGET_KIND,
    TIME_IS_UP,
    TIME_STOP,
    TRAIL_KIND,
    VALID_BARS,
    Vector,
)


def decide(
    at: int,
    m: int,
    bit: int,
    close: float,
    long_prices: Vector,
    short_prices: Vector,
    stops: Vector,
    targets: Vector,
    trails: Vector,
    params: Vector,
    books: Vector,
) -> None:
    """Note what the bits of a bar ask for and can have, with the prices that go with it."""
    b = m * BOOK
    size = books[b + SIZE]
    if bit & DECIDED:
        if size != 0.0:
            books[b + HELD] += 1.0
            if params[TIME_STOP] > 0.0 and books[b + HELD] >= params[TIME_STOP]:
                bit |= TIME_IS_UP
        if books[b + RESTING] != 0.0:
            books[b + BARS_LEFT] -= 1.0
            if books[b + BARS_LEFT] <= 0.0:
                books[b + RESTING] = 0.0
    late = bit & LATE
    bit &= ~(DECIDED | LATE)
    leaves = TIME_IS_UP | (LEAVES_LONG if size > 0.0 else LEAVES_SHORT)
    if size != 0.0 and books[b + ENTRIES] > params[PYRAMIDING] and not bit & leaves:
        bit = 0
    if size == 0.0 and books[b + RESTING] == 0.0 and not bit & ENTERS:
        bit = 0
    if bit != 0:
        bit |= late
    books[b + PENDING] = float(bit)
    if bit & ENTERS:
        books[b + BASE] = close
        if params[STOP_KIND] == DISTANCE:
            books[b + STOP_BY] = stops[at]
        if params[TARGET_KIND] == DISTANCE:
            books[b + TARGET_BY] = targets[at]
        if params[TRAIL_KIND] == DISTANCE:
            books[b + NEW_TRAIL_BY] = trails[at]
        if params[ORDER] != MARKET:
            books[b + LONG_PRICE] = long_prices[at]
            books[b + SHORT_PRICE] = short_prices[at]


def due(
    bar: int,
    m: int,
    price: float,
    params: Vector,
    account: Vector,
    books: Vector,
    trades: Vector,
) -> None:
    """Leave the position of *m* at *price* if that is what was decided."""
    b = m * BOOK
    pending = int(books[b + PENDING])
    size = books[b + SIZE]
    if (size > 0.0 and pending & LEAVES_LONG) or (size < 0.0 and pending & LEAVES_SHORT):
        leave(bar, m, price, BY_SIGNAL, params, account, books, trades)
    elif size != 0.0 and pending & TIME_IS_UP:
        leave(bar, m, price, AT_TIME, params, account, books, trades)


def place(
    bar: int,
    m: int,
    width: int,
    price: float,
    params: Vector,
    account: Vector,
    books: Vector,
) -> None:
    """Enter *m* at *price* if that is what was decided, or let its limit or stop order rest."""
    b = m * BOOK
    pending = int(books[b + PENDING])
    books[b + PENDING] = 0.0
    side = 0.0
    if pending & ENTER_LONG and not pending & LEAVES_LONG:
        side = 1.0
    elif pending & ENTER_SHORT and not pending & LEAVES_SHORT:
        side = -1.0
    resting = books[b + RESTING]
    if side != 0.0 or (resting > 0.0 and pending & LEAVES_LONG) or (resting < 0.0 and pending & LEAVES_SHORT):
        books[b + RESTING] = 0.0
    if side == 0.0:
        return
    if params[ORDER] == MARKET:
        enter(bar, m, width, price, side, AT_OPEN, params, account, books)
        return
    asked = books[b + LONG_PRICE] if side > 0.0 else books[b + SHORT_PRICE]
    if asked > 0.0:
        books[b + RESTING] = side
        books[b + RESTING_PRICE] = asked
        books[b + BARS_LEFT] = params[VALID_BARS]


def fill_resting(
    bar: int,
    m: int,
    width: int,
    open_: float,
    high: float,
    low: float,
    params: Vector,
    account: Vector,
    books: Vector,
) -> None:
    """Fill the resting entry of *m* where the bar reaches its price."""
    b = m * BOOK
    side = books[b + RESTING]
    price = books[b + RESTING_PRICE]
    if params[ORDER] == LIMIT:
        beyond = side * open_ <= side * price
        reached = low <= price if side > 0.0 else high >= price
        how = BY_LIMIT
    else:
        beyond = side * open_ >= side * price
        reached = high >= price if side > 0.0 else low <= price
        how = BY_STOP
    if not reached:
        return
    books[b + RESTING] = 0.0
    if beyond:
        price = open_
    books[b + MARK] = price
    enter(bar, m, width, price, side, how, params, account, books)
    if beyond and books[b + ENTERED] == how:
        books[b + ENTERED] = AT_OPEN
