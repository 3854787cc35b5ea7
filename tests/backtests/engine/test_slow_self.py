"""The engine against a slow and obvious account in exact rational arithmetic.

Nothing is shared with the engine but the meaning of its settings: averages are sums of decimal
prices, money is fractions, and every bar is handled by plain if-statements.
"""

from __future__ import annotations

import gzip
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from apps.backtests.engine import Bars, Result, Spec, run
from apps.backtests.engine.run import run_signals
from apps.backtests.engine.strategies import STRATEGIES, Signals
from tests.backtests.engine.specs import spec_of

BarsOf = Callable[..., Bars]

RECORDED = Path(__file__).parents[4] / "shared" / "data" / "binanceus_btcusdt_1m_2023-03-01_2023-03-21.csv.gz"


@dataclass
class Account:
    """Money and at most one position, as a person would keep the books."""

    cash: Fraction
    commission: Fraction
    spread: Fraction
    slippage: Fraction
    fraction: Fraction
    lot: Fraction
    units: Fraction = Fraction(0)
    paid: Fraction = Fraction(0)
    entry_fee: Fraction = Fraction(0)
    entered: int = -1
    bankrupt: bool = False
    trades: list[tuple[int, int, Fraction, Fraction, Fraction, Fraction]] = field(default_factory=list)

    def buy_or_short(self, bar: int, price: Fraction, side: int) -> None:
        fill = price * (1 + side * (self.spread + self.slippage))
        units = self.cash * self.fraction / (fill + fill * self.commission)
        if self.lot:
            units = math.floor(units / self.lot) * self.lot
        if units > 0:
            self.units, self.paid, self.entered = side * units, fill, bar
            self.entry_fee = units * fill * self.commission
            self.cash -= self.entry_fee

    def close(self, bar: int, price: Fraction) -> None:
        side = 1 if self.units > 0 else -1
        fill = price * (1 - side * self.slippage)
        fee = abs(self.units) * fill * self.commission
        gain = self.units * (fill - self.paid)
        self.cash += gain - fee
        self.trades.append((self.entered, bar, self.units, self.paid, fill, gain - fee - self.entry_fee))
        self.units = Fraction(0)
        if self.cash <= 0:
            self.cash, self.bankrupt = Fraction(0), True

    def worth(self, price: Fraction) -> Fraction:
        return self.cash + (self.units * (price - self.paid) if self.units else 0)


def slowly(
    bars: Bars, decisions: list[tuple[bool, bool, bool, bool]], spec: Spec
) -> tuple[list[float], Account]:
    """Equity and account after *decisions* (enter long, exit long, enter short, exit short) per bar."""
    costs, sizing = spec.costs, spec.sizing
    settings = (spec.cash, costs.taker, costs.spread, costs.slippage, sizing.value, sizing.lot)
    account = Account(*map(Fraction, settings))
    opens, closes = [list(map(Fraction, column.tolist())) for column in (bars.open, bars.close)]
    equity: list[Fraction] = []
    for i in range(len(bars)):
        if i > 0 and not account.bankrupt:
            enter_long, exit_long, enter_short, exit_short = decisions[i - 1]
            long_ends = account.units > 0 and (exit_long or enter_short)
            short_ends = account.units < 0 and (exit_short or enter_long)
            if long_ends or short_ends:
                account.close(i, opens[i])
            if account.units == 0 and not account.bankrupt:
                if enter_long and not exit_long and not enter_short:
                    account.buy_or_short(i, opens[i], 1)
                if enter_short and not exit_short and not enter_long:
                    account.buy_or_short(i, opens[i], -1)
        if account.units and account.worth(closes[i]) <= 0:
            account.close(i, closes[i])
        equity.append(account.worth(closes[i]))
    if account.units:
        account.close(len(bars) - 1, closes[-1])
        equity[-1] = account.cash
    return [float(value) for value in equity], account


def assert_equal(result: Result, equity: list[float], account: Account) -> None:
    assert result.equity.tolist() == pytest.approx(equity, rel=1e-9, abs=1e-6)
    trades = result.trades
    assert len(trades) == len(account.trades)
    columns = (trades.entry_bar, trades.exit_bar, trades.size, trades.entry_price, trades.exit_price)
    for row, expected in zip(zip(*columns, strict=True), account.trades, strict=True):
        assert list(row) == pytest.approx([float(value) for value in expected[:5]], rel=1e-9)
    expected_pnl = [float(trade[5]) for trade in account.trades]
    assert trades.pnl.tolist() == pytest.approx(expected_pnl, rel=1e-9, abs=1e-6)


def test_random_decisions_on_random_prices(bars_of: BarsOf) -> None:
    """All sixteen combinations of bits, wild prices, every setting; bankruptcies among them."""
    dice = random.Random(1)
    bankruptcies = 0
    for _ in range(150):
        count = dice.randrange(2, 40)
        opens, closes = ([round(100 * math.exp(dice.gauss(0, 0.4)), 3) for _ in range(count)] for _ in "oc")
        bars = bars_of(closes, opens)
        bits = [dice.choice((0, 0, 1, 4, dice.randrange(16))) for _ in range(count)]
        spec = spec_of(
            params={"fast": 1, "slow": 2},
            cash=dice.choice((1000.0, 54_321.98)),
            commission=dice.choice((0.0, 0.0011)),
            spread=dice.choice((0.0, 0.0007)),
            slippage=dice.choice((0.0, 0.0013)),
            fraction=dice.choice((1.0, 0.35)),
            lot=dice.choice((0.0, 0.01, 1.0)),
        )
        result = run_signals(bars, Signals(bits=np.array(bits, np.uint8), warmup=0), spec)
        decisions = [tuple(bool(bit & mask) for mask in (1, 2, 4, 8)) for bit in bits]
        equity, account = slowly(bars, decisions, spec)
        assert_equal(result, equity, account)
        bankruptcies += account.bankrupt
    assert 5 < bankruptcies < 100


def decimal_decisions(bars: Bars, spec: Spec) -> list[tuple[bool, bool, bool, bool]]:
    """Crossings of averages of the decimal prices, each sum over its window from scratch."""
    cents = [round(price * 100) for price in bars.close.tolist()]
    fast, slow, both = spec.params["fast"], spec.params["slow"], spec.params["direction"] == "long_short"
    gaps = [
        sum(cents[i - fast + 1 : i + 1]) * slow - sum(cents[i - slow + 1 : i + 1]) * fast
        for i in range(slow - 1, len(cents))
    ]
    decisions = [(False, False, False, False)] * slow
    for before, now in pairwise(gaps):
        up, down = before <= 0 < now, before >= 0 > now
        decisions.append((up, down, down and both, up and both))
    return decisions


def bits_of(decisions: list[tuple[bool, bool, bool, bool]]) -> list[int]:
    return [sum(mask * flag for mask, flag in zip((1, 2, 4, 8), row, strict=True)) for row in decisions]


@pytest.mark.parametrize("direction", ["long", "long_short"])
@pytest.mark.parametrize(("fast", "slow"), [(1, 2), (3, 7), (10, 30)])
def test_the_whole_strategy_on_random_walks(
    walk: Callable[[int, int], Bars], fast: int, slow: int, direction: str
) -> None:
    spec = spec_of(
        params={"fast": fast, "slow": slow, "direction": direction},
        commission=0.0004,
        slippage=0.0002,
        lot=0.001,
    )
    for seed in range(3):
        bars = walk(400, seed)
        decisions = decimal_decisions(bars, spec)
        assert STRATEGIES["sma_cross"].signals(bars, spec.params).bits.tolist() == bits_of(decisions)
        result = run(bars, spec)
        assert len(result.trades) > 3
        assert_equal(result, *slowly(bars, decisions, spec))


@pytest.mark.skipif(not RECORDED.exists(), reason="the recorded minutes lie outside the repository")
@pytest.mark.parametrize("direction", ["long", "long_short"])
def test_recorded_minutes_of_a_real_market(direction: str) -> None:
    """Signals on 30,240 recorded minutes, and the books over their first 4,000."""
    with gzip.open(RECORDED, "rt") as lines:
        table = [line.split(",") for line in lines.read().splitlines()[1:]]
    times = np.array([int(datetime.fromisoformat(row[0]).timestamp() * 1000) for row in table])
    names = ("open", "high", "low", "close", "volume")
    columns = {name: np.array([float(row[at]) for row in table]) for at, name in enumerate(names, 1)}
    bars = Bars(ts=times, **columns)
    assert len(bars) > 30_000
    params = {"fast": 10, "slow": 30, "direction": direction}
    spec = spec_of(strategy="sma_cross", params=params, commission=0.0001)
    decisions = decimal_decisions(bars, spec)
    assert STRATEGIES["sma_cross"].signals(bars, spec.params).bits.tolist() == bits_of(decisions)
    compiled_or_not = {run(bars, spec, jit=jit).fingerprint for jit in (None, False)}
    assert len(compiled_or_not) == 1
    first = bars.head(4000)
    assert_equal(run(first, spec), *slowly(first, decisions[:4000], spec))
