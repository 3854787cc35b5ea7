"""A slow and obvious account: what the settings mean, in exact fractions and plain if-statements.

Nothing is shared with the engine's loop but the meaning of its settings. One method is one moment of a
bar; every rule is written where a reader looks for it.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction

Money = Fraction
HOURS_8 = 8 * 3_600_000


@dataclass(frozen=True)
class Bar:
    ts: int
    open: Fraction
    high: Fraction
    low: Fraction
    close: Fraction


@dataclass(frozen=True)
class Decision:
    """What is decided at a close; prices and distances are None where there are none."""

    enter_long: bool
    exit_long: bool
    enter_short: bool
    exit_short: bool
    long_price: Fraction | None = None
    short_price: Fraction | None = None
    stop_by: Fraction | None = None
    target_by: Fraction | None = None
    trail_by: Fraction | None = None
    late: bool = False  # made after the close of the bar that it is noted with


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The settings; levels are ("fraction", f), ("distance", None) or None."""

    cash: Fraction
    sizing: str
    value: Fraction
    lot: Fraction
    leverage: Fraction
    maintenance: Fraction | None
    pyramiding: int
    max_positions: int
    maker: Fraction
    taker: Fraction
    fixed: Fraction
    spread: Fraction
    slippage: Fraction
    funding: Fraction
    fill_at_close: bool
    optimistic: bool
    finalise: str
    order: str
    valid_bars: int
    stop: tuple[str, Fraction | None] | None
    target: tuple[str, Fraction | None] | None
    trail: tuple[str, Fraction | None] | None
    time_stop: int
    base_is_close: bool


@dataclass
class Position:
    side: int
    units: Fraction
    price: Fraction  # mean of its entries
    entered: int
    latest: int
    fees: Fraction
    funding: Fraction = Fraction(0)
    entries: int = 1
    held: int = 0
    stop: Fraction | None = None
    target: Fraction | None = None
    trail: Fraction | None = None
    trail_by: Fraction | None = None
    # When its levels began to count on the present bar: before it, at the open, by a limit or stop order.
    since: str = "before"
    start: Fraction = Fraction(0)

    def gain(self, price: Fraction) -> Fraction:
        return self.side * self.units * (price - self.price)


@dataclass
class Order:
    """A resting limit or stop entry."""

    side: int
    price: Fraction
    bars_left: int
    why: Due


@dataclass
class Due:
    """What was decided at a close and is not done yet."""

    what: Decision
    close: Fraction
    time_is_up: bool = False
    full: bool = False

    def leaves(self, side: int) -> bool:
        what = self.what
        return (what.exit_long or what.enter_short) if side > 0 else (what.exit_short or what.enter_long)


@dataclass
class Account:
    """Run over markets: for each, bars and decisions (None: the bar decides nothing) on a common timeline."""

    rules: Rules
    bars: list[list[Bar | None]]
    decisions: list[list[Decision | None]]
    cash: Money = Fraction(0)
    positions: dict[int, Position] = field(default_factory=dict)
    orders: dict[int, Order] = field(default_factory=dict)
    due: dict[int, Due] = field(default_factory=dict)
    last: dict[int, Fraction] = field(default_factory=dict)
    last_ts: dict[int, int] = field(default_factory=dict)
    bankrupt: bool = False
    written_off: Money = Fraction(0)
    skipped: int = 0
    ambiguous: int = 0
    largest: Money = Fraction(0)
    equity: list[Money] = field(default_factory=list)
    trades: list[tuple[object, ...]] = field(default_factory=list)
    events: Counter[str] = field(default_factory=Counter)

    def run(self) -> Account:
        self.cash = self.rules.cash
        for i in range(len(self.bars[0])):
            now = [(m, bars[i]) for m, bars in enumerate(self.bars)]
            there = [(m, bar) for m, bar in now if bar is not None]
            if not self.bankrupt:
                self.at_the_open(i, there)
            if not self.bankrupt:
                for m, bar in there:
                    self.inside(i, m, bar)
            if not self.bankrupt:
                self.at_the_close(i, there)
            self.equity.append(self.worth())
        self.finish(len(self.bars[0]) - 1)
        return self

    def worth(self) -> Money:
        return self.cash + sum(held.gain(self.last[m]) for m, held in self.positions.items())

    # The moments of a bar.

    def at_the_open(self, i: int, there: list[tuple[int, Bar]]) -> None:
        for m, bar in there:
            self.last[m] = bar.open
            held = self.positions.get(m)
            if held is not None:
                times = bar.ts // HOURS_8 - self.last_ts[m] // HOURS_8
                paid = held.side * held.units * bar.open * self.rules.funding * times
                held.funding += paid
                self.cash -= paid
                if paid:
                    self.events["funding paid" if paid > 0 else "funding received"] += 1
            self.last_ts[m] = bar.ts
        # Filling at closes leaves only what was decided late for the open.
        self.market_orders(i, [(m, bar.open) for m, bar in there], since="open")

    def market_orders(self, i: int, prices: list[tuple[int, Fraction]], since: str) -> None:
        for m, price in prices:
            held, due = self.positions.get(m), self.due.get(m)
            if held is not None and due is not None:
                if due.leaves(held.side):
                    self.leave(i, m, price, "signal")
                elif due.time_is_up:
                    self.leave(i, m, price, "time_stop")
        for m, price in prices:
            due = self.due.pop(m, None)
            if due is not None:
                self.place(i, m, price, due, since)

    def place(self, i: int, m: int, price: Fraction, due: Due, since: str) -> None:
        what, order = due.what, self.orders.get(m)
        side = 0
        if what.enter_long and not due.leaves(1):
            side = 1
        if what.enter_short and not due.leaves(-1):
            side = -1
        if (what.enter_long or what.enter_short) and side == 0:
            self.events["void entry"] += 1
        if due.full and m in self.positions:
            self.events["full"] += side != 0
            return
        if order is not None and (side != 0 or due.leaves(order.side)):
            self.events["replaced" if side else "cancelled"] += 1
            del self.orders[m]
        if side == 0:
            return
        if self.rules.order == "market":
            self.enter(i, m, price, side, "market", since, due)
            return
        asked = what.long_price if side > 0 else what.short_price
        if asked is not None:
            self.orders[m] = Order(side, asked, self.rules.valid_bars, due)

    def inside(self, i: int, m: int, bar: Bar) -> None:
        order = self.orders.get(m)
        if order is not None and self.is_beyond(order, bar.open):
            held = self.positions.get(m)
            gap = held is not None and self.gap_exit(m, held, bar)
            if gap:
                self.events["gap exit before addition"] += 1
                self.leave(i, m, bar.open, gap)
            else:
                del self.orders[m]
                self.enter(i, m, bar.open, order.side, self.rules.order, "open", order.why)
        self.protect(i, m, bar)
        order = self.orders.get(m)
        if order is not None and (self.is_beyond(order, bar.high) or self.is_beyond(order, bar.low)):
            del self.orders[m]
            self.last[m] = order.price
            if self.enter(i, m, order.price, order.side, self.rules.order, self.rules.order, order.why):
                self.protect(i, m, bar)

    def at_the_close(self, i: int, there: list[tuple[int, Bar]]) -> None:
        for m, bar in there:
            self.last[m] = bar.close
            held, what = self.positions.get(m), self.decisions[m][i]
            if held is not None:
                held.since = "before"
                self.follow(held, bar.close)
            if what is not None:
                self.decide(m, bar.close, what)
        if self.rules.fill_at_close:
            late = {m for m, due in self.due.items() if due.what.late}
            self.events["late"] += len(late)
            self.market_orders(i, [(m, bar.close) for m, bar in there if m not in late], since="before")
        if self.worth() <= 0 and not self.bankrupt:
            for m in sorted(self.positions):
                self.leave(i, m, self.last[m], "bankruptcy")
            self.bankrupt = True
        if self.bankrupt:
            self.events["bankrupt"] += 1

    def decide(self, m: int, close: Fraction, what: Decision) -> None:
        held, order = self.positions.get(m), self.orders.get(m)
        due = Due(what, close)
        if held is not None:
            held.held += 1
            due.time_is_up = 0 < self.rules.time_stop <= held.held
            due.full = held.entries > self.rules.pyramiding
        if order is not None:
            order.bars_left -= 1
            if order.bars_left == 0:
                self.events["expired"] += 1
                del self.orders[m]
        self.due[m] = due

    def finish(self, i: int) -> None:
        for m in sorted(self.positions):
            column = [bar for bar in self.bars[m] if bar is not None]
            late = self.rules.order != "market" or self.rules.fill_at_close
            began_inside = late and self.bars[m][self.positions[m].latest] is column[-1]
            at_open = self.rules.finalise == "last_open" and not began_inside
            self.leave(i, m, column[-1].open if at_open else column[-1].close, "end")
        self.equity[-1] = self.cash

    # Entries.

    def is_beyond(self, order: Order, price: Fraction) -> bool:
        below = order.side > 0 if self.rules.order == "limit" else order.side < 0
        return price <= order.price if below else price >= order.price

    def enter(self, i: int, m: int, price: Fraction, side: int, order: str, since: str, why: Due) -> bool:
        rules, held = self.rules, self.positions.get(m)
        if self.bankrupt or (held is not None and held.entries > rules.pyramiding):
            return False
        if held is None and 0 < rules.max_positions <= len(self.positions):
            self.skipped += 1
            self.events["max_positions"] += 1
            return False
        rate = rules.maker if order == "limit" else rules.taker
        fill = price * (1 + side * (rules.spread + (0 if order == "limit" else rules.slippage)))
        base = why.close if rules.base_is_close else fill
        units = self.size(side, fill, rate, self.level(rules.stop, base, -side, why.what.stop_by))
        if units <= 0:
            self.skipped += 1
            self.events[f"skipped {rules.sizing}"] += 1
            return False
        fee = units * fill * rate + rules.fixed
        self.cash -= fee
        self.events[f"entry {order} at {since}"] += 1
        if held is None:
            held = self.positions[m] = Position(side, units, fill, i, i, fee)
        else:
            held.price = (held.units * held.price + units * fill) / (held.units + units)
            held.units += units
            held.fees += fee
            held.entries += 1
            held.latest = i
            self.events[f"pyramiding {order}"] += 1
            if not rules.base_is_close:
                base = held.price
        held.since, held.start = since, price
        self.largest = max(self.largest, held.units * fill)
        stop = self.level(rules.stop, base, -side, why.what.stop_by)
        target = self.level(rules.target, base, side, why.what.target_by)
        trail = self.level(rules.trail, base, -side, why.what.trail_by)
        held.stop = held.stop if stop is None else stop
        held.target = held.target if target is None else target
        if trail is not None:
            held.trail = trail if held.trail is None else side * max(side * held.trail, side * trail)
            held.trail_by = why.what.trail_by
        return True

    def size(self, side: int, fill: Fraction, rate: Fraction, stop: Fraction | None) -> Fraction:
        rules = self.rules
        equity, each = self.worth(), fill * (1 + rate)
        bound = sum((held.units * self.last[m] for m, held in self.positions.items()), Fraction(0))
        most = equity * rules.leverage - bound - rules.fixed
        if most <= equity * rules.leverage / 2**40:  # as good as nothing is left
            return Fraction(0)
        if rules.sizing == "equity":
            units = min(equity * rules.leverage * rules.value - rules.fixed, most) / each
        elif rules.sizing == "cash":
            units = rules.value / fill
        elif rules.sizing == "units":
            units = rules.value
        else:
            if stop is None or side * (fill - stop) <= 0:
                return Fraction(0)
            units = min(equity * rules.value / (side * (fill - stop)), most / each)
        if rules.lot:
            units = math.floor(units / rules.lot) * rules.lot
        return Fraction(0) if units * each > most else units

    @staticmethod
    def level(
        kind: tuple[str, Fraction | None] | None, base: Fraction, way: int, distance: Fraction | None
    ) -> Fraction | None:
        """*way* is 1 for a level above *base*."""
        if kind is None:
            return None
        if kind[1] is not None:
            return base * (1 + way * kind[1])
        return None if distance is None else base + way * distance

    # Exits.

    def follow(self, held: Position, close: Fraction) -> None:
        level = self.level(self.rules.trail, close, -held.side, held.trail_by)
        if level is not None and held.trail is not None and held.side * level > held.side * held.trail:
            held.trail = level
            self.events["trail followed"] += 1

    def nearest_stop(self, m: int, held: Position) -> tuple[Fraction | None, str]:
        """The stop that is reached first, with its name."""
        stops = [(held.stop, "stop_loss"), (held.trail, "trailing"), (self.ruin(m, held), "liquidation")]
        there = [(level, name) for level, name in stops if level is not None]
        return max(there, key=lambda stop: held.side * stop[0]) if there else (None, "")

    def ruin(self, m: int, held: Position) -> Fraction | None:
        """The price at which equity is the maintenance margin of the value of all positions."""
        margin = self.rules.maintenance
        if margin is None:
            return None
        others = [(self.last[k], other) for k, other in self.positions.items() if k != m]
        rest = self.cash + sum(other.gain(price) for price, other in others)
        value = sum(other.units * price for price, other in others)
        # rest + side * units * (p - price) = margin * (units * p + value)
        return (margin * value - rest + held.side * held.units * held.price) / (
            held.units * (held.side - margin)
        )

    def gap_exit(self, m: int, held: Position, bar: Bar) -> str:
        """Why the position is left at the open; "" where it is not."""
        stop, name = self.nearest_stop(m, held)
        start = bar.open if held.since == "before" else held.start
        if stop is not None and held.side * start <= held.side * stop:
            return name
        if held.target is not None and held.side * start >= held.side * held.target:
            return "take_profit"
        return ""

    def protect(self, i: int, m: int, bar: Bar) -> None:
        held = self.positions.get(m)
        if held is None:
            return
        gap = self.gap_exit(m, held, bar)
        if gap:
            self.events[f"gap {gap}"] += held.since == "before"
            self.leave(i, m, bar.open if held.since == "before" else held.start, gap)
            return
        stop, name = self.nearest_stop(m, held)
        side, target = held.side, held.target
        worst, best = (bar.low, bar.high) if side > 0 else (bar.high, bar.low)
        stopped = stop is not None and side * worst <= side * stop
        reached = target is not None and side * best >= side * target
        unknown = stopped and reached
        # A limit entry came as the price moved against the position: the best of the bar may have been
        # before it. A stop entry came as the price moved in its favour. What the bar closes beyond it
        # has reached after any entry.
        if held.since == "limit" and reached and side * bar.close < side * target:
            unknown = True
        if held.since == "stop" and stopped and side * bar.close > side * stop:
            unknown = True
        if unknown:
            self.ambiguous += 1
            self.events[f"ambiguous {held.since}"] += 1
            if self.rules.optimistic:
                stopped = False
            else:
                reached = False
        if stopped:
            self.leave(i, m, stop, name)
        elif reached:
            self.leave(i, m, target, "take_profit")

    def leave(self, i: int, m: int, price: Fraction, reason: str) -> None:
        rules, held = self.rules, self.positions.pop(m)
        if self.orders.pop(m, None) is not None:
            self.events["addition gone"] += 1
        rate, slippage = rules.taker, rules.slippage
        if reason == "take_profit":
            rate, slippage = rules.maker, Fraction(0)
        fill = price * (1 - held.side * slippage)
        fee = held.units * fill * rate + rules.fixed
        self.cash += held.gain(fill) - fee
        fees = held.fees + fee
        pnl = held.gain(fill) - fees - held.funding
        if self.cash <= held.units * held.price / 2**40 and not self.positions:  # nothing, or as good as it
            reason = reason if reason == "liquidation" else "bankruptcy"
            self.written_off, self.cash, self.bankrupt = -self.cash, Fraction(0), True
        size = held.side * held.units
        row = (held.entered, i, size, held.price, fill, fees, held.funding, pnl, reason, m, held.entries)
        self.trades.append(row)
        self.events[reason] += 1
