"""The backtest engine: pure Python and numpy, no Django.

    bars = Bars(ts=…, open=…, high=…, low=…, close=…, volume=…)
    spec = Spec.from_dict({"strategy": "sma_cross", "params": {"fast": 10, "slow": 30}})
    result = run(bars, spec)

A run has two stages: a strategy turns bars into one byte of entry and exit bits per bar, and one event
loop (``kernel``) turns those into fills, trades and equity. Strategies are data (``language``): built-in
ones by name, or anyone's.
"""

from __future__ import annotations

from apps.backtests.engine.bars import Bars
from apps.backtests.engine.certificate import certify
from apps.backtests.engine.downsample import downsample
from apps.backtests.engine.errors import BarsError, SpecError
from apps.backtests.engine.language import DOCUMENT_SCHEMA
from apps.backtests.engine.metrics import METRICS, Metric
from apps.backtests.engine.run import ENGINE_VERSION, Result, run
from apps.backtests.engine.spec import SCHEMA, Costs, Execution, Sizing, Spec
from apps.backtests.engine.strategies import STRATEGIES, Strategy, strategy_of
from apps.backtests.engine.trades import Trades
from apps.backtests.engine.warming import warm_up

__all__ = [
    "DOCUMENT_SCHEMA",
    "ENGINE_VERSION",
    "METRICS",
    "SCHEMA",
    "STRATEGIES",
    "Bars",
    "BarsError",
    "Costs",
    "Execution",
    "Metric",
    "Result",
    "Sizing",
    "Spec",
    "SpecError",
    "Strategy",
    "Trades",
    "certify",
    "downsample",
    "run",
    "strategy_of",
    "warm_up",
]
