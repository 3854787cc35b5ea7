"""What kind of value an expression has, decided without data; every name in it is known."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from apps.backtests.engine.indicators import INDICATORS
from apps.backtests.engine.language.frames import TIMEFRAMES
from apps.backtests.engine.language.functions import (
    CONDITION,
    FLAG,
    FUNCTIONS,
    NUMBER,
    SERIES,
    VALUES,
)
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
from apps.backtests.engine.language.parameters import Parameter


@dataclass(frozen=True)
class Let:
    """A named sub-expression; ``framed`` when ``on`` is in it or in what it names.

    ``bounds`` are kept here, so that lets that name others often are not walked through each time.
    """

    node: Node
    kind: str
    framed: bool
    bounds: tuple[float, float]


@dataclass
class Scope:
    """The names that an expression may use besides those of the language."""

    params: Mapping[str, Parameter] = field(default_factory=dict)
    lets: dict[str, Let] = field(default_factory=dict)


@dataclass
class Checker:
    """One expression at a time; ``framed`` says whether it uses a higher timeframe."""

    scope: Scope
    framed: bool = False
    _inside: bool = False

    def kind(self, node: Node) -> str:
        """``number``, ``series``, ``flag`` or ``condition``. Raises Refused."""
        match node:
            case Number():
                return NUMBER
            case Name():
                return self._name(node)
            case Negative(operand=operand):
                return self._number(operand)
            case Binary(left=left, right=right):
                return _widest(self._number(left), self._number(right))
            case Not(operand=operand):
                return self._condition(operand)
            case Logic(operands=operands):
                kinds = [self._condition(operand) for operand in operands]
                return CONDITION if CONDITION in kinds else FLAG
            case Compare():
                return self._compare(node)
            case Shift(operand=operand, by=by):
                return self._shift(operand, by)
            case Frame():
                return self._frame(node)
            case Call(name=name) if name in FUNCTIONS:
                return self._function(node)
            case Call():
                return self._indicator(node)
        raise TypeError(f"not a node of the language: {node!r}")

    def _name(self, node: Name) -> str:
        name, scope = node.name, self.scope
        if name in scope.params:
            if scope.params[name].type == "choice":
                raise Refused(f"'{name}' can only be compared with its choices, as in {name} == …,", node.at)
            return NUMBER
        if name in scope.lets:
            let = scope.lets[name]
            if let.framed:
                if self._inside:
                    raise Refused(f"on cannot be nested: it is used in '{name}'", node.at)
                self.framed = True
            return let.kind
        if name in SERIES:
            return VALUES
        if name in FUNCTIONS or name in INDICATORS or name == "on":
            raise Refused(f"'{name}' is a function and needs its arguments in brackets", node.at)
        raise _unknown("name", name, node.at, (*scope.params, *scope.lets, *SERIES))

    def _number(self, node: Node) -> str:
        kind = self.kind(node)
        if kind not in (NUMBER, VALUES):
            raise Refused("needs a number, not a condition,", node.at)
        return kind

    def _condition(self, node: Node) -> str:
        kind = self.kind(node)
        if kind not in (FLAG, CONDITION):
            raise Refused("needs a condition, as close > open, not a number,", node.at)
        return kind

    def _compare(self, node: Compare) -> str:
        choice = chosen(node, self.scope.params)
        if choice is not None:
            parameter, option, _ = choice
            if option not in parameter.choices:
                raise _unknown("choice", option, node.at, parameter.choices)
            return FLAG
        kinds = [self._number(operand) for operand in node.operands]
        return CONDITION if VALUES in kinds else FLAG

    def _shift(self, operand: Node, by: Node) -> str:
        kind = self.kind(operand)
        if kind not in (VALUES, CONDITION):
            raise Refused("only what changes from bar to bar has a value before", operand.at)
        if self._number(by) != NUMBER:
            raise Refused("a shift is a whole number of bars", by.at)
        least, _ = bounds(by, self.scope)
        if not least >= 0:
            raise Refused("a negative shift would look ahead: it is refused", by.at)
        if isinstance(by, Number) and by.value != int(by.value):
            raise Refused("a shift is a whole number of bars", by.at)
        return kind

    def _frame(self, node: Frame) -> str:
        if self._inside:
            raise Refused("on cannot be nested", node.at)
        if node.timeframe not in TIMEFRAMES:
            raise _unknown("timeframe", node.timeframe, node.at, TIMEFRAMES)
        self._inside = True
        try:
            kind = self.kind(node.operand)
        finally:
            self._inside = False
        if kind not in (VALUES, CONDITION):
            raise Refused("on needs what changes from bar to bar", node.at)
        self.framed = True
        return kind

    def _function(self, node: Call) -> str:
        function, given = FUNCTIONS[node.name], node.arguments
        if function.arguments is None:
            if len(given) < 2:
                raise Refused(f"{function.signature} has two arguments or more", node.at)
            wanted: tuple[str, ...] = (VALUES,) * len(given)
        else:
            wanted = function.arguments
            _check_count(function.signature, len(wanted), node)
        kinds = []
        for kind, argument in zip(wanted, given, strict=True):
            found = self._condition(argument) if kind == CONDITION else self._number(argument)
            if kind == NUMBER and found != NUMBER:
                raise Refused(f"{function.signature} needs one number for all bars", argument.at)
            kinds.append(found)
        if node.name in ("barssince", "value_when"):
            if kinds[0] != CONDITION:
                raise Refused(f"{function.signature} needs a condition of the bars", node.at)
        elif wanted and function.result == CONDITION and wanted[0] == VALUES and VALUES not in kinds:
            raise Refused(f"{function.signature} needs what changes from bar to bar", node.at)
        elif wanted and function.result == VALUES and VALUES not in kinds:
            return NUMBER
        return function.result

    def _indicator(self, node: Call) -> str:
        indicator = INDICATORS.get(node.name)
        if indicator is None:
            raise _unknown("function", node.name, node.at, (*INDICATORS, *FUNCTIONS, "on"))
        _check_count(indicator.signature, len(indicator.arguments), node)
        for argument, given in zip(indicator.arguments, node.arguments, strict=True):
            kind = self._number(given)
            if argument.kind == "series" and kind != VALUES:
                raise Refused(f"{argument.name} of {indicator.signature} changes from bar to bar", given.at)
            if argument.kind != "series" and kind != NUMBER:
                raise Refused(
                    f"{argument.name} of {indicator.signature} is one number for all bars", given.at
                )
        return VALUES


def chosen(node: Compare, params: Mapping[str, Parameter]) -> tuple[Parameter, str, bool] | None:
    """For ``parameter == choice``: the parameter, the choice and whether they shall be equal."""
    if len(node.operators) != 1 or node.operators[0] not in ("==", "!="):
        return None
    for own, other in (node.operands, node.operands[::-1]):
        if isinstance(own, Name) and isinstance(other, Name):
            parameter = params.get(own.name)
            if parameter is not None and parameter.type == "choice":
                return parameter, other.name, node.operators[0] == "=="
    return None


def bounds(node: Node, scope: Scope) -> tuple[float, float]:
    """Between what the number *node* can lie for any parameters; infinite where that is not obvious."""
    match node:
        case Number(value=value):
            return value, value
        case Name(name=name) if name in scope.params:
            return scope.params[name].min, scope.params[name].max
        case Name(name=name) if name in scope.lets:
            return scope.lets[name].bounds
        case Negative(operand=operand):
            least, most = bounds(operand, scope)
            return -most, -least
        case Binary(operator=operator, left=left, right=right):
            a, b = bounds(left, scope), bounds(right, scope)
            if operator == "/":
                if b[0] <= 0:
                    return -math.inf, math.inf
                b = 1 / b[1], 1 / b[0]
            if operator == "+":
                return a[0] + b[0], a[1] + b[1]
            if operator == "-":
                return a[0] - b[1], a[1] - b[0]
            corners = [x * y for x in a for y in b]
            if not any(map(math.isnan, corners)):
                return min(corners), max(corners)
        case Call(name="abs"):
            return 0.0, math.inf
    return -math.inf, math.inf


def suggestion(name: str, known: Iterable[str]) -> str | None:
    """The known name that was probably meant."""
    matches = get_close_matches(name.lower()[:60], list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def _unknown(what: str, name: str, at: int, known: Iterable[str]) -> Refused:
    known = list(known)
    guess = suggestion(name, known)
    text = f"unknown {what} '{name[:40]}'"
    if what in ("timeframe", "choice"):
        text += f" (known are {', '.join(known)})"
    return Refused(text, at, guess)


def _check_count(signature: str, wanted: int, node: Call) -> None:
    if len(node.arguments) != wanted:
        count = f"{wanted} argument{'s' if wanted != 1 else ''}" if wanted else "no arguments"
        raise Refused(f"{signature} has {count}, not {len(node.arguments)},", node.at)


def _widest(*kinds: str) -> str:
    return VALUES if VALUES in kinds else NUMBER
