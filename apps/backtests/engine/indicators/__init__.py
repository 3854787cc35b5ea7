"""Indicators: vectorised, and causal to the bit.

Value *i* of an indicator depends on bars up to *i* only: what follows, or how the run is cut, cannot move
a bit of it. ``INDICATORS`` is the table of all of them.
"""

from __future__ import annotations

from apps.backtests.engine.indicators.averages import LONGEST_WINDOW, MovingAverage
from apps.backtests.engine.indicators.compiled import warm_up
from apps.backtests.engine.indicators.crossings import crosses
from apps.backtests.engine.indicators.table import INDICATORS, Indicator, documentation

__all__ = [
    "INDICATORS",
    "LONGEST_WINDOW",
    "Indicator",
    "MovingAverage",
    "crosses",
    "documentation",
    "warm_up",
]
