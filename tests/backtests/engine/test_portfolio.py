"""Several instruments on one account, worked by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from apps.backtests.engine import Bars, BarsError, Result
from apps.backtests.engine.kernel import ENTER_LONG, ENTER_SHORT, EXIT_LONG
from apps.backtests.engine.run import run_signals
from tests.backtests.engine.specs import NAN, candles, fills, signals_of, spec_of


def run_two(
    first: Bars, second: Bars, bits: tuple[list[int], list[int]], signals: Any = None, **settings: Any
) -> Result:
    given = signals or [{}, {}]
    columns = {name: signals_of(bits[at], **given[at]) for at, name in enumerate("AB")}
    return run_signals({"A": first, "B": second}, columns, spec_of(**settings), jit=False)


def without(bars: Bars, *rows: int) -> Bars:
    keep = np.delete(np.arange(len(bars)), rows)
    columns = {name: getattr(bars, name)[keep] for name in ("ts", "open", "high", "low", "close", "volume")}
    return Bars(**columns, step=bars.step)


FLAT = candles(*[100] * 5)


def test_entries_of_one_moment_share_the_cash_in_order() -> None:
    """Each asks for 60 % of 1000; the second gets the 40 % that are left."""
    result = run_two(FLAT, FLAT, ([ENTER_LONG, 0, 0, 0, 0],) * 2, cash=1000, fraction=0.6)
    assert result.instruments == ("A", "B")
    assert sorted(zip(result.trades.instrument.tolist(), result.trades.size.tolist(), strict=True)) == [
        (0, pytest.approx(6)),
        (1, pytest.approx(4)),
    ]


def test_exits_free_cash_before_entries_of_the_same_open() -> None:
    """B leaves and A enters with all of it, though A comes first."""
    bits = ([0, ENTER_LONG, 0, 0, 0], [ENTER_LONG, EXIT_LONG, 0, 0, 0])
    result = run_two(FLAT, FLAT, bits, cash=1000)
    assert fills(result) == [(1, 100, 2, 100, "signal"), (2, 100, 4, 100, "end")]
    assert result.trades.instrument.tolist() == [1, 0]
    assert result.metrics["entries_skipped"] == 0


def test_equity_is_cash_and_all_positions_at_their_last_prices() -> None:
    first, second = candles(100, 100, 110, 120, 120), candles(50, 50, 50, 40, 40)
    bits = ([ENTER_LONG, 0, 0, 0, 0], [ENTER_SHORT, 0, 0, 0, 0])
    result = run_two(first, second, bits, cash=1000, fraction=0.5)
    # 5 A at 100 and 10 B at 50, short.
    assert result.equity.tolist() == pytest.approx([1000, 1000, 1050, 1200, 1200])


def test_an_instrument_without_a_bar_waits_and_keeps_its_price() -> None:
    """A has no bars 2 and 3: what was decided on bar 1 is done on bar 4, at 130."""
    first = without(candles(100, 100, 110, 120, 130), 2, 3)
    bits = ([ENTER_LONG, EXIT_LONG, 0], [0, 0, ENTER_LONG, 0, 0])
    result = run_two(first, FLAT, bits, cash=1000, fraction=0.5)
    assert fills(result) == [(1, 100, 4, 130, "signal"), (3, 100, 4, 100, "end")]
    assert result.equity.tolist() == pytest.approx([1000, 1000, 1000, 1000, 1150])
    assert result.trades.size.tolist() == pytest.approx([5, 5])


def test_an_order_of_an_instrument_without_bars_rests_meanwhile() -> None:
    first = without(candles(100, 100, 90, 90, (100, 100, 90, 100)), 2, 3)
    signals = [{"order": "limit", "long_price": [NAN, 95, NAN]}, {"order": "limit"}]
    result = run_two(first, FLAT, ([0, ENTER_LONG, 0], [0] * 5), signals)
    assert fills(result) == [(4, 95, 4, 100, "end")]


def test_a_position_of_an_instrument_that_ends_early_is_closed_at_its_last_price() -> None:
    first = without(candles(100, 100, 110, 1, 1), 3, 4)
    result = run_two(first, FLAT, ([ENTER_LONG, 0, 0], [0] * 5), cash=1000)
    assert fills(result) == [(1, 100, 4, 110, "end")]
    assert result.equity.tolist() == pytest.approx([1000, 1000, 1100, 1100, 1100])


def test_no_more_positions_are_opened_than_allowed_and_refusals_are_counted() -> None:
    bits = ([ENTER_LONG, EXIT_LONG, 0, 0, 0], [ENTER_LONG, 0, ENTER_LONG, 0, 0])
    result = run_two(FLAT, FLAT, bits, cash=1000, fraction=0.4, max_positions=1)
    assert fills(result) == [(1, 100, 2, 100, "signal"), (3, 100, 4, 100, "end")]
    assert result.trades.instrument.tolist() == [0, 1]
    assert result.metrics["entries_skipped"] == 1
    adding = run_two(
        FLAT, FLAT, ([ENTER_LONG] * 5, [0] * 5), cash=1000, fraction=0.2, max_positions=1, pyramiding=3
    )
    assert adding.trades.entries.tolist() == [4]


def test_the_margin_is_that_of_all_positions() -> None:
    """10 A long and 10 B long at 100 with 500: A's loss and gain of B count together.

    On bar 2 B opens at 110: 500 + 100 + 10 (p - 100) = 0.05 * (10 p + 1100) at p = 455 / 9.5.
    """
    settings = {"cash": 500, "fraction": 0.5, "leverage": 4, "maintenance_margin": 0.05}
    bits = ([ENTER_LONG, 0, 0, 0], [ENTER_LONG, 0, 0, 0])
    second = candles(100, 100, 110, 110)
    result = run_two(candles(100, 100, (100, 100, 40, 45), 45), second, bits, **settings)
    assert fills(result)[0] == (1, 100, 2, float(f"{455 / 9.5:.9g}"), "liquidation")
    spared = run_two(candles(100, 100, (100, 100, 48, 55), 55), second, bits, **settings)
    assert [trade[4] for trade in fills(spared)] == ["end", "end"]
    alone = run_two(candles(100, 100, (100, 100, 50, 70), 70), candles(*[100] * 4), bits, **settings)
    assert fills(alone)[0][2:] == (2, float(f"{550 / 9.5:.9g}"), "liquidation")


def test_a_bankrupt_account_leaves_all_positions_and_writes_off_once() -> None:
    bits = ([ENTER_LONG, 0, 0, 0, 0], [ENTER_LONG, 0, 0, 0, 0])
    first, second = candles(100, 100, 80, 80, 80), candles(100, 100, 60, 60, 60)
    result = run_two(first, second, bits, cash=500, fraction=0.5, leverage=4)
    assert [(trade[2], trade[4]) for trade in fills(result)] == [(2, "bankruptcy")] * 2
    assert result.equity.tolist() == pytest.approx([500, 500, 0, 0, 0])
    assert result.metrics["written_off"] == pytest.approx(100)


def test_finer_bars_must_be_of_the_same_instruments() -> None:
    with pytest.raises(BarsError, match="not of the same instruments"):
        run_signals({"A": FLAT}, {"A": signals_of([0] * 5)}, spec_of(), detail={"B": FLAT})


def test_an_instrument_alone_by_name_runs_as_without_a_name() -> None:
    signals = signals_of([ENTER_LONG, 0, EXIT_LONG, 0, 0])
    named = run_signals({"A": FLAT}, {"A": signals}, spec_of(), jit=False)
    assert named.fingerprint == run_signals(FLAT, signals, spec_of(), jit=False).fingerprint
