"""Signals on coarse bars, fills on the finer bars inside them, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from apps.backtests.engine import Bars, BarsError
from apps.backtests.engine.kernel import ENTER_LONG, EXIT_LONG
from apps.backtests.engine.run import run_signals
from tests.backtests.engine.specs import HOUR, MIDNIGHT, NAN, candles, fills, run_bits, signals_of, spec_of

QUARTER = HOUR // 4


def quarters(*rows: object) -> Bars:
    return candles(*rows, step=QUARTER)  # type: ignore[arg-type]


def without(bars: Bars, *rows: int) -> Bars:
    """Bars of which some are missing."""
    names = ("ts", "open", "high", "low", "close", "volume")
    return Bars(**{name: np.delete(getattr(bars, name), rows) for name in names}, step=bars.step)


def coarse(fine: Bars) -> Bars:
    """Hours of four quarters each."""
    table = [column.reshape(-1, 4) for column in (fine.open, fine.high, fine.low, fine.close)]
    rows = zip(table[0][:, 0], table[1].max(1), table[2].min(1), table[3][:, -1], strict=True)
    return candles(*rows)


def test_a_decision_at_the_close_is_filled_at_the_open_of_the_next_finer_bar() -> None:
    fine = quarters(*range(100, 112))
    result = run_bits(coarse(fine), [ENTER_LONG, EXIT_LONG, 0], detail=fine)
    assert fills(result) == [(4, 104, 8, 108, "signal")]
    assert result.ts.tolist() == fine.ts.tolist()
    assert len(result.equity) == 12
    at_close = run_bits(coarse(fine), [ENTER_LONG, EXIT_LONG, 0], detail=fine, fill="close")
    assert fills(at_close) == [(3, 103, 7, 107, "signal")]


def test_the_finer_bars_say_whether_stop_or_target_came_first() -> None:
    fine = quarters(*[100] * 4, 100, (100, 111, 100, 105), (105, 105, 94, 95), 95, *[95] * 4)
    settings = {"stop_loss": 0.05, "take_profit": 0.1}
    hours = coarse(fine)
    unknown = run_bits(hours, [ENTER_LONG, 0, 0], **settings)
    assert (fills(unknown), unknown.ambiguous) == ([(1, 100, 1, 95, "stop_loss")], 1)
    known = run_bits(hours, [ENTER_LONG, 0, 0], detail=fine, **settings)
    assert (fills(known), known.ambiguous) == ([(4, 100, 5, 110, "take_profit")], 0)


def test_time_stops_count_bars_of_the_signals() -> None:
    fine = quarters(*range(100, 120))
    for time_stop in (1, 2, 3):
        result = run_bits(coarse(fine), [ENTER_LONG, 0, 0, 0, 0], detail=fine, time_stop=time_stop)
        exit_bar = 4 + 4 * time_stop
        assert fills(result) == [(4, 104, exit_bar, 100 + exit_bar, "time_stop")]


@pytest.mark.parametrize(("valid_bars", "filled"), [(1, False), (2, True)])
def test_orders_rest_for_bars_of_the_signals(valid_bars: int, filled: bool) -> None:
    """Valid for the next hour, or for two; the sixth quarter after the decision reaches 95."""
    fine = quarters(*[100] * 9, (100, 100, 94, 100), 100, 100)
    result = run_bits(
        coarse(fine),
        [ENTER_LONG, 0, 0],
        detail=fine,
        order="limit",
        long_price=[95, NAN, NAN],
        valid_bars=valid_bars,
    )
    assert [trade[:2] for trade in fills(result)] == ([(9, 95)] if filled else [])


def test_trailing_stops_follow_the_closes_of_the_finer_bars() -> None:
    fine = quarters(*[100] * 5, (100, 120, 100, 120), (120, 120, 107, 110), 110)
    result = run_bits(coarse(fine), [ENTER_LONG, 0], detail=fine, trailing=0.1)
    assert fills(result) == [(4, 100, 6, 108, "trailing")]


def test_a_decision_is_made_at_the_last_finer_bar_that_there_is() -> None:
    """The last two quarters of the first hour are missing: decided at the second, filled at 01:00."""
    whole = quarters(*range(100, 108))
    result = run_bits(coarse(whole), [ENTER_LONG, 0], detail=without(whole, 2, 3))
    assert fills(result) == [(2, 104, 5, 107, "end")]


def test_what_is_decided_after_the_last_finer_bar_is_not_filled_at_its_close() -> None:
    """The close of 01:00 is 103 and decides; 101, of 00:30, is past by then: the next price is 104 at 01:00.

    The hour after it is complete, and its decision is filled at its close.
    """
    whole = quarters(*range(100, 112))
    fine = without(whole, 2, 3)
    result = run_bits(coarse(whole), [ENTER_LONG, EXIT_LONG, 0], detail=fine, fill="close")
    assert fills(result) == [(2, 104, 5, 107, "signal")]
    at_the_end = without(whole, 7, 11)
    late = run_bits(coarse(whole), [0, ENTER_LONG, EXIT_LONG], detail=at_the_end, fill="close")
    assert fills(late) == [(7, 108, 9, 110, "end")]
    timed = run_bits(coarse(whole), [ENTER_LONG, 0, 0], detail=without(whole, 7), fill="close", time_stop=1)
    assert fills(timed) == [(3, 103, 7, 108, "time_stop")]


def test_an_account_spends_nothing_on_a_decision_before_it_is_made() -> None:
    """Both buy for all there is at 01:00, A late: B has it at that close, before A's next open."""
    whole = quarters(*range(100, 112))
    result = run_signals(
        {"A": coarse(whole), "B": coarse(whole)},
        {"A": signals_of([ENTER_LONG, 0, 0]), "B": signals_of([ENTER_LONG, 0, 0])},
        spec_of(fill="close"),
        detail={"A": without(whole, 2, 3), "B": whole},
        jit=False,
    )
    assert fills(result) == [(3, 103, 11, 111, "end")]
    assert result.trades.instrument.tolist() == [1]
    assert result.metrics["entries_skipped"] == 1


def test_finer_bars_must_divide_the_bars_and_cover_each() -> None:
    hours = candles(100, 100)
    with pytest.raises(BarsError, match="do not divide"):
        run_bits(hours, [0, 0], detail=hours)
    with pytest.raises(BarsError, match="do not divide"):
        run_bits(hours, [0, 0], detail=candles(*[100] * 4, step=HOUR // 5 * 2))
    with pytest.raises(BarsError, match=rf"the bar at {MIDNIGHT + HOUR} ms \(row 1\) has no finer bar"):
        run_bits(hours, [0, 0], detail=quarters(*[100] * 4))
    with pytest.raises(BarsError, match="no finer bar"):
        run_bits(hours, [0, 0], detail=quarters(100).head(0))
