"""Random strategies and settings, here and in backtesting.py, live in the same process.

Both get the same bits, prices of orders and levels, bar by bar; equity of every bar and every trade are
compared. What the two mean differently is avoided by construction:

- An order of the last bar is filled at that same bar's open there: nothing is decided on the last bar.
- Bar 0 is never shown to a strategy there: nothing is decided on it.
- Positions still open are closed at the last open there (``last_open`` here), at the close before with
  ``trade_on_close``: there all is left before the end. Here what began inside the last bar is closed at
  its close: limit and stop orders expire before it.
- The levels of limit and stop entries count from the next bar there: with levels, bars are so narrow
  that none is reached before.
- A bar that opens beyond the target and reaches the stop is a stop there, a target here: where one bar can
  hold both levels, bars open at the close before. Which came first inside a bar is read
  pessimistically by both.
- A size as a fraction counts a fixed commission divided by the fraction, and the commission on the
  price without spread, there: fixed commission, and spread with commission, come with sizes in units,
  of which the account can pay for any number.
- Trailing stops are what a strategy makes of ``trade.sl`` there. It sets the first from the signal's
  close with the order, so that it counts on the entry bar as here.
- With ``trade_on_close`` fees are paid and sizes found one bar later there: equity is not compared on
  bars with a fill at their close.
- Exits carry no slippage, makers no fees of their own, and there is no liquidation there.
"""

from __future__ import annotations

import math
import random
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from apps.backtests.engine import Bars, Result, Sizing, Spec
from apps.backtests.engine.run import run_signals
from apps.backtests.engine.strategies import Signals
from apps.backtests.engine.trades import REASONS
from tests.backtests.engine.specs import HOUR, MIDNIGHT, signals_of, spec_of

with warnings.catch_warnings():
    # Its plotting half warns of what this interpreter and these versions deprecate.
    warnings.simplefilter("ignore", DeprecationWarning)
    from backtesting import Backtest, Strategy

CASES = 400
ENTER_LONG, EXIT_LONG, ENTER_SHORT, EXIT_SHORT = 1, 2, 4, 8


@dataclass(frozen=True, kw_only=True)
class Case:
    bars: Bars
    signals: Signals
    spec: Spec
    exclusive: bool  # let their broker cancel and close, instead of the strategy

    @property
    def at_close(self) -> bool:
        return self.spec.execution.fill == "close"


class Mirror(Strategy):  # type: ignore[misc]
    """Does with their broker what the bits of a case say."""

    case: Case | None = None

    def init(self) -> None:
        self.bars_left = 0

    def next(self) -> None:
        assert self.case is not None
        i, signals, close = len(self.data) - 1, self.case.signals, float(self.data.Close[-1])
        bits = int(signals.bits[i])
        trade = self.trades[0] if self.trades else None
        resting = [order for order in self.orders if order.parent_trade is None]
        if resting:
            self.bars_left -= 1
            if self.bars_left == 0:
                resting.pop().cancel()
        leaves = False
        if trade is not None:
            if signals.trailing is not None:
                side = 1 if trade.is_long else -1
                level = close * (1 - side * signals.trailing.fraction)
                if side * level > side * trade.sl:
                    trade.sl = level
            held = i - trade.entry_bar + (not self.case.at_close)
            leaves = bool(bits & (EXIT_LONG | ENTER_SHORT if trade.is_long else EXIT_SHORT | ENTER_LONG))
            leaves = leaves or 0 < signals.time_stop <= held
            if leaves:
                trade.close()
        if trade is None or leaves:
            self.order(i, bits, close, resting)

    def order(self, i: int, bits: int, close: float, resting: list[Any]) -> None:
        assert self.case is not None
        signals, sizing = self.case.signals, self.case.spec.sizing
        side = 0
        if bits & ENTER_LONG and not bits & (EXIT_LONG | ENTER_SHORT):
            side = 1
        elif bits & ENTER_SHORT and not bits & (EXIT_SHORT | ENTER_LONG):
            side = -1
        for order in resting:
            against = EXIT_LONG | ENTER_SHORT if order.is_long else EXIT_SHORT | ENTER_LONG
            if (side and not self.case.exclusive) or (not side and bits & against):
                order.cancel()
        if not side:
            return
        price = None
        if signals.order != "market":
            prices = signals.long_price if side > 0 else signals.short_price
            assert prices is not None
            price = float(prices[i])
            if math.isnan(price):
                for order in [order for order in self.orders if order.parent_trade is None]:
                    order.cancel()
                return
        stops = [level.fraction for level in (signals.stop_loss, signals.trailing) if level]
        levels = {
            "sl": side * max(side * close * (1 - side * stop) for stop in stops) if stops else None,
            "tp": close * (1 + side * signals.take_profit.fraction) if signals.take_profit else None,
        }
        place = self.buy if side > 0 else self.sell
        size = sizing.value if sizing.value != 1 or sizing.type == "units" else self._FULL_EQUITY
        place(
            size=size,
            **{"market": {}, "limit": {"limit": price}, "stop": {"stop": price}}[signals.order],
            **levels,
        )
        self.bars_left = signals.valid_bars


def theirs(case: Case) -> tuple[NDArray[np.float64], list[tuple[float, ...]]]:
    """Equity and trades (entry bar, exit bar, size, prices, gain, commission) of backtesting.py."""
    bars, costs = case.bars, case.spec.costs
    frame = pd.DataFrame(
        {"Open": bars.open, "High": bars.high, "Low": bars.low, "Close": bars.close, "Volume": bars.volume},
        index=pd.to_datetime(bars.ts, unit="ms"),
    )
    backtest = Backtest(
        frame,
        Mirror,
        cash=case.spec.cash,
        spread=costs.spread,
        commission=(costs.fixed, costs.taker),
        margin=1 / case.spec.leverage,
        trade_on_close=case.at_close,
        exclusive_orders=case.exclusive,
        finalize_trades=True,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"time=\d+: Broker canceled the", UserWarning)
        broker = backtest.run(case=case)["_strategy"]._broker
    equity = broker._equity.copy()
    equity[0] = case.spec.cash
    return equity, [
        (trade.entry_bar, trade.exit_bar, trade.size, trade.entry_price, trade.exit_price, trade.pl,
         trade._commissions)
        for trade in broker.closed_trades
    ]  # fmt: skip


class Draw:
    """Random cases within what the two engines mean alike."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)

    def case(self) -> Case:
        dice = self.dice
        order = dice.choice(("market", "market", "limit", "stop"))
        leveled = dice.random() < 0.7
        # Narrow bars with gaps; wide ones without; wide ones with gaps, where no target can be in question.
        regime = "narrow" if order != "market" and leveled else dice.choice(("narrow", "wide", "gaps"))
        count = dice.randrange(40, 120)
        bars = self.bars(count, regime)
        levels = self.levels(order, regime) if leveled else {}
        at_close = order == "market" and dice.random() < 0.3
        valid_bars = dice.choice((1, 2, 3))
        settings: dict[str, Any] = {}
        if order != "market":
            way = -1 if order == "limit" else 1
            settings = {
                "order": order,
                "valid_bars": valid_bars,
                "long_price": self.prices(bars, way),
                "short_price": self.prices(bars, -way),
            }
        bits = self.bits(bars)
        bits[0] = bits[-1] = 0
        if order != "market":
            bits[-1 - valid_bars :] = [bit & ~(ENTER_LONG | ENTER_SHORT) for bit in bits[-1 - valid_bars :]]
        if at_close:
            bits[-2] = EXIT_LONG | EXIT_SHORT
        signals = signals_of(
            bits, base="signal_close", time_stop=dice.choice((0, 0, 0, 1, 4, 9)), **levels, **settings
        )
        spec = self.spec(at_close, spread_below=min(levels.values(), default=1.0))
        return Case(bars=bars, signals=signals, spec=spec, exclusive=dice.random() < 0.5)

    def bars(self, count: int, regime: str) -> Bars:
        dice = self.dice
        gap, body, wick = {
            "narrow": (0.004, 0.006, 0.003),
            "wide": (0.0, 0.03, 0.03),
            "gaps": (0.04, 0.03, 0.03),
        }[regime]
        rows, close = [], dice.uniform(20, 400)
        for _ in range(count):
            opened = close * (1 + dice.uniform(-gap, gap)) if dice.random() < 0.6 else close
            close = opened * (1 + dice.uniform(-body, body))
            high = max(opened, close) * (1 + dice.choice((0, dice.uniform(0, wick))))
            low = min(opened, close) * (1 - dice.choice((0, dice.uniform(0, wick))))
            rows.append((opened, high, low, close))
        table = np.array(rows)
        return Bars(
            ts=MIDNIGHT + HOUR * np.arange(count),
            **dict(zip(("open", "high", "low", "close"), table.T, strict=True)),
            volume=np.ones(count),
        )

    def levels(self, order: str, regime: str) -> dict[str, float]:
        dice = self.dice
        low, high = (0.055, 0.1) if order != "market" else (0.012, 0.05)
        names = ["stop_loss", "take_profit", "trailing"]
        if regime == "gaps":
            # Without stops or without a target a gap leaves nothing to disagree on.
            names = dice.choice((["stop_loss", "trailing"], ["take_profit"]))
        chosen = [name for name in names if dice.random() < 0.7]
        return {name: dice.uniform(low, high) for name in chosen}

    def prices(self, bars: Bars, way: int) -> list[float]:
        dice = self.dice
        return [
            math.nan if dice.random() < 0.1 else close * (1 + way * dice.uniform(0.0005, 0.01))
            for close in bars.close.tolist()
        ]

    def bits(self, bars: Bars) -> list[int]:
        """Random bits, a cross of averages, or a return to the mean."""
        dice, closes = self.dice, pd.Series(bars.close)
        kind = dice.choice(("random", "cross", "return"))
        both = dice.random() < 0.6
        up_bits = ENTER_LONG | (EXIT_SHORT if dice.random() < 0.5 else 0)
        down_bits = (ENTER_SHORT if both else 0) | EXIT_LONG
        if kind == "random":
            often = dice.choice((0.2, 0.6))
            return [
                dice.choice((1, 4, 2, 8, 9, 6, dice.randrange(16))) if dice.random() < often else 0
                for _ in range(len(bars))
            ]
        slow = closes.rolling(dice.randrange(4, 12)).mean()
        if kind == "cross":
            above = closes.rolling(dice.randrange(1, 4)).mean() > slow
            up, down = above & ~above.shift(1, fill_value=True), ~above & above.shift(1, fill_value=False)
        else:
            away = dice.uniform(0.001, 0.01)
            up, down = closes < slow * (1 - away), closes > slow * (1 + away)
        return [up_bits * bool(u) + down_bits * bool(d) for u, d in zip(up, down, strict=True)]

    def spec(self, at_close: bool, spread_below: float) -> Spec:
        dice = self.dice
        spread = dice.choice((0.0, 0.0, min(0.0008, spread_below / 2)))
        if dice.random() < 0.6:
            cash, sizing = (
                dice.choice((5_000.0, 98_765.43)),
                Sizing(value=dice.choice((1.0, 1.0, 0.4)), lot=1),
            )
            commission, fixed = (0.0 if spread else dice.choice((0.0, 0.002))), 0.0
        else:
            cash, sizing = 1e6, Sizing(type="units", value=float(dice.randrange(1, 20)), lot=1)
            commission, fixed = dice.choice((0.0, 0.002)), dice.choice((0.0, 3.5))
        return spec_of(
            cash=cash,
            sizing=sizing,
            spread=spread,
            commission=commission,
            fixed=fixed,
            leverage=dice.choice((1.0, 1.0, 2.0) if at_close else (1.0, 1.0, 2.0, 20.0)),
            fill="close" if at_close else "next_open",
            finalise="last_open",
        )


def assert_agree(case: Case, result: Result) -> int:
    equity, trades = theirs(case)
    ours = result.trades
    rows = zip(
        ours.entry_bar, ours.exit_bar, ours.size, ours.entry_price, ours.exit_price, ours.pnl,
        ours.commission, strict=True,
    )  # fmt: skip
    assert len(ours) == len(trades)
    for row, expected in zip(rows, trades, strict=True):
        assert row == pytest.approx(expected, rel=1e-9, abs=1e-9 * case.spec.cash)
        assert row[:3] == expected[:3]
    compared = np.ones(len(equity), np.bool_)
    if case.at_close:
        compared[ours.entry_bar] = compared[ours.exit_bar] = False
    np.testing.assert_allclose(
        result.equity[compared], equity[compared], rtol=1e-9, atol=1e-9 * case.spec.cash
    )
    return len(trades)


def test_random_strategies_and_settings_agree(
    monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    # Their statistics are compared in test_parity; here they would take most of the time.
    monkeypatch.setattr(
        "backtesting.backtesting.compute_stats",
        lambda strategy_instance, **_: {"_strategy": strategy_instance},
    )
    draw = Draw(6)
    seen: Counter[str] = Counter()
    for _ in range(CASES):
        case = draw.case()
        result = run_signals(case.bars, case.signals, case.spec)
        compared = assert_agree(case, result)
        seen["trades"] += compared
        seen[case.signals.order] += compared
        seen[case.spec.execution.fill] += compared
        seen["leverage"] += compared * (case.spec.leverage > 1)
        seen["ambiguous"] += result.ambiguous
        seen.update(REASONS[code] for code in result.trades.reason.tolist())
    record_property("compared", dict(seen))
    assert seen["trades"] > 3000
    for name in ("market", "limit", "stop", "close", "leverage", "signal", "stop_loss", "trailing"):
        assert seen[name] > 200, name
    for name in ("take_profit", "time_stop", "end"):
        assert seen[name] > 100, name
    assert seen["ambiguous"] > 10
    assert seen["bankruptcy"] > 2
