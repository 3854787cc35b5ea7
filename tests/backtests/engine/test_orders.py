"""Limit and stop entries, worked by hand."""

from __future__ import annotations

import pytest

from apps.backtests.engine.kernel import ENTER_LONG, ENTER_SHORT, EXIT_LONG
from tests.backtests.engine.specs import NAN, candles, fills, run_bits


def test_a_limit_order_fills_at_its_price_or_at_a_better_open() -> None:
    bars = candles(100, (100, 101, 95, 99), 99, 99)
    result = run_bits(bars, [ENTER_LONG, 0, 0, 0], order="limit", long_price=[96, NAN, NAN, NAN])
    assert fills(result) == [(1, 96, 3, 99, "end")]
    gap = candles(100, (90, 101, 85, 99), 99, 99)
    result = run_bits(gap, [ENTER_LONG, 0, 0, 0], order="limit", long_price=[96, NAN, NAN, NAN])
    assert fills(result) == [(1, 90, 3, 99, "end")]
    sell = run_bits(
        candles(100, (100, 105, 99, 101), 101),
        [ENTER_SHORT, 0, 0],
        order="limit",
        short_price=[104, NAN, NAN],
    )
    assert fills(sell) == [(1, 104, 2, 101, "end")]


def test_a_stop_order_fills_at_its_price_or_at_a_worse_open() -> None:
    bars = candles(100, (100, 106, 99, 101), 101)
    assert fills(run_bits(bars, [ENTER_LONG, 0, 0], order="stop", long_price=[105, NAN, NAN])) == [
        (1, 105, 2, 101, "end")
    ]
    gap = candles(100, (110, 112, 99, 101), 101)
    assert fills(run_bits(gap, [ENTER_LONG, 0, 0], order="stop", long_price=[105, NAN, NAN])) == [
        (1, 110, 2, 101, "end")
    ]
    down = candles(100, (100, 101, 94, 97), 97)
    assert fills(run_bits(down, [ENTER_SHORT, 0, 0], order="stop", short_price=[95, NAN, NAN])) == [
        (1, 95, 2, 97, "end")
    ]


@pytest.mark.parametrize(("valid_bars", "filled"), [(1, False), (2, False), (3, True)])
def test_an_order_rests_for_so_many_bars_and_expires(valid_bars: int, filled: bool) -> None:
    """Decided on bar 0; bar 3, the third after it, is the first that reaches 95."""
    bars = candles(100, (100, 101, 99, 100), (100, 101, 99, 100), (100, 101, 94, 100), 100)
    result = run_bits(
        bars, [ENTER_LONG, 0, 0, 0, 0], order="limit", long_price=[95, *[NAN] * 4], valid_bars=valid_bars
    )
    assert [trade[:2] for trade in fills(result)] == ([(3, 95)] if filled else [])


def test_a_later_entry_replaces_the_resting_order() -> None:
    """The order at 95 is gone when 94 is reached; the new one at 90 is not reached by 91."""
    bars = candles(100, (100, 101, 99, 100), (100, 101, 91, 100), (100, 101, 89, 100), 100)
    bits = [ENTER_LONG, ENTER_LONG, 0, 0, 0]
    result = run_bits(bars, bits, order="limit", long_price=[95, 90, NAN, NAN, NAN], valid_bars=9)
    assert [trade[:2] for trade in fills(result)] == [(3, 90)]


@pytest.mark.parametrize("bit", [EXIT_LONG, ENTER_SHORT, ENTER_LONG | ENTER_SHORT, ENTER_LONG | EXIT_LONG])
def test_an_exit_of_its_side_and_a_void_or_opposite_entry_cancel_the_resting_order(bit: int) -> None:
    bars = candles(100, (100, 101, 99, 100), (100, 101, 90, 100), 100)
    prices = {"long_price": [95, 95, NAN, NAN], "short_price": [NAN] * 4}
    assert fills(run_bits(bars, [ENTER_LONG, bit, 0, 0], order="limit", valid_bars=9, **prices)) == []
    unrelated = run_bits(bars, [ENTER_LONG, 8, 0, 0], order="limit", valid_bars=9, **prices)
    assert [trade[:2] for trade in fills(unrelated)] == [(2, 95)]


def test_an_entry_without_a_price_is_no_order() -> None:
    bars = candles(100, (100, 101, 90, 100), 100)
    result = run_bits(bars, [ENTER_LONG, 0, 0], order="limit", long_price=[NAN, 95, NAN])
    assert fills(result) == []
    assert result.metrics["entries_skipped"] == 0


@pytest.mark.parametrize("column", ["bits", "long_price", "stop_loss"])
def test_signals_that_do_not_fit_the_bars_are_refused(column: str) -> None:
    columns = {"bits": [ENTER_LONG, 0, 0], "long_price": [99, 99, 99], "stop_loss": [5, 5, 5]}
    columns[column] = columns[column][:2]
    with pytest.raises(ValueError, match="one value per bar"):
        run_bits(candles(100, 100, 100), columns.pop("bits"), order="limit", **columns)


def test_an_opposite_entry_leaves_at_the_open_and_rests_on_the_other_side() -> None:
    bars = candles(100, (100, 101, 95, 100), (98, 103, 97, 99), 99)
    result = run_bits(
        bars,
        [ENTER_LONG, ENTER_SHORT, 0, 0],
        order="limit",
        long_price=[96, *[NAN] * 3],
        short_price=[NAN, 102, NAN, NAN],
    )
    assert fills(result) == [(1, 96, 2, 98, "signal"), (2, 102, 3, 99, "end")]


def test_limit_entries_and_targets_pay_the_maker_and_no_slippage_all_else_the_taker() -> None:
    bars = candles(100, (100, 101, 94, 100), (100, 111, 100, 110), 110)
    costs = {"maker": 0.001, "commission": 0.01, "slippage": 0.02, "cash": 1000}
    limit = run_bits(
        bars, [ENTER_LONG, 0, 0, 0], order="limit", long_price=[95, *[NAN] * 3], take_profit=0.1, **costs
    )
    assert fills(limit) == [(1, 95, 2, 104.5, "take_profit")]
    size = 1000 / 95.095
    assert limit.trades.commission.tolist() == pytest.approx([size * (95 + 104.5) * 0.001])
    stop = run_bits(bars, [ENTER_LONG, 0, 0, 0], order="stop", long_price=[100.5, *[NAN] * 3], **costs)
    assert fills(stop) == [(1, 102.51, 3, 107.8, "end")]
    size = 1000 / (102.51 * 1.01)
    assert stop.trades.commission.tolist() == pytest.approx([size * (102.51 + 107.8) * 0.01])


def test_an_addition_moves_the_stop_with_the_mean_price() -> None:
    """10 at 100 and 10 at 90: mean 95, stop 85.5, which bar 3 reaches; the old stop of 90 is gone."""
    bars = candles(100, (100, 101, 99, 100), (95, 95, 91, 92), (90, 91, 85, 88), 88)
    bits = [ENTER_LONG, 0, ENTER_LONG, 0, 0]
    settings = {"pyramiding": 1, "cash": 10_000, "fraction": 0.1, "stop_loss": 0.1}
    result = run_bits(bars, bits, **settings)
    assert result.trades.entries.tolist() == [2]
    first, second = 10, 9_900 / 900  # a tenth of the equity at each entry
    mean = (first * 100 + second * 90) / (first + second)
    assert result.trades.entry_price[0] == pytest.approx(mean)
    assert result.trades.exit_price[0] == pytest.approx(mean * 0.9)


def test_the_stop_on_the_way_to_a_resting_addition_comes_first() -> None:
    """Long at 100 with a stop at 95, an addition at 90: the fall to 85 leaves at 95 and adds nothing."""
    bars = candles(100, (100, 101, 99, 100), (98, 99, 85, 88), (88, 88, 86, 88), 88)
    result = run_bits(
        bars,
        [ENTER_LONG, ENTER_LONG, 0, 0, 0],
        order="limit",
        long_price=[100, 90, NAN, NAN, NAN],
        valid_bars=5,
        stop_loss=0.05,
        pyramiding=1,
        fraction=0.3,
    )
    assert fills(result) == [(1, 100, 2, 95, "stop_loss")]
    assert result.trades.entries.tolist() == [1]


def test_a_gap_beyond_the_stop_leaves_before_it_adds() -> None:
    bars = candles(100, (100, 101, 99, 100), (85, 86, 84, 85), 85)
    result = run_bits(
        bars,
        [ENTER_LONG, ENTER_LONG, 0, 0],
        order="limit",
        long_price=[100, 98, NAN, NAN],
        stop_loss=0.05,
        pyramiding=1,
        fraction=0.3,
    )
    assert fills(result) == [(1, 100, 2, 85, "stop_loss")]


def test_an_addition_at_the_open_comes_before_what_the_bar_reaches() -> None:
    """Adding at 97 moves the stop from 95 to 98.5 * 0.95 = 93.6, which 94 does not reach."""
    bars = candles(100, (100, 101, 99, 100), (97, 98, 94, 96), 96)
    result = run_bits(
        bars,
        [ENTER_LONG, ENTER_LONG, 0, 0],
        order="limit",
        long_price=[100, 98, NAN, NAN],
        stop_loss=0.05,
        pyramiding=1,
        fraction=0.3,
    )
    assert result.trades.entries.tolist() == [2]
    assert fills(result)[0][2:] == (3, 96, "end")


def test_an_entry_beyond_the_limit_of_additions_is_void() -> None:
    bars = candles(*[100] * 6)
    for pyramiding, entries in ((0, 1), (1, 2), (2, 3), (9, 4)):
        result = run_bits(
            bars, [ENTER_LONG] * 4 + [0, 0], pyramiding=pyramiding, fraction=0.1, fill="next_open"
        )
        assert result.trades.entries.tolist() == [entries]
        assert result.metrics["entries_skipped"] == 0


def test_a_wholly_invested_account_adds_nothing() -> None:
    """What rounding leaves of the money is not an entry."""
    bars = candles(*[99.7, 100.3, 101.1, 99.9, 100.7, 98.3] * 3)
    result = run_bits(bars, [ENTER_LONG] * 17 + [0], pyramiding=100, commission=0.0007)
    assert result.trades.entries.tolist() == [1]
    assert result.metrics["entries_skipped"] == 16
