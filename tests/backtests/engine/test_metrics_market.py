"""Several instruments in one account, and the table of metrics as text."""

from __future__ import annotations

import math

import numpy as np
import pytest

from apps.backtests.engine import METRICS, Bars, kernel
from apps.backtests.engine.metrics import buy_and_hold, measure, metrics_markdown
from apps.backtests.engine.trades import Trades

DAY = 86_400_000
NAN = math.nan


def trades_of(rows: list[tuple[int, int, float]]) -> Trades:
    """Trades from (entry bar, exit bar, pnl)."""
    table = np.zeros((len(rows), kernel.TRADE))
    for row, (entry, exit_, pnl) in zip(table, rows, strict=True):
        row[kernel.T_ENTRY_BAR], row[kernel.T_EXIT_BAR] = entry, exit_
        row[kernel.T_SIZE], row[kernel.T_PNL], row[kernel.T_RETURN] = 1.0, pnl, pnl / 100
    return Trades.of(table)


def measured(**market: object) -> dict[str, float | int | None]:
    arguments = {
        "equity": np.array([100.0, 110, 121, 100, 105]),
        "trades": trades_of([]),
        "cash": 100.0,
        "warmup": 1,
        "entries_skipped": 0,
        "written_off": 0.0,
    }
    return measure(**(arguments | market))  # type: ignore[arg-type]


def test_buying_and_holding_several_instruments_is_the_mean_of_each() -> None:
    one, other = np.array([9.0, 10, 20, 10, 30]), np.array([10.0, 5, 5, 10, 5])
    assert buy_and_hold([one, other], 1).tolist() == [1.45, 1.0, 1.5, 1.5, 2.0]
    assert buy_and_hold([one], 1).tolist() == (one / 10).tolist()
    ts = DAY * np.arange(5)
    metrics = measured(ts=ts, closes=[one, other])
    assert metrics["buy_hold_return_pct"] == pytest.approx(100)
    own = np.diff(np.log([100.0, 110, 121, 100, 105]))
    market = np.cov(own, np.diff(np.log([1.45, 1.0, 1.5, 1.5, 2.0])))
    assert metrics["beta"] == pytest.approx(market[0, 1] / market[1, 1])
    assert metrics["alpha_pct"] == pytest.approx(5 - 100 * market[0, 1] / market[1, 1])


def test_money_waits_for_an_instrument_without_a_price_and_keeps_the_last_one() -> None:
    late = np.array([NAN, NAN, 10.0, NAN, 20.0])
    assert buy_and_hold([late], 1).tolist() == [1, 1, 1, 1, 2]
    early = np.array([NAN, 10.0, NAN, 5.0, NAN])
    assert buy_and_hold([early], 2).tolist() == [1, 1, 1, 0.5, 0.5]
    assert buy_and_hold([np.full(5, NAN), late], 0).tolist() == [1, 1, 1, 1, 1.5]


def test_columns_of_one_instrument_are_measured_as_its_bars_are() -> None:
    close = np.array([10.0, 12, 11, 13, 12.5])
    bars = Bars(ts=DAY * np.arange(5), open=close, high=close, low=close, close=close, volume=close)
    by_bars, by_columns = measured(bars=bars), measured(ts=bars.ts, closes=[close])
    for name, value in by_bars.items():
        assert by_columns[name] == (None if value is None else pytest.approx(value, rel=1e-12)), name


def test_bars_on_which_several_positions_are_open_count_once() -> None:
    trades = trades_of([(1, 1, 5.0), (0, 2, -1.0), (1, 3, 2.0), (3, 3, 1.0)])
    metrics = measured(ts=DAY * np.arange(5), closes=[np.ones(5)], trades=trades, funding_paid=-0.25)
    assert metrics["exposure_pct"] == 80
    assert metrics["funding_paid"] == -0.25
    assert (metrics["max_trade_duration"], metrics["min_trade_duration"]) == (2 * DAY, 0)
    assert metrics["beta"] is None  # this market does not move


def test_a_warm_up_beyond_the_bars_leaves_nothing_to_hold() -> None:
    metrics = measured(ts=DAY * np.arange(5), closes=[np.array([1.0, 2, 1, 3, 1])], warmup=5)
    assert metrics["buy_hold_return_pct"] is metrics["alpha_pct"] is None
    assert metrics["beta"] is not None


def test_a_market_that_moves_evenly_explains_nothing() -> None:
    assert measured(ts=DAY * np.arange(5), closes=[1.1 ** np.arange(5.0)])["beta"] is None


def test_a_run_without_a_market_is_refused() -> None:
    for market in ({}, {"ts": DAY * np.arange(5)}, {"closes": [np.ones(5)]}):
        with pytest.raises(ValueError, match="a market is"):
            measured(**market)


def test_the_table_as_text_has_a_line_for_every_metric() -> None:
    head, rule, *lines = metrics_markdown().splitlines()
    assert head.count("|") == rule.count("|") == 5
    for metric, line in zip(METRICS, lines, strict=True):
        name, unit, definition, source = (cell.strip() for cell in line.replace("\\|", "¦").split("|")[1:-1])
        assert (name, unit, source) == (f"`{metric.name}`", metric.unit, metric.source)
        assert definition.startswith(metric.definition.replace("|", "¦"))
        assert definition.endswith(metric.annualisation)
