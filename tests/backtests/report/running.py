"""Runs to report on: random walks, on which many trades happen."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np

from apps.backtests import selectors, services
from apps.backtests.engine import Bars, Costs, Spec, run
from apps.backtests.models import Backtest
from apps.backtests.report.outcome import Outcome, outcome_of
from apps.tasks.testing import run_pending

#: 2025-01-01T00:00Z.
NEW_YEAR = 1_735_689_600_000
MINUTE = 60_000
NAME = "binance:BTC/USDT"

SPEC = Spec(
    strategy="sma_cross", params={"fast": 20, "slow": 40, "direction": "long_short"}, costs=Costs(taker=1e-5)
)


def walk(count: int, *, seed: int = 1, start: int = NEW_YEAR, step: int = MINUTE) -> Bars:
    """Bars of a random walk from 20,000."""
    random = np.random.default_rng(seed)
    close = 20_000 * np.exp(np.cumsum(random.normal(0, 0.0008, count)))
    first = np.concatenate([[20_000.0], close[:-1]])[:count]
    return Bars(
        ts=start + step * np.arange(count, dtype=np.int64),
        open=first,
        high=np.maximum(first, close) * (1 + random.random(count) / 1000),
        low=np.minimum(first, close) * (1 - random.random(count) / 1000),
        close=close,
        volume=random.random(count),
        step=step,
    )


def outcome(bars: Bars, spec: Spec = SPEC) -> Outcome:
    return outcome_of(run(bars, spec))


def requested(owner_id: int, market: str, start: datetime, end: datetime, **spec: Any) -> Backtest:
    """A backtest that was asked for, and that no worker has run yet."""
    asked = {"strategy": "sma_cross", "params": {"fast": 5, "slow": 20}, **spec}
    return services.backtest_request(
        owner_id=owner_id, instruments=[market], timeframe="1m", start=start, end=end, spec=asked
    )


def finished(*args: Any, **spec: Any) -> Backtest:
    """A backtest with its result."""
    backtest = requested(*args, **spec)
    run_pending()
    return Backtest.objects.select_related("result").get(pk=backtest.pk)


def trade_rows(backtest: Backtest) -> list[dict[str, Any]]:
    """Its trades, as they are stored."""
    rows: list[dict[str, Any]] = selectors.trades_of(backtest).to_pylist()
    return rows
