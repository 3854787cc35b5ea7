"""What strategies decide, against their definition read slowly."""

from __future__ import annotations

import tracemalloc
from itertools import count
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.backtests.engine import STRATEGIES, Bars, SpecError
from apps.backtests.engine.kernel import ENTER_LONG, ENTER_SHORT, EXIT_LONG, EXIT_SHORT
from apps.backtests.engine.language import Cache
from apps.backtests.engine.language.evaluation import Evaluation
from apps.backtests.engine.language.functions import SERIES
from apps.backtests.engine.language.nodes import (
    ARITHMETIC,
    COMPARISONS,
    Binary,
    Call,
    Compare,
    Frame,
    Logic,
    Name,
    Negative,
    Node,
    Not,
    Number,
    Shift,
)
from apps.backtests.engine.language.printing import printed
from apps.backtests.engine.language.program import bind
from apps.backtests.engine.language.reading import parsed
from apps.backtests.engine.strategies import Signals, strategy_of
from tests.backtests.engine.language.conftest import DAY, MakeBars, make_bars
from tests.backtests.engine.language.slow import answers

HOUR = 3_600_000


def entered(expression: str, bars: Bars, params: Any = None, **rest: Any) -> Signals:
    return strategy_of({"entry_long": expression, **rest}).signals(bars, params or {})


COLUMNS = st.sampled_from(["open", "high", "low", "close", "volume"]).map(Name)
WINDOWS = st.integers(1, 6).map(float).map(Number)
NUMBERS = st.sampled_from([0.0, 1.0, 2.0, 100.0, 0.5]).map(Number)


def _values(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    return st.one_of(
        st.builds(Negative, inner),
        st.builds(Binary, st.sampled_from(ARITHMETIC), inner, st.one_of(inner, NUMBERS)),
        st.builds(Shift, inner, st.integers(0, 4).map(float).map(Number)),
        st.tuples(inner, WINDOWS).flatmap(
            lambda pair: st.sampled_from(["highest", "lowest", "change"]).map(lambda name: Call(name, pair))
        ),
        st.builds(lambda x, n: Call("sma", (x, n)), st.sampled_from(["close", "high"]).map(Name), WINDOWS),
        st.builds(lambda a, b: Call("max", (a, b)), inner, inner),
        st.builds(lambda a: Call("abs", (a,)), inner),
        st.builds(lambda a: Call("sqrt", (a,)), inner),
        st.sampled_from(["hour", "weekday"]).map(lambda name: Call(name, ())),
    )


VALUES = st.recursive(COLUMNS, _values, max_leaves=4)
COMPARED = st.one_of(
    st.builds(lambda sign, a, b: Compare((sign,), (a, b)), st.sampled_from(COMPARISONS), VALUES, VALUES),
    st.builds(lambda a, b, c: Compare(("<", ">="), (a, b, c)), VALUES, VALUES, VALUES),
    st.builds(
        lambda name, a, b: Call(name, (a, b)),
        st.sampled_from(["crossover", "crossunder", "crossover_strict", "crossunder_strict"]),
        VALUES,
        VALUES,
    ),
    st.builds(
        lambda a, b: Call("session", (Number(a), Number(b))), st.just(22.0), st.sampled_from([3.0, 23.5])
    ),
)


def _conditions(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    return st.one_of(
        st.builds(Not, inner),
        st.builds(Logic, st.sampled_from(["and", "or"]), st.lists(inner, min_size=2, max_size=3).map(tuple)),
        st.builds(Shift, inner, st.integers(1, 3).map(float).map(Number)),
        st.builds(lambda a: Compare(("<",), (Call("barssince", (a,)), Number(4.0))), inner),
        st.builds(lambda a, x: Compare((">",), (Call("value_when", (a, x)), Name("close"))), inner, VALUES),
        st.builds(Frame, st.sampled_from(["4h", "1d"]), COMPARED),
    )


CONDITIONS = st.recursive(COMPARED, _conditions, max_leaves=4)
WITH_GAPS = make_bars(60, 3, gaps=0.2, flat=0.1)


@given(CONDITIONS)
@settings(max_examples=40, deadline=None)
def test_conditions_hold_where_their_definition_says(node: Node) -> None:
    bars = WITH_GAPS
    try:
        signals = strategy_of({"entry_long": printed(node)}).signals(bars, {})
    except SpecError as error:
        if "nested" in error.message or "same on every bar" in error.message:
            return
        raise
    expected = [answer is True for answer in answers(node, bars, HOUR)]
    expected[: signals.warmup] = [False] * min(signals.warmup, len(bars))
    assert (signals.bits == ENTER_LONG).tolist() == expected


@pytest.mark.parametrize(
    "text",
    [
        "barssince(crossover(close, open)[2]) < 2",
        "barssince((close > open)[3]) == 1",
        "value_when((close < open)[2], high) > close",
        "crossover(close - sma(close, 3), -0.4) or crossunder(open - high, -0.3)",
        "not crossover(close - sma(close, 3), -0.4) and not crossunder_strict(open - high, -0.3)",
        "not (crossover(close, sma(close, 4)) or close < low[2])",
        "not session(9.5, 16) or hour() == 12 and minute() == 0",
        'on("4h", barssince(close > open)) > 1 and on("1d", weekday()) != 4',
        'on("4h", close > sma(close, 2))[3] and on("4h", crossover(close, open))',
        "0 < close - open <= 0.5 != high - low",
        "max(close, open, 100) - min(close, open) > abs(close - 100) / 3",
    ],
)
def test_a_condition_holds_where_its_definition_says(text: str) -> None:
    for bars in (WITH_GAPS, make_bars(60, 4)):
        signals = strategy_of({"entry_long": text}).signals(bars, {})
        expected = [answer is True for answer in answers(parsed(text), bars, HOUR)]
        expected[: signals.warmup] = [False] * signals.warmup
        assert (signals.bits == ENTER_LONG).tolist() == expected
        assert any(expected)


@pytest.mark.parametrize("timeframe", ["5m", "15m", "30m", "1h", "4h", "1d", "1w"])
@pytest.mark.parametrize("gaps", [0.0, 0.3])
def test_higher_timeframes_are_known_when_they_close(make: MakeBars, timeframe: str, gaps: float) -> None:
    step = {"5m": 60_000, "15m": 60_000, "30m": 300_000, "1h": 900_000}.get(timeframe, HOUR)
    step = 6 * HOUR if timeframe == "1w" else step
    for start in (18_001 * DAY, 18_000 * DAY + 7 * step):
        bars = make(150, 4, step=step, start=start, gaps=gaps)
        for inner in ("close > sma(close, 3)", "close > open", "high - low < 2 * (high - low)[1]"):
            node = parsed(f'on("{timeframe}", {inner})')
            signals = strategy_of({"entry_long": printed(node)}).signals(bars, {})
            expected = [answer is True for answer in answers(node, bars, step)]
            assert (signals.bits == ENTER_LONG).tolist() == expected
            assert any(expected)


def test_a_higher_value_appears_on_the_bar_that_completes_it(make: MakeBars) -> None:
    bars = make(12, step=HOUR, start=18_000 * DAY)
    signals = entered('on("4h", close) > 0', bars)
    assert signals.warmup == 3
    assert signals.bits.tolist() == [0, 0, 0] + [ENTER_LONG] * 9
    for hours, first in ((1, 6), (3, 4)):  # the first higher bar is cut and left out
        later = make(12, step=HOUR, start=18_000 * DAY + hours * HOUR)
        assert entered('on("4h", close) > 0', later).warmup == first


def test_timeframes_that_do_not_fit_the_bars_are_refused(make: MakeBars) -> None:
    bars = make(30, step=HOUR)
    for timeframe in ("30m", "1h"):
        with pytest.raises(SpecError, match="wider than that of the bars") as caught:
            entered(f'on("{timeframe}", close) > 1', bars)
        assert caught.value.field == "strategy"
    strategy = strategy_of({"entry_long": 'on("4h", close) > on("1d", close)'})
    assert strategy.timeframes == ("1d", "4h")
    with pytest.raises(SpecError, match="multiple of that of the bars"):
        strategy.signals(make(30, step=3 * HOUR), {})
    strategy.check_timeframes(HOUR)


@pytest.mark.parametrize("negated", [False, True])
@pytest.mark.parametrize(
    "unknown",
    [
        "sma(close, 10) > 0",
        "rsi(close, 9) < 101",
        "close[9] > 0",
        "crossover(sma(close, 9), close)",
        "close / (close - close) > 0",
        "close / (close - close) != 5",
        "sqrt(-close) < 1",
        "log(close - close) < 1",
    ],
)
def test_what_is_not_known_is_neither_true_nor_false(make: MakeBars, unknown: str, negated: bool) -> None:
    condition = f"not ({unknown})" if negated else unknown
    bits = entered(condition, make(9)).bits
    assert not bits.any()
    # The other side of "or" decides alone once everything is there.
    assert (
        not entered(f"close > 0 or {condition}", make(9)).bits[:8].any()
        or "close - close" in unknown
        or ("sqrt" in unknown)
    )


def test_nothing_is_decided_before_every_indicator_has_a_value(make: MakeBars) -> None:
    bars = make(100)
    signals = strategy_of(
        {
            "entry_long": "close > 0",
            "exit_long": "close > sma(close, 40)[2]",
            "risk": {"trailing": {"distance": "atr(50)"}},
        }
    ).signals(bars, {})
    assert signals.warmup == 50
    assert not signals.bits[:50].any()
    assert (signals.bits[50:] & ENTER_LONG).all()
    assert signals.trailing is not None
    assert np.isfinite(signals.trailing.distance[50:]).all()
    assert strategy_of({"entry_long": "close > sma(close, 101)"}).signals(bars, {}).warmup == 100


def test_a_gap_in_a_series_ends_it_and_indicators_begin_anew(make: MakeBars) -> None:
    bars = make(400, 2, flat=0.04)
    moved = bars.close != bars.open
    bits = entered("ema((close - open) / (close - open), 5) > 0.5", bars).bits
    run = 0
    for i in range(len(bars)):
        run = run + 1 if moved[i] else 0
        assert bool(bits[i]) == (run >= 5)
    assert 0 < np.count_nonzero(bits) < 390


def test_parameters_and_choices_reach_conditions_blocks_and_prices(make: MakeBars) -> None:
    strategy = strategy_of(
        {
            "params": {
                "n": {"default": 3, "min": 1, "max": 20},
                "pct": {"type": "number", "default": 0.02, "min": 0, "max": 0.5},
                "side": {"type": "choice", "choices": ["long", "both"], "default": "long"},
            },
            "entry_long": "close > close[n]",
            "entry_short": "side == both and close < close[n]",
            "exit_long": "side != both and close < close[n]",
            "orders": {"entry": "limit", "offset": "pct / 2", "valid_bars": "n"},
            "risk": {
                "stop_loss": {"pct": "pct"},
                "take_profit": {"distance": "(high - low) * n"},
                "time_stop": "n * 2",
                "base": "signal_close",
            },
        }
    )
    bars = make(200, flat=0.2)
    one = strategy.signals(bars, strategy.validated({}))
    assert not (one.bits & ENTER_SHORT).any()
    assert (one.bits & EXIT_LONG).any()
    assert (one.order, one.valid_bars, one.time_stop, one.base) == ("limit", 3, 6, "signal_close")
    assert one.stop_loss is not None
    assert one.stop_loss.fraction == 0.02
    assert one.trailing is None
    assert one.take_profit is not None
    distance = (bars.high - bars.low) * 3
    np.testing.assert_array_equal(one.take_profit.distance, np.where(distance > 0, distance, np.nan))
    np.testing.assert_array_equal(one.long_price, bars.close * 0.99)
    np.testing.assert_array_equal(one.short_price, bars.close * 1.01)
    both = strategy.signals(bars, strategy.validated({"side": "both", "pct": 0, "n": 5}))
    assert (both.bits & ENTER_SHORT).any()
    assert not (both.bits & EXIT_LONG).any()
    assert both.stop_loss is None
    other = strategy.replaced(orders={"entry": "stop", "offset": 0.01}, risk={"time_stop": "n"})
    stop = other.signals(bars, other.validated({}))
    np.testing.assert_array_equal(stop.long_price, bars.close * 1.01)
    assert (stop.order, stop.time_stop, stop.stop_loss) == ("stop", 3, None)
    other = strategy.replaced(orders={"entry": "stop", "long_price": "high - open"}, risk={})
    priced = other.signals(bars, other.validated({}))
    rise = bars.high - bars.open
    np.testing.assert_array_equal(priced.long_price, np.where(rise > 0, rise, np.nan))
    assert np.isnan(priced.short_price).all()


def test_the_check_is_called_between_computations_and_may_end_the_stage(make: MakeBars) -> None:
    class Cancelled(Exception):
        pass

    calls = []

    def check() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        STRATEGIES["macd_trend"].signals(make(500), STRATEGIES["macd_trend"].validated({}), check=check)
    assert len(calls) == 3


def test_a_cache_shares_what_does_not_depend_on_the_parameters_and_changes_nothing(make: MakeBars) -> None:
    bars = make(3000)
    strategy = STRATEGIES["sma_cross"]
    combinations = [
        strategy.validated({"fast": fast, "slow": slow}) for fast in (5, 8, 9) for slow in (20, 30)
    ]
    plain = [strategy.signals(bars, params).bits.tobytes() for params in combinations]
    steps: list[int] = []
    for limit in (0, 60_000, 10**9):
        cache = Cache(bars, limit=limit)
        computed = count()
        for _ in range(2):
            found = [
                strategy.signals(bars, params, cache=cache, check=computed.__next__).bits.tobytes()
                for params in combinations
            ]
            assert found == plain
        assert cache.used <= limit
        steps.append(next(computed))
    assert steps[2] < steps[1] < steps[0]
    with pytest.raises(ValueError, match="belongs to the bars"):
        strategy.signals(make(10), combinations[0], cache=cache)


def test_a_cache_keeps_the_bars_of_a_higher_timeframe(make: MakeBars) -> None:
    bars = make(3000)
    cache = Cache(bars)
    first = Evaluation(bars, HOUR, cache=cache).higher("4h")
    assert Evaluation(bars, HOUR, cache=cache).higher("4h") is first
    assert Evaluation(bars, HOUR, cache=cache).higher("1d") is not first
    assert Evaluation(bars, HOUR).higher("4h") is not first
    held = [first.known, first.columns.ts, *(first.columns.column(name) for name in SERIES)]
    assert cache.used >= sum(column.nbytes for column in held)


@pytest.mark.parametrize(
    ("text", "spare"),
    [
        ("max(close[1], close[2], close[3], close[4], close[5]) > close", 5),
        ("macd(close, 3, 6, 2) > macd_signal(close, 3, 6, 2) or macd_hist(close, 3, 6, 2) > 1", 5),
        ("sma(close, 5) > sma(close, 9) and sma(hl2, 7) < ohlc4", 5),
        # Higher bars are counted as if there were as many.
        ('on("1h", close > hlc3 or sma(open, 3) > sma(high, 4)) and on("4h", close) > 1', 20),
        ("not crossover(close - open, high - low) and not crossunder(close * 2, open + low)", 5),
        (" and ".join(f"close > open[{n}]" for n in range(1, 40)), 5),
    ],
)
def test_the_width_of_a_strategy_is_the_memory_that_it_takes(text: str, spare: float) -> None:
    bars, strategy = make_bars(30_000, step=60_000), strategy_of({"entry_long": text})
    strategy.signals(bars, {})
    tracemalloc.start()
    strategy.signals(bars, {})
    peak = tracemalloc.get_traced_memory()[1] / len(bars) / 8
    tracemalloc.stop()
    # A step may need a few columns of its own while it runs.
    assert peak - 5 < bind(strategy.source, {}).plan.width < peak + spare


@pytest.mark.parametrize("jit", ["1", "0"])
@pytest.mark.parametrize(
    "text",
    [
        "close / 1e-310 > 5",
        "crossover(close / 1e-310, open / 1e-310)",
        "not crossover(close / 1e-310, open / 1e-310)",
        "close / 1e-310 - open / 1e-310 > 1",
        "vwap(5) > 5",
        "sum(volume, 70) > 5",
        "sma(volume, 5) > 5",
        "stdev(volume, 5) > 5",
        "zscore(volume * volume, 5) > 5",
        "bb_upper(close / 1e-310, 5, 2) > 5",
        "obv() > 5",
        "mfi(5) > 5",
        'on("4h", volume) > 5',
    ],
)
def test_numbers_that_overflow_do_not_warn(
    make: MakeBars, monkeypatch: pytest.MonkeyPatch, text: str, jit: str
) -> None:
    """A warning would be an error here, as a client's text or data could make it."""
    monkeypatch.setenv("CHANDLERY_JIT", jit)
    bars = make(150, 2)
    columns = {name: getattr(bars, name) for name in ("ts", "open", "high", "low", "close")}
    entered(text, Bars(**columns, volume=np.full(150, 1e308)))


def test_a_session_is_left_at_the_close_of_the_bar_behind_it(make: MakeBars) -> None:
    strategy = STRATEGIES["session_range_breakout"]
    bars = make(24 * 20, 4)
    bits = strategy.signals(bars, strategy.validated({"opens": 8, "first": 2, "lasts": 6})).bits
    hours = bars.ts % DAY // HOUR
    entered = (bits & (ENTER_LONG | ENTER_SHORT)) > 0
    assert entered.any()
    assert set(hours[entered].tolist()) <= {8, 9}
    decided = np.arange(len(bars)) >= np.flatnonzero(entered)[0]
    late = decided & ((hours < 8) | (hours >= 14))
    assert (bits[late] == EXIT_LONG | EXIT_SHORT).all()
    assert not (bits[decided & ~late] == EXIT_LONG | EXIT_SHORT).any()
    assert strategy.validated({"opens": 12, "lasts": 12})["lasts"] == 12
    with pytest.raises(SpecError, match=r"^params must satisfy opens \+ lasts <= 24$"):
        strategy.validated({"opens": 20, "lasts": 12})


def test_too_few_bars_give_no_signals(make: MakeBars) -> None:
    for strategy in STRATEGIES.values():
        params = {"fast": 10, "slow": 30} if strategy.name == "sma_cross" else {}
        for few in (0, 1, 2, 5):
            bars = make(few, step=60_000)
            signals = strategy.signals(bars, strategy.validated(params))
            assert len(signals.bits) == few
            assert not signals.bits.any()
