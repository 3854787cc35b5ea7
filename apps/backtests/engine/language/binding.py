"""From trees and parameters to a plan: every distinct computation once, in an order that can be followed.

Conditions are bound for the question "certainly true?". ``not`` asks the opposite question of its operand,
"certainly false?", down to the comparisons, where both questions are plain comparisons that NaN answers
with no. A condition that depends on what is not known yet is therefore neither true nor false.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from apps.backtests.engine.indicators import INDICATORS, LONGEST_WINDOW, Indicator
from apps.backtests.engine.language import limits
from apps.backtests.engine.language.checking import Scope, chosen
from apps.backtests.engine.language.functions import FUNCTIONS
from apps.backtests.engine.language.logarithm import logarithm
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
    Refused,
    Shift,
)
from apps.backtests.engine.language.plan import PRICES, Plan, Ref, Step, Truth, Value, range_of
from apps.backtests.engine.language.reading import parsed

COST_OF_RUN = 2_000.0  # of a call of the library for one run of values, in passes over a column
OPPOSITE = {"<": ">=", ">=": "<", ">": "<=", "<=": ">", "==": "!=", "!=": "=="}


class Binder:
    """Binds the expressions of one strategy to one set of parameters. Methods raise Refused."""

    def __init__(self, scope: Scope, params: Mapping[str, Any]) -> None:
        self.plan = Plan()
        self._scope = scope
        self._params = params
        self._frame = ""
        self._local: dict[str, Value] = {}
        self._known: dict[bytes, Ref] = {}
        self._lets: dict[tuple[str, str, bool | None], Value | Truth] = {}

    def value(self, node: Node) -> Value:
        """Numbers per bar, or one number."""
        match node:
            case Number(value=value):
                return value
            case Name(name=name):
                return self._name(name)
            case Negative(operand=operand):
                inner = self.value(operand)
                return -inner if isinstance(inner, float) else self._step("negative", inner, cost=1)
            case Binary(operator=operator, left=left, right=right):
                a, b = self.value(left), self.value(right)
                if isinstance(a, float) and isinstance(b, float):
                    return _arithmetic(operator, a, b)
                return self._step(operator, a, b, cost=2 if operator == "/" else 1)
            case Shift(operand=operand, by=by):
                return self._shift(self.value(operand), self._bars(by))
            case Frame(timeframe=timeframe, operand=operand):
                return cast(Value, self._on(timeframe, operand, None))
            case Call(name=name, arguments=arguments) if name in FUNCTIONS:
                return self._function(name, arguments)
            case Call(name=name, arguments=arguments):
                return self._indicator(INDICATORS[name], arguments, node.at)
        raise TypeError(f"not numbers: {node!r}")

    def truth(self, node: Node, wanted: bool = True) -> Truth:
        """Where *node* is certainly true (*wanted*) or certainly false; one answer where no bar matters."""
        match node:
            case Name(name=name):
                return cast(Truth, self._let(name, wanted))
            case Not(operand=operand):
                return self.truth(operand, not wanted)
            case Logic(operator=operator, operands=operands):
                return self._logic(operands, all_of=(operator == "and") == wanted, wanted=wanted)
            case Compare():
                return self._compare(node, wanted)
            case Shift(operand=operand, by=by):
                inner, bars = self.truth(operand, wanted), self._bars(by)
                return inner if isinstance(inner, bool) else self._shift(inner, bars)
            case Frame(timeframe=timeframe, operand=operand):
                return cast(Truth, self._on(timeframe, operand, wanted))
            case Call(name="session", arguments=arguments):
                return self._session(arguments, wanted)
            case Call(name=name, arguments=arguments):
                a, b = map(self.value, arguments)
                up = "over" in name
                pair = self._step("cross", a, b, detail=name.endswith("strict"), cost=2.5)
                found = self._step("pick", pair, detail=0 if up else 1, cost=0)
                return found if wanted else self._step("not_cross", found, a, b, cost=2)
        raise TypeError(f"not a condition: {node!r}")

    def number(self, node: Node) -> float:
        """One number for all bars."""
        result = self.value(node)
        assert isinstance(result, float), "the checker lets only numbers through"
        return result

    def _name(self, name: str) -> Value:
        if name in self._local:
            return self._local[name]
        if name in self._params:
            return float(self._params[name])
        if name in self._scope.lets:
            return cast(Value, self._let(name, None))
        return self._step("column", detail=name, cost=0)

    def _let(self, name: str, wanted: bool | None) -> Any:
        key = (name, self._frame, wanted)
        if key not in self._lets:
            node = self._scope.lets[name].node
            local, self._local = self._local, {}
            self._lets[key] = self.value(node) if wanted is None else self.truth(node, wanted)
            self._local = local
        return self._lets[key]

    def _step(
        self, operation: str, *inputs: Value, detail: Any = None, lookback: int = 0, cost: float = 1.0
    ) -> Ref:
        parts = [operation, self._frame, repr(detail)]
        deepest = 0
        for given in inputs:
            if isinstance(given, Ref):
                parts.append(self.plan.steps[given.index].digest.hex())
                if operation != "on":
                    deepest = max(deepest, self.plan.steps[given.index].lookback)
            else:
                parts.append(repr(given))
        digest = hashlib.blake2b("\n".join(parts).encode(), digest_size=16).digest()
        known = self._known.get(digest)
        if known is None:
            if deepest + lookback > limits.LONGEST_LOOKBACK:
                raise Refused(f"depends on more than {limits.LONGEST_LOOKBACK} bars before")
            values = range_of(operation, inputs, detail, self.plan.steps)
            step = Step(operation, inputs, detail, self._frame, digest, deepest + lookback, cost, values)
            known = self._known[digest] = Ref(len(self.plan.steps))
            self.plan.steps.append(step)
        return known

    def _shift(self, inner: Value, bars: int) -> Ref:
        assert isinstance(inner, Ref), "the checker lets only what changes through"
        if not bars:
            return inner
        return self._step("shift", inner, detail=bars, lookback=bars, cost=0.5)

    def _bars(self, node: Node) -> int:
        bars = self.number(node)
        if not 0 <= bars <= LONGEST_WINDOW or bars != int(bars):
            raise Refused(f"a shift is a whole number of 0 to {LONGEST_WINDOW} bars, not {bars:g}", node.at)
        return int(bars)

    def _on(self, timeframe: str, operand: Node, wanted: bool | None) -> Any:
        self._frame = timeframe
        try:
            inner = self.value(operand) if wanted is None else self.truth(operand, wanted)
        finally:
            self._frame = ""
        if isinstance(inner, bool):
            return inner
        return self._step("on", inner, detail=timeframe, cost=2)

    def _logic(self, operands: tuple[Node, ...], *, all_of: bool, wanted: bool) -> Truth:
        inner: list[Ref] = []
        for operand in operands:
            found = self.truth(operand, wanted)
            if isinstance(found, bool):
                # What is always (never) so decides the whole of "or" ("and"), or changes nothing.
                if found != all_of:
                    return found
            elif found not in inner:
                inner.append(found)
        if not inner:
            return all_of
        if len(inner) == 1:
            return inner[0]
        return self._step("all" if all_of else "any", *inner, cost=0.2 * len(inner))

    def _compare(self, node: Compare, wanted: bool) -> Truth:
        choice = chosen(node, self._scope.params)
        if choice is not None:
            parameter, option, equal = choice
            return bool(((self._params[parameter.name] == option) == equal) == wanted)
        values = [self.value(operand) for operand in node.operands]
        inner: list[Ref] = []
        for operator, a, b in zip(node.operators, values, values[1:], strict=False):
            sign = operator if wanted else OPPOSITE[operator]
            if isinstance(a, float) and isinstance(b, float):
                found = _holds(sign, a, b)
                if found != wanted:
                    return found
            else:
                inner.append(self._step(sign, a, b, cost=1.5 if sign == "!=" else 0.7))
        if not inner:
            return wanted
        if len(inner) == 1:
            return inner[0]
        return self._step("all" if wanted else "any", *inner, cost=0.2 * len(inner))

    def _session(self, arguments: tuple[Node, ...], wanted: bool) -> Ref:
        begin, end = map(self.number, arguments)
        for hours, argument in zip((begin, end), arguments, strict=True):
            if not 0 <= hours <= 24:
                raise Refused(f"hours of a session lie within 0 and 24, not {hours:g}", argument.at)
        return self._step("session", begin, end, detail=wanted, cost=3)

    def _function(self, name: str, arguments: tuple[Node, ...]) -> Value:
        if name in ("barssince", "value_when"):
            held = self.truth(arguments[0])
            values = [self.value(argument) for argument in arguments[1:]]
            # A constant answer takes a comparison that has it on every bar.
            flags = held if isinstance(held, Ref) else self._constant(held)
            return self._step(name, flags, *values, cost=5)
        given = [self.value(argument) for argument in arguments]
        numbers = [item for item in given if isinstance(item, float)]
        if given and len(numbers) == len(given):
            return _scalar(name, numbers)
        return self._step(name, *given, cost=6 if name == "log" else len(given) or 3)

    def _constant(self, answer: bool) -> Ref:
        return self._step("constant", detail=answer, cost=0.2)

    def _indicator(self, indicator: Indicator, arguments: tuple[Node, ...], at: int) -> Value:
        series: list[Value] = []
        numbers: list[float] = []
        for argument, node in zip(indicator.arguments, arguments, strict=True):
            if argument.kind == "series":
                series.append(self.value(node))
                continue
            number = self.number(node)
            if not argument.min <= number <= argument.max:
                raise Refused(
                    f"{argument.name} of {indicator.signature} lies within {argument.min:g} and "
                    f"{argument.max:g}, not {number:g},",
                    node.at or at,
                )
            if argument.kind == "window":
                if number != int(number):
                    raise Refused(
                        f"{argument.name} of {indicator.signature} is a whole number, not {number:g},",
                        node.at or at,
                    )
                number = int(number)
            numbers.append(number)
        if indicator.definition:
            return self._defined(indicator, series, numbers)
        if indicator.name == "sma" and isinstance(series[0], Ref):
            # Only of prices is the average exact; that of earlier prices is an earlier one of prices.
            step = self.plan.steps[series[0].index]
            if step.operation == "shift" and self._is_price(step.inputs[0]):
                return self._shift(self._average(step.inputs[0], int(numbers[0])), step.detail)
            if self._is_price(series[0]):
                return self._average(series[0], int(numbers[0]))
        lookback, cost = indicator.lookback(*numbers), indicator.cost(*numbers)
        if not (indicator.columns or indicator.windowed) and any(map(self._is_broken, series)):
            # Every run of values is a series of its own, and one may be just long enough for a value.
            cost += COST_OF_RUN / (lookback + 2)
        result = self._step(
            "indicator",
            *(self._step("column", detail=name, cost=0) for name in indicator.columns),
            *series,
            detail=(indicator.family or indicator.name, *numbers),
            lookback=lookback,
            cost=cost,
        )
        return (
            result
            if indicator.output is None
            else self._step("pick", result, detail=indicator.output, cost=0)
        )

    def _is_broken(self, value: Value) -> bool:
        return isinstance(value, Ref) and self.plan.steps[value.index].broken

    def _is_price(self, value: Value) -> bool:
        if not isinstance(value, Ref):
            return False
        step = self.plan.steps[value.index]
        return step.operation == "column" and step.detail in PRICES

    def _average(self, value: Value, window: int) -> Ref:
        assert isinstance(value, Ref)
        name = self.plan.steps[value.index].detail
        return self._step("average", detail=(name, window), lookback=window - 1, cost=5)

    def _defined(self, indicator: Indicator, series: list[Value], numbers: list[float]) -> Value:
        """An indicator by its definition, in which only its own arguments and the language have names."""
        left, right = iter(series), iter(numbers)
        given = {
            argument.name: next(left) if argument.kind == "series" else float(next(right))
            for argument in indicator.arguments
        }
        local, self._local = self._local, given
        try:
            return self.value(definition(indicator))
        finally:
            self._local = local


_DEFINITIONS: dict[str, Node] = {}


def definition(indicator: Indicator) -> Node:
    """The tree of its definition, read once."""
    if indicator.name not in _DEFINITIONS:
        _DEFINITIONS[indicator.name] = parsed(indicator.definition)
    return _DEFINITIONS[indicator.name]


def _arithmetic(operator: str, a: float, b: float) -> float:
    if operator == "+":
        return a + b
    if operator == "-":
        return a - b
    if operator == "*":
        return a * b
    return a / b if b else math.nan


def _holds(operator: str, a: float, b: float) -> bool:
    if math.isnan(a) or math.isnan(b):
        return False
    return {
        "<": a < b,
        "<=": a <= b,
        ">": a > b,
        ">=": a >= b,
        "==": a == b,
        "!=": a != b,
    }[operator]


def _scalar(name: str, given: list[float]) -> float:
    if any(map(math.isnan, given)):
        return math.nan
    match name:
        case "abs":
            return abs(given[0])
        case "sqrt":
            return math.sqrt(given[0]) if given[0] >= 0 else math.nan
        case "log":
            return float(logarithm(np.array(given))[0])
        case "min":
            return min(given)
    return max(given)
