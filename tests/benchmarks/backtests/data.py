"""What is run on what: bars made of the minutes of the area ``candles``, and one strategy with its costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from apps.backtests.engine import Bars, Spec
from tests.benchmarks.candles import data
from tests.benchmarks.candles.data import WORST, YEAR, Market

__all__ = ["WORST", "YEAR", "Market"]

FAST, SLOW = 10, 20
FEE, STOP, TARGET = 0.0002, 0.02, 0.04
#: So much that whole units of the dearest market are still fine after a year of fees.
CASH = 1e9
_COLUMNS = tuple(field.name for field in fields(Bars) if field.name != "step")


@cache
def bars(market: Market = WORST, days: int = YEAR) -> Bars:
    """So many days of minutes of a market, with their fingerprint computed: it is made once for all runs."""
    minutes = data.minutes(market, days)
    made = Bars(
        ts=minutes.ts,
        **{name: getattr(minutes, name) / 10.0**minutes.price_scale for name in _COLUMNS[1:5]},
        volume=minutes.volume / 10.0**minutes.volume_scale,
        step=60_000,
    )
    assert made.fingerprint
    return made


def rolled(minutes: Bars, width: int) -> Bars:
    """Bars of so many minutes each, of minutes of which none is missing."""
    cut = {name: getattr(minutes, name).reshape(-1, width) for name in _COLUMNS}
    return Bars(
        ts=cut["ts"][:, 0],
        open=cut["open"][:, 0],
        high=cut["high"].max(axis=1),
        low=cut["low"].min(axis=1),
        close=cut["close"][:, -1],
        volume=cut["volume"].sum(axis=1),
        step=width * minutes.step,
    )


def asked(**changes: Any) -> dict[str, Any]:
    """The specification as JSON: crossing averages, long, with fees, a stop-loss and a take-profit.

    Sizes are whole units, which is all that backtesting.py knows.
    """
    return {
        "strategy": "sma_cross",
        "params": {"fast": FAST, "slow": SLOW},
        "cash": CASH,
        "sizing": {"type": "equity", "value": 1.0, "lot": 1.0},
        "costs": {"maker": FEE, "taker": FEE},
        "risk": {"stop_loss": {"pct": STOP}, "take_profit": {"pct": TARGET}},
        **changes,
    }


def spec(**changes: Any) -> Spec:
    """The same for the engine."""
    return Spec.from_dict(asked(**changes))


def origin(days: int) -> str:
    """What the bars are, for the report."""
    return f"{days} days of {data.origin()}"


def save(given: Bars, file: Path) -> None:
    """Keep bars in a file for a process of its own."""
    np.savez(file, **{name: getattr(given, name) for name in _COLUMNS})


def load(file: Path) -> Bars:
    """The bars of such a file."""
    with np.load(file, allow_pickle=False) as kept:
        columns: Mapping[str, Any] = {name: kept[name] for name in _COLUMNS}
    return Bars(**columns, step=60_000)
