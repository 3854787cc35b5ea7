"""Random cases for the engine and the slow account, and both run on them."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from apps.backtests.engine import Bars, Sizing, Spec, Trades, kernel
from apps.backtests.engine.bars import Floats
from apps.backtests.engine.feed import feed_of
from apps.backtests.engine.simulation import Simulation
from apps.backtests.engine.strategies import Signals
from apps.backtests.engine.strategies.base import Level
from tests.backtests.engine.slow import Account, Bar, Decision, Rules
from tests.backtests.engine.specs import spec_of

HOUR = 3_600_000
START = 1_700_006_400_000  # 2023-11-15 00:00 UTC, a funding time


@dataclass(frozen=True, kw_only=True)
class Case:
    """Instruments in order, each with bars, finer bars or None, and signals; one specification."""

    bars: list[Bars]
    detail: list[Bars] | None
    signals: list[Signals]
    spec: Spec


@dataclass(frozen=True, kw_only=True)
class Outcome:
    equity: Floats
    trades: Trades
    skipped: int
    ambiguous: int
    written_off: float
    account: list[float]  # by the kernel's indices


def simulated(
    case: Case,
    *,
    optimistic: bool,
    jit: bool | None = None,
    cuts: tuple[int, ...] = (),
    record: bool = True,
) -> Outcome:
    """What the engine makes of a case; the bars are run in pieces that end at *cuts*."""
    fine = case.detail or [None] * len(case.bars)
    feeds = [
        feed_of(bars, signals, detail=detail, funding=case.spec.costs.funding)
        for bars, signals, detail in zip(case.bars, case.signals, fine, strict=True)
    ]
    simulation = Simulation(case.spec, feeds, jit=jit, optimistic=optimistic, record=record)
    equity = np.empty(len(simulation.ts))
    for stop in (*sorted(cut for cut in cuts if cut < len(equity)), len(equity)):
        simulation.advance(stop, equity[simulation.bars : stop])
    equity[-1] = simulation.finish()
    return Outcome(
        equity=equity,
        trades=Trades.of(simulation.table()),
        skipped=int(simulation.account(kernel.SKIPPED)),
        ambiguous=int(simulation.account(kernel.AMBIGUOUS)),
        written_off=simulation.account(kernel.WRITTEN_OFF),
        account=[simulation.account(index) for index in range(kernel.ACCOUNT)],
    )


def decimal(value: float) -> Fraction:
    """A setting as a person reads it: 0.1 is one tenth."""
    return Fraction(repr(value))


def rules_of(spec: Spec, signals: Signals, *, optimistic: bool) -> Rules:
    def level(given: Level | None) -> tuple[str, Fraction | None] | None:
        if given is None:
            return None
        return ("fraction", decimal(given.fraction)) if given.distance is None else ("distance", None)

    costs, sizing, margin = spec.costs, spec.sizing, spec.maintenance_margin
    return Rules(
        cash=decimal(spec.cash),
        sizing=sizing.type,
        value=decimal(sizing.value),
        lot=decimal(sizing.lot),
        leverage=decimal(spec.leverage),
        maintenance=None if margin is None else decimal(margin),
        pyramiding=spec.pyramiding,
        max_positions=spec.max_positions,
        maker=decimal(costs.maker),
        taker=decimal(costs.taker),
        fixed=decimal(costs.fixed),
        spread=decimal(costs.spread),
        slippage=decimal(costs.slippage),
        funding=decimal(costs.funding),
        fill_at_close=spec.execution.fill == "close",
        optimistic=optimistic,
        finalise=spec.execution.finalise,
        order=signals.order,
        valid_bars=signals.valid_bars,
        stop=level(signals.stop_loss),
        target=level(signals.take_profit),
        trail=level(signals.trailing),
        time_stop=signals.time_stop,
        base_is_close=signals.base == "signal_close",
    )


def slowly(case: Case, *, optimistic: bool) -> Account:
    """What the slow account makes of a case."""
    filled_on = case.detail or case.bars
    times = sorted({int(ts) for bars in filled_on for ts in bars.ts})
    bars: list[list[Bar | None]] = []
    decisions: list[list[Decision | None]] = []
    for coarse, fine, signals in zip(case.bars, filled_on, case.signals, strict=True):
        by_time = {}
        columns = zip(fine.ts, fine.open, fine.high, fine.low, fine.close, strict=True)
        for ts, *prices in columns:
            by_time[int(ts)] = Bar(int(ts), *(Fraction(float(price)) for price in prices))
        decided = {}
        for row, ts in enumerate(coarse.ts.tolist()):
            inside = [time for time in range(ts, ts + coarse.step, fine.step) if time in by_time]
            late = inside[-1] + fine.step < ts + coarse.step
            decided[inside[-1]] = decision_of(signals, row, late=late)
        bars.append([by_time.get(time) for time in times])
        decisions.append([decided.get(time) for time in times])
    rules = rules_of(case.spec, case.signals[0], optimistic=optimistic)
    return Account(rules, bars, decisions).run()


def decision_of(signals: Signals, row: int, *, late: bool) -> Decision:
    def value(column: Floats | None) -> Fraction | None:
        number = math.nan if column is None else float(column[row])
        return None if math.isnan(number) else Fraction(number)

    bits = int(signals.bits[row])
    levels = (signals.stop_loss, signals.take_profit, signals.trailing)
    distances = (value(level.distance if level else None) for level in levels)
    prices = (value(signals.long_price), value(signals.short_price))
    return Decision(*(bool(bits & mask) for mask in (1, 2, 4, 8)), *prices, *distances, late=late)


class Draw:
    """Random cases from one seed: wild prices and gaps, every setting, missing bars, finer bars."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)

    def case(self) -> Case:
        dice = self.dice
        width = dice.choice((1, 1, 2, 3))
        count = dice.randrange(3, 36)
        finer = dice.choice((1, 1, 1, 2, 4))
        step = dice.choice((HOUR, 4 * HOUR))
        start = START + HOUR * dice.randrange(24)
        wildness = dice.choice((0.004, 0.03, 0.03, 0.15, 0.4))
        missing = dice.choice((0.0, 0.0, 0.2)) if finer == 1 else 0.0
        price = dice.choice((1.2345, 100.0, 31_234.5))
        base = [self.bars(start, step, count, price, wildness, missing) for _ in range(width)]
        detail = None
        if finer > 1:
            detail = [self.finer(bars, finer, wildness) for bars in base]
        style = self.style()
        signals = [self.signals(bars, style, wildness) for bars in base]
        return Case(bars=base, detail=detail, signals=signals, spec=self.spec(style, width, price))

    def bars(self, start: int, step: int, count: int, price: float, wildness: float, missing: float) -> Bars:
        dice = self.dice
        price *= dice.uniform(0.5, 2)
        rows = []
        for i in range(count):
            if dice.random() < missing and len(rows) + count - i > 2:
                continue
            rows.append((start + step * i, *self.bar(price, wildness)))
            price = rows[-1][4]
        return bars_of_rows(rows, step)

    def bar(self, before: float, wildness: float) -> tuple[float, float, float, float]:
        dice = self.dice
        opened = before
        if dice.random() < 0.4:
            opened *= math.exp(dice.gauss(0, wildness))
        closed = opened * math.exp(dice.gauss(0, wildness))
        high, low = max(opened, closed), min(opened, closed)
        if dice.random() < 0.8:
            high *= math.exp(abs(dice.gauss(0, wildness)))
        if dice.random() < 0.8:
            low *= math.exp(-abs(dice.gauss(0, wildness)))
        return opened, high, low, closed

    def finer(self, bars: Bars, finer: int, wildness: float) -> Bars:
        """Bars inside each bar, some missing; what the coarse bars say of prices does not matter."""
        dice, step, price = self.dice, bars.step // finer, float(bars.open[0])
        rows = []
        for ts in bars.ts.tolist():
            parts = [part for part in range(finer) if dice.random() < 0.8] or [dice.randrange(finer)]
            for part in parts:
                rows.append((ts + part * step, *self.bar(price, wildness / math.sqrt(finer))))
                price = rows[-1][4]
        return bars_of_rows(rows, step)

    def style(self) -> dict[str, Any]:
        """What the signals of all instruments have in common."""
        dice = self.dice
        often = (
            (None, None, None, "fraction")
            if dice.random() < 0.3
            else (None, "fraction", "fraction", "distance")
        )
        kinds = [dice.choice(often) for _ in range(3)]
        return {
            "order": dice.choice(("market", "market", "limit", "stop")),
            "kinds": kinds,
            "fractions": [dice.choice((0.005, 0.02, 0.1)) for _ in kinds],
            "valid_bars": dice.choice((1, 2, 5)),
            "time_stop": dice.choice((0, 0, 1, 3, 8)),
            "base": dice.choice(("fill", "signal_close")),
            "often": dice.choice((0.15, 0.5)),
        }

    def signals(self, bars: Bars, style: dict[str, Any], wildness: float) -> Signals:
        dice, count = self.dice, len(bars)

        def column(values: list[float]) -> Floats:
            return np.array([math.nan if dice.random() < 0.1 else value for value in values])

        def prices(way: int) -> Floats:
            offsets = [dice.choice((0.0, abs(dice.gauss(0, wildness)))) for _ in range(count)]
            closes = zip(bars.close.tolist(), offsets, strict=True)
            return column([close * (1 + way * offset) for close, offset in closes])

        levels = []
        for kind, fraction in zip(style["kinds"], style["fractions"], strict=True):
            if kind == "distance":
                sizes = [dice.uniform(0.2, 3) * wildness * close for close in bars.close.tolist()]
                levels.append(Level(distance=column(sizes)))
            else:
                levels.append(None if kind is None else Level(fraction=fraction))
        way = {"market": 0, "limit": -1, "stop": 1}[style["order"]]
        bits = [
            dice.choice((1, 1, 4, 2, 8, 9, 6, dice.randrange(16))) if dice.random() < style["often"] else 0
            for _ in range(count)
        ]
        return Signals(
            bits=np.array(bits, np.uint8),
            warmup=0,
            order=style["order"],
            long_price=prices(way) if way else None,
            short_price=prices(-way) if way else None,
            valid_bars=style["valid_bars"],
            stop_loss=levels[0],
            take_profit=levels[1],
            trailing=levels[2],
            time_stop=style["time_stop"],
            base=style["base"],
        )

    def spec(self, style: dict[str, Any], width: int, price: float) -> Spec:
        dice = self.dice
        types = ["equity", "equity", "cash", "units", *["risk"] * 2 * (style["kinds"][0] is not None)]
        kind = dice.choice(types)
        pyramiding = dice.choice((0, 0, 1, 3))
        value = {
            "equity": dice.choice((0.4, 0.25) if pyramiding else (1.0, 0.5, 0.3)),
            "cash": dice.choice((300.0, 500.0, 4_000.0, 12_000.0)),
            "units": dice.choice((1.0, 7.0, 90.0)) * (100.0 if price < 2 else 0.01 if price > 100 else 1.0),
            "risk": dice.choice((0.01, 0.05)),
        }[kind]
        return spec_of(
            cash=dice.choice((1_000.0, 10_000.0, 54_321.98)),
            sizing=Sizing(
                type=kind, value=value, lot=dice.choice((0.0, 0.0, 0.001, 1.0 if price <= 100 else 0.01))
            ),
            leverage=dice.choice((1.0, 1.0, 3.0, 20.0, 20.0)),
            maintenance_margin=dice.choice((None, 0.0, 0.005, 0.04)),
            pyramiding=pyramiding,
            max_positions=dice.choice((0, 1, 2)) if width > 1 else 0,
            commission=dice.choice((0.0, 0.0011)),
            maker=dice.choice((0.0, 0.0003)),
            fixed=dice.choice((0.0, 0.0, 1.5)),
            spread=dice.choice((0.0, 0.0007)),
            slippage=dice.choice((0.0, 0.0013)),
            funding=dice.choice((0.0, 0.0005, -0.001)),
            fill=dice.choice(("next_open", "next_open", "close")),
            finalise=dice.choice(("last_close", "last_open")),
        )


def bars_of_rows(rows: list[tuple[float, ...]], step: int) -> Bars:
    table = np.array([row[1:] for row in rows])
    return Bars(
        ts=np.array([row[0] for row in rows], np.int64),
        open=table[:, 0],
        high=table[:, 1],
        low=table[:, 2],
        close=table[:, 3],
        volume=np.ones(len(rows)),
        step=step,
    )
