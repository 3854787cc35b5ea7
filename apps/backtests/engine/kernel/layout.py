"""Where the kernel keeps what: the positions of bits, parameters, account, books and trades."""

from __future__ import annotations

from typing import Any

Vector = Any  # a numpy array when compiled, a list (of lists, for trades) when not

ENTER_LONG, EXIT_LONG, ENTER_SHORT, EXIT_SHORT = 1, 2, 4, 8
DECIDED = 16  # a bar of the signals' timeframe closes: time stops and orders count these
TIME_IS_UP = 32  # in PENDING only
LATE = 64  # with DECIDED: what is decided is known only after the bar's close, when that price is past
ENTERS = ENTER_LONG | ENTER_SHORT
DECIDES = ENTERS | EXIT_LONG | EXIT_SHORT
LEAVES_LONG = EXIT_LONG | ENTER_SHORT
LEAVES_SHORT = EXIT_SHORT | ENTER_LONG

# The parameter vector.
MAKER, TAKER, FIXED, SPREAD, SLIPPAGE = range(5)
SIZING, VALUE, LOT, LEVERAGE, MAINTENANCE = range(5, 10)
PYRAMIDING, MAX_POSITIONS, FILL_AT_CLOSE, OPTIMISTIC = range(10, 14)
ORDER, VALID_BARS, TIME_STOP, BASE_IS_CLOSE = range(14, 18)
STOP_KIND, STOP, TARGET_KIND, TARGET, TRAIL_KIND, TRAIL = range(18, 24)
HAS_FUNDING = 24
PARAMS = 25

BY_EQUITY, BY_CASH, BY_UNITS, BY_RISK = 0, 1, 2, 3  # SIZING
MARKET, LIMIT, STOP_ORDER = 0, 1, 2  # ORDER
NONE, FRACTION, DISTANCE = 0, 1, 2  # STOP_KIND, TARGET_KIND, TRAIL_KIND

# The account. ACTIVE is IDLE with neither positions nor orders, HOLDING with positions only, else WAITING.
# PNL_SQUARES is the sum of squares about the mean. HELD_BARS counts the bars on which there was a position,
# up to HELD_TO (which is excluded); HELD_FROM is where the positions that are open began.
CASH, ACTIVE, POSITIONS, BANKRUPT, TRADES, SKIPPED, AMBIGUOUS, WRITTEN_OFF = range(8)
WINS, GROSS_PROFIT, GROSS_LOSS, PNL, PNL_SQUARES, FEES, FUNDING = range(8, 15)
RETURNS, HELD_BARS, HELD_FROM, HELD_TO = range(15, 19)
ACCOUNT = 19
IDLE, HOLDING, WAITING = 0.0, 1.0, 2.0

# The book of one instrument: its position (SIZE is negative for a short, 0 when flat), what is decided
# for its next bar, and its resting order (RESTING is 1.0 to buy, -1.0 to sell).
SIZE, ENTRY_PRICE, ENTRY_BAR, ENTRY_FEES, PAID_FUNDING, ENTRIES, HELD, MARK = range(8)
STOP_LEVEL, TARGET_LEVEL, TRAIL_LEVEL, TRAIL_BY = range(8, 12)
PENDING, BASE, STOP_BY, TARGET_BY, NEW_TRAIL_BY, LONG_PRICE, SHORT_PRICE = range(12, 19)
RESTING, RESTING_PRICE, BARS_LEFT, ENTERED, START = range(19, 24)
FLOOR, CEILING = 24, 25  # nothing happens to the position on a bar that stays strictly between these
LAST_BAR = 26  # of the last fill that began the position or added to it
BOOK = 27

# How the position came to be, on the bar: it was there, it began at the open or it began inside (ENTERED).
BEFORE, AT_OPEN, BY_LIMIT, BY_STOP = 0, 1, 2, 3

# The columns of a trade.
T_ENTRY_BAR, T_EXIT_BAR, T_SIZE, T_ENTRY_PRICE, T_EXIT_PRICE = range(5)
T_COMMISSION, T_FUNDING, T_PNL, T_RETURN, T_REASON, T_INSTRUMENT, T_ENTRIES = range(5, 12)
TRADE = 12

# Why a trade ended.
BY_SIGNAL, AT_END, IN_BANKRUPTCY, AT_STOP, AT_TARGET, AT_TRAIL, AT_TIME, IN_LIQUIDATION = range(8)

WHOLE = 9007199254740992.0  # 2**53: every float64 from here on is a whole number
DUST = 9.094947017729282e-13  # 2**-40: of what was invested this much may be left by rounding
LEAST_VALUE = 1e-30  # of a position; what is less cannot be divided by
UP = 1.0 + 8.881784197001252e-16  # 1 + 2**-50: more than the roundings before it can have taken away
NOTHING = float("nan")  # no level: every comparison with it is false
ENDLESS = float("inf")
