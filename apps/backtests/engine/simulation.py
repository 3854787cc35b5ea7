"""A simulation in progress: the kernel's vectors, in the form its loop wants them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from apps.backtests.engine import kernel
from apps.backtests.engine.bars import Floats
from apps.backtests.engine.errors import SpecError
from apps.backtests.engine.feed import Feed, block, kind_of, timeline
from apps.backtests.engine.jit import chosen
from apps.backtests.engine.spec import Spec

_SIZINGS = {
    "equity": kernel.BY_EQUITY,
    "cash": kernel.BY_CASH,
    "units": kernel.BY_UNITS,
    "risk": kernel.BY_RISK,
}
#: Bars of several instruments that are laid side by side at once: what fits into the processor's cache.
_ROWS = 4_096
_ORDERS = {"market": kernel.MARKET, "limit": kernel.LIMIT, "stop": kernel.STOP_ORDER}


class Simulation:
    """An account that is led over the bars of one or several instruments, chunk by chunk.

    How the bars are cut into chunks, and whether the loop is compiled (*jit*, see ``jit.chosen``),
    changes no byte of the outcome. The feeds come from one strategy with one set of parameters.
    *optimistic* overrides the specification's ``same_bar``. Without *record* trades are only counted.

    Attributes:
        ts: open times of all bars, the instruments' together.
        bars: how many of them have been run.

    Raises:
        SpecError: risk sizing without a stop-loss.
    """

    def __init__(
        self,
        spec: Spec,
        feeds: Sequence[Feed],
        *,
        jit: bool | None = None,
        optimistic: bool | None = None,
        record: bool = True,
    ) -> None:
        if optimistic is None:
            optimistic = spec.execution.same_bar == "optimistic"
        self.ts, self._places = timeline(feeds)
        self.bars = 0
        self._feeds = feeds
        self._loop = chosen(jit)
        self._entries = [feed.entries for feed in feeds] if record else []
        params = parameters(spec, feeds, optimistic=optimistic)
        account = [0.0] * kernel.ACCOUNT
        account[kernel.CASH] = spec.cash
        books = [0.0] * (kernel.BOOK * len(feeds))
        self._params: kernel.Vector = params
        self._account: kernel.Vector = account
        self._books: kernel.Vector = books
        self._trades: kernel.Vector = []
        if self._loop is not None:
            self._params, self._account, self._books = map(np.array, (params, account, books))
            self._trades = np.zeros((0, kernel.TRADE))
        self._finalise = spec.execution.finalise
        # Whether positions begin at opens only: others may have begun after the open of the last bar.
        self._at_opens = feeds[0].signals.order == "market" and spec.execution.fill == "next_open"

    def advance(self, stop: int, equity: Floats) -> None:
        """Run the bars up to *stop*; *equity*, one element for each of them, is written."""
        if len(self._feeds) > 1 and stop - self.bars > _ROWS:
            first = self.bars
            for start in range(first, stop, _ROWS):
                part = slice(start - first, min(start + _ROWS, stop) - first)
                self.advance(first + part.stop, equity[part])
            return
        start = self.bars
        self._make_room(start, stop)
        width = len(self._feeds)
        columns = block(self._feeds, self._places, start, stop)
        state = self._params, self._account, self._books
        if self._loop is not None:
            self._loop(start, width, *columns, *state, equity, self._trades)
        else:
            worth = [0.0] * (stop - start)
            lists: list[kernel.Vector] = [column.tolist() for column in columns]
            kernel.simulate(start, width, *lists, *state, worth, self._trades)  # type: ignore[call-arg]
            equity[:] = worth
        self.bars = stop

    def finish(self) -> float:
        """Close what is still open on the last bar, as the specification says, and return the cash."""
        for at, feed in enumerate(self._feeds):
            if self._books[at * kernel.BOOK + kernel.SIZE] != 0.0:
                entered = self._books[at * kernel.BOOK + kernel.LAST_BAR]
                last = self._places[at][-1] if len(self._feeds) > 1 else self.bars - 1
                at_open = self._finalise == "last_open" and (self._at_opens or entered < last)
                price = float((feed.bars.open if at_open else feed.bars.close)[-1])
                state = self._params, self._account, self._books, self._trades
                kernel.leave(self.bars - 1, at, price, kernel.AT_END, *state)
        return self.account(kernel.CASH)

    def account(self, index: int) -> float:
        """One element of the account, by the kernel's index."""
        return float(self._account[index])

    @property
    def warmup(self) -> int:
        """The first bar on which every instrument's indicators have values; may lie past the end."""
        if len(self._feeds) == 1:
            return self._feeds[0].warmup
        known = [feed.warmup < len(feed.bars) for feed in self._feeds]
        if not all(known):
            return len(self.ts)
        return max(int(place[feed.warmup]) for feed, place in zip(self._feeds, self._places, strict=True))

    def closes(self) -> list[Floats]:
        """The closes of each instrument on ``ts``; NaN where it has no bar."""
        columns = [np.full(len(self.ts), np.nan) for _ in self._feeds]
        for column, feed, place in zip(columns, self._feeds, self._places, strict=True):
            column[place] = feed.bars.close
        return columns

    def table(self) -> Floats:
        """The closed trades so far, shape ``(n, kernel.TRADE)``."""
        table = np.array(self._trades, np.float64).reshape(-1, kernel.TRADE)
        return table[: int(self.account(kernel.TRADES))]

    def _make_room(self, start: int, stop: int) -> None:
        """Rows for every trade that these bars can close: what is open or ordered, and every entry."""
        if not self._entries:
            return
        width = len(self._feeds)
        most = int(self._account[kernel.TRADES]) + 3 * width
        for entries, place in zip(self._entries, self._places, strict=True):
            part = slice(*np.searchsorted(place, (start, stop))) if width > 1 else slice(start, stop)
            most += int(np.count_nonzero(entries[part]))
        if most > len(self._trades):
            if self._loop is None:
                self._trades += [[0.0] * kernel.TRADE for _ in range(most - len(self._trades))]
            else:
                rows = np.zeros((max(most, 2 * len(self._trades)), kernel.TRADE))
                rows[: len(self._trades)] = self._trades
                self._trades = rows


def may_owe(spec: Spec, bits: Iterable[NDArray[np.uint8]]) -> bool:
    """Whether positions can be liquidated, given what is decided for each instrument.

    What is bought with the account's own money cannot, unless funding uses that up.
    """
    if spec.leverage > 1.0 or spec.costs.funding > 0.0:
        return True
    return any(bool((one & np.uint8(kernel.ENTER_SHORT)).any()) for one in bits)


def parameters(spec: Spec, feeds: Sequence[Feed], *, optimistic: bool) -> list[float]:
    """The kernel's parameter vector."""
    signals = feeds[0].signals
    if spec.sizing.type == "risk" and signals.stop_loss is None:
        raise SpecError("sizing.type", "risk needs a stop-loss to measure the risk by")
    params = [0.0] * kernel.PARAMS
    costs, sizing = spec.costs, spec.sizing
    params[kernel.MAKER] = costs.maker
    params[kernel.TAKER] = costs.taker
    params[kernel.FIXED] = costs.fixed
    params[kernel.SPREAD] = costs.spread
    params[kernel.SLIPPAGE] = costs.slippage
    params[kernel.SIZING] = _SIZINGS[sizing.type]
    params[kernel.VALUE] = sizing.value
    params[kernel.LOT] = sizing.lot
    params[kernel.LEVERAGE] = spec.leverage
    margin = spec.maintenance_margin
    owes = may_owe(spec, [feed.columns[4] for feed in feeds])
    params[kernel.MAINTENANCE] = margin if margin is not None and owes else -1.0
    params[kernel.PYRAMIDING] = spec.pyramiding
    params[kernel.MAX_POSITIONS] = spec.max_positions
    params[kernel.FILL_AT_CLOSE] = spec.execution.fill == "close"
    params[kernel.OPTIMISTIC] = optimistic
    params[kernel.ORDER] = _ORDERS[signals.order]
    params[kernel.VALID_BARS] = signals.valid_bars
    params[kernel.TIME_STOP] = signals.time_stop
    params[kernel.BASE_IS_CLOSE] = signals.base == "signal_close"
    params[kernel.STOP_KIND], params[kernel.STOP] = kind_of(signals.stop_loss)
    params[kernel.TARGET_KIND], params[kernel.TARGET] = kind_of(signals.take_profit)
    params[kernel.TRAIL_KIND], params[kernel.TRAIL] = kind_of(signals.trailing)
    params[kernel.HAS_FUNDING] = costs.funding != 0.0
    return [float(value) for value in params]
