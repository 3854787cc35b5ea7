"""The simulation: one event loop over bars, compiled where numba is, run as it is where not.

The loop is plain Python within numba's subset. Compiled it works on numpy arrays, uncompiled on
lists; both do the same IEEE operations in the same order, so their results are equal byte for byte.
Everything the loop knows between two bars is in *account* and *books*: a run may be cut anywhere.

An account holds cash and one position at most in each of *width* instruments. Columns are flat: the
value of instrument *m* on bar *i* of a chunk is at ``i * width + m``; an instrument that has no bar then
has NaN for a close, and its orders wait. What happens on a bar, in this order:

1. Funding is paid on positions held from the bar before.
2. Market orders decided at the close before are filled at the open: first exits (the exit bit, the entry
   bit of the other side, the time stop), then entries, in the order of the instruments. An entry is
   void when its own exit bit or the other side's entry bit is set as well.
3. Instrument by instrument, first at its open and then inside the bar: the position, also one that began
   at this open, is left at its stop-loss, trailing stop, liquidation price or take-profit where the bar
   reaches it; at the open when it opens beyond (gap). A resting addition goes with its position.
4. Then a resting limit or stop entry is filled where the bar reaches it, likewise, and what it began or
   added to may be left on the rest of the same bar. Where the bar does not tell what came first it is
   ambiguous: counted, and read as OPTIMISTIC says.
5. At the close trailing stops follow, and the bits of the bar are decided on. With FILL_AT_CLOSE market
   orders are filled at that close, or at the next open where they are LATE: decided after it.
6. Equity is cash plus the positions at their last prices: ``cash + size * (price - entry price)``. Cash
   holds realised results only. An account whose equity is not above zero is bankrupt: all is left at
   the close, what is owed is written off, and nothing is traded any more.

Fills: a taker's buy pays ``price * (1 + slippage)``, its sale gets ``price * (1 - slippage)``; limit
entries and take-profits are maker fills without slippage. An entry pays the whole ``spread`` on top.

An addition measures stop and target anew, from the mean entry price or from its own signal's close; one
whose distance is not known leaves them, and none moves the trailing stop away. An entry decided while
the position may not grow is void, unless the position is left first. Each decided entry replaces a
resting one; a void one, and an exit of its side, cancels it. At an entry and at a liquidation the
other positions count at their last prices: the open, or where they were filled on this bar.
"""

from __future__ import annotations

from apps.backtests.engine.kernel.fills import leave
from apps.backtests.engine.kernel.layout import (
    ACTIVE,
    BANKRUPT,
    BEFORE,
    BOOK,
    CASH,
    CEILING,
    DECIDED,
    DECIDES,
    ENTERED,
    ENTERS,
    ENTRY_PRICE,
    FILL_AT_CLOSE,
    FLOOR,
    FUNDING,
    HAS_FUNDING,
    HOLDING,
    IDLE,
    IN_BANKRUPTCY,
    LATE,
    MARK,
    NONE,
    PAID_FUNDING,
    PENDING,
    RESTING,
    SIZE,
    TIME_STOP,
    TRAIL_KIND,
    WAITING,
    Vector,
)
from apps.backtests.engine.kernel.levels import follow, worth
from apps.backtests.engine.kernel.orders import decide, due, fill_resting, place
from apps.backtests.engine.kernel.protection import protect


def begin(
    bar: int,
    row: int,
    width: int,
    opens: Vector,
    highs: Vector,
    lows: Vector,
    closes: Vector,
    rates: Vector,
    params: Vector,
    account: Vector,
    books: Vector,
    trades: Vector,
) -> None:
    """What happens on a bar before its close: funding, orders, protection."""
    waiting = False
    for m in range(width):
        at = row + m
        if closes[at] == closes[at]:
            b = m * BOOK
            books[b + MARK] = opens[at]
            if params[HAS_FUNDING] != 0.0 and books[b + SIZE] != 0.0:
                paid = books[b + SIZE] * opens[at] * rates[at]
                books[b + PAID_FUNDING] += paid
                account[CASH] -= paid
                account[FUNDING] += paid
            if books[b + PENDING] != 0.0:
                waiting = True
                due(bar, m, opens[at], params, account, books, trades)
    if waiting:
        for m in range(width):
            if books[m * BOOK + PENDING] != 0.0 and closes[row + m] == closes[row + m]:
                place(bar, m, width, opens[row + m], params, account, books)
    for m in range(width):
        at = row + m
        b = m * BOOK
        if closes[at] == closes[at]:
            price = opens[at]
            if books[b + RESTING] != 0.0:
                # Its open by itself: what is due there comes before anything inside the bar.
                if books[b + SIZE] != 0.0:
                    protect(bar, m, width, price, price, price, price, params, account, books, trades)
                if books[b + RESTING] != 0.0:
                    fill_resting(bar, m, width, price, price, price, params, account, books)
            if books[b + SIZE] != 0.0:
                protect(bar, m, width, price, highs[at], lows[at], closes[at], params, account, books, trades)
            if books[b + RESTING] != 0.0:
                fill_resting(bar, m, width, price, highs[at], lows[at], params, account, books)
                if books[b + RESTING] == 0.0 and books[b + SIZE] != 0.0:
                    protect(
                        bar, m, width, price, highs[at], lows[at], closes[at], params, account, books, trades
                    )


def finish_at_close(
    bar: int,
    row: int,
    width: int,
    closes: Vector,
    params: Vector,
    account: Vector,
    books: Vector,
    trades: Vector,
) -> None:
    """Fill market orders at the close they were decided at, unless that is LATE: exits, then entries."""
    for m in range(width):
        pending = int(books[m * BOOK + PENDING])
        if pending != 0 and not pending & LATE and closes[row + m] == closes[row + m]:
            due(bar, m, closes[row + m], params, account, books, trades)
    for m in range(width):
        pending = int(books[m * BOOK + PENDING])
        if pending != 0 and not pending & LATE and closes[row + m] == closes[row + m]:
            place(bar, m, width, closes[row + m], params, account, books)
            books[m * BOOK + ENTERED] = BEFORE


def simulate(
    first: int,
    width: int,
    opens: Vector,
    highs: Vector,
    lows: Vector,
    closes: Vector,
    bits: Vector,
    long_prices: Vector,
    short_prices: Vector,
    stops: Vector,
    targets: Vector,
    trails: Vector,
    rates: Vector,
    params: Vector,
    account: Vector,
    books: Vector,
    equity: Vector,
    trades: Vector,
) -> None:
    """Run the bars of one chunk; *first* is the index of its first bar in the whole run.

    *equity* (written) has one element per bar, the columns from *opens* to *rates* have *width* per bar;
    those that the parameters do not call for may be empty. *account* and *books* are read and written.
    Trades beyond the rows of *trades* are counted, and not recorded.
    """
    at_close = params[FILL_AT_CLOSE] != 0.0
    trailing = params[TRAIL_KIND] != NONE
    timed = params[TIME_STOP] > 0.0
    funded = params[HAS_FUNDING] != 0.0
    plain = width == 1 and not (trailing or timed or funded)
    count = len(equity)
    i = 0
    while i < count:
        active = account[ACTIVE]
        if plain and active == IDLE:
            # Nothing to do until an entry is decided.
            cash = account[CASH]
            while i < count and not bits[i] & ENTERS:
                equity[i] = cash
                i += 1
            if i == count:
                break
        elif plain and active == HOLDING:
            # Nothing to do until the guarded band is left or something is decided.
            cash = account[CASH]
            size = books[SIZE]
            entry = books[ENTRY_PRICE]
            floor = books[FLOOR]
            ceiling = books[CEILING]
            while i < count and lows[i] > floor and highs[i] < ceiling and not bits[i] & DECIDES:
                total = cash + size * (closes[i] - entry)
                if total <= 0.0:
                    break
                equity[i] = total
                i += 1
            if i == count:
                books[MARK] = closes[i - 1]
                break
        row = i * width
        bar = first + i
        i += 1
        if active == IDLE:
            for m in range(width):
                if bits[row + m] & ENTERS:
                    active = WAITING
            if active == IDLE or account[BANKRUPT] != 0.0:
                equity[i - 1] = account[CASH]
                continue
        else:
            calm = active == HOLDING and not funded
            for m in range(width):
                b = m * BOOK
                if books[b + SIZE] != 0.0 and not (
                    lows[row + m] > books[b + FLOOR] and highs[row + m] < books[b + CEILING]
                ):
                    calm = False
            if not calm:
                begin(bar, row, width, opens, highs, lows, closes, rates, params, account, books, trades)
        waiting = False
        holding = False
        total = account[CASH]
        for m in range(width):
            at = row + m
            b = m * BOOK
            close = closes[at]
            if close == close:
                books[b + MARK] = close
                books[b + ENTERED] = BEFORE
                if trailing and books[b + SIZE] != 0.0:
                    follow(b, close, params, books)
                bit = int(bits[at])
                if bit & ~(DECIDED | LATE) or (bit != 0 and (timed or books[b + RESTING] != 0.0)):
                    decide(
                        at, m, bit, close, long_prices, short_prices, stops, targets, trails, params, books
                    )
            if books[b + PENDING] != 0.0 or books[b + RESTING] != 0.0:
                waiting = True
            if books[b + SIZE] != 0.0:
                holding = True
            total += books[b + SIZE] * (books[b + MARK] - books[b + ENTRY_PRICE])
        if waiting and at_close and account[BANKRUPT] == 0.0:
            finish_at_close(bar, row, width, closes, params, account, books, trades)
            total = worth(width, account, books)
            waiting = holding = True
        if total <= 0.0 and account[BANKRUPT] == 0.0:
            for m in range(width):
                if books[m * BOOK + SIZE] != 0.0:
                    leave(bar, m, books[m * BOOK + MARK], IN_BANKRUPTCY, params, account, books, trades)
            account[BANKRUPT] = 1.0
            total = account[CASH]
        equity[i - 1] = total
        if account[BANKRUPT] != 0.0:
            for m in range(width):
                books[m * BOOK + PENDING] = 0.0
                books[m * BOOK + RESTING] = 0.0
            account[ACTIVE] = IDLE
        elif waiting:
            account[ACTIVE] = WAITING
        else:
            account[ACTIVE] = HOLDING if holding else IDLE
