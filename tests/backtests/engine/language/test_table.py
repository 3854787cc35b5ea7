"""Indicators: each causal to the bit, each right, compiled or not."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.backtests.engine import Bars
from apps.backtests.engine.bars import Floats
from apps.backtests.engine.indicators import INDICATORS, Indicator, windows
from apps.backtests.engine.indicators.averages import MovingAverage
from apps.backtests.engine.indicators.compiled import warm_up
from apps.backtests.engine.indicators.library import talib
from apps.backtests.engine.language import functions
from apps.backtests.engine.language.binding import Binder
from apps.backtests.engine.language.checking import Checker, Scope
from apps.backtests.engine.language.evaluation import Evaluation, Result
from apps.backtests.engine.language.plan import Plan, Ref
from apps.backtests.engine.language.reading import parsed
from apps.backtests.engine.language.reference import reference
from tests.backtests.engine.language.conftest import MakeBars, make_bars

# Series with holes at the start, in the middle and at flat bars, besides the plain ones.
INPUTS = (
    "close",
    "volume",
    "hl2",
    "close[3]",
    "rsi(close, 5)",
    "close - open",
    "(close - open) / (high - low)",
)


def planned(text: str) -> Plan:
    """The plan of the one output x."""
    scope = Scope()
    node = parsed(text)
    Checker(scope).kind(node)
    binder = Binder(scope, {})
    binder.plan.outputs["x"] = binder.value(node)
    return binder.plan


def evaluated(text: str, bars: Bars, step: int = 3_600_000) -> Result:
    result: Result = Evaluation(bars, step).run(planned(text))["x"]
    return result


def calls(draw: Callable[[Any], Any], indicator: Indicator) -> str:
    """The indicator with drawn arguments."""
    arguments = []
    for argument in indicator.arguments:
        if argument.kind == "series":
            arguments.append(draw(st.sampled_from(INPUTS)))
        elif argument.kind == "window":
            least = int(argument.min)
            arguments.append(str(draw(st.integers(least, max(least, 25)))))
        else:
            arguments.append(f"{draw(st.floats(argument.min, min(argument.max, 5))):.3f}")
    return f"{indicator.name}({', '.join(arguments)})"


@pytest.mark.parametrize("name", INDICATORS)
@given(data=st.data(), seed=st.integers(0, 30), scale=st.sampled_from([1.0, 1e-9, 1e9]))
@settings(max_examples=10, deadline=None)
def test_an_indicator_of_a_prefix_is_the_prefix_of_the_indicator(
    name: str, data: st.DataObject, seed: int, scale: float
) -> None:
    text = calls(data.draw, INDICATORS[name])
    bars = make_bars(160, seed, gaps=0.05, flat=0.15)
    prices = {key: getattr(bars, key) * scale for key in ("open", "high", "low", "close")}
    bars = Bars(ts=bars.ts, volume=bars.volume, **prices)
    if data.draw(st.booleans()):
        text = f'on("4h", {text})'
    whole = evaluated(text, bars)
    for cut in data.draw(st.lists(st.integers(0, 159), min_size=2, max_size=4)):
        part = evaluated(text, bars.head(cut))
        assert part.value.tobytes() == whole.value[:cut].tobytes()
        assert min(part.start, cut) == min(whole.start, cut)


@pytest.mark.parametrize("name", INDICATORS)
@given(data=st.data())
@settings(max_examples=5, deadline=None)
def test_an_indicator_begins_where_its_warm_up_ends(name: str, data: st.DataObject) -> None:
    arguments = []
    for argument in INDICATORS[name].arguments:
        if argument.kind == "series":
            arguments.append(data.draw(st.sampled_from(["close", "close[4]", "ema(close, 7)"])))
        elif argument.kind == "window":
            arguments.append(str(data.draw(st.integers(6, 20))))
        else:
            arguments.append("0.5")
    result = evaluated(f"{name}({', '.join(arguments)})", make_bars(300, 5))
    assert np.isnan(result.value[: result.start]).all()
    assert np.isfinite(result.value[result.start :]).all()


@pytest.mark.parametrize("name", INDICATORS)
@given(data=st.data(), seed=st.integers(0, 30), scale=st.sampled_from([1.0, 1e-9, 1e9]))
@settings(max_examples=8, deadline=None)
def test_values_lie_within_the_range_that_the_plan_knows(
    name: str, data: st.DataObject, seed: int, scale: float
) -> None:
    bars = make_bars(120, seed, gaps=0.05, flat=0.3)
    prices = {key: getattr(bars, key) * scale for key in ("open", "high", "low", "close")}
    bars = Bars(ts=bars.ts, volume=bars.volume, **prices)
    binder = Binder(Scope(), {})
    binder.value(parsed(calls(data.draw, INDICATORS[name])))
    binder.plan.outputs = {str(index): Ref(index) for index in range(len(binder.plan.steps))}
    results = Evaluation(bars, 3_600_000).run(binder.plan)
    for index, step in enumerate(binder.plan.steps):
        found = results[str(index)]
        several = isinstance(found.value, tuple)
        for known in found.value if several else [found.value]:
            if not step.broken:
                assert np.isfinite(known[found.start :]).all()
                assert (np.abs(known[found.start :]) >= step.range[0]).all()
                assert (np.abs(known[found.start :]) <= step.range[1]).all()


def naive(function: Callable[[list[float]], float], values: Floats, window: int) -> list[float]:
    """*function* of every full window of finite values."""
    result = []
    for i in range(len(values)):
        inside = values[max(i - window + 1, 0) : i + 1].tolist()
        known = len(inside) == window and all(map(math.isfinite, inside))
        result.append(function(inside) if known else math.nan)
    return result


@pytest.mark.parametrize("window", [1, 2, 3, 11, 12, 13, 20, 63, 64, 65, 100, 149, 150])
@pytest.mark.parametrize("source", ["close", "close - open", "(close - open) / (high - low)"])
def test_windows_are_what_they_are_called(window: int, source: str) -> None:
    bars = make_bars(150, 8, flat=0.01)
    values = evaluated(source, bars).value
    expected: dict[str, Callable[[list[float]], float]] = {
        "sum": math.fsum,
        "sma": statistics.fmean,
        "stdev": statistics.pstdev,
        "highest": max,
        "lowest": min,
    }
    for name, function in expected.items():
        found = evaluated(f"{name}({source}, {window})", bars).value
        np.testing.assert_allclose(found, naive(function, values, window), rtol=1e-9, atol=1e-9)


def test_a_small_deviation_of_large_prices_is_not_lost() -> None:
    """Running sums of squares would have no digit left."""
    values = 1e9 + np.arange(100_000) % 2 * 0.5
    found = windows.rolling_deviation(values, 20)
    assert set(found[19:].tolist()) == {0.25}


@pytest.mark.parametrize("window", [1, 2, 5, 13, 64, 65, 200])
def test_compiled_or_not_the_bits_are_the_same(monkeypatch: pytest.MonkeyPatch, window: int) -> None:
    assert warm_up()
    bars = make_bars(1500, 3, flat=0.2)
    texts = (
        f"sma(close, {window})",
        f"sma(close - open, {window})",
        f"stdev(close, {window})",
        f"sum(volume, {window})",
        f"vwap({window})",
        f"supertrend({window}, 2)",
        f"bb_upper(close, {window}, 2)",
        f"highest(close - open, {window})",
        f"lowest(-abs(close - open), {window})",
        f"adx({max(window, 2)})",
        f"barssince(crossover(sma(close, {window}), sma(close, 30)))",
        f"barssince(crossunder_strict(close - sma(close, {window}), 0))",
        f"barssince(crossover(close - sma(close, {window}), -0.3))",
    )
    compiled = [evaluated(text, bars).value.tobytes() for text in texts]
    monkeypatch.setenv("CHANDLERY_JIT", "0")
    assert [evaluated(text, bars).value.tobytes() for text in texts] == compiled


@given(
    st.lists(st.floats(1e-15, 1e15), min_size=1, max_size=30),
    st.integers(1, 8),
)
def test_averages_over_any_range_of_prices_are_functions_of_their_window(
    prices: list[float], window: int
) -> None:
    averages = MovingAverage(np.array(prices)).over(window)
    for i in range(window - 1, len(prices)):
        inside = prices[i - window + 1 : i + 1]
        assert averages[i] == MovingAverage(np.array(inside)).over(window)[-1] == math.fsum(inside) / window


def wilder(values: list[float], period: int) -> list[float]:
    """Average that begins with the mean and forgets one part in *period* per bar."""
    result = [math.nan] * (period - 1) + [sum(values[:period]) / period]
    for value in values[period:]:
        result.append((result[-1] * (period - 1) + value) / period)
    return result


def test_library_indicators_follow_their_textbook() -> None:
    bars = make_bars(400, 6, flat=0.1)
    close, high, low = bars.close.tolist(), bars.high.tolist(), bars.low.tolist()
    moved = (bars.close - bars.open).tolist()
    assert moved.count(0.0) > 20
    ema = [math.nan] * 9 + [sum(close[:10]) / 10]
    for value in close[10:]:
        ema.append(ema[-1] + (value - ema[-1]) * 2 / 11)
    moves = np.diff(bars.close)
    gains, losses = wilder(np.maximum(moves, 0).tolist(), 14), wilder(np.maximum(-moves, 0).tolist(), 14)
    rsi = [math.nan] + [100 * gain / (gain + loss) for gain, loss in zip(gains, losses, strict=True)]
    ranges = [max(high[i], close[i - 1]) - min(low[i], close[i - 1]) for i in range(1, len(close))]
    atr = [math.nan, *wilder(ranges, 14)]
    k = [
        math.nan
        if i < 13
        else 100
        * (close[i] - min(low[i - 13 : i + 1]))
        / (max(high[i - 13 : i + 1]) - min(low[i - 13 : i + 1]))
        for i in range(len(close))
    ]
    expected = {
        "ema(close, 10)": ema,
        "rsi(close, 14)": rsi,
        "atr(14)": atr,
        "natr(14)": [100 * a / c for a, c in zip(atr, close, strict=True)],
        "stoch_k(14, 1)": k,
        "willr(14)": [value - 100 for value in k],
        "roc(close - open, 3)": [math.nan] * 3
        + [100 * (moved[i] / moved[i - 3] - 1) if moved[i - 3] else math.nan for i in range(3, len(close))],
        "mom(close, 3)": [math.nan] * 3 + [close[i] - close[i - 3] for i in range(3, len(close))],
        "change(close, 3)": [math.nan] * 3 + [close[i] - close[i - 3] for i in range(3, len(close))],
        "roc(close, 3)": [math.nan] * 3 + [100 * (close[i] / close[i - 3] - 1) for i in range(3, len(close))],
        "wma(close, 3)": [math.nan] * 2
        + [(close[i - 2] + 2 * close[i - 1] + 3 * close[i]) / 6 for i in range(2, len(close))],
    }
    for text, values in expected.items():
        np.testing.assert_allclose(evaluated(text, bars).value, values, rtol=1e-9, err_msg=text)
    hist = evaluated("macd(close, 12, 26, 9) - macd_signal(close, 12, 26, 9)", bars).value
    np.testing.assert_allclose(evaluated("macd_hist(close, 12, 26, 9)", bars).value, hist, rtol=1e-9)
    assert np.isnan(hist[:33]).all()
    assert np.isfinite(hist[33:]).all()


@pytest.mark.parametrize("window", [2, 20, 700])
def test_a_line_is_the_one_of_least_squares(window: int) -> None:
    bars = make_bars(1500, 6)
    places = np.arange(window)
    lines = [
        np.polyfit(places, bars.close[i - window + 1 : i + 1], 1) for i in range(window - 1, len(bars), 50)
    ]
    for name, expected in (
        ("linreg", [slope * (window - 1) + level for slope, level in lines]),
        ("linreg_slope", [slope for slope, _ in lines]),
    ):
        found = evaluated(f"{name}(close, {window})", bars).value
        assert np.isnan(found[: window - 1]).all()
        np.testing.assert_allclose(found[window - 1 :: 50], expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", [name for name, one in INDICATORS.items() if one.scans])
@pytest.mark.parametrize("window", [2, 3, 17, 499, 500])
def test_what_takes_long_is_computed_in_pieces_with_the_same_bits(name: str, window: int) -> None:
    indicator = INDICATORS[name]
    assert indicator.compute is not None
    bars = make_bars(40_000, 3, flat=0.1)
    columns = [getattr(bars, column) for column in indicator.columns]
    plan = planned(f"{name}({window})")
    checks: list[int] = []
    found = Evaluation(bars, 3_600_000, lambda: checks.append(1)).run(plan)["x"].value
    assert len(checks) >= len(plan.steps) + 2
    whole = indicator.compute(*columns, window)
    expected = whole if indicator.output is None else whole[indicator.output]
    assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("window", [2, 3, 14, 50])
@pytest.mark.parametrize("scale", [1.0, 2.0**-40])
def test_the_strength_of_a_trend_is_that_of_the_library_and_of_any_unit(window: int, scale: float) -> None:
    bars = make_bars(600, 6, flat=0.1)
    expected = talib().ADX(bars.high, bars.low, bars.close, window)
    prices = {name: getattr(bars, name) * scale for name in ("open", "high", "low", "close")}
    found = evaluated(f"adx({window})", Bars(ts=bars.ts, volume=bars.volume, **prices)).value
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_supertrend_is_on_one_side_until_the_price_crosses_it() -> None:
    bars = make_bars(2000, 9)
    band = evaluated("supertrend(10, 3)", bars).value
    above = bars.close > band
    for i in range(11, len(bars)):
        if above[i] == above[i - 1]:
            moved = band[i] - band[i - 1]
            assert moved >= 0 if above[i] else moved <= 0
    assert 10 < np.count_nonzero(np.diff(above[10:])) < 400


def test_an_indicator_of_an_indicator_works_and_starts_later(make: MakeBars) -> None:
    bars = make(200)
    assert evaluated("ema(ema(close, 5), 7)", bars).start == 10
    assert evaluated("rsi(macd(close, 5, 10, 4), 3)", bars).start == 15
    assert evaluated("sma(close[2], 5)", bars).value[10:].tolist() == (
        evaluated("sma(close, 5)[2]", bars).value[10:].tolist()
    )


def test_every_name_is_documented_once() -> None:
    text = reference()
    assert len(INDICATORS) >= 30
    for name, indicator in INDICATORS.items():
        assert text.count(f"| `{indicator.signature}` |") == 1, name
        assert indicator.doc
    for name in functions.FUNCTIONS:
        assert f"`{name}(" in text
