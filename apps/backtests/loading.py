"""Bars for the engine from a source of candles."""

from __future__ import annotations

from datetime import datetime

from apps.backtests.engine import Bars, BarsError
from apps.candles.sources import DataSource
from apps.candles.timeframes import TIMEFRAMES


def bars_of(source: DataSource, name: str, timeframe: str, start: datetime, end: datetime) -> Bars:
    """The bars of one instrument that open in [start, end).

    Raises BarsError where there are none or what is stored cannot be simulated, and SourceError.
    """
    candles = source.load(name, timeframe, start, end)
    if not len(candles):
        raise BarsError(f"there are no bars of {name} to run on")
    return Bars(
        ts=candles.ts,
        open=candles.open,
        high=candles.high,
        low=candles.low,
        close=candles.close,
        volume=candles.volume,
        step=TIMEFRAMES[timeframe].width,
    )
