"""Expressions as JSON: the same tree as the text has.

A number is a constant, a text is an expression in its text form (a name, at least), and everything else
is an object with one key, the operator or function, and the list of its operands:

    {"and": [{"crossover": [{"sma": ["close", "fast"]}, "sma(close, slow)"]}, "rsi(close, 14) < 70"]}

``{"-": [x]}`` is the negative of x, ``{"shift": [x, n]}`` is x[n], ``{"on": ["4h", x]}`` names a timeframe,
and ``{"chain": [a, "<", b, "<=", c]}`` is a chain of comparisons.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from apps.backtests.engine.language import limits
from apps.backtests.engine.language.nodes import (
    ARITHMETIC,
    COMPARISONS,
    LOGIC,
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
    shown,
)
from apps.backtests.engine.language.printing import printed
from apps.backtests.engine.language.reading import parsed


def expression(value: Any) -> Node:
    """The tree of *value*, text or JSON. Raises Refused, also where its canonical text exceeds a limit."""
    node = parsed(value) if isinstance(value, str) else limits.measured(_Reader().node(value, 1))
    canonical = printed(node)
    if canonical != value:
        try:
            parsed(canonical)
        except Refused as refused:
            # Its columns are those of a text that nobody wrote.
            raise Refused(f"{refused.message.rstrip(',')} in its canonical form") from None
    return node


class _Reader:
    def __init__(self) -> None:
        self.count = 0
        self.length = 0

    def node(self, value: Any, depth: int) -> Node:
        self.count += 1
        if self.count > limits.MOST_NODES:
            raise Refused(f"has more than {limits.MOST_NODES} parts")
        if depth > limits.DEEPEST:
            raise Refused(f"is nested more than {limits.DEEPEST} levels deep")
        if isinstance(value, str):
            self.length += len(value)
            if self.length > limits.LONGEST_TEXT:
                raise Refused(f"has more than {limits.LONGEST_TEXT} characters")
            return parsed(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return _number(value)
        if not isinstance(value, Mapping):
            raise Refused(f"is a tree of numbers, texts and objects, not {_kind(value)}")
        if len(value) != 1:
            raise Refused("an object of the tree has one key, its operator or function")
        [(key, given)] = value.items()
        if not isinstance(key, str):
            raise Refused("the key of an object is the name of its operator or function")
        operands = given if isinstance(given, list | tuple) else None
        if operands is None:
            raise Refused(f"the operands of '{shown(key)}' are a list")
        if len(operands) > limits.MOST_NODES:
            raise Refused(f"has more than {limits.MOST_NODES} parts")
        return self.operation(key, list(operands), depth)

    def operation(self, key: str, operands: list[Any], depth: int) -> Node:
        def inner(count: int | None = None) -> list[Node]:
            if count is not None and len(operands) != count:
                raise Refused(f"'{key}' has {count} operand{'s' if count > 1 else ''}, not {len(operands)}")
            return [self.node(operand, depth + 1) for operand in operands]

        if key == "-" and len(operands) == 1:
            return Negative(*inner(1))
        if key in ARITHMETIC:
            return Binary(key, *inner(2))
        if key in COMPARISONS:
            return Compare((key,), tuple(inner(2)))
        if key in LOGIC:
            if len(operands) < 2:
                raise Refused(f"'{key}' has two operands or more")
            return Logic(key, tuple(inner()))
        if key == "not":
            return Not(*inner(1))
        if key == "chain":
            return self.chain(operands, depth)
        if key == "shift":
            if len(operands) == 2 and isinstance(operands[1], float) and not operands[1].is_integer():
                raise Refused("a shift is a whole number of bars")
            return Shift(*inner(2))
        if key == "on":
            if len(operands) != 2 or not isinstance(operands[0], str):
                raise Refused("'on' has a timeframe and an expression")
            return Frame(_timeframe(operands[0]), self.node(operands[1], depth + 1))
        if not (key.isascii() and key.isidentifier() and "__" not in key and not key.startswith("_")):
            raise Refused(f"'{shown(key)}' is not an operator or function")
        return Call(key, tuple(inner()))

    def chain(self, operands: list[Any], depth: int) -> Node:
        operators, values = operands[1::2], operands[::2]
        if len(values) != len(operators) + 1 or not operators:
            raise Refused("'chain' has operands with a comparison between any two")
        if not all(isinstance(operator, str) and operator in COMPARISONS for operator in operators):
            raise Refused(f"the comparisons of 'chain' are {', '.join(COMPARISONS)}")
        return Compare(tuple(operators), tuple(self.node(value, depth + 1) for value in values))


def tree(node: Node) -> Any:
    """*node* as JSON: ``expression`` of it is equal to *node*."""
    match node:
        case Number(value=value):
            return int(value) if value == int(value) else value
        case Name(name=name):
            return name
        case Negative(operand=Number(value=value)) if value > 0:
            return -(int(value) if value == int(value) else value)
        case Negative(operand=operand):
            return {"-": [tree(operand)]}
        case Not(operand=operand):
            return {"not": [tree(operand)]}
        case Binary(operator=operator, left=left, right=right):
            return {operator: [tree(left), tree(right)]}
        case Compare(operators=(operator,), operands=operands):
            return {operator: [tree(operand) for operand in operands]}
        case Compare(operators=operators, operands=operands):
            parts = [tree(operands[0])]
            for operator, operand in zip(operators, operands[1:], strict=True):
                parts += operator, tree(operand)
            return {"chain": parts}
        case Logic(operator=operator, operands=operands):
            return {operator: [tree(operand) for operand in operands]}
        case Shift(operand=operand, by=by):
            return {"shift": [tree(operand), tree(by)]}
        case Call(name=name, arguments=arguments):
            return {name: [tree(argument) for argument in arguments]}
        case Frame(timeframe=timeframe, operand=operand):
            return {"on": [timeframe, tree(operand)]}
    raise TypeError(f"not a node of the language: {node!r}")


def _number(value: float) -> Node:
    # The comparison comes first: a huge integer has no float.
    if isinstance(value, float) and not math.isfinite(value):
        raise Refused("numbers are finite")
    if abs(value) > limits.HIGHEST_NUMBER:
        raise Refused(f"numbers lie within {limits.HIGHEST_NUMBER:g}")
    return Negative(Number(-float(value))) if value < 0 else Number(float(value) + 0.0)


def _timeframe(name: str) -> str:
    if len(name) > 10 or not name.isalnum() or not name.isascii():
        raise Refused(f"'{shown(name)}' is not a timeframe")
    return name


def _kind(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return "a list" if isinstance(value, list | tuple) else type(value).__name__
