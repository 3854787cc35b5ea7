"""The language read slowly: every value at every bar from its definition, and logic with three values."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from apps.backtests.engine import Bars
from apps.backtests.engine.language.nodes import (
    Binary,
    Call,
    Compare,
    Frame,
    Logic,
    Name,
    Negative,
    Node,
    Not,
    Number,
    Shift,
)

HOUR, DAY = 3_600_000, 86_400_000
WIDTHS = {"5m": HOUR // 12, "15m": HOUR // 4, "30m": HOUR // 2, "1h": HOUR, "4h": 4 * HOUR, "1d": DAY}
NAN = math.nan
Method = Callable[["Slow", Node, int], Any]


@dataclass
class Bar:
    ts: int
    open: float
    high: float
    low: float
    close: float
    volume: float


def rows(bars: Bars) -> list[Bar]:
    columns = (bars.ts, bars.open, bars.high, bars.low, bars.close, bars.volume)
    return [Bar(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def monday(ts: int) -> int:
    return (ts - 4 * DAY) // (7 * DAY) * 7 * DAY + 4 * DAY


def higher(bars: Sequence[Bar], step: int, timeframe: str) -> list[Bar]:
    """The higher bars that are complete at the close of the last of *bars*."""
    width = 7 * DAY if timeframe == "1w" else WIDTHS[timeframe]

    def opened(bar: Bar) -> int:
        return monday(bar.ts) if timeframe == "1w" else bar.ts // width * width

    result = []
    for begin, group in itertools.groupby(bars, opened):
        inside = list(group)
        whole = inside[0] is not bars[0] or bars[0].ts == begin
        over = bars[-1].ts + step >= begin + width or inside[-1] is not bars[-1]
        if whole and over:
            high, low = max(bar.high for bar in inside), min(bar.low for bar in inside)
            volume = math.fsum(bar.volume for bar in inside)
            result.append(Bar(begin, inside[0].open, high, low, inside[-1].close, volume))
    return result


def once(method: Method) -> Method:
    """*method*, asked once for each node and bar: conditions of conditions look back again and again."""

    @functools.wraps(method)
    def answer(self: Slow, node: Node, i: int) -> Any:
        key = (method.__name__, id(node), i)
        if key not in self.known:
            self.known[key] = method(self, node, i)
        return self.known[key]

    return answer


class Slow:
    """Answers for one series of bars, each from all bars up to it."""

    def __init__(self, bars: Sequence[Bar], step: int) -> None:
        self.bars, self.step = bars, step
        self.known: dict[tuple[str, int, int], Any] = {}

    @once
    def value(self, node: Node, i: int) -> float:
        if i < 0:
            return NAN
        match node:
            case Number(value=value):
                return value
            case Name(name=name):
                return float(getattr(self.bars[i], name))
            case Negative(operand=operand):
                return -self.value(operand, i)
            case Binary(operator=operator, left=left, right=right):
                a, b = self.value(left, i), self.value(right, i)
                if operator == "/":
                    return a / b if b else NAN
                return {"+": a + b, "-": a - b, "*": a * b}[operator]
            case Shift(operand=operand, by=by):
                return self.value(operand, i - int(self.value(by, i)))
            case Frame(timeframe=timeframe, operand=operand):
                above = Slow(higher(self.bars[: i + 1], self.step, timeframe), self.step)
                return above.value(operand, len(above.bars) - 1)
            case Call(name=name, arguments=arguments):
                result: float = getattr(self, f"do_{name}")(i, *arguments)
                return result
        raise AssertionError(node)

    @once
    def truth(self, node: Node, i: int) -> bool | None:
        if i < 0:
            return None
        match node:
            case Not(operand=operand):
                inner = self.truth(operand, i)
                return None if inner is None else not inner
            case Logic(operator=operator, operands=operands):
                answers = [self.truth(operand, i) for operand in operands]
                decisive = operator == "or"
                if decisive in answers:
                    return decisive
                return None if None in answers else not decisive
            case Compare(operators=operators, operands=operands):
                answers = []
                for at, operator in enumerate(operators):
                    a, b = self.value(operands[at], i), self.value(operands[at + 1], i)
                    known = not (math.isnan(a) or math.isnan(b))
                    answers.append(eval(f"a {operator} b") if known else None)
                if False in answers:
                    return False
                return None if None in answers else True
            case Shift(operand=operand, by=by):
                return self.truth(operand, i - int(self.value(by, i)))
            case Frame(timeframe=timeframe, operand=operand):
                above = Slow(higher(self.bars[: i + 1], self.step, timeframe), self.step)
                return above.truth(operand, len(above.bars) - 1)
            case Call(name="session", arguments=arguments):
                begin, end = (self.value(argument, i) for argument in arguments)
                hours = self.bars[i].ts % DAY / HOUR
                return begin <= hours < end if begin <= end else hours >= begin or hours < end
            case Call(name=name, arguments=(left, right)):
                return self.cross(name, i, left, right)
        raise AssertionError(node)

    def cross(self, name: str, i: int, left: Node, right: Node) -> bool | None:
        gaps = []
        for at in (i - 1, i):
            a, b = self.value(left, at), self.value(right, at)
            if math.isnan(a) or math.isnan(b):
                return None
            gaps.append(0.0 if abs(a - b) <= abs(b) * 2.0**-50 else a - b)
        before, now = gaps if "over" in name else (-gaps[0], -gaps[1])
        return now > 0 and (before < 0 if "strict" in name else before <= 0)

    def window(self, x: Node, n: Node, i: int) -> list[float]:
        count = int(self.value(n, i))
        return [self.value(x, at) for at in range(i - count + 1, i + 1)]

    def do_sma(self, i: int, x: Node, n: Node) -> float:
        values = self.window(x, n, i)
        if any(map(math.isnan, values)):
            return NAN
        return float(sum(map(Fraction, values), Fraction(0))) / len(values)

    def do_highest(self, i: int, x: Node, n: Node) -> float:
        values = self.window(x, n, i)
        return NAN if any(map(math.isnan, values)) else max(values)

    def do_lowest(self, i: int, x: Node, n: Node) -> float:
        values = self.window(x, n, i)
        return NAN if any(map(math.isnan, values)) else min(values)

    def do_change(self, i: int, x: Node, n: Node) -> float:
        return self.value(x, i) - self.value(x, i - int(self.value(n, i)))

    def do_abs(self, i: int, x: Node) -> float:
        return abs(self.value(x, i))

    def do_sqrt(self, i: int, x: Node) -> float:
        value = self.value(x, i)
        return math.sqrt(value) if value >= 0 else NAN

    def do_min(self, i: int, *given: Node) -> float:
        values = [self.value(item, i) for item in given]
        return NAN if any(map(math.isnan, values)) else min(values)

    def do_max(self, i: int, *given: Node) -> float:
        values = [self.value(item, i) for item in given]
        return NAN if any(map(math.isnan, values)) else max(values)

    def do_hour(self, i: int) -> float:
        return float(self.bars[i].ts % DAY // HOUR)

    def do_minute(self, i: int) -> float:
        return float(self.bars[i].ts % HOUR // 60_000)

    def do_weekday(self, i: int) -> float:
        return float((self.bars[i].ts // DAY + 3) % 7)

    def do_barssince(self, i: int, condition: Node) -> float:
        return next((float(n) for n in range(i + 1) if self.truth(condition, i - n)), NAN)

    def do_value_when(self, i: int, condition: Node, x: Node) -> float:
        return next((self.value(x, at) for at in range(i, -1, -1) if self.truth(condition, at)), NAN)


def answers(node: Node, bars: Bars, step: int) -> list[Any]:
    """The truth of *node* at every bar: True, False or None."""
    slow = Slow(rows(bars), step)
    return [slow.truth(node, i) for i in range(len(bars))]
