"""Metrics of the closed trades: how often, how long, how much, at which cost."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from apps.backtests.engine.bars import Floats, Times
from apps.backtests.engine.metrics.ratios import ratio
from apps.backtests.engine.metrics.table import Value
from apps.backtests.engine.trades import Trades

_OF_SOME = (
    "win_rate_pct",
    "win_rate_long_pct",
    "win_rate_short_pct",
    "best_trade_pct",
    "worst_trade_pct",
    "avg_trade_pct",
    "avg_win_pct",
    "avg_loss_pct",
    "avg_win",
    "avg_loss",
    "avg_trade_duration",
    "max_trade_duration",
    "min_trade_duration",
    "profit_factor",
    "profit_factor_money",
    "expectancy_pct",
    "expectancy",
    "sqn",
    "kelly",
    "commissions_of_gain_pct",
)


def trade_metrics(ts: Times, trades: Trades) -> dict[str, Value]:
    """The metrics of *trades* over bars at *ts*, by name, in the units of ``METRICS``."""
    count = len(trades)
    long, won, lost = trades.size > 0, trades.pnl > 0, trades.pnl < 0
    n_long = int(np.count_nonzero(long))
    values: dict[str, Value] = dict.fromkeys(_OF_SOME)
    values |= {
        "exposure_pct": _exposure(len(ts), trades) * 100,
        "n_trades": count,
        "n_long": n_long,
        "n_short": count - n_long,
        "max_win_streak": _longest(won),
        "max_loss_streak": _longest(lost),
        "commissions": float(trades.commission.sum()),
    }
    if not count:
        return values
    wins, losses = int(np.count_nonzero(won)), int(np.count_nonzero(lost))
    long_wins = int(np.count_nonzero(won & long))
    values["win_rate_pct"] = wins / count * 100
    if n_long:
        values["win_rate_long_pct"] = long_wins / n_long * 100
    if n_long < count:
        values["win_rate_short_pct"] = (wins - long_wins) / (count - n_long) * 100
    if wins:
        values["avg_win_pct"] = float((trades.return_ * won).sum()) / wins * 100
    if losses:
        values["avg_loss_pct"] = float((trades.return_ * lost).sum()) / losses * 100
    held = ts[trades.exit_bar] - ts[trades.entry_bar]
    values |= {
        "avg_trade_duration": float(held.mean()),
        "max_trade_duration": int(held.max()),
        "min_trade_duration": int(held.min()),
    }
    return values | _of_returns(trades) | _of_money(trades, wins, losses)


def _of_returns(trades: Trades) -> dict[str, Value]:
    returns = trades.return_
    worst = float(returns.min())
    return {
        "best_trade_pct": float(returns.max()) * 100,
        "worst_trade_pct": worst * 100,
        "avg_trade_pct": float(np.expm1(np.mean(np.log1p(returns)))) * 100 if worst > -1 else None,
        "profit_factor": ratio(_above(returns), _above(-returns)),
        "expectancy_pct": float(returns.mean()) * 100,
    }


def _of_money(trades: Trades, wins: int, losses: int) -> dict[str, Value]:
    gains, count = trades.pnl, len(trades)
    gain, loss = _above(gains), _above(-gains)
    values: dict[str, Value] = {
        "profit_factor_money": ratio(gain, loss),
        "expectancy": float(gains.mean()),
        "commissions_of_gain_pct": ratio(
            float(trades.commission.sum()) * 100, _above(gains + trades.commission)
        ),
    }
    if count >= 2:
        values["sqn"] = ratio(math.sqrt(count) * float(gains.mean()), float(gains.std(ddof=1)))
    if wins:
        values["avg_win"] = gain / wins
    if losses:
        values["avg_loss"] = -loss / losses
    if wins and losses:
        share = wins / count
        payoff = ratio(gain / wins, loss / losses)
        values["kelly"] = share - (1 - share) / payoff if payoff else None
    return values


def _above(values: Floats) -> float:
    """Sum of the positive ones."""
    return float(np.maximum(values, 0.0).sum())


def _exposure(bars: int, trades: Trades) -> float:
    """Share of bars with a position, however many are open at once."""
    if not len(trades):
        return 0.0
    order = np.argsort(trades.entry_bar, kind="stable")
    first, last = trades.entry_bar[order], trades.exit_bar[order]
    reached = np.append(-1, np.maximum.accumulate(last)[:-1])
    fresh = last - np.maximum(first - 1, reached)
    return float(np.maximum(fresh, 0).sum()) / bars


def _longest(flags: NDArray[np.bool_]) -> int:
    """Length of the longest row of trues."""
    breaks = np.flatnonzero(~flags)
    return int(np.diff(breaks, prepend=-1, append=len(flags)).max()) - 1
