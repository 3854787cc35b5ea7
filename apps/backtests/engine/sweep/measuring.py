"""From what lanes left to metrics, as ``engine.metrics`` defines them."""

from __future__ import annotations

import numpy as np

from apps.backtests.engine import kernel
from apps.backtests.engine.bars import Floats, Times
from apps.backtests.engine.metrics.periods import YEAR, changes, periods_per_year
from apps.backtests.engine.sweep import tally
from apps.backtests.engine.sweep.lanes import Outcome

#: The metrics of a sweep, by the names of ``METRICS``.
SWEPT = (
    "final_equity", "return_pct", "return_ann_pct", "volatility_ann_pct", "cagr_pct", "sharpe",
    "sharpe_arithmetic", "sortino", "calmar", "max_drawdown_pct", "peak_equity", "exposure_pct", "n_trades",
    "win_rate_pct", "profit_factor", "expectancy_pct", "expectancy", "sqn", "commissions", "funding_paid",
    "entries_skipped",
)  # fmt: skip

_OF_PERIODS = (
    "return_ann_pct", "volatility_ann_pct", "cagr_pct", "sharpe", "sharpe_arithmetic", "sortino", "calmar",
)  # fmt: skip

#: Of these the lowest is the best.
LOW_IS_GOOD = frozenset(
    {"volatility_ann_pct", "exposure_pct", "commissions", "funding_paid", "entries_skipped"}
)


def measured(ts: Times, outcome: Outcome, cash: float) -> dict[str, Floats]:
    """The metrics of lanes that ran over bars at *ts*, a value for each; NaN where undefined.

    All are NaN for a lane whose equity left the range of float64.
    """
    with np.errstate(all="ignore"):
        values = _of_accounts(outcome, len(ts), cash)
        values |= _of_tallies(outcome)
        values |= _of_periods(ts, outcome, values["max_drawdown_pct"])
    sound = np.isfinite(values["final_equity"]) & np.isfinite(values["peak_equity"])
    return {name: np.where(sound & np.isfinite(values[name]), values[name], np.nan) for name in SWEPT}


def returns_of(outcome: Outcome) -> Floats:
    """Period returns of each lane, shape ``(lanes, periods - 1)``; 0 after a bankruptcy."""
    return changes(outcome.ends)


def _of_accounts(outcome: Outcome, bars: int, cash: float) -> dict[str, Floats]:
    account = outcome.accounts.T
    count = account[kernel.TRADES]
    some = np.where(count > 0, count, np.nan)
    mean = account[kernel.PNL] / some
    spread = np.sqrt(account[kernel.PNL_SQUARES] / np.where(count > 1, count - 1, np.nan))
    return {
        "final_equity": account[kernel.CASH],
        "return_pct": (account[kernel.CASH] / cash - 1) * 100,
        "exposure_pct": account[kernel.HELD_BARS] / bars * 100,
        "n_trades": count,
        "win_rate_pct": account[kernel.WINS] / some * 100,
        "profit_factor": _ratio(account[kernel.GROSS_PROFIT], account[kernel.GROSS_LOSS]),
        "expectancy_pct": account[kernel.RETURNS] / some * 100,
        "expectancy": mean,
        "sqn": _ratio(np.sqrt(some) * mean, spread),
        "commissions": account[kernel.FEES],
        "funding_paid": account[kernel.FUNDING],
        "entries_skipped": account[kernel.SKIPPED],
    }


def _of_tallies(outcome: Outcome) -> dict[str, Floats]:
    noted = outcome.tallies.T
    peak, trough = noted[tally.PEAK], noted[tally.TROUGH]
    last = np.where(trough < peak, 1.0 - trough / peak, 0.0)
    return {"peak_equity": peak, "max_drawdown_pct": -np.maximum(noted[tally.DEPTH], last) * 100 + 0.0}


def _of_periods(ts: Times, outcome: Outcome, drawdown: Floats) -> dict[str, Floats]:
    lanes, count = len(outcome.ends), outcome.ends.shape[1] - 1
    nothing = np.full(lanes, np.nan)
    values = dict.fromkeys(_OF_PERIODS, nothing)
    first, last = outcome.tallies[:, tally.FIRST], outcome.ends[:, -1]
    years = float(ts[-1] - ts[0]) / YEAR
    if years > 0:
        values["cagr_pct"] = np.where(first > 0, (np.power(last / first, 1 / years) - 1) * 100, np.nan)
    start = outcome.ends[:, 0]
    if count < 1:
        return values
    periods = periods_per_year(ts)
    returns = returns_of(outcome)
    growth = np.where(start > 0, np.power(last / start, 1 / count), np.nan)
    annual = np.power(growth, periods) - 1
    losses = np.minimum(returns, 0.0)
    values["return_ann_pct"] = annual * 100
    values["sortino"] = _ratio(annual, np.sqrt(np.mean(losses**2, axis=1)) * np.sqrt(periods))
    values["calmar"] = _ratio(annual * 100, np.abs(drawdown))
    if count < 2:
        return values
    variance = np.var(returns, axis=1, ddof=1)
    spread = np.power(variance + growth**2, periods) - np.power(growth, 2 * periods)
    volatility = np.where(np.isnan(spread), np.nan, np.sqrt(np.maximum(spread, 0.0)))
    values["volatility_ann_pct"] = volatility * 100
    values["sharpe"] = _ratio(annual, volatility)
    arithmetic = _ratio(returns.mean(axis=1) * np.sqrt(periods), np.sqrt(variance))
    values["sharpe_arithmetic"] = np.where(start > 0, arithmetic, np.nan)
    return values


def _ratio(above: Floats, below: Floats) -> Floats:
    found: Floats = np.where(below > 0, above / below, np.nan)
    return found + 0.0  # zero has no sign
