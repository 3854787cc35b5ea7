"""Runs that use every setting at once, on prices from integer arithmetic: the same on every machine.

Needs nothing but numpy, so that any interpreter can say its ``fingerprint``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np

from apps.backtests.engine import Bars, Result, Sizing, Spec
from apps.backtests.engine.run import run_signals
from apps.backtests.engine.strategies import Signals
from apps.backtests.engine.strategies.base import Level
from tests.backtests.engine.specs import HOUR, MIDNIGHT, spec_of

QUARTER = HOUR // 4
NAMES = ("A", "B", "C")


class Dice:
    """A linear congruential generator."""

    def __init__(self, seed: int) -> None:
        self.state = 2 * seed + 1

    def below(self, count: int) -> int:
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) % count


@cache
def quarters(seed: int, hours: int) -> Bars:
    """Quarters of hours in whole cents; of most hours all four, of some fewer, of a few none."""
    dice, cents, rows = Dice(seed), 1_000_000, []
    for hour in range(hours):
        parts = {0: (), 1: (1, 2), 2: (0, 3)}.get(dice.below(30), (0, 1, 2, 3))
        for part in parts:
            opened = cents + (dice.below(4001) - 2000 if dice.below(3) == 0 else 0)
            closed = max(opened + dice.below(12_001) - 6000, 200_000)
            high = max(opened, closed) + dice.below(4000)
            low = min(opened, closed) - dice.below(4000)
            cents = closed
            rows.append((MIDNIGHT + hour * HOUR + part * QUARTER, opened, high, low, closed))
    return _bars(rows, QUARTER)


def hours_of(fine: Bars) -> Bars:
    """The hours that *fine* has quarters of."""
    starts = fine.ts // HOUR * HOUR
    ts, first = np.unique(starts, return_index=True)
    last = np.append(first[1:], len(fine)) - 1
    return Bars(
        ts=ts,
        open=fine.open[first],
        high=np.maximum.reduceat(fine.high, first),
        low=np.minimum.reduceat(fine.low, first),
        close=fine.close[last],
        volume=np.ones(len(ts)),
        step=HOUR,
    )


def signals_on(bars: Bars, seed: int, order: str) -> Signals:
    dice, count = Dice(seed), len(bars)
    bits = [(1, 1, 4, 2, 8, 9, 6, dice.below(16))[dice.below(8)] * (dice.below(4) == 0) for _ in range(count)]
    distance = bars.high - bars.low
    distance[[dice.below(count) for _ in range(count // 20)]] = np.nan
    way = {"market": 0, "limit": -1, "stop": 1}[order]
    return Signals(
        bits=np.array(bits, np.uint8),
        warmup=0,
        order=order,
        long_price=bars.close * (1 + way * 0.0015) if way else None,
        short_price=bars.close * (1 - way * 0.0015) if way else None,
        valid_bars=2,
        stop_loss=Level(distance=0.5 * distance) if order != "limit" else None,
        take_profit=Level(fraction=0.006) if order != "limit" else Level(distance=distance),
        trailing=Level(distance=2.5 * distance) if order == "market" else Level(fraction=0.05),
        time_stop=9,
        base="fill" if order != "limit" else "signal_close",
    )


def spec_for(order: str) -> Spec:
    settings: dict[str, Any] = {
        "market": {"sizing": Sizing(type="risk", value=0.01, lot=0.001)},
        "limit": {"sizing": Sizing(value=0.3), "same_bar": "optimistic", "fill": "close"},
        "stop": {"sizing": Sizing(type="cash", value=4_000), "fill": "close", "finalise": "last_open"},
    }[order]
    return spec_of(
        cash=10_000,
        leverage=25,
        maintenance_margin=0.02,
        pyramiding=2,
        max_positions=2,
        commission=0.0004,
        maker=0.0002,
        fixed=0.05,
        spread=0.0001,
        slippage=0.0002,
        funding=0.0001,
        **settings,
    )


def runs(hours: int = 700, *, upto: int | None = None, **options: Any) -> Iterator[Result]:
    """One run for each type of order; *upto* leaves out all from that hour on."""
    fine = {name: quarters(at, hours) for at, name in enumerate(NAMES, 1)}
    whole = {name: hours_of(bars) for name, bars in fine.items()}
    if upto is not None:
        end = MIDNIGHT + upto * HOUR
        fine = {name: bars.head(int(np.searchsorted(bars.ts, end))) for name, bars in fine.items()}
    coarse = {name: hours_of(bars) for name, bars in fine.items()}
    for order in ("market", "limit", "stop"):
        signals = {name: signals_on(whole[name], at, order) for at, name in enumerate(NAMES, 1)}
        signals = {name: _head(one, len(coarse[name])) for name, one in signals.items()}
        yield run_signals(coarse, signals, spec_for(order), detail=fine, **options)


def fingerprint(**options: Any) -> str:
    """sha256 (hex) of the fingerprints of all runs."""
    return hashlib.sha256("\n".join(result.fingerprint for result in runs(**options)).encode()).hexdigest()


def _head(signals: Signals, count: int) -> Signals:
    values = dict(vars(signals))
    for name in ("bits", "long_price", "short_price"):
        values[name] = None if values[name] is None else values[name][:count]
    for name in ("stop_loss", "take_profit", "trailing"):
        level = values[name]
        values[name] = (
            level if level is None or level.distance is None else Level(distance=level.distance[:count])
        )
    return Signals(**values)


def _bars(rows: list[tuple[int, ...]], step: int) -> Bars:
    table = np.array(rows, np.int64)
    opened, high, low, closed = (table[:, at] / 100 for at in range(1, 5))
    return Bars(
        ts=table[:, 0], open=opened, high=high, low=low, close=closed, volume=np.ones(len(table)), step=step
    )
