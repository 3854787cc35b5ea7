"""Changes to backtests: the public face for writing."""

from __future__ import annotations

from apps.backtests.asking import InvalidBacktest
from apps.backtests.computing import backtest_run
from apps.backtests.ending import Ended, backtest_cancel, backtest_delete
from apps.backtests.fetching import TooManyFetches, candles_await
from apps.backtests.lacking import MissingCandles
from apps.backtests.requesting import Key, KeyReused, backtest_request
from apps.backtests.sharing import backtest_share, backtest_unshare

__all__ = [
    "Ended",
    "InvalidBacktest",
    "Key",
    "KeyReused",
    "MissingCandles",
    "TooManyFetches",
    "backtest_cancel",
    "backtest_delete",
    "backtest_request",
    "backtest_run",
    "backtest_share",
    "backtest_unshare",
    "candles_await",
]
