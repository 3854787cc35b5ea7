"""Figures of period returns: growth, spread, and one over the other."""

from __future__ import annotations

import math

import numpy as np

from apps.backtests.engine.bars import Floats, Times
from apps.backtests.engine.metrics.periods import YEAR, changes, period_equity, periods_per_year
from apps.backtests.engine.metrics.table import Value
from apps.backtests.engine.overfit import Moments, deflated_sharpe, probabilistic_sharpe

_OF_RETURNS = (
    "return_ann_pct",
    "volatility_ann_pct",
    "cagr_pct",
    "sharpe",
    "sharpe_arithmetic",
    "sortino",
    "calmar",
    "omega",
    "skew",
    "kurtosis",
    "probabilistic_sharpe",
    "deflated_sharpe",
)


def ratio(above: float, below: float) -> float | None:
    """*above* / *below*, None unless *below* is positive."""
    return above / below if below > 0 else None


def return_metrics(ts: Times, equity: Floats, max_drawdown: float) -> dict[str, Value]:
    """The metrics of period returns, by name, in the units of ``METRICS``.

    *max_drawdown* is a percentage, negative or 0.
    """
    periods = periods_per_year(ts)
    curve = period_equity(ts, equity)
    returns = changes(curve)
    years = float(ts[-1] - ts[0]) / YEAR
    values: dict[str, Value] = dict.fromkeys(_OF_RETURNS)
    values["periods_per_year"] = periods
    if years > 0 and equity[0] > 0:
        values["cagr_pct"] = float(np.power(equity[-1] / equity[0], 1 / years) - 1) * 100
    if not len(returns) or curve[0] <= 0:
        return values
    growth = np.power(curve[-1] / curve[0], 1 / len(returns))
    annual = float(np.power(growth, periods) - 1)
    losses = np.minimum(returns, 0.0)
    values["return_ann_pct"] = annual * 100
    values["sortino"] = ratio(annual, float(np.sqrt(np.mean(losses**2)) * np.sqrt(periods)))
    values["calmar"] = ratio(annual * 100, abs(max_drawdown))
    values["omega"] = ratio(float(np.maximum(returns, 0.0).sum()), -float(losses.sum()))
    if len(returns) < 2:
        return values
    variance = np.var(returns, ddof=1)
    spread = np.power(variance + growth**2, periods) - np.power(growth, 2 * periods)
    volatility = float(np.sqrt(np.maximum(spread, 0.0)))
    deviation = float(np.sqrt(variance))
    values["volatility_ann_pct"] = volatility * 100
    values["sharpe"] = ratio(annual, volatility)
    values["sharpe_arithmetic"] = ratio(float(returns.mean()) * math.sqrt(periods), deviation)
    return values | _of_moments(returns)


def _of_moments(returns: Floats) -> dict[str, Value]:
    moments = Moments.of(returns)
    if moments is None:
        return {}
    return {
        "skew": moments.skew,
        "kurtosis": moments.kurtosis,
        "probabilistic_sharpe": probabilistic_sharpe(moments),
        "deflated_sharpe": deflated_sharpe(moments, trials=1, variance=0.0),
    }
