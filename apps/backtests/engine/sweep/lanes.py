"""Lanes: some combinations side by side, led over the same bars stretch by stretch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.backtests.engine import kernel
from apps.backtests.engine.bars import Bars, Floats, Times
from apps.backtests.engine.feed import Columns, block, feed_of, timeline
from apps.backtests.engine.metrics import periods_per_year
from apps.backtests.engine.simulation import may_owe, parameters
from apps.backtests.engine.spec import Spec
from apps.backtests.engine.strategies import Signals
from apps.backtests.engine.sweep import tally

# Bars of a stretch: their columns and the scratch equity stay in a processor's cache.
STRETCH = 32_768
# Bars of all lanes between two reports of an uncompiled sweep.
_SLOW = 65_536
# Bytes that the signals of the lanes may take.
_MEMORY = 64 * 2**20
_MOST = 64
_DAY = 86_400_000

_PRICES, _BITS, _RATES = range(4), 4, 10
_EMPTY = np.zeros(0)
_EMPTY.flags.writeable = False

#: Bars [start, stop) of the timeline.
Window = tuple[int, int]


@dataclass(frozen=True, kw_only=True, eq=False)
class Lane:
    """One combination: the kernel's parameters, and its columns of bits, order prices and distances."""

    params: list[float]
    columns: Columns


@dataclass(frozen=True, kw_only=True, eq=False)
class Ground:
    """What every combination of a sweep runs on.

    Attributes:
        bars: of the signals, by instrument.
        detail: finer bars that orders are filled on, or None.
        ts: open times of the bars that orders are filled on, of all instruments together.
    """

    spec: Spec
    bars: Mapping[str, Bars]
    detail: Mapping[str, Bars] | None
    prices: Columns
    ts: Times
    places: list[NDArray[np.int64]]

    @classmethod
    def of(cls, spec: Spec, bars: Mapping[str, Bars], detail: Mapping[str, Bars] | None) -> Ground:
        """Raises BarsError where the finer bars do not fit."""
        feeds = [
            feed_of(
                one,
                Signals(bits=np.zeros(len(one), np.uint8), warmup=0),
                detail=None if detail is None else detail[name],
                funding=spec.costs.funding,
            )
            for name, one in bars.items()
        ]
        ts, places = timeline(feeds)
        found = block(feeds, places, 0, len(ts))
        prices = [found[at] for at in (*_PRICES, _RATES)]
        return cls(spec=spec, bars=bars, detail=detail, prices=prices, ts=ts, places=places)

    @property
    def width(self) -> int:
        return len(self.bars)

    def lane(self, signals: Mapping[str, Signals]) -> Lane:
        """One combination, from its signals by instrument. Raises SpecError: risk sizing without a stop."""
        feeds = [
            feed_of(one, signals[name], detail=None if self.detail is None else self.detail[name])
            for name, one in self.bars.items()
        ]
        bare = [replace(feed, columns=[*[_EMPTY] * 4, *feed.columns[_BITS:_RATES], _EMPTY]) for feed in feeds]
        optimistic = self.spec.execution.same_bar == "optimistic"
        return Lane(
            params=parameters(self.spec, feeds, optimistic=optimistic),
            columns=block(bare, self.places, 0, len(self.ts))[_BITS:_RATES],
        )

    def lasts(self, window: Window, *, late: bool) -> list[float]:
        """Where positions are closed when a run over *window* ends: three numbers of each instrument.

        First the prices, then the prices for what began or grew on the instrument's last bar, then these
        bars, counted from the start of the window. *late*: positions begin after the opens of bars.
        """
        at_open = self.spec.execution.finalise == "last_open"
        prices, others, bars = [], [], []
        for at, (key, one) in enumerate(self.bars.items()):
            fine = one if self.detail is None else self.detail[key]
            end = window[1] if self.width == 1 else int(np.searchsorted(self.places[at], window[1]))
            if not end:
                prices.append(np.nan)
                others.append(np.nan)
                bars.append(np.inf)
                continue
            last_open, last_close = float(fine.open[end - 1]), float(fine.close[end - 1])
            prices.append(last_open if at_open else last_close)
            others.append(last_open if at_open and not late else last_close)
            last = end - 1 if self.width == 1 else int(self.places[at][end - 1])
            bars.append(float(last - window[0]))
        return prices + others + bars

    def marks(self, window: Window) -> NDArray[np.int64]:
        """Where the periods of the metrics end within *window*, counted from its start."""
        ts = self.ts[slice(*window)]
        if periods_per_year(ts) < 252:
            return np.arange(len(ts))
        days = ts // _DAY
        return np.append(np.flatnonzero(days[1:] != days[:-1]), len(ts) - 1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """What lanes left in one window; a row for each lane, in order.

    Attributes:
        accounts: the kernel's accounts at the end.
        tallies: as ``tally`` notes them.
        ends: equity at the end of each period.
    """

    accounts: Floats
    tallies: Floats
    ends: Floats


class Lanes:
    """Combinations side by side, ready to be run over any windows; see `capacity`."""

    def __init__(self, ground: Ground, lanes: Sequence[Lane]) -> None:
        self._ground = ground
        self._lanes = lanes

    def run(
        self, window: Window, *, jit: bool | None = None, report: Callable[[], object] | None = None
    ) -> Outcome:
        """Run every lane over *window*, each with a flat account of its own at the start.

        *report* is called after every stretch; what it raises ends the run.
        """
        ground, lanes = self._ground, len(self._lanes)
        loop = tally.chosen(jit)
        length = STRETCH if loop is not None else max(_SLOW // lanes, 64)
        start, stop = window
        marks = ground.marks(window)
        accounts = np.zeros((lanes, kernel.ACCOUNT))
        accounts[:, kernel.CASH] = ground.spec.cash
        books = np.zeros((lanes, kernel.BOOK * ground.width))
        tallies, ends = np.zeros((lanes, tally.TALLY)), np.zeros((lanes, len(marks)))
        state: list[Any] = [self._params(window), accounts, books]
        kept: list[Any] = [tallies, ends]
        trades: Any = np.zeros((0, kernel.TRADE))
        first = self._lanes[0].params
        late = first[kernel.ORDER] != kernel.MARKET or first[kernel.FILL_AT_CLOSE] != 0.0
        lasts: Any = np.array(ground.lasts(window, late=late))
        if loop is None:
            state, kept = [one.tolist() for one in state], [one.tolist() for one in kept]
            trades, lasts = [], lasts.tolist()
        for at in range(start, stop, length):
            end = min(at + length, stop)
            inside = marks[slice(*np.searchsorted(marks, (at - start, end - start)))] - (at - start)
            columns = self._columns(at, end)
            scratch: Any = np.empty(end - at)
            if loop is None:
                columns = [column.tolist() for column in columns]
                scratch, inside = scratch.tolist(), inside.tolist()
            step = (at - start, ground.width, end == stop, *columns[:5], lasts, *columns[5:])
            arguments: list[Any] = [*step, *state, scratch, trades, inside, *kept]
            (loop or tally.stretch)(*arguments)
            if report is not None:
                report()
        return Outcome(accounts=np.array(state[1]), tallies=np.array(kept[0]), ends=np.array(kept[1]))

    def _params(self, window: Window) -> Floats:
        """The parameters of each lane, as a run over *window* alone would have them."""
        ground = self._ground
        params = np.array([lane.params for lane in self._lanes])
        if ground.width > 1:
            part = slice(window[0] * ground.width, window[1] * ground.width)
            for row, lane in zip(params, self._lanes, strict=True):
                if not may_owe(ground.spec, [lane.columns[0][part]]):
                    row[kernel.MAINTENANCE] = -1.0
        return params

    def _columns(self, start: int, stop: int) -> list[Any]:
        """Prices and rates, then a row for each lane of what it decided."""
        part = slice(start * self._ground.width, stop * self._ground.width)
        columns: list[Any] = [column[part] for column in self._ground.prices]
        rows = zip(*(lane.columns for lane in self._lanes), strict=True)
        return columns + [np.stack([column[part] for column in row]) for row in rows]


def capacity(lane: Lane) -> int:
    """How many lanes fit in memory, when all are as large as this one."""
    return max(1, min(_MOST, _MEMORY // max(1, sum(column.nbytes for column in lane.columns))))
