"""The event loop on bars small enough to work out by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from apps.backtests.engine import Bars, Result, run
from apps.backtests.engine.kernel import ENTER_LONG, ENTER_SHORT, EXIT_LONG, EXIT_SHORT
from apps.backtests.engine.run import run_signals
from apps.backtests.engine.strategies import Signals
from tests.backtests.engine.specs import spec_of

BarsOf = Callable[..., Bars]


def run_bits(bars: Bars, bits: list[int], **settings: Any) -> Result:
    signals = Signals(bits=np.array(bits, np.uint8), warmup=0)
    return run_signals(bars, signals, spec_of(**settings), jit=False)


def test_a_crossover_worked_by_hand(bars_of: BarsOf) -> None:
    """Close crosses its average of two up at bar 2 and down at bar 4: in at open 3, out at open 5."""
    bars = bars_of([10, 9, 11, 12, 10, 10.5], opens=[10, 10, 9, 11, 12, 10])
    result = run(bars, spec_of(cash=1000, commission=0.01, lot=1), jit=False)
    # 1000 buys 90 at 11 (990 + 9.90 commission); sold at 10 (commission 9.00).
    assert result.equity == pytest.approx([1000, 1000, 1000, 1080.1, 900.1, 891.1], rel=1e-14)
    (trade,) = result.trades.rows(bars.ts)
    assert trade == {
        "side": "long",
        "size": 90.0,
        "entry_time": int(bars.ts[3]),
        "exit_time": int(bars.ts[5]),
        "entry_bar": 3,
        "exit_bar": 5,
        "entry_price": 11.0,
        "exit_price": 10.0,
        "commission": pytest.approx(18.9),
        "pnl": pytest.approx(-108.9),
        "return_pct": pytest.approx(-11.0),
        "reason": "signal",
    }


def test_costs_work_against_both_sides(bars_of: BarsOf) -> None:
    bars = bars_of([100] * 6)
    bits = [ENTER_LONG, EXIT_LONG, ENTER_SHORT, EXIT_SHORT, 0, 0]
    result = run_bits(bars, bits, cash=10_000, slippage=0.01, spread=0.02, lot=1)
    assert result.trades.entry_price.tolist() == pytest.approx([103, 97])
    assert result.trades.exit_price.tolist() == pytest.approx([99, 101])
    assert result.trades.size.tolist() == [97.0, -99.0]  # 10,000 // 103; 9,612 // 97
    assert result.trades.pnl.tolist() == pytest.approx([-97 * 4, -99 * 4])
    assert result.equity[-1] == pytest.approx(10_000 - 97 * 4 - 99 * 4)


def test_an_opposite_entry_reverses_in_one_bar_sized_by_the_new_cash(bars_of: BarsOf) -> None:
    bars = bars_of([100, 100, 120, 120, 100, 100], opens=[100, 100, 100, 120, 120, 100])
    bits = [ENTER_LONG, 0, ENTER_SHORT, 0, 0, 0]
    result = run_bits(bars, bits, cash=1000)
    assert result.trades.entry_bar.tolist() == [1, 3]
    assert result.trades.exit_bar.tolist() == [3, 5]
    assert result.trades.size.tolist() == pytest.approx([10, -10])  # 1200 / 120
    assert result.equity.tolist() == pytest.approx([1000, 1000, 1200, 1200, 1400, 1400])


@pytest.mark.parametrize("held", [ENTER_LONG, ENTER_SHORT])
def test_contradicting_bits_leave_and_do_not_enter(bars_of: BarsOf, held: int) -> None:
    result = run_bits(bars_of([100] * 4), [held, ENTER_LONG | ENTER_SHORT, 0, 0])
    assert result.trades.exit_bar.tolist() == [2]
    both_sides = run_bits(bars_of([100] * 4), [held | EXIT_LONG | EXIT_SHORT, 0, 0, 0])
    assert len(both_sides.trades) == 0


def test_bits_that_do_not_fit_the_position_do_nothing(bars_of: BarsOf) -> None:
    bars = bars_of([100] * 6)
    result = run_bits(bars, [EXIT_LONG | EXIT_SHORT, ENTER_LONG, ENTER_LONG, EXIT_SHORT, EXIT_LONG, 0])
    assert result.trades.entry_bar.tolist() == [2]
    assert result.trades.exit_bar.tolist() == [5]


def test_a_signal_on_the_last_bar_is_not_filled(bars_of: BarsOf) -> None:
    result = run_bits(bars_of([100, 110]), [0, ENTER_LONG])
    assert len(result.trades) == 0
    assert result.equity.tolist() == [10_000, 10_000]


@pytest.mark.parametrize(("finalise", "final"), [("last_close", 1300), ("last_open", 1200)])
def test_an_open_position_is_closed_on_the_last_bar(bars_of: BarsOf, finalise: str, final: float) -> None:
    bars = bars_of([100, 110, 130], opens=[100, 100, 120])
    result = run_bits(bars, [ENTER_LONG, 0, 0], cash=1000, finalise=finalise)
    assert result.trades.exit_bar.tolist() == [2]
    assert result.trades.rows(bars.ts)[0]["reason"] == "end"
    assert result.equity.tolist() == pytest.approx([1000, 1100, final])


def test_sizes_are_whole_lots_and_an_entry_below_one_lot_is_counted(bars_of: BarsOf) -> None:
    bars = bars_of([99.0] * 4)
    assert run_bits(bars, [ENTER_LONG, 0, 0, 0], cash=1000).trades.size[0] == pytest.approx(1000 / 99)
    assert run_bits(bars, [ENTER_LONG, 0, 0, 0], cash=1000, lot=0.25).trades.size.tolist() == [10.0]
    assert run_bits(bars, [ENTER_LONG, 0, 0, 0], cash=1000, fraction=0.5, lot=1).trades.size.tolist() == [5.0]
    poor = run_bits(bars, [ENTER_LONG, ENTER_SHORT, 0, 0], cash=98.99, lot=1)
    assert len(poor.trades) == 0
    assert poor.metrics["entries_skipped"] == 2


@pytest.mark.parametrize("cents", [1, 7, 10, 29, 110, 333, 4999])
def test_money_that_pays_for_a_number_of_lots_exactly_buys_them(bars_of: BarsOf, cents: int) -> None:
    """0.29 does not go into 2.9 ten times in binary; in money it does."""
    bars = bars_of([cents / 100] * 3)
    for units in range(1, 200):
        money = cents * units / 100
        for lot in (1.0, 0.1):
            assert run_bits(bars, [ENTER_LONG, 0, 0], cash=money, lot=lot).trades.size[0] == pytest.approx(
                units
            )
        short_of_it = run_bits(bars, [ENTER_LONG, 0, 0], cash=money - 1e-9, lot=1)
        assert short_of_it.trades.size.sum() == units - 1


def test_an_account_that_owes_is_bankrupt_at_the_close(bars_of: BarsOf) -> None:
    """Short 10 at 100; the close of 250 leaves 1000 - 1500: written off, and nothing trades again."""
    bars = bars_of([100, 100, 250, 100, 100], opens=[100, 100, 100, 100, 100])
    result = run_bits(bars, [ENTER_SHORT, 0, ENTER_LONG, ENTER_LONG, 0], cash=1000)
    assert result.equity.tolist() == [1000, 1000, 0, 0, 0]
    (trade,) = result.trades.rows(bars.ts)
    assert (trade["exit_bar"], trade["exit_price"], trade["reason"]) == (2, 250.0, "bankruptcy")
    assert trade["pnl"] == -1500
    assert result.metrics["written_off"] == 500
    assert result.metrics["entries_skipped"] == 0
    assert result.metrics["return_pct"] == -100
    assert result.metrics["return_ann_pct"] is None  # one day


def test_a_gap_can_bankrupt_an_account_at_the_open(bars_of: BarsOf) -> None:
    bars = bars_of([100, 100, 100, 100], opens=[100, 100, 300, 100])
    result = run_bits(bars, [ENTER_SHORT, ENTER_LONG, 0, 0], cash=1000)
    assert result.equity.tolist() == [1000, 1000, 0, 0]
    (trade,) = result.trades.rows(bars.ts)
    assert (trade["reason"], trade["side"], trade["size"]) == ("bankruptcy", "short", 10)
    assert result.metrics["written_off"] == 1000
    assert result.metrics["entries_skipped"] == 0


def test_trades_can_be_read_by_the_page(bars_of: BarsOf) -> None:
    bars = bars_of([100.0] * 9)
    result = run_bits(bars, [ENTER_LONG, EXIT_LONG] * 4 + [0])
    assert len(result.trades) == 4
    rows = result.trades.rows(bars.ts)
    assert [row["entry_bar"] for row in rows] == [1, 3, 5, 7]
    assert result.trades.rows(bars.ts, 1, 3) == rows[1:3]
    assert result.trades.rows(bars.ts, 4) == []
