"""Agreement with backtesting.py 0.6.6 on its own data, to nine digits and better.

The expected figures are in a file beside the repository; without it these tests are skipped. The market
data are read from the CSV files of the package ``backtesting`` (AGPL, a test dependency), which is not
imported here.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import cache
from importlib.util import find_spec
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from apps.backtests.engine import Bars, Result, Spec
from apps.backtests.engine.bars import Floats
from apps.backtests.engine.kernel import ENTER_LONG, ENTER_SHORT, EXIT_LONG
from apps.backtests.engine.run import run_signals
from apps.backtests.engine.strategies import Signals
from apps.backtests.engine.strategies.base import Level
from apps.backtests.engine.trades import REASONS
from tests.backtests.engine.specs import spec_of

REFERENCE = Path(__file__).parents[4] / "shared" / "data" / "backtest_reference.json"

SMA_CASES = (
    "goog_sma_10_30_reverse_nofee_upstream_published",
    "goog_sma_10_20_reverse_nofee",
    "goog_sma_10_20_reverse_fee20bp",
    "goog_sma_10_20_long_fee10bp",
    "goog_sma_50_200_reverse_fee20bp",
    "goog_sma_50_200_long_fee10bp",
)
STOP_CASES = ("btcusd_sma_3_8_long_sl15_tp40", "btcusd_sma_3_8_longshort_sl15_tp40")
RSI_CASES = ("eurusd_rsi14_30_70_long_fee2bp", "eurusd_rsi14_30_70_reverse_fee2bp")

RENAMED = {"equity_peak": "peak_equity"}


@cache
def reference() -> dict[str, Any]:
    if not REFERENCE.exists():
        pytest.skip("the reference figures lie outside the repository")
    content: dict[str, Any] = json.loads(REFERENCE.read_text())
    return content


def csv_file(name: str) -> Path:
    """A data set of the installed package, which is not imported."""
    found = find_spec("backtesting")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "test" / f"{name}.csv"


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


def spec_of_case(case: dict[str, Any]) -> Spec:
    """The reference's settings in ours: whole units, and the last position closed at the last open."""
    settings = case["settings"]
    assert settings["finalize_trades"]
    assert settings["margin"] == 1.0
    return spec_of(
        cash=settings["cash"],
        commission=settings["commission"],
        spread=settings["spread"],
        lot=1,
        finalise="last_open",
    )


def with_the_last_bar(equity: Floats, mean: float) -> float:
    """The *mean* drawdown, in percent, with one that begins on the last bar: the reference leaves it out."""
    depths = 1 - equity / np.maximum.accumulate(equity)
    if depths[-1] == 0 or depths[-2] > 0:
        return mean
    count = int(np.count_nonzero((depths[1:] > 0) & (depths[:-1] == 0)))
    return (mean * (count - 1) - float(depths[-1]) * 100) / count


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
        if expected is None:
            continue
        value = result.metrics[RENAMED.get(name, name)]
        if name.endswith("_duration"):
            days, clock = expected.split(" days ")
            hours, minutes, seconds = map(int, clock.split(":"))
            span = timedelta(days=int(days), hours=hours, minutes=minutes, seconds=seconds)
            # The reference rounds spans up to whole days or hours, as its bars are.
            resolution = timedelta(hours=1) if case["data"] == "EURUSD" else timedelta(days=1)
            assert value is not None
            assert -(-timedelta(milliseconds=value) // resolution) * resolution == span
        elif name == "avg_drawdown_pct":
            assert value == pytest.approx(with_the_last_bar(result.equity, expected), rel=1e-9)
        else:
            assert value == pytest.approx(expected, rel=1e-9), name
        compared += 1
    assert compared >= 26
    alternative = case["metrics_alternative"]
    assert result.metrics["periods_per_year"] == alternative["periods_per_year"]
    assert result.metrics["sharpe_arithmetic"] == pytest.approx(alternative["sharpe_arithmetic"], rel=1e-9)


def averages(bars: Bars, window: int) -> list[Fraction | None]:
    """Means of the decimal closes, exactly."""
    closes = [Fraction(repr(close)) for close in bars.close.tolist()]
    sums = [Fraction(0), *accumulate(closes)]
    known = [(after - before) / window for before, after in zip(sums, sums[window:], strict=False)]
    return [*[None] * (window - 1), *known]


def crossings(bars: Bars, fast: int, slow: int, *, both: bool, risk: Mapping[str, Any]) -> Signals:
    """The reference's rule: a tie on the bar before suppresses a crossing."""
    bits = np.zeros(len(bars), np.uint8)
    gaps = list(zip(averages(bars, fast), averages(bars, slow), strict=True))
    for i, ((fast_before, slow_before), (fast_now, slow_now)) in enumerate(pairwise(gaps), 1):
        if slow_before is not None:
            if fast_before < slow_before and fast_now > slow_now:
                bits[i] = ENTER_LONG
            elif fast_before > slow_before and fast_now < slow_now:
                bits[i] = ENTER_SHORT if both else EXIT_LONG
    return Signals(bits=bits, warmup=slow - 1, **risk)


def risk_of(params: Mapping[str, Any]) -> dict[str, Any]:
    """Stop and target at fractions of the close that the entry was decided at."""
    if "sl" not in params:
        return {}
    return {
        "stop_loss": Level(fraction=params["sl"]),
        "take_profit": Level(fraction=params["tp"]),
        "base": "signal_close",
    }


@pytest.mark.parametrize("jit", [None, False])
@pytest.mark.parametrize("name", [*SMA_CASES, *STOP_CASES])
def test_moving_average_cases_agree(name: str, jit: bool | None) -> None:
    case = reference()["cases"][name]
    bars, params = load(case["data"]), case["params"]
    both = case["settings"]["exclusive_orders"]
    signals = crossings(bars, params["n1"], params["n2"], both=both, risk=risk_of(params))
    assert signals.warmup + 1 == case["first_bar_with_a_decision"]
    result = run_signals(bars, signals, spec_of_case(case), jit=jit)
    assert_agrees(case, result)
    if name in STOP_CASES:
        assert {"stop_loss", "take_profit"} <= {REASONS[code] for code in result.trades.reason.tolist()}


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


@pytest.mark.parametrize("jit", [None, False])
@pytest.mark.parametrize("name", RSI_CASES)
def test_oscillator_cases_agree(name: str, jit: bool | None) -> None:
    """Signals that repeat and that are not crossings, from an indicator computed here."""
    case = reference()["cases"][name]
    bars, params = load(case["data"]), case["params"]
    above = ENTER_SHORT if case["settings"]["exclusive_orders"] else EXIT_LONG
    bits = np.zeros(len(bars), np.uint8)
    for i, value in enumerate(wilder(bars.close.tolist(), params["n"])):
        if value is not None and i >= case["first_bar_with_a_decision"]:
            bits[i] = ENTER_LONG * (value < params["lo"]) + above * (value > params["hi"])
    result = run_signals(bars, Signals(bits=bits, warmup=params["n"]), spec_of_case(case), jit=jit)
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
    spec = spec_of(lot=1, finalise="last_open", **settings)
    signals = crossings(bars, 10, 20, both=direction == "long_short", risk={})
    metrics = run_signals(bars, signals, spec).metrics
    assert metrics["n_trades"] == trades
    assert metrics["final_equity"] == pytest.approx(final, abs=1e-4)
    assert metrics["max_drawdown_pct"] == pytest.approx(drawdown, abs=1e-4)
    assert metrics["sharpe"] == pytest.approx(sharpe, abs=1e-5)


def test_every_reference_case_is_compared() -> None:
    assert set(reference()["cases"]) == {*SMA_CASES, *RSI_CASES, *STOP_CASES}
