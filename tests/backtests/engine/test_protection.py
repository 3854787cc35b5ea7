"""Stops, targets, trailing stops and time stops, worked by hand."""

from __future__ import annotations

from typing import Any

import pytest

from apps.backtests.engine.kernel import ENTER_LONG, ENTER_SHORT, EXIT_LONG
from tests.backtests.engine.specs import NAN, candles, fills, run_bits

IN = [ENTER_LONG, 0, 0, 0]
SHORT_IN = [ENTER_SHORT, 0, 0, 0]


def test_a_stop_fills_at_its_price_and_at_the_open_of_a_gap() -> None:
    reached = candles(100, 100, (98, 99, 94, 96), 96)
    assert fills(run_bits(reached, IN, stop_loss=0.05)) == [(1, 100, 2, 95, "stop_loss")]
    gap = candles(100, 100, (90, 99, 89, 96), 96)
    assert fills(run_bits(gap, IN, stop_loss=0.05)) == [(1, 100, 2, 90, "stop_loss")]
    short = candles(100, 100, (110, 111, 109, 110), 110)
    assert fills(run_bits(short, SHORT_IN, stop_loss=0.05)) == [(1, 100, 2, 110, "stop_loss")]


def test_a_target_fills_at_its_price_and_at_the_better_open_of_a_gap() -> None:
    reached = candles(100, 100, (101, 106, 100, 102), 102)
    assert fills(run_bits(reached, IN, take_profit=0.05)) == [(1, 100, 2, 105, "take_profit")]
    gap = candles(100, 100, (107, 108, 106, 107), 107)
    assert fills(run_bits(gap, IN, take_profit=0.05)) == [(1, 100, 2, 107, "take_profit")]
    short = candles(100, 100, (93, 94, 92, 93), 93)
    assert fills(run_bits(short, SHORT_IN, take_profit=0.05)) == [(1, 100, 2, 93, "take_profit")]


def test_a_level_that_is_touched_exactly_is_reached() -> None:
    bars = candles(100, 100, (99, 100, 95, 96), 96)
    assert fills(run_bits(bars, IN, stop_loss=0.05)) == [(1, 100, 2, 95, "stop_loss")]
    bars = candles(100, 100, (101, 105, 100, 104), 104)
    assert fills(run_bits(bars, IN, take_profit=0.05)) == [(1, 100, 2, 105, "take_profit")]


def test_stops_slip_and_targets_do_not() -> None:
    bars = candles(100, (100, 100, 90, 95), (100, 120, 99, 101), 101)
    stop = run_bits(bars, IN, stop_loss=0.05, slippage=0.01)
    assert fills(stop) == [(1, 101, 1, 94.9905, "stop_loss")]
    target = run_bits(
        candles(100, (100, 120, 100, 101), 101), [ENTER_LONG, 0, 0], take_profit=0.1, slippage=0.01
    )
    assert fills(target) == [(1, 101, 1, 111.1, "take_profit")]


@pytest.mark.parametrize(
    ("same_bar", "exit_"), [("pessimistic", (95, "stop_loss")), ("optimistic", (110, "take_profit"))]
)
def test_stop_and_target_in_one_bar_are_ambiguous(same_bar: str, exit_: tuple[float, str]) -> None:
    bars = candles(100, 100, (100, 112, 94, 105), 105)
    result = run_bits(bars, IN, stop_loss=0.05, take_profit=0.1, same_bar=same_bar, cash=1000)
    assert fills(result) == [(1, 100, 2, *exit_)]
    assert result.ambiguous == 1
    assert result.bounds["pessimistic"]["final_equity"] == pytest.approx(950)
    assert result.bounds["optimistic"]["final_equity"] == pytest.approx(1100)
    assert result.metrics["final_equity"] == result.bounds[same_bar]["final_equity"]


def test_a_gap_says_what_came_first() -> None:
    """The bar reaches both levels, but opens beyond one of them: not ambiguous."""
    levels = {"stop_loss": 0.05, "take_profit": 0.1, "same_bar": "optimistic"}
    down = run_bits(candles(100, 100, (94, 112, 93, 105), 105), IN, **levels)
    assert (fills(down), down.ambiguous) == ([(1, 100, 2, 94, "stop_loss")], 0)
    up = run_bits(candles(100, 100, (111, 112, 93, 105), 105), IN, **levels | {"same_bar": "pessimistic"})
    assert (fills(up), up.ambiguous) == ([(1, 100, 2, 111, "take_profit")], 0)
    assert up.bounds["pessimistic"] == up.bounds["optimistic"]


def test_stops_are_live_on_the_bar_of_a_market_entry() -> None:
    result = run_bits(candles(100, (100, 101, 94, 99), 99), IN[:3], stop_loss=0.05)
    assert fills(result) == [(1, 100, 1, 95, "stop_loss")]
    assert result.ambiguous == 0


@pytest.mark.parametrize(
    ("bar", "settings", "pessimistic", "optimistic", "ambiguous"),
    [
        # A buy limit at 98 is filled on the way down: the low comes after it, ...
        ((100, 101, 92, 97), {"stop_loss": 0.05}, (1, 93.1, "stop_loss"), (1, 93.1, "stop_loss"), 0),
        # ... the high of 104 may have been before, ...
        ((100, 104, 97, 99), {"take_profit": 0.05}, (2, 99, "end"), (1, 102.9, "take_profit"), 1),
        # ... unless the bar closes beyond the target ...
        ((100, 104, 97, 103), {"take_profit": 0.05}, (1, 102.9, "take_profit"), (1, 102.9, "take_profit"), 0),
        # ... or opens beyond the limit.
        ((97, 104, 96, 99), {"take_profit": 0.05}, (1, 101.85, "take_profit"), (1, 101.85, "take_profit"), 0),
    ],
)
def test_levels_on_the_bar_of_a_limit_entry(
    bar: tuple[float, ...],
    settings: dict[str, Any],
    pessimistic: tuple[int, float, str],
    optimistic: tuple[int, float, str],
    ambiguous: int,
) -> None:
    bars = candles(100, bar, bar[3])
    for same_bar, expected in (("pessimistic", pessimistic), ("optimistic", optimistic)):
        result = run_bits(
            bars, IN[:3], order="limit", long_price=[98, NAN, NAN], same_bar=same_bar, **settings
        )
        assert [trade[2:] for trade in fills(result)] == [expected]
        assert result.ambiguous == ambiguous


@pytest.mark.parametrize(
    ("bar", "settings", "pessimistic", "optimistic", "ambiguous"),
    [
        # A buy stop at 102 is filled on the way up: the high comes after it, ...
        ((100, 108, 99, 103), {"take_profit": 0.05}, (1, 107.1, "take_profit"), (1, 107.1, "take_profit"), 0),
        # ... the low of 95 may have been before, ...
        ((100, 103, 95, 102.5), {"stop_loss": 0.05}, (1, 96.9, "stop_loss"), (2, 102.5, "end"), 1),
        # ... unless the bar closes beyond the stop ...
        ((100, 103, 95, 96), {"stop_loss": 0.05}, (1, 96.9, "stop_loss"), (1, 96.9, "stop_loss"), 0),
        # ... or opens beyond the entry.
        ((103, 104, 95, 102.5), {"stop_loss": 0.05}, (1, 97.85, "stop_loss"), (1, 97.85, "stop_loss"), 0),
    ],
)
def test_levels_on_the_bar_of_a_stop_entry(
    bar: tuple[float, ...],
    settings: dict[str, Any],
    pessimistic: tuple[int, float, str],
    optimistic: tuple[int, float, str],
    ambiguous: int,
) -> None:
    bars = candles(100, bar, bar[3])
    for same_bar, expected in (("pessimistic", pessimistic), ("optimistic", optimistic)):
        result = run_bits(
            bars, IN[:3], order="stop", long_price=[102, NAN, NAN], same_bar=same_bar, **settings
        )
        assert [trade[2:] for trade in fills(result)] == [expected]
        assert result.ambiguous == ambiguous


def test_an_exit_due_at_the_open_comes_before_a_stop_inside_the_bar() -> None:
    bars = candles(100, 100, (99, 99, 90, 91), 91)
    result = run_bits(bars, [ENTER_LONG, EXIT_LONG, 0, 0], stop_loss=0.05)
    assert fills(result) == [(1, 100, 2, 99, "signal")]


def test_levels_count_from_the_fill_or_from_the_close_of_the_signal() -> None:
    """Decided at 100, filled at 102."""
    bars = candles(100, (102, 103, 101, 102), (102, 102, 90, 91), 91)
    assert fills(run_bits(bars, IN, stop_loss=0.1)) == [(1, 102, 2, 91.8, "stop_loss")]
    by_signal = run_bits(bars, IN, stop_loss=0.1, base="signal_close")
    assert fills(by_signal) == [(1, 102, 2, 90, "stop_loss")]


def test_an_open_beyond_the_level_of_the_signal_leaves_where_it_entered() -> None:
    """The stop of 95 from the signal's close is above the open of 93."""
    bars = candles(100, (93, 99, 92, 98), 98)
    result = run_bits(bars, IN[:3], stop_loss=0.05, base="signal_close")
    assert fills(result) == [(1, 93, 1, 93, "stop_loss")]


def test_distances_are_those_of_the_bar_of_the_decision() -> None:
    bars = candles(100, 100, (100, 100, 95, 96), (96, 110, 96, 109))
    result = run_bits(bars, IN, stop_loss=[7, 1, 1, 1], take_profit=[9, 1, 1, 1])
    assert fills(result) == [(1, 100, 3, 109, "take_profit")]


def test_a_distance_that_is_not_known_is_no_level() -> None:
    bars = candles(100, 100, (100, 200, 50, 60), 60)
    for name in ("stop_loss", "take_profit", "trailing"):
        assert fills(run_bits(bars, IN, **{name: [NAN, 1, 1, 1]})) == [(1, 100, 3, 60, "end")]


def test_an_addition_without_a_known_distance_keeps_the_levels() -> None:
    """The stop of 95 and the trailing stop stay as the first entry set them."""
    bars = candles(100, 100, 100, (100, 100, 90, 91), 91)
    bits = [ENTER_LONG, ENTER_LONG, 0, 0, 0]
    for name in ("stop_loss", "trailing"):
        result = run_bits(bars, bits, pyramiding=1, fraction=0.3, **{name: [5, NAN, NAN, NAN, NAN]})
        assert fills(result)[0][2:4] == (3, 95)
        assert result.trades.entries.tolist() == [2]


def test_a_trailing_stop_follows_closes_and_never_retreats() -> None:
    """10 % below 100, 120 and then not below 110: 108 is reached on bar 4."""
    bars = candles(100, 100, (100, 130, 100, 120), (120, 120, 109, 110), (110, 111, 107, 109), 109)
    result = run_bits(bars, [ENTER_LONG, 0, 0, 0, 0, 0], trailing=0.1)
    assert fills(result) == [(1, 100, 4, 108, "trailing")]
    short = candles(100, 100, (100, 100, 70, 80), (80, 87, 80, 85), (85, 89, 85, 86), 86)
    result = run_bits(short, [ENTER_SHORT, 0, 0, 0, 0, 0], trailing=0.1)
    assert fills(result) == [(1, 100, 4, 88, "trailing")]


def test_a_trailing_stop_by_distance_keeps_the_distance_of_its_entry() -> None:
    bars = candles(100, 100, (100, 120, 100, 120), (120, 120, 109, 110), 110)
    result = run_bits(bars, [ENTER_LONG, 0, 0, 0, 0], trailing=[10, 1, 1, 1, 1])
    assert fills(result) == [(1, 100, 3, 110, "trailing")]


def test_the_nearer_of_stop_and_trailing_stop_is_reached_first() -> None:
    bars = candles(100, 100, (100, 120, 100, 120), (120, 120, 80, 85), 85)
    result = run_bits(bars, [ENTER_LONG, 0, 0, 0, 0], stop_loss=0.05, trailing=0.1)
    assert fills(result) == [(1, 100, 3, 108, "trailing")]
    nearer = candles(100, 100, (100, 100, 80, 85), 85)
    assert fills(run_bits(nearer, IN, stop_loss=0.05, trailing=0.1)) == [(1, 100, 2, 95, "stop_loss")]


@pytest.mark.parametrize(("time_stop", "exit_bar"), [(1, 2), (2, 3), (3, 4)])
def test_a_time_stop_leaves_at_the_open_after_so_many_bars(time_stop: int, exit_bar: int) -> None:
    bars = candles(100, 101, 102, 103, 104, 105)
    result = run_bits(bars, [ENTER_LONG, *[0] * 5], time_stop=time_stop)
    assert fills(result) == [(1, 101, exit_bar, 100 + exit_bar, "time_stop")]
    at_close = run_bits(bars, [ENTER_LONG, *[0] * 5], time_stop=time_stop, fill="close")
    assert fills(at_close) == [(0, 100, time_stop, 100 + time_stop, "time_stop")]


def test_an_entry_at_the_moment_of_the_time_stop_begins_anew() -> None:
    bars = candles(100, 101, 102, 103, 104)
    result = run_bits(bars, [ENTER_LONG, 0, ENTER_LONG, 0, 0], time_stop=2)
    assert fills(result) == [(1, 101, 3, 103, "time_stop"), (3, 103, 4, 104, "end")]
