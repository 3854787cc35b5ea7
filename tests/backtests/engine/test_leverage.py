"""Leverage, liquidation and bankruptcy, worked by hand."""

from __future__ import annotations

import pytest

from apps.backtests.engine.kernel import ENTER_LONG, ENTER_SHORT
from tests.backtests.engine.specs import HOUR, MIDNIGHT, candles, fills, run_bits

IN = [ENTER_LONG, 0, 0, 0]


def test_leverage_multiplies_gains_and_losses() -> None:
    result = run_bits(candles(100, 100, 105, 110), IN, cash=1000, leverage=5)
    assert result.equity.tolist() == pytest.approx([1000, 1000, 1250, 1500])


def test_a_long_is_liquidated_where_equity_is_the_margin_of_its_value() -> None:
    """50 at 100 with 1000: 1000 + 50 (p - 100) = 0.05 * 50 p at p = 4000 / 47.5."""
    bars = candles(100, 100, (100, 100, 84, 90), 90)
    result = run_bits(bars, IN, cash=1000, leverage=5, maintenance_margin=0.05)
    price = 4000 / 47.5
    assert fills(result) == [(1, 100, 2, float(f"{price:.9g}"), "liquidation")]
    assert result.equity[-1] == pytest.approx(0.05 * 50 * price)
    spared = candles(100, 100, (100, 100, 84.3, 90), 90)
    assert fills(run_bits(spared, IN, cash=1000, leverage=5, maintenance_margin=0.05))[0][4] == "end"


def test_a_margin_of_nothing_liquidates_where_nothing_is_left() -> None:
    bars = candles(100, 100, (100, 100, 79, 90), 90)
    result = run_bits(bars, IN, cash=1000, leverage=5, maintenance_margin=0)
    assert fills(result) == [(1, 100, 2, 80, "liquidation")]
    assert result.equity[-1] == pytest.approx(0)


@pytest.mark.parametrize("side", [ENTER_LONG, ENTER_SHORT])
@pytest.mark.parametrize("price", [99.7, 100.0, 100.3, 31_234.5])
def test_what_rounding_leaves_of_nothing_is_not_traded_with(price: float, side: int) -> None:
    """All is lost at 80 % or 120 % of the entry price exactly; in binary more or less than all."""
    half, twice = price / 2, price * 2
    bars = candles(price, price, (price, twice, half, price), *[price] * 6)
    result = run_bits(bars, [side, 0, *[side, 15 - side] * 3, 0], cash=1000, leverage=5, maintenance_margin=0)
    assert [(trade[2], trade[4]) for trade in fills(result)] == [(2, "liquidation")]
    assert result.equity.tolist() == [1000, 1000, *[0] * 7]
    assert 0 <= result.metrics["written_off"] == pytest.approx(0, abs=1e-8)
    assert result.metrics["entries_skipped"] == 0


def test_a_short_is_liquidated_above_its_entry_also_without_leverage() -> None:
    """10 at 100 with 1000: 1000 - 10 (p - 100) = 0.05 * 10 p at p = 2000 / 10.5."""
    bars = candles(100, 100, (100, 191, 100, 100), 100)
    result = run_bits(bars, [ENTER_SHORT, 0, 0, 0], cash=1000, maintenance_margin=0.05)
    assert fills(result) == [(1, 100, 2, float(f"{2000 / 10.5:.9g}"), "liquidation")]


def test_a_liquidation_is_a_taker_fill_with_slippage() -> None:
    bars = candles(100, 100, (100, 100, 80, 80), 80)
    result = run_bits(bars, IN, cash=1000, leverage=5, maintenance_margin=0.05, slippage=0.001, maker=0.5 / 9)
    assert result.trades.rows(result.ts)[0]["reason"] == "liquidation"
    entry = 100.1
    size = 5000 / entry
    price = (size * entry - 1000) / (0.95 * size)
    assert result.trades.exit_price[0] == pytest.approx(price * 0.999)
    assert result.trades.commission[0] == 0


def test_a_gap_beyond_the_liquidation_price_fills_at_the_open_and_writes_off_the_debt() -> None:
    bars = candles(100, 100, (70, 75, 70, 75), 75)
    result = run_bits(bars, IN, cash=1000, leverage=5, maintenance_margin=0.005)
    assert fills(result) == [(1, 100, 2, 70, "liquidation")]
    assert result.metrics["written_off"] == pytest.approx(500)
    assert result.equity.tolist() == pytest.approx([1000, 1000, 0, 0])


def test_a_nearer_stop_comes_before_the_liquidation() -> None:
    bars = candles(100, 100, (100, 100, 70, 75), 75)
    result = run_bits(bars, IN, cash=1000, leverage=5, maintenance_margin=0.005, stop_loss=0.1)
    assert fills(result) == [(1, 100, 2, 90, "stop_loss")]


def test_without_a_margin_a_dip_is_survived_and_a_close_without_equity_is_not() -> None:
    bars = candles(100, 100, (100, 100, 50, 90), (90, 90, 50, 79), 100)
    result = run_bits(bars, [ENTER_LONG, 0, 0, 0, 0], cash=1000, leverage=5, maintenance_margin=None)
    assert fills(result) == [(1, 100, 3, 79, "bankruptcy")]
    assert result.equity.tolist() == pytest.approx([1000, 1000, 500, 0, 0])
    assert result.metrics["written_off"] == pytest.approx(50)


def test_after_a_liquidation_that_leaves_money_trading_goes_on() -> None:
    bars = candles(100, 100, (100, 100, 80, 80), 80, 80, 88)
    bits = [ENTER_LONG, 0, 0, ENTER_LONG, 0, 0]
    result = run_bits(bars, bits, cash=1000, leverage=5, maintenance_margin=0.05)
    assert [trade[4] for trade in fills(result)] == ["liquidation", "end"]
    left = 0.05 * 50 * 4000 / 47.5
    assert result.equity[-1] == pytest.approx(left * 1.5)


def test_a_paid_long_is_never_liquidated_unless_funding_uses_up_its_money() -> None:
    crash = candles(100, 100, (100, 100, 0.001, 0.001), 100)
    assert fills(run_bits(crash, IN, maintenance_margin=0.5))[0][4] == "end"
    bars = candles(100, 100, (100, 100, 4, 4), 100, start=MIDNIGHT + 6 * HOUR)
    result = run_bits(bars, IN, cash=1000, maintenance_margin=0.005, funding=0.05)
    # 50 are owed after the payment of 08:00: liquidated where 10 p - 50 is the margin of 10 p.
    assert fills(result) == [(1, 100, 2, float(f"{50 / 9.95:.9g}"), "liquidation")]
