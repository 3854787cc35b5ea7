"""What a run is worth: every metric, its unit and its definition.

Every name in ``METRICS`` is in every result. A metric that is undefined for a run (no trade, no
loss, too few days, beyond float64) is None, never infinite and never NaN. Metrics are computed from
equity and trades with numpy, whose logarithms and powers may differ in the last digit between
machines: they are not part of a result's fingerprint.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apps.backtests.engine.bars import Bars, Floats, Times
from apps.backtests.engine.trades import Trades

Value = float | int | None

_DAY = 86_400_000
_YEAR = 365.25 * _DAY


@dataclass(frozen=True)
class Metric:
    """One metric. ``unit`` is ``ms`` (a span), ``time`` (ms since 1970 UTC), ``%``, ``money``, ``count`` or
    ``ratio``."""

    name: str
    unit: str
    definition: str


METRICS: tuple[Metric, ...] = (
    Metric("start", "time", "Open time of the first bar."),
    Metric("end", "time", "Open time of the last bar."),
    Metric("duration", "ms", "end - start."),
    Metric(
        "exposure_pct", "%", "Share of bars with a position: those from a trade's entry bar to its exit bar."
    ),
    Metric("final_equity", "money", "Worth of the account at the end, after the last position is closed."),
    Metric("peak_equity", "money", "Highest worth at any bar's close."),
    Metric("return_pct", "%", "final_equity / starting cash - 1."),
    Metric(
        "buy_hold_return_pct",
        "%",
        "Last close / close of the first bar on which the strategy has all its indicators - 1; no costs.",
    ),
    Metric(
        "periods_per_year",
        "count",
        "N. Period returns are changes of the last equity of each UTC day with bars; for bars of a week or "
        "more (median distance from 7 days on), of each bar. N is 1 for bars of a year (from 360 days), 12 "
        "of a month (from 28 days), 52 of a week; else 252 when fewer than half of the Saturdays (UTC) in "
        "the range have bars, and 365 otherwise. Returns after a bankruptcy are 0.",
    ),
    Metric(
        "return_ann_pct", "%", "(1 + g) ** N - 1, g the geometric mean of the period returns; from 1 return."
    ),
    Metric(
        "volatility_ann_pct",
        "%",
        "sqrt((v + (1 + g) ** 2) ** N - (1 + g) ** (2 N)), v the sample variance of the period "
        "returns; from 2 returns.",
    ),
    Metric("cagr_pct", "%", "(last equity / first equity) ** (1 / years) - 1; a year has 365.25 days."),
    Metric("sharpe", "ratio", "Geometric: return_ann / volatility_ann, risk-free rate 0."),
    Metric(
        "sharpe_arithmetic",
        "ratio",
        "Mean over sample standard deviation of the period returns, times sqrt(N), risk-free rate 0.",
    ),
    Metric("sortino", "ratio", "return_ann / (sqrt(mean(min(r, 0) ** 2)) * sqrt(N)), r the period returns."),
    Metric("calmar", "ratio", "return_ann / |max_drawdown|."),
    Metric("max_drawdown_pct", "%", "Lowest of equity / its highest value so far - 1, over all bars."),
    Metric(
        "avg_drawdown_pct",
        "%",
        "Mean depth of the drawdowns; one reaches from the bar of a high to the first bar that is as high "
        "again, or to the end.",
    ),
    Metric("max_drawdown_duration", "ms", "Longest drawdown; 0 if there is none."),
    Metric("n_trades", "count", "Closed trades; a position open at the end is closed there."),
    Metric("win_rate_pct", "%", "Share of trades with a gain after commission."),
    Metric(
        "best_trade_pct",
        "%",
        "Highest trade return. A trade's return is its gain after commission over its value at entry.",
    ),
    Metric("worst_trade_pct", "%", "Lowest trade return."),
    Metric(
        "avg_trade_pct", "%", "Geometric mean of the trade returns; undefined if one lost all it stood for."
    ),
    Metric("profit_factor", "ratio", "Sum of the positive trade returns over the sum of the negative ones."),
    Metric("expectancy_pct", "%", "Arithmetic mean of the trade returns."),
    Metric(
        "sqn",
        "ratio",
        "System quality number: sqrt(n_trades) * mean / sample standard deviation of the gains in money.",
    ),
    Metric(
        "kelly",
        "ratio",
        "w - (1 - w) / (mean gain of winners / mean loss of losers, in money), w the win rate; needs both.",
    ),
    Metric("commissions", "money", "Commission paid, entries and exits."),
    Metric("entries_skipped", "count", "Entry orders dropped because the account could not pay for one lot."),
    Metric(
        "written_off",
        "money",
        "Debt at a bankruptcy, which the account is not asked for: final_equity = cash + sum of the "
        "trades' gains + written_off.",
    ),
)


def measure(
    *,
    bars: Bars,
    equity: Floats,
    trades: Trades,
    cash: float,
    warmup: int,
    entries_skipped: int,
    written_off: float,
) -> dict[str, Value]:
    """All metrics of a run over at least one bar, as Python numbers, in the order of ``METRICS``."""
    values: dict[str, Value] = {
        "start": int(bars.ts[0]),
        "end": int(bars.ts[-1]),
        "duration": int(bars.ts[-1] - bars.ts[0]),
        "exposure_pct": _exposure(len(bars), trades) * 100,
        "final_equity": float(equity[-1]),
        "peak_equity": float(equity.max()),
        "return_pct": (float(equity[-1]) / cash - 1) * 100,
        "buy_hold_return_pct": (
            (float(bars.close[-1]) / float(bars.close[warmup]) - 1) * 100 if warmup < len(bars) else None
        ),
        "commissions": float(trades.commission.sum()),
        "entries_skipped": entries_skipped,
        "written_off": written_off,
    }
    with np.errstate(all="ignore"):  # what cannot be computed comes out as inf or NaN, then as None
        values |= _drawdowns(bars.ts, equity)
        values |= _annual(bars.ts, equity, values["max_drawdown_pct"])
        values |= _of_trades(trades)
    return {metric.name: _defined(values[metric.name]) for metric in METRICS}


def periods_per_year(ts: Times) -> int:
    """N for bars at *ts*, as ``METRICS`` defines it."""
    distance = float(np.median(np.diff(ts))) if len(ts) > 1 else 0.0
    for least, periods in ((360, 1), (28, 12), (7, 52)):
        if distance >= least * _DAY:
            return periods
    days = ts // _DAY
    # Day 0, 1970-01-01, was a Thursday: day 2 was a Saturday, and so is every seventh from there.
    traded = int(np.count_nonzero(days[_ends(days)] % 7 == 2))
    possible = (int(days[-1]) + 5) // 7 - (int(days[0]) + 4) // 7
    return 252 if 2 * traded < possible else 365


def _ends(days: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which bars are the last of their day."""
    return np.append(days[1:] != days[:-1], True)


def _annual(ts: Times, equity: Floats, max_drawdown: Value) -> dict[str, Value]:
    periods = periods_per_year(ts)
    if periods >= 252:
        equity = equity[_ends(ts // _DAY)]
    before, after = equity[:-1], equity[1:]
    returns = np.where(before > 0, after / before - 1, 0.0)
    years = float(ts[-1] - ts[0]) / _YEAR
    result: dict[str, Value] = dict.fromkeys(
        (
            "return_ann_pct",
            "volatility_ann_pct",
            "cagr_pct",
            "sharpe",
            "sharpe_arithmetic",
            "sortino",
            "calmar",
        )
    )
    result["periods_per_year"] = periods
    if years > 0 and equity[0] > 0:
        result["cagr_pct"] = float(np.power(equity[-1] / equity[0], 1 / years) - 1) * 100
    if not len(returns) or equity[0] <= 0:
        return result
    growth = np.power(equity[-1] / equity[0], 1 / len(returns))
    annual = float(np.power(growth, periods) - 1)
    result["return_ann_pct"] = annual * 100
    downside = float(np.sqrt(np.mean(np.minimum(returns, 0.0) ** 2)) * np.sqrt(periods))
    result["sortino"] = _ratio(annual, downside)
    result["calmar"] = _ratio(annual * 100, abs(max_drawdown or 0.0))
    if len(returns) >= 2:
        variance = np.var(returns, ddof=1)
        spread = np.power(variance + growth**2, periods) - np.power(growth, 2 * periods)
        volatility = float(np.sqrt(np.maximum(spread, 0.0)))
        result["volatility_ann_pct"] = volatility * 100
        result["sharpe"] = _ratio(annual, volatility)
        result["sharpe_arithmetic"] = _ratio(
            float(returns.mean()) * math.sqrt(periods), float(np.sqrt(variance))
        )
    return result


def _drawdowns(ts: Times, equity: Floats) -> dict[str, Value]:
    highest = np.maximum.accumulate(equity)
    depth = equity / highest
    np.subtract(1, depth, out=depth)
    highs = np.flatnonzero(equity == highest)
    ends = np.append(highs[1:], len(equity) - 1)
    depths = np.maximum.reduceat(depth, highs)
    under = depths > 0
    if not under.any():
        return {"max_drawdown_pct": 0.0, "avg_drawdown_pct": None, "max_drawdown_duration": 0}
    return {
        "max_drawdown_pct": -float(depths.max()) * 100,
        "avg_drawdown_pct": -float(depths[under].mean()) * 100,
        "max_drawdown_duration": int((ts[ends] - ts[highs])[under].max()),
    }


def _exposure(count: int, trades: Trades) -> float:
    change = np.zeros(count + 1, np.int64)
    np.add.at(change, trades.entry_bar, 1)
    np.add.at(change, trades.exit_bar + 1, -1)
    return float(np.count_nonzero(np.cumsum(change[:-1]))) / count


def _of_trades(trades: Trades) -> dict[str, Value]:
    count = len(trades)
    result: dict[str, Value] = dict.fromkeys(
        (
            "win_rate_pct",
            "best_trade_pct",
            "worst_trade_pct",
            "avg_trade_pct",
            "profit_factor",
            "expectancy_pct",
            "sqn",
            "kelly",
        )
    )
    result["n_trades"] = count
    if not count:
        return result
    returns, gains = trades.return_, trades.pnl
    won, lost = gains[gains > 0], gains[gains < 0]
    wins = len(won) / count
    result["win_rate_pct"] = wins * 100
    result["best_trade_pct"] = float(returns.max()) * 100
    result["worst_trade_pct"] = float(returns.min()) * 100
    result["expectancy_pct"] = float(returns.mean()) * 100
    if returns.min() > -1:
        result["avg_trade_pct"] = float(np.expm1(np.mean(np.log1p(returns)))) * 100
    result["profit_factor"] = _ratio(
        float(returns[returns > 0].sum()), abs(float(returns[returns < 0].sum()))
    )
    if count >= 2:
        result["sqn"] = _ratio(math.sqrt(count) * float(gains.mean()), float(gains.std(ddof=1)))
    if len(won) and len(lost):
        result["kelly"] = wins - (1 - wins) / (float(won.mean()) / abs(float(lost.mean())))
    return result


def _ratio(above: float, below: float) -> float | None:
    return above / below if below > 0 else None


def _defined(value: Value) -> Value:
    return value if value is None or math.isfinite(value) else None
