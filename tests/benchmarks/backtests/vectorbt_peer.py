"""vectorbt, with either of its engines: machine code by numba, or its Rust extension.

The module imports it only when it is asked to run, as it may not be installed.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd

from apps.backtests.engine import Bars
from tests.benchmarks.backtests.plan import CASH, FAST, FEE, SLOW, STOP, TARGET

#: Its name of each engine; by itself ("auto") it takes Rust wherever that can be used.
ENGINES = {"numba": "numba", "rust": "auto"}


def obstacle() -> str | None:
    """Why it cannot be compared with; None when it can."""
    if importlib.util.find_spec("vectorbt") is None:
        return "vectorbt is not installed"
    return None


def engines() -> list[str]:
    """Which of its engines are here."""
    return ["numba", *(["rust"] if importlib.util.find_spec("vectorbt_rust") else [])]


@contextmanager
def _quietly() -> Iterator[None]:
    with warnings.catch_warnings():
        # Its lists of windows are of a kind that numba means to give up.
        warnings.filterwarnings("ignore", message=r"\s*Encountered the use of a type that is scheduled")
        yield


class Vectorbt:
    """Runs over the same bars, one or many at a time.

    Orders fill at the next open, as in our engine: so signals are moved on by a bar.
    """

    def __init__(self, bars: Bars) -> None:
        index = pd.to_datetime(bars.ts, unit="ms")
        self._prices = {
            name: pd.Series(getattr(bars, name), index=index) for name in ("open", "high", "low", "close")
        }

    def run(self, engine: str) -> int:
        """Signals, simulation, trades and its table of metrics; how many trades there were."""
        with _quietly():
            statistics = self._portfolio(engine, [FAST], [SLOW]).stats()
        return int(statistics["Total Trades"])

    def sweep(self, engine: str, fast: Sequence[int], slow: Sequence[int]) -> tuple[list[float], list[int]]:
        """One combination for each pair, to the metrics that ours has of each; final values and trades."""
        with _quietly():
            made = self._portfolio(engine, fast, slow)
            for measure in (made.total_return, made.max_drawdown, made.sharpe_ratio, made.trades.win_rate):
                measure()
            counts = np.atleast_1d(made.trades.count())
            finals = np.atleast_1d(made.final_value())
            return [float(value) for value in finals], [int(count) for count in counts]

    def _portfolio(self, engine: str, fast: Sequence[int], slow: Sequence[int]) -> Any:
        import vectorbt

        vectorbt.settings["engine"] = ENGINES[engine]
        one = len(fast) == 1
        close = self._prices["close"]
        # Each window once, however many combinations have it.
        first, second = (
            vectorbt.MA.run(close, windows[0] if one else list(windows), run_unique=True)
            for windows in (fast, slow)
        )
        up, down = first.ma_crossed_above(second), first.ma_crossed_below(second)
        entries, exits = (_moved_on(signals) for signals in (up, down))
        return vectorbt.Portfolio.from_signals(
            close,
            entries,
            exits,
            price=self._prices["open"],
            open=self._prices["open"],
            high=self._prices["high"],
            low=self._prices["low"],
            fees=FEE,
            sl_stop=STOP,
            tp_stop=TARGET,
            init_cash=CASH,
            size_granularity=1.0,
            freq="1min",
        )


def _moved_on(signals: Any) -> Any:
    """The same a bar later."""
    values = np.zeros(signals.shape, np.bool_)
    values[1:] = signals.to_numpy()[:-1]
    return type(signals)(values, index=signals.index, **_columns(signals))


def _columns(signals: Any) -> dict[str, Any]:
    return {"columns": signals.columns} if signals.ndim == 2 else {}
