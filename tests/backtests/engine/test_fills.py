"""Market orders and costs on bars small enough to work out by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from apps.backtests.engine import Bars, Sizing, run
from apps.backtests.engine.feed import feed_of
from apps.backtests.engine.kernel import ENTER_LONG, ENTER_SHORT, EXIT_LONG, EXIT_SHORT
from apps.backtests.engine.kernel.fills import size_of
from apps.backtests.engine.simulation import parameters
from tests.backtests.engine.specs import HOUR, MIDNIGHT, NAN, candles, fills, run_bits, signals_of, spec_of

BarsOf = Callable[..., Bars]


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
        "funding": 0.0,
        "pnl": pytest.approx(-108.9),
        "return_pct": pytest.approx(-11.0),
        "reason": "signal",
        "instrument": 0,
        "entries": 1,
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

    def bought(money: float, lot: float) -> float:
        return size_of(cents / 100, 0.0, NAN, money, money, params[lot])

    bars, bits = bars_of([cents / 100] * 3), [ENTER_LONG, 0, 0]
    feeds = [feed_of(bars, signals_of(bits))]
    params = {lot: parameters(spec_of(lot=lot), feeds, optimistic=False) for lot in (1.0, 0.1)}
    for units in range(1, 200):
        money = cents * units / 100
        assert [bought(money, lot) for lot in params] == pytest.approx([units, units])
        assert bought(money - 1e-9, 1.0) == units - 1
    assert run_bits(bars, bits, cash=money, lot=1).trades.size.tolist() == [units]


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


def test_orders_can_fill_at_the_close_they_were_decided_at() -> None:
    """In at the close of bar 0 and out at that of bar 1, reversed there into a short."""
    bars = candles((90, 100, 90, 100), (105, 110, 100, 110), (120, 130, 120, 130))
    result = run_bits(bars, [ENTER_LONG, ENTER_SHORT, 0], cash=1000, fill="close", commission=0.01)
    assert fills(result) == [(0, 100, 1, 110, "signal"), (1, 110, 2, 130, "end")]
    size = 1000 / 101
    cash = 1000 + size * 10 - size * (1 + 1.1)
    assert result.equity[:2] == pytest.approx([1000 - size, cash - cash / 111.1 * 1.1])


def test_a_fill_at_the_close_is_not_stopped_on_the_bar_it_ended() -> None:
    bars = candles((100, 101, 50, 100), (100, 101, 99, 100), 100)
    result = run_bits(bars, [ENTER_LONG, 0, 0], fill="close", stop_loss=0.1)
    assert fills(result) == [(0, 100, 2, 100, "end")]


def test_a_fixed_fee_is_paid_by_every_fill_beside_the_fraction() -> None:
    """1000 pays 5, then buys 9.95 / 1.01 at 100; 2 fills cost 5 each and 1 % of their values."""
    bars = candles(100, 100, 110, 110)
    result = run_bits(bars, [ENTER_LONG, EXIT_LONG, 0, 0], cash=1000, fixed=5, commission=0.01)
    size = 995 / 101
    (row,) = result.trades.rows(result.ts)
    assert row["size"] == pytest.approx(size)
    assert row["commission"] == pytest.approx(5 + size * 1.00 + 5 + size * 1.10)
    assert result.equity[-1] == pytest.approx(1000 + row["pnl"])


def test_a_fixed_fee_that_takes_all_money_leaves_nothing_to_enter_with() -> None:
    result = run_bits(candles(100, 100, 100), [ENTER_LONG, 0, 0], cash=5, fixed=5)
    assert len(result.trades) == 0
    assert result.metrics["entries_skipped"] == 1


@pytest.mark.parametrize(("side", "sign"), [(ENTER_LONG, 1), (ENTER_SHORT, -1)])
def test_funding_is_paid_by_longs_to_shorts_at_the_open_of_a_funding_time(side: int, sign: int) -> None:
    """Held over 08:00 at an open of 110 and out at 09:00: one payment of 1 % of 10 * 110."""
    bars = candles(100, 100, 110, 100, 100, start=MIDNIGHT + 6 * HOUR)
    result = run_bits(bars, [side, 0, 0, 15 - side, 0], cash=1000, funding=0.01)
    (row,) = result.trades.rows(result.ts)
    assert row["funding"] == pytest.approx(sign * 11)
    assert row["pnl"] == pytest.approx(-sign * 11)
    assert result.equity.tolist() == pytest.approx(
        [1000, 1000, 1000 + sign * (100 - 11), 1000 - sign * 11, 1000 - sign * 11]
    )


def test_funding_is_due_only_for_what_is_held_over_its_time() -> None:
    """In at 08:00 exactly, out at 15:00: nothing. Out at 08:00: paid. Two times between bars: twice."""
    start = MIDNIGHT + 7 * HOUR
    in_and_out = [ENTER_LONG, 0, 0, 0, 0, 0, 0, EXIT_LONG, 0]
    assert run_bits(candles(*[100] * 9, start=start), in_and_out, funding=0.01).trades.funding.tolist() == [0]
    over = run_bits(candles(*[100] * 3, start=start - HOUR), [ENTER_LONG, EXIT_LONG, 0], funding=0.01)
    assert over.trades.funding.tolist() == pytest.approx([100])
    gap = candles(*[100] * 4, step=10 * HOUR, start=MIDNIGHT + HOUR)  # 01:00, 11:00, 21:00, 07:00
    assert run_bits(gap, [ENTER_LONG, 0, 0, 0], funding=0.01).trades.funding.tolist() == pytest.approx([200])
    days = candles(*[100] * 4, step=24 * HOUR)
    assert run_bits(days, [ENTER_LONG, 0, 0, 0], funding=0.01).trades.funding.tolist() == pytest.approx([600])


@pytest.mark.parametrize(
    ("settings", "price"),
    [({"fill": "close"}, 130), ({"order": "limit", "long_price": [NAN, 118, NAN]}, 130)],
)
def test_what_began_after_the_last_open_is_not_closed_at_it(settings: dict[str, Any], price: float) -> None:
    """The last bar's open lies before the entry, which is closed at its close instead."""
    bars = candles((100, 110, 100, 100), (110, 120, 105, 120), (125, 131, 115, 130))
    at_end = [0, 0, ENTER_LONG] if "fill" in settings else [0, ENTER_LONG, 0]
    (trade,) = fills(run_bits(bars, at_end, finalise="last_open", **settings))
    assert trade[2:] == (2, price, "end")
    earlier = fills(run_bits(bars, [ENTER_LONG, 0, 0], finalise="last_open", fill="close"))
    assert earlier == [(0, 100, 2, 125, "end")]


def test_what_grew_after_the_last_open_is_not_closed_at_it() -> None:
    """Half is bought at 100, the other half inside the last bar at 118: that bar's open is past then."""
    bars = candles((100, 100, 100, 100), (100, 110, 100, 110), (125, 131, 115, 60))
    settings = {"order": "limit", "long_price": [101, 118, NAN], "pyramiding": 1, "fraction": 0.5}
    (trade,) = fills(run_bits(bars, [ENTER_LONG, ENTER_LONG, 0], finalise="last_open", **settings))
    assert trade[2:] == (2, 60, "end")


@pytest.mark.parametrize(
    "sizing", [Sizing(type="units", value=5e-324), Sizing(type="units", value=1e-320), Sizing(value=1e-320)]
)
def test_an_entry_of_next_to_nothing_is_skipped(sizing: Sizing) -> None:
    result = run_bits(candles(0.07, 0.07, 0.08), [ENTER_LONG, EXIT_LONG, 0], sizing=sizing, fixed=0.001)
    assert len(result.trades) == 0
    assert result.metrics["entries_skipped"] == 1


def test_a_lot_too_small_to_count_rounds_nothing() -> None:
    assert run_bits(candles(100, 100, 100), [ENTER_LONG, 0, 0], lot=1e-305).trades.size.tolist() == [100]
