"""All metrics of one run."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from apps.backtests.engine.bars import Bars, Floats, Times
from apps.backtests.engine.metrics.drawdowns import drawdown_metrics
from apps.backtests.engine.metrics.market import beta, buy_and_hold
from apps.backtests.engine.metrics.ratios import return_metrics
from apps.backtests.engine.metrics.table import METRICS, Value
from apps.backtests.engine.metrics.trading import trade_metrics
from apps.backtests.engine.trades import Trades


def measure(
    *,
    bars: Bars | None = None,
    ts: Times | None = None,
    closes: Sequence[Floats] = (),
    equity: Floats,
    trades: Trades,
    cash: float,
    warmup: int,
    entries_skipped: int,
    written_off: float,
    funding_paid: float = 0.0,
) -> dict[str, Value]:
    """All metrics of a run over at least one bar, as Python numbers, in the order of ``METRICS``.

    The market is either *bars*, of one instrument, or the times *ts* and the *closes* of at least one
    instrument, as ``buy_and_hold`` takes them. Bars of *trades* are indices into these times; trades may
    overlap. *equity* is not negative. *funding_paid* is negative if more was received.
    """
    if bars is not None:
        ts = bars.ts
    elif ts is None or not closes:
        raise ValueError("a market is bars, or times and closes")
    count = len(ts)
    hold: float | None = None
    with np.errstate(all="ignore"):  # what cannot be computed comes out as inf or NaN, then as None
        market = bars.close if bars is not None else buy_and_hold(closes, min(warmup, count - 1))
        if warmup < count:
            hold = (float(market[-1]) / float(market[warmup]) - 1) * 100
        slope = beta(equity, market)
        return_pct = (float(equity[-1]) / cash - 1) * 100
        values: dict[str, Value] = {
            "start": int(ts[0]),
            "end": int(ts[-1]),
            "duration": int(ts[-1] - ts[0]),
            "final_equity": float(equity[-1]),
            "return_pct": return_pct,
            "buy_hold_return_pct": hold,
            "alpha_pct": return_pct - slope * hold if slope is not None and hold is not None else None,
            "beta": slope,
            "funding_paid": float(funding_paid),
            "entries_skipped": entries_skipped,
            "written_off": written_off,
        }
        values |= drawdown_metrics(ts, equity)
        deepest = values["max_drawdown_pct"] or 0.0
        values |= return_metrics(ts, equity, deepest)
        values |= trade_metrics(ts, trades)
    return {metric.name: _defined(values[metric.name]) for metric in METRICS}


def _defined(value: Value) -> Value:
    """None for what no number is; nothing is neither above nor below zero."""
    return value + 0 if value is not None and math.isfinite(value) else None
