"""What a worker does before it forks, so that the first run of each child is as fast as any other."""

from __future__ import annotations

from apps.backtests.engine import indicators, jit
from apps.backtests.engine.indicators.library import talib
from apps.backtests.engine.memory import keep_freed_memory
from apps.backtests.engine.sweep import tally


def warm_up() -> bool:
    """Load TA-Lib, compile or load every loop, keep freed memory; say whether there is compiled code."""
    keep_freed_memory()
    talib()
    indicators.warm_up()
    tally.warm_up()
    return jit.warm_up()
