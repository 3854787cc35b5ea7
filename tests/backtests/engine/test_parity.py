"""Agreement with backtesting.py 0.6.6 on its own data, to nine digits and better.

The expected figures are in a file beside the repository. The market data belong to the AGPL package
``backtesting``, which is never required: its CSV files are read from an installed copy, without
importing it, or from the folder that CHANDLERY_REFERENCE_DATA names. What is missing is skipped.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from apps.backtests.engine import Bars, Result, Spec
from apps.backtests.engine.kernel import ENTER_LONG, ENTER_SHORT, EXIT_LONG
from apps.backtests.engine.run import run_signals
from apps.backtests.engine.strategies import STRATEGIES, Signals, Strategy, strategy_of

REFERENCE = Path(__file__).parents[4] / "shared" / "data" / "backtest_reference.json"

SMA_CASES = (
    "goog_sma_10_30_reverse_nofee_upstream_published",
    "goog_sma_10_20_reverse_nofee",
    "goog_sma_10_20_reverse_fee20bp",
    "goog_sma_10_20_long_fee10bp",
    "goog_sma_50_200_reverse_fee20bp",
    "goog_sma_50_200_long_fee10bp",
)
RSI_CASES = ("eurusd_rsi14_30_70_long_fee2bp", "eurusd_rsi14_30_70_reverse_fee2bp")

RENAMED = {"equity_peak": "peak_equity"}
NOT_MEASURED = {"alpha_pct", "beta", "avg_trade_duration"}


@cache
def strict_sma_cross() -> Strategy:
    """The built-in with the reference's crossing: a tie on the bar before suppresses it."""
    text = STRATEGIES["sma_cross"].text
    return strategy_of(text.replace("over(", "over_strict(").replace("under(", "under_strict("))


@cache
def reference() -> dict[str, Any]:
    if not REFERENCE.exists():
        pytest.skip("the reference figures lie outside the repository")
    content: dict[str, Any] = json.loads(REFERENCE.read_text())
    return content


def csv_file(name: str) -> Path:
    folder = os.environ.get("CHANDLERY_REFERENCE_DATA")
    found = find_spec("backtesting")
    if folder is None and found is not None and found.origin is not None:
        folder = str(Path(found.origin).parent / "test")
    path = Path(folder or "") / f"{name}.csv"
    if folder is None or not path.exists():
        pytest.skip("no reference data: install backtesting==0.6.6 or set CHANDLERY_REFERENCE_DATA")
    return path


@cache
def load(name: str) -> Bars:
    described = reference()["data"][name]
    content = csv_file(name).read_bytes()
    assert hashlib.sha256(content).hexdigest() == described["sha256"]
    rows = list(csv.reader(content.decode().splitlines()))[1:]
    times = [datetime.fromisoformat(row[0]).replace(tzinfo=UTC) for row in rows]
    table = np.array([row[1:] for row in rows], float)
    assert len(table) == described["bars"]
    return Bars(
        ts=np.array([int(time.timestamp() * 1000) for time in times]),
        **{name: table[:, at] for at, name in enumerate(("open", "high", "low", "close", "volume"))},
    )


def spec_of(case: dict[str, Any]) -> Spec:
    """The reference's settings in ours: whole units, and the last position closed at the last open."""
    settings, params = case["settings"], case["params"]
    assert settings["finalize_trades"]
    assert settings["margin"] == 1.0
    return Spec(
        strategy="sma_cross",
        params={
            "fast": params.get("n1", 1),
            "slow": params.get("n2", 2),
            "direction": "long_short" if settings["exclusive_orders"] else "long",
        },
        cash=settings["cash"],
        commission=settings["commission"],
        spread=settings["spread"],
        lot=1,
        finalise="last_open",
    )


def assert_agrees(case: dict[str, Any], result: Result) -> None:
    for bar, equity in case["equity_samples"].items():
        assert result.equity[int(bar)] == pytest.approx(equity, rel=1e-12)
    trades = result.trades
    assert len(trades) == len(case["trades"])
    for at, expected in enumerate(case["trades"]):
        assert (trades.entry_bar[at], trades.exit_bar[at]) == (expected["entry_bar"], expected["exit_bar"])
        for column, name in (
            (trades.size, "size"),
            (trades.entry_price, "entry_price"),
            (trades.exit_price, "exit_price"),
            (trades.pnl, "pnl"),
            (trades.commission, "commission"),
        ):
            assert column[at] == pytest.approx(expected[name], rel=1e-9, abs=1e-9), name
        assert trades.return_[at] * 100 == pytest.approx(expected["return_pct"], rel=1e-9, abs=1e-12)
    compared = 0
    for name, expected in case["metrics"].items():
        if name in NOT_MEASURED or expected is None:
            continue
        value = result.metrics[RENAMED.get(name, name)]
        if name == "max_drawdown_duration":
            days, clock = expected.split(" days ")
            hours, minutes, seconds = map(int, clock.split(":"))
            span = timedelta(days=int(days), hours=hours, minutes=minutes, seconds=seconds)
            assert value == span // timedelta(milliseconds=1)
        else:
            assert value == pytest.approx(expected, rel=1e-9), name
        compared += 1
    assert compared >= 23
    alternative = case["metrics_alternative"]
    assert result.metrics["periods_per_year"] == alternative["periods_per_year"]
    assert result.metrics["sharpe_arithmetic"] == pytest.approx(alternative["sharpe_arithmetic"], rel=1e-9)


@pytest.mark.parametrize("jit", [None, False])
@pytest.mark.parametrize("name", SMA_CASES)
def test_moving_average_cases_agree(name: str, jit: bool | None) -> None:
    case = reference()["cases"][name]
    bars, spec = load(case["data"]), spec_of(case)
    signals = strict_sma_cross().signals(bars, spec.params)
    assert signals.warmup + 1 == case["first_bar_with_a_decision"]
    assert_agrees(case, run_signals(bars, signals, spec, jit=jit))


def wilder(closes: list[float], period: int) -> list[float | None]:
    """Wilder's relative strength index, first known at bar *period*."""
    values: list[float | None] = [None] * period
    moves = [now - before for before, now in pairwise(closes)]
    gain = sum(max(move, 0.0) for move in moves[:period]) / period
    loss = sum(max(-move, 0.0) for move in moves[:period]) / period
    values.append(100 * gain / (gain + loss))
    for move in moves[period:]:
        gain = (gain * (period - 1) + max(move, 0.0)) / period
        loss = (loss * (period - 1) + max(-move, 0.0)) / period
        values.append(100 * gain / (gain + loss))
    return values


@pytest.mark.parametrize("name", RSI_CASES)
def test_the_event_loop_agrees_on_oscillator_signals_too(name: str) -> None:
    """Signals that repeat and that are not crossings, from an indicator computed here."""
    case = reference()["cases"][name]
    bars, params = load(case["data"]), case["params"]
    above = ENTER_SHORT if case["settings"]["exclusive_orders"] else EXIT_LONG
    bits = np.zeros(len(bars), np.uint8)
    for i, value in enumerate(wilder(bars.close.tolist(), params["n"])):
        if value is not None and i >= case["first_bar_with_a_decision"]:
            bits[i] = ENTER_LONG * (value < params["lo"]) + above * (value > params["hi"])
    result = run_signals(bars, Signals(bits=bits, warmup=params["n"]), spec_of(case))
    assert_agrees(case, result)


@pytest.mark.parametrize(
    ("direction", "settings", "final", "trades", "drawdown", "sharpe"),
    [
        ("long_short", {"commission": 0.001, "spread": 0.0005}, 64644.4554, 94, -33.3705, 0.64310),
        ("long", {"commission": 0.001, "fraction": 0.5}, 27578.7193, 47, -10.1356, 0.98591),
    ],
)
def test_spread_and_partial_size_agree(
    direction: str, settings: dict[str, float], final: float, trades: int, drawdown: float, sharpe: float
) -> None:
    """Measured with the same release on the same data (moving averages of 10 and 20 days)."""
    bars = load("GOOG")
    params = {"fast": 10, "slow": 20, "direction": direction}
    spec = Spec(strategy="sma_cross", params=params, lot=1, finalise="last_open", **settings)
    metrics = run_signals(bars, strict_sma_cross().signals(bars, spec.params), spec).metrics
    assert metrics["n_trades"] == trades
    assert metrics["final_equity"] == pytest.approx(final, abs=1e-4)
    assert metrics["max_drawdown_pct"] == pytest.approx(drawdown, abs=1e-4)
    assert metrics["sharpe"] == pytest.approx(sharpe, abs=1e-5)


def test_every_reference_case_without_stops_is_compared(
    record_property: Callable[[str, object], None],
) -> None:
    with_stops = {name for name, case in reference()["cases"].items() if "sl" in case["params"]}
    record_property("left to a later issue", sorted(with_stops))
    assert set(reference()["cases"]) - with_stops == {*SMA_CASES, *RSI_CASES}
