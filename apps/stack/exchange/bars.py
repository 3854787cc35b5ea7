"""Bars as columns of integers, and their exact aggregation to longer intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from apps.stack.exchange.intervals import Interval

Column = NDArray[np.int64]
# Integers too, but Python's own where 64 bits would not hold a month of them.
Amounts = NDArray[Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Bars:
    """Bars of one symbol and interval: columns of equal length, in order of time, without duplicates.

    ``minute`` is the opening minute since 1970; prices are in ticks, ``volume`` and ``taker_base`` in
    lots, ``quote`` and ``taker_quote`` in ticks times lots. ``text`` holds open, high, low, close and
    volume as a replayed file spells them, and is None everywhere else.
    """

    minute: Column
    open: Column
    high: Column
    low: Column
    close: Column
    volume: Column
    quote: Amounts
    trades: Column
    taker_base: Column
    taker_quote: Amounts
    text: tuple[Sequence[str], ...] | None = None

    def __len__(self) -> int:
        return len(self.minute)

    def part(self, start: int, stop: int) -> Bars:
        """The bars at the positions from *start* to before *stop*."""
        text = None if self.text is None else tuple(column[start:stop] for column in self.text)
        return Bars(**{name: getattr(self, name)[start:stop] for name in COLUMNS}, text=text)

    def where(self, there: NDArray[np.bool_]) -> Bars:
        """The bars at the places where *there* is true."""
        places = np.flatnonzero(there).tolist()
        text = None if self.text is None else tuple([column[at] for at in places] for column in self.text)
        return Bars(**{name: getattr(self, name)[there] for name in COLUMNS}, text=text)


COLUMNS = tuple(field.name for field in fields(Bars) if field.name != "text")


class Source(Protocol):
    """Where a symbol's minutes come from."""

    @property
    def kind(self) -> str:
        """``"synthetic"`` or ``"replay"``."""

    @property
    def first(self) -> int:
        """The first minute that exists."""

    @property
    def last(self) -> int | None:
        """The last minute that exists, None when history goes on with the clock."""

    def step(self, minute: int, count: int) -> int:
        """A minute such that between it and *minute* lie at least *count* existing ones, if there are."""

    def minutes(self, start: int, stop: int, *, now_ms: int) -> Bars:
        """The minutes from *start* to before *stop* that have begun by *now_ms*; the last may be forming."""


def concatenate(parts: Sequence[Bars]) -> Bars:
    """The bars of all *parts*, which must be in order of time. Only a single part keeps its ``text``."""
    if len(parts) == 1:
        return parts[0]
    return Bars(
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in COLUMNS}, text=None
    )


def no_bars() -> Bars:
    return Bars(**{name: np.empty(0, dtype=np.int64) for name in COLUMNS}, text=None)


def aggregate(minutes: Bars, interval: Interval) -> Bars:
    """The bars of *interval* made of *minutes*: exact, one bar for each interval that has a minute."""
    if interval.minutes == 1 or not len(minutes):
        return minutes
    openings = interval.floor_all(minutes.minute)
    starts = np.flatnonzero(np.diff(openings, prepend=openings[0] - 1))
    ends = np.append(starts[1:], len(openings)) - 1
    sums = {
        name: np.add.reduceat(getattr(minutes, name), starts)
        for name in ("volume", "quote", "trades", "taker_base", "taker_quote")
    }
    return Bars(
        minute=openings[starts],
        open=minutes.open[starts],
        high=np.maximum.reduceat(minutes.high, starts),
        low=np.minimum.reduceat(minutes.low, starts),
        close=minutes.close[ends],
        **sums,
        text=None,
    )
