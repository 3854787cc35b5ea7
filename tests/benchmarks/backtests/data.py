"""Bars made of the minutes of the area ``candles``."""

from __future__ import annotations

from functools import cache

from apps.backtests.engine import Bars
from tests.benchmarks.backtests.plan import MINUTE
from tests.benchmarks.candles import data
from tests.benchmarks.candles.data import MARKETS, WORST, YEAR, Market

__all__ = ["MARKETS", "YEAR", "bars", "origin"]


@cache
def bars(market: Market = WORST, days: int = YEAR) -> Bars:
    """So many days of minutes of a market, with their fingerprint computed: it is made once for all runs."""
    minutes = data.minutes(market, days)
    made = Bars(
        ts=minutes.ts,
        **{
            name: getattr(minutes, name) / 10.0**minutes.price_scale
            for name in ("open", "high", "low", "close")
        },
        volume=minutes.volume / 10.0**minutes.volume_scale,
        step=MINUTE,
    )
    assert made.fingerprint
    return made


def origin(days: int) -> str:
    """What the bars are, for the report."""
    return f"{days} days of {data.origin()}"
