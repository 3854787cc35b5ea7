"""What the event loop is fed with: columns of one or several instruments, cut into chunks of bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.backtests.engine import kernel
from apps.backtests.engine.bars import Bars, Floats, Times
from apps.backtests.engine.errors import BarsError
from apps.backtests.engine.strategies import Signals
from apps.backtests.engine.strategies.base import Level

_NO_PRICES = np.zeros(0)
_NO_PRICES.flags.writeable = False

#: The columns that the loop takes, in its order: prices, bits, prices of orders, distances, funding rates.
Columns = list[NDArray[Any]]

_FUNDING_EVERY = 8 * 3_600_000

#: Slots of a grid for each bar, above which times are sorted instead.
_SPARSE = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class Feed:
    """One instrument: the bars that orders are filled on, and what is decided at their closes.

    ``columns`` are read-only and in the loop's order; those that nothing calls for are empty. ``warmup`` is
    the first of the bars at whose close every indicator has a value; it may lie past the end.
    """

    bars: Bars
    signals: Signals
    warmup: int
    columns: Columns

    @property
    def entries(self) -> NDArray[np.bool_]:
        """The bars on which an entry may be decided."""
        bits: NDArray[np.uint8] = self.columns[4]
        return (bits & np.uint8(kernel.ENTERS)).astype(np.bool_)


def feed_of(bars: Bars, signals: Signals, *, detail: Bars | None = None, funding: float = 0.0) -> Feed:
    """A feed of *signals* on *bars*, filled on the finer bars *detail* where these are given.

    What is decided at the close of a bar is decided at the close of the last finer bar inside it. Where that
    one ends earlier, its close was no price to trade at any more: market orders are filled at the next open.

    Raises:
        BarsError: a bar has no finer bar inside it, or the finer bars are not finer.
        ValueError: a column of the signals is longer or shorter than the bars.
    """
    at = None if detail is None else _last_inside(bars, detail)
    fine = bars if detail is None else detail

    def spread(values: Floats | None, *, needed: bool = False) -> Floats:
        if values is None:
            return _locked(np.full(len(fine), np.nan)) if needed else _NO_PRICES
        if len(values) != len(bars):
            raise ValueError("signals have one value per bar")
        if at is not None:
            whole = np.full(len(fine), np.nan)
            whole[at] = values
            return _locked(whole)
        return _locked(np.ascontiguousarray(values, np.float64).view())

    if len(signals.bits) != len(bars):
        raise ValueError("signals have one value per bar")
    bits = np.ascontiguousarray(signals.bits, np.uint8) | np.uint8(kernel.DECIDED)
    if at is not None:
        whole = np.zeros(len(fine), np.uint8)
        early = fine.ts[at] + fine.step < bars.ts + bars.step
        whole[at] = bits | np.where(early, np.uint8(kernel.LATE), np.uint8(0))
        bits = whole
    bits.flags.writeable = False
    levels = (signals.stop_loss, signals.take_profit, signals.trailing)
    warmup = signals.warmup
    if at is not None:
        warmup = int(at[warmup]) if warmup < len(at) else len(fine)
    return Feed(
        bars=fine,
        signals=signals,
        warmup=warmup,
        columns=[
            fine.open,
            fine.high,
            fine.low,
            fine.close,
            bits,
            spread(signals.long_price, needed=signals.order != "market"),
            spread(signals.short_price, needed=signals.order != "market"),
            *(spread(level.distance if level else None) for level in levels),
            _locked(_rates(fine.ts, funding)) if funding else _NO_PRICES,
        ],
    )


def timeline(feeds: Sequence[Feed]) -> tuple[Times, list[NDArray[np.int64]]]:
    """The open times of all feeds together, and where each feed's bars are among them."""
    return joined([feed.bars for feed in feeds])


def joined(bars: Sequence[Bars]) -> tuple[Times, list[NDArray[np.int64]]]:
    """The open times of all *bars* together, and where those of each are among them; several have some."""
    times = [one.ts for one in bars]
    if len(bars) == 1:
        return times[0], [np.zeros(0, np.int64)]
    if all(np.array_equal(times[0], other) for other in times[1:]):
        return times[0], [np.arange(len(times[0]))] * len(bars)
    first, last = min(int(ts[0]) for ts in times), max(int(ts[-1]) for ts in times)
    step = min(one.step for one in bars)
    slots = (last - first) // step + 1
    if slots > _SPARSE * sum(map(len, times)) or any(((ts - first) % step).any() for ts in times):
        ts = np.unique(np.concatenate(times))
        return ts, [np.searchsorted(ts, other) for other in times]
    # On a grid that is not too sparse counting is ten times quicker than sorting.
    taken = np.zeros(slots, np.bool_)
    at = [(ts - first) // step for ts in times]
    for places in at:
        taken[places] = True
    numbers = np.cumsum(taken) - 1
    return first + step * np.flatnonzero(taken), [numbers[places] for places in at]


def block(feeds: Sequence[Feed], places: Sequence[NDArray[np.int64]], start: int, stop: int) -> Columns:
    """The columns of bars *start* to *stop* of the timeline, bar by bar; NaN where a feed has no bar."""
    if len(feeds) == 1:
        return [column[start:stop] if len(column) else column for column in feeds[0].columns]
    parts = [slice(*np.searchsorted(place, (start, stop))) for place in places]
    rows = [_rows(place[part], start) for place, part in zip(places, parts, strict=True)]
    result: Columns = []
    for number, first in enumerate(feeds[0].columns):
        if not len(first):
            result.append(first)
            continue
        table = np.full((stop - start, len(feeds)), 0 if first.dtype == np.uint8 else np.nan, first.dtype)
        for at, (feed, part, row) in enumerate(zip(feeds, parts, rows, strict=True)):
            table[row, at] = feed.columns[number][part]
        flat = table.reshape(-1)
        flat.flags.writeable = False
        result.append(flat)
    return result


def _rows(places: NDArray[np.int64], start: int) -> slice | NDArray[np.int64]:
    """The rows of a block that *places* stand for: a slice, which is quicker, where none is left out."""
    if len(places) and int(places[-1] - places[0]) == len(places) - 1:
        return slice(int(places[0]) - start, int(places[-1]) - start + 1)
    return places - start


def kind_of(level: Level | None) -> tuple[int, float]:
    """The kernel's kind and fraction of a level."""
    if level is None:
        return kernel.NONE, 0.0
    return (kernel.FRACTION, level.fraction) if level.distance is None else (kernel.DISTANCE, 0.0)


def _last_inside(bars: Bars, detail: Bars) -> NDArray[np.int64]:
    """For each bar the index of the last finer bar inside it."""
    if detail.step >= bars.step or bars.step % detail.step:
        raise BarsError(f"bars of {detail.step} ms do not divide bars of {bars.step} ms")
    last: NDArray[np.int64] = np.searchsorted(detail.ts, bars.ts + bars.step) - 1
    inside = (last >= 0) & (detail.ts[np.maximum(last, 0)] >= bars.ts) if len(detail) else last >= 0
    if not inside.all():
        row = int(np.argmin(inside))
        raise BarsError(f"the bar at {int(bars.ts[row])} ms (row {row}) has no finer bar inside it")
    return last


def _rates(ts: Times, funding: float) -> Floats:
    """The rate that is due at each bar's open: for every funding time since the open before it."""
    periods = ts // _FUNDING_EVERY
    rates = np.zeros(len(ts))
    rates[1:] = np.diff(periods) * funding
    return rates


def _locked(values: Floats) -> Floats:
    values.flags.writeable = False
    return values
