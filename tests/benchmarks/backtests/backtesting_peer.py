"""backtesting.py, as its own documentation uses it."""

from __future__ import annotations

import os
import warnings
from typing import Any

# Whether it draws a progress bar depends on what else is installed.
os.environ["TQDM_DISABLE"] = "1"

import pandas as pd
from backtesting import Backtest, Strategy
from backtesting.lib import crossover

from apps.backtests.engine import Bars
from tests.benchmarks.backtests.plan import CASH, FAST, FEE, SLOW, STOP, TARGET

_COLUMNS = ("open", "high", "low", "close", "volume")


def _average(values: Any, window: int) -> Any:
    return pd.Series(values).rolling(window).mean()


class Crossing(Strategy):  # type: ignore[misc]
    """In the market while the fast average is above the slow one, with a stop and a target."""

    def init(self) -> None:
        self.fast = self.I(_average, self.data.Close, FAST)
        self.slow = self.I(_average, self.data.Close, SLOW)

    def next(self) -> None:
        if crossover(self.fast, self.slow):
            price = self.data.Close[-1]
            self.buy(sl=price * (1 - STOP), tp=price * (1 + TARGET))
        elif crossover(self.slow, self.fast):
            self.position.close()


class BacktestingPy:
    """A run over the same bars."""

    def __init__(self, bars: Bars) -> None:
        frame = pd.DataFrame(
            {name.capitalize(): getattr(bars, name) for name in _COLUMNS},
            index=pd.to_datetime(bars.ts, unit="ms"),
        )
        self._test = Backtest(frame, Crossing, cash=CASH, commission=FEE, finalize_trades=True)

    def run(self) -> int:
        """Signals, simulation, trades and all its metrics; how many trades there were."""
        with warnings.catch_warnings():
            # A cross up may follow another: where averages are equal it counts none down between them.
            warnings.filterwarnings("ignore", message=r"time=\d+: Broker canceled the relative-sized order")
            return int(self._test.run()["# Trades"])
