"""Metrics: a definition for each, the values by hand, and None where there is nothing to say."""

from __future__ import annotations

import json
import math
import re
import statistics
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from apps.backtests.engine import METRICS, Bars, kernel, run
from apps.backtests.engine.metrics import Value, measure, periods_per_year
from apps.backtests.engine.run import run_signals
from apps.backtests.engine.strategies import Signals
from apps.backtests.engine.trades import Trades
from tests.backtests.engine.specs import spec_of

BarsOf = Callable[..., Bars]

HOUR = 3_600_000
DAY = 24 * HOUR
MONDAY = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp() * 1000)
SPEC = spec_of()


def trades_of(rows: Sequence[tuple[int, int, float, float]]) -> Trades:
    """Trades from (entry bar, exit bar, pnl, return)."""
    table = np.zeros((len(rows), kernel.TRADE))
    for row, (entry, exit_, pnl, return_) in zip(table, rows, strict=True):
        row[kernel.T_ENTRY_BAR], row[kernel.T_EXIT_BAR] = entry, exit_
        row[kernel.T_SIZE], row[kernel.T_COMMISSION] = 1.0, 0.5
        row[kernel.T_PNL], row[kernel.T_RETURN] = pnl, return_
    return Trades.of(table)


def measured(
    bars: Bars, equity: Sequence[float], rows: Sequence[tuple[int, int, float, float]] = ()
) -> dict[str, Value]:
    return measure(
        bars=bars,
        equity=np.array(equity, float),
        trades=trades_of(rows),
        cash=equity[0],
        warmup=1,
        entries_skipped=0,
        written_off=0.0,
    )


def test_every_metric_is_defined_and_every_result_has_every_metric(
    walk: Callable[[int, int], Bars], bars_of: BarsOf
) -> None:
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)
    for metric in METRICS:
        assert metric.unit in {"time", "ms", "%", "money", "count", "ratio"}
        assert metric.definition.endswith(".")
        assert metric.source == "Bookkeeping" or re.fullmatch(r".+, (19|20)\d\d", metric.source), metric.name
        assert metric.annualisation == "" or metric.annualisation.endswith(".")
        assert metric.name.endswith("_pct") == (metric.unit == "%")
    for bars in (walk(500, 1), bars_of([1.0])):
        assert list(run(bars, SPEC).metrics) == names


def test_annual_figures_follow_their_definitions(bars_of: BarsOf) -> None:
    """Two bars a day: only the day's last one counts."""
    days = [100.0, 110.0, 99.0, 99.0, 120.0]
    equity = [value for day in days for value in (day + 3, day)]
    equity[0] = 100.0
    bars = bars_of(equity, step=12 * HOUR, start=MONDAY)
    metrics = measured(bars, equity)
    returns = [0.1, -0.1, 0.0, 120 / 99 - 1]
    growth = math.prod(1 + r for r in returns) ** (1 / 4)
    annual = growth**365 - 1
    variance = statistics.variance(returns)
    volatility = math.sqrt((variance + growth**2) ** 365 - growth ** (2 * 365))
    expected = {
        "periods_per_year": 365,
        "return_pct": 20,
        "return_ann_pct": annual * 100,
        "volatility_ann_pct": volatility * 100,
        "sharpe": annual / volatility,
        "sharpe_arithmetic": statistics.mean(returns) / statistics.stdev(returns) * math.sqrt(365),
        "sortino": annual / (math.sqrt(0.1**2 / 4) * math.sqrt(365)),
        "max_drawdown_pct": (99 / 113 - 1) * 100,
        "calmar": annual / (1 - 99 / 113),
        "cagr_pct": (1.2 ** (365.25 / 4.5) - 1) * 100,
        "duration": int(4.5 * DAY),
        "start": MONDAY,
        "end": MONDAY + int(4.5 * DAY),
        "final_equity": 120,
        "peak_equity": 123,
        "buy_hold_return_pct": 20,
    }
    for name, value in expected.items():
        assert metrics[name] == pytest.approx(value, rel=1e-9), name


def test_drawdowns_reach_from_high_to_recovery_or_to_the_end(bars_of: BarsOf) -> None:
    equity = [100.0, 120, 90, 110, 130, 117, 130, 125]
    metrics = measured(bars_of(equity, step=DAY), equity)
    assert metrics["max_drawdown_pct"] == pytest.approx(-25)
    assert metrics["avg_drawdown_pct"] == pytest.approx(-100 * (0.25 + 0.1 + 5 / 130) / 3)
    assert metrics["max_drawdown_duration"] == 3 * DAY
    lasting = [100.0, 90, 101, 99, 98, 99, 100]
    assert measured(bars_of(lasting, step=DAY), lasting)["max_drawdown_duration"] == 4 * DAY


def test_figures_of_trades_follow_their_definitions(bars_of: BarsOf) -> None:
    rows = [(1, 2, 30.0, 0.3), (2, 4, -10.0, -0.1), (7, 7, 20.0, 0.2), (8, 9, -14.0, -0.1)]
    equity = [100.0] * 10
    metrics = measured(bars_of(equity), equity, rows)
    gains = [row[2] for row in rows]
    expected = {
        "n_trades": 4,
        "exposure_pct": 70,  # bars 1-4, 7, 8, 9
        "win_rate_pct": 50,
        "best_trade_pct": 30,
        "worst_trade_pct": -10,
        "avg_trade_pct": 100 * ((1.3 * 0.9 * 1.2 * 0.9) ** 0.25 - 1),
        "profit_factor": 0.5 / 0.2,
        "expectancy_pct": 100 * 0.3 / 4,
        "sqn": 2 * statistics.mean(gains) / statistics.stdev(gains),
        "kelly": 0.5 - 0.5 / (25 / 12),
        "commissions": 2.0,
    }
    for name, value in expected.items():
        assert metrics[name] == pytest.approx(value, rel=1e-12), name


def moments(step: timedelta, count: int, weekdays: str = "0123456") -> np.ndarray:
    start = datetime(2024, 1, 1, tzinfo=UTC)
    times = [start + step * k for k in range(count)]
    return np.array([int(t.timestamp() * 1000) for t in times if str(t.weekday()) in weekdays])


@pytest.mark.parametrize(
    ("ts", "periods"),
    [
        (moments(timedelta(hours=1), 24 * 14), 365),
        (moments(timedelta(hours=1), 24 * 21, "01234"), 252),
        (moments(timedelta(hours=1), 24 * 21, "012346"), 252),  # a market that opens on Sunday evening
        (moments(timedelta(hours=1), 24 * 14, "01234")[1:], 252),
        (
            moments(timedelta(minutes=1), 1440 * 3),
            365,
        ),  # no Saturday in the range: nothing speaks against 365
        (moments(timedelta(minutes=1), 1440 * 5 + 30), 365),  # ends half an hour into a Saturday
        (moments(timedelta(days=1), 60), 365),
        (moments(timedelta(days=1), 60, "01234"), 252),
        (moments(timedelta(days=7), 60), 52),
        (moments(timedelta(days=30), 30), 12),
        (moments(timedelta(days=365), 5), 1),
        (moments(timedelta(days=1), 6), 365),
        (np.delete(moments(timedelta(days=1), 19), [5]), 365),  # one Saturday of two
        (np.delete(moments(timedelta(days=1), 20), [5, 12]), 252),  # the last of three
        (np.delete(moments(timedelta(days=1), 26), [12, 19])[5:], 252),  # the first of three
        (moments(timedelta(days=1), 1), 365),
    ],
)
def test_periods_per_year_are_read_off_the_bars(ts: np.ndarray, periods: int) -> None:
    assert periods_per_year(ts) == periods


def test_coarse_bars_are_their_own_periods(bars_of: BarsOf) -> None:
    equity = [100.0, 110.0, 104.5, 120.0]
    metrics = measured(bars_of(equity, step=7 * DAY), equity)
    returns = [0.1, -0.05, 120 / 104.5 - 1]
    assert metrics["periods_per_year"] == 52
    assert metrics["sharpe_arithmetic"] == pytest.approx(
        statistics.mean(returns) / statistics.stdev(returns) * math.sqrt(52)
    )


UNDEFINED_WITHOUT_TRADES = {
    "win_rate_pct",
    "best_trade_pct",
    "worst_trade_pct",
    "avg_trade_pct",
    "profit_factor",
    "expectancy_pct",
    "expectancy",
    "sqn",
    "kelly",
    "win_rate_long_pct",
    "win_rate_short_pct",
    "avg_win_pct",
    "avg_loss_pct",
    "avg_win",
    "avg_loss",
    "avg_trade_duration",
    "max_trade_duration",
    "min_trade_duration",
    "profit_factor_money",
    "commissions_of_gain_pct",
}
OF_MOMENTS = {"skew", "kurtosis", "probabilistic_sharpe", "deflated_sharpe"}
UNDEFINED_WITHOUT_TIME = {
    "return_ann_pct",
    "volatility_ann_pct",
    "cagr_pct",
    "sharpe",
    "sharpe_arithmetic",
    "sortino",
    "calmar",
    "omega",
    "alpha_pct",
    "beta",
} | OF_MOMENTS
NO_DRAWDOWN = {"avg_drawdown_pct", "avg_drawdown_duration"}


def undefined(metrics: dict[str, Value]) -> set[str]:
    json.dumps(metrics, allow_nan=False)
    return {name for name, value in metrics.items() if value is None}


def test_one_bar_has_neither_trades_nor_time(bars_of: BarsOf) -> None:
    metrics = run(bars_of([5.0]), SPEC).metrics
    assert undefined(metrics) == (
        UNDEFINED_WITHOUT_TRADES | UNDEFINED_WITHOUT_TIME | NO_DRAWDOWN | {"buy_hold_return_pct"}
    )
    assert (metrics["return_pct"], metrics["max_drawdown_pct"], metrics["exposure_pct"]) == (0, 0, 0)


def test_a_run_without_trades_is_flat(bars_of: BarsOf) -> None:
    metrics = run(bars_of([5.0, 4, 3, 2, 1], step=DAY), SPEC).metrics
    assert undefined(metrics) == UNDEFINED_WITHOUT_TRADES | OF_MOMENTS | NO_DRAWDOWN | {
        "sharpe",
        "sharpe_arithmetic",
        "sortino",
        "calmar",
        "omega",
    }
    assert metrics["beta"] == metrics["alpha_pct"] == 0
    assert metrics["return_ann_pct"] == metrics["volatility_ann_pct"] == metrics["cagr_pct"] == 0
    assert (metrics["n_trades"], metrics["commissions"], metrics["max_drawdown_duration"]) == (0, 0, 0)
    assert metrics["buy_hold_return_pct"] == -75


def test_a_run_of_losses_alone(bars_of: BarsOf) -> None:
    bits = np.array([kernel.ENTER_LONG, kernel.EXIT_LONG] * 3 + [0], np.uint8)
    prices = [10.0, 10, 9, 9, 8, 8, 6]
    bars = bars_of(prices, opens=prices, step=DAY)
    metrics = run_signals(bars, Signals(bits=bits, warmup=0), SPEC).metrics
    assert undefined(metrics) == {
        "kelly",
        "win_rate_short_pct",
        "avg_win_pct",
        "avg_win",
        "commissions_of_gain_pct",
    }
    assert (metrics["n_trades"], metrics["win_rate_pct"], metrics["profit_factor"]) == (3, 0, 0)
    assert metrics["sharpe"] < 0
    assert metrics["return_pct"] == pytest.approx(-40)


def test_a_run_of_gains_alone(bars_of: BarsOf) -> None:
    bits = np.array([kernel.ENTER_LONG, 0, kernel.EXIT_LONG, 0, 0], np.uint8)
    bars = bars_of([10.0, 10, 11, 12, 12], step=DAY)
    metrics = run_signals(bars, Signals(bits=bits, warmup=0), SPEC).metrics
    assert (
        undefined(metrics)
        == {
            "kelly",  # no loss
            "profit_factor",
            "profit_factor_money",
            "sqn",  # one trade
            "win_rate_short_pct",
            "avg_loss_pct",
            "avg_loss",
            "calmar",
            "sortino",
            "omega",
        }
        | NO_DRAWDOWN
    )
    assert metrics["win_rate_pct"] == 100


def test_a_bankruptcy_counts_once_and_the_days_after_it_are_still(bars_of: BarsOf) -> None:
    bits = np.array([kernel.ENTER_SHORT] + [0] * 5, np.uint8)
    bars = bars_of([10.0, 10, 30, 30, 30, 30], step=DAY)
    metrics = run_signals(bars, Signals(bits=bits, warmup=0), SPEC).metrics
    assert undefined(metrics) == {
        "avg_trade_pct",
        "sqn",
        "kelly",
        "win_rate_long_pct",
        "avg_win_pct",
        "avg_win",
        "commissions_of_gain_pct",
        "beta",  # there is no logarithm of nothing
        "alpha_pct",
    }
    assert metrics["return_ann_pct"] == metrics["cagr_pct"] == metrics["max_drawdown_pct"] == -100
    assert metrics["sharpe_arithmetic"] == pytest.approx(
        -0.2 / statistics.stdev([0, -1, 0, 0, 0]) * math.sqrt(365)
    )


@pytest.mark.parametrize("jit", [None, False])
def test_nothing_of_a_run_is_a_negative_zero(bars_of: BarsOf, jit: bool | None) -> None:
    """A short that gains nothing, and accounts of which exactly nothing is left: by a stop, at a close."""
    short = np.array([kernel.ENTER_SHORT] + [0] * 5, np.uint8)
    still = [10.0] * 6
    lost = [10.0, 10, 20, 20, 20, 20]
    gap = [10.0, 10, 10, 20, 20, 20]
    for prices, opens in ((still, still), (lost, None), (lost, gap)):
        bars = bars_of(prices, opens, step=DAY)
        for settings in ({"maintenance_margin": 0}, {"maintenance_margin": None}):
            result = run_signals(bars, Signals(bits=short, warmup=0), spec_of(**settings), jit=jit)
            (trade,) = result.trades.rows(result.ts)
            assert trade["pnl"] == (0 if prices is still else -10_000)
            for name, value in {**result.metrics, **trade}.items():
                assert str(value) != "-0.0", name
            assert not any("-0.0" in map(str, one.values()) for one in result.bounds.values())


def test_figures_beyond_float64_are_undefined_not_infinite(bars_of: BarsOf) -> None:
    metrics = measured(bars_of([1.0, 1, 1], step=DAY), [1.0, 1e200, 1e150])
    assert {"return_ann_pct", "volatility_ann_pct", "cagr_pct", "sharpe"} <= undefined(metrics)
