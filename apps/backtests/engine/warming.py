"""What a worker does before it forks, so that the first run of each child is as fast as any other."""

from __future__ import annotations

import numpy as np

from apps.backtests.engine import indicators, jit
from apps.backtests.engine.bars import Bars
from apps.backtests.engine.indicators.library import talib
from apps.backtests.engine.memory import keep_freed_memory
from apps.backtests.engine.run import run
from apps.backtests.engine.spec import Spec
from apps.backtests.engine.sweep import tally

_BARS = 1_440


def warm_up() -> bool:
    """Load TA-Lib, compile or load every loop, keep freed memory; say whether there is compiled code.

    It also runs a strategy once: what Python makes and numpy looks up at the first run is then there
    before the fork, and its pages are mapped.
    """
    keep_freed_memory()
    talib()
    indicators.warm_up()
    tally.warm_up()
    compiled = jit.warm_up()
    _rehearse()
    return compiled


def _rehearse() -> None:
    price = (100 + np.arange(_BARS) // 30 % 2).astype(np.float64)
    bars = Bars(
        ts=np.arange(_BARS) * 60_000, open=price, high=price, low=price, close=price, volume=np.ones(_BARS)
    )
    run(bars, Spec(strategy="sma_cross", params={"fast": 5, "slow": 10}))
