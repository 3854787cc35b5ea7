"""How much an entry buys, worked by hand."""

from __future__ import annotations

import pytest

from apps.backtests.engine import Sizing, SpecError
from apps.backtests.engine.kernel import ENTER_LONG, ENTER_SHORT
from tests.backtests.engine.specs import NAN, candles, fills, run_bits

IN = [ENTER_LONG, 0, 0]
FLAT = candles(100, 100, 100)


def size(**settings: object) -> float:
    result = run_bits(FLAT, IN, **settings)
    return float(result.trades.size.sum())


def test_equity_is_a_fraction_of_the_account_costs_included() -> None:
    assert size(cash=1000, fraction=0.5) == pytest.approx(5)
    assert size(cash=1000, commission=0.25) == pytest.approx(8)
    assert size(cash=1000, spread=0.25) == pytest.approx(8)
    assert size(cash=1000, fraction=0.5, leverage=4) == pytest.approx(20)


def test_cash_is_the_value_of_the_position_and_units_its_size() -> None:
    assert size(cash=1000, sizing=Sizing(type="cash", value=250)) == pytest.approx(2.5)
    assert size(cash=1000, sizing=Sizing(type="units", value=7)) == 7
    assert size(cash=1000, sizing=Sizing(type="cash", value=250), spread=0.25) == pytest.approx(2)


@pytest.mark.parametrize(("kind", "value"), [("cash", 1000.01), ("units", 10.0001)])
def test_an_amount_that_cannot_be_paid_for_is_not_entered_but_counted(kind: str, value: float) -> None:
    for asked, entered in ((value, 0), (value - 0.01, 1)):
        result = run_bits(FLAT, IN, cash=1000, sizing=Sizing(type=kind, value=asked))
        assert len(result.trades) == entered
        assert result.metrics["entries_skipped"] == 1 - entered
    assert size(cash=1000, sizing=Sizing(type=kind, value=value), leverage=2) == pytest.approx(10, rel=1e-4)


def test_risk_loses_its_fraction_of_equity_at_the_stop() -> None:
    """2 % of 10,000 are lost by 40 units over a distance of 5."""
    bars = candles(100, 100, (100, 100, 90, 92))
    result = run_bits(bars, IN, sizing=Sizing(type="risk", value=0.02), stop_loss=0.05)
    assert fills(result) == [(1, 100, 2, 95, "stop_loss")]
    assert result.trades.size.tolist() == pytest.approx([40])
    assert result.trades.pnl.tolist() == pytest.approx([-200])
    short = run_bits(FLAT, [ENTER_SHORT, 0, 0], sizing=Sizing(type="risk", value=0.02), stop_loss=[8, 8, 8])
    assert short.trades.size.tolist() == pytest.approx([-25])


def test_risk_buys_no_more_than_the_account_can_pay() -> None:
    narrow = {"stop_loss": 0.001, "sizing": Sizing(type="risk", value=0.02)}
    assert size(**narrow) == pytest.approx(100)
    assert size(**narrow, leverage=1.5) == pytest.approx(150)
    assert size(**narrow, leverage=25) == pytest.approx(2000)


def test_risk_without_a_known_stop_or_beyond_it_is_not_entered() -> None:
    risk = Sizing(type="risk", value=0.02)
    for settings in (
        {"stop_loss": [NAN, 5, 5]},
        {"stop_loss": [0, 5, 5]},
        {"stop_loss": 0.05, "base": "signal_close", "bars": candles(100, 94, 94)},
    ):
        result = run_bits(settings.pop("bars", FLAT), IN, sizing=risk, **settings)
        assert (len(result.trades), result.metrics["entries_skipped"]) == (0, 1)


def test_risk_needs_a_stop() -> None:
    with pytest.raises(SpecError, match=r"^sizing.type risk needs a stop-loss"):
        run_bits(FLAT, IN, sizing=Sizing(type="risk", value=0.02))


@pytest.mark.parametrize(
    ("kind", "value", "expected"), [("equity", 0.999, 9.75), ("cash", 999.0, 9.75), ("units", 9.99, 9.75)]
)
def test_every_size_is_rounded_down_to_lots(kind: str, value: float, expected: float) -> None:
    assert size(cash=1000, sizing=Sizing(type=kind, value=value, lot=0.75)) == expected


def test_additions_take_their_fraction_of_the_equity_of_the_moment() -> None:
    """A tenth of 10,000 at 100, then, at 200, a tenth of 11,000."""
    bars = candles(100, 100, 200, 200)
    result = run_bits(bars, [ENTER_LONG, ENTER_LONG, 0, 0], pyramiding=1, fraction=0.1)
    assert result.trades.size.tolist() == pytest.approx([10 + 5.5])
    assert result.trades.entry_price.tolist() == pytest.approx([(10 * 100 + 5.5 * 200) / 15.5])
    assert result.equity.tolist() == pytest.approx([10_000, 10_000, 11_000, 11_000])
