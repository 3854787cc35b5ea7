"""The syntax tree of an expression: what text and JSON both mean."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from apps.backtests.engine.errors import SpecError

ARITHMETIC = ("+", "-", "*", "/")
COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")
LOGIC = ("and", "or")


@dataclass(frozen=True)
class Node:
    """A node. ``at`` is its column in the text, counted from 1, or 0; nodes that differ in it are equal."""

    at: int = field(default=0, compare=False, kw_only=True)


@dataclass(frozen=True)
class Number(Node):
    """A constant, finite and not negative."""

    value: float


@dataclass(frozen=True)
class Name(Node):
    """A series, a parameter, a ``let`` or, beside a parameter of type choice, one of its options."""

    name: str


@dataclass(frozen=True)
class Negative(Node):
    operand: Node


@dataclass(frozen=True)
class Not(Node):
    operand: Node


@dataclass(frozen=True)
class Binary(Node):
    """``left operator right`` with an operator of ``ARITHMETIC``."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True)
class Compare(Node):
    """A chain as ``a < b <= c``: one operator less than operands."""

    operators: tuple[str, ...]
    operands: tuple[Node, ...]


@dataclass(frozen=True)
class Logic(Node):
    """Two or more operands joined by ``and`` or by ``or``."""

    operator: str
    operands: tuple[Node, ...]


@dataclass(frozen=True)
class Shift(Node):
    """The value *by* bars before."""

    operand: Node
    by: Node


@dataclass(frozen=True)
class Call(Node):
    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True)
class Frame(Node):
    """``on("4h", operand)``: the operand computed on bars of a higher timeframe."""

    timeframe: str
    operand: Node


class Refused(Exception):
    """What is wrong with an expression; becomes a SpecError where its field is known."""

    def __init__(self, message: str, at: int = 0, suggestion: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.at = at
        self.suggestion = suggestion

    def error(self, field: str) -> SpecError:
        text = self.message
        if self.at:
            text += f" at column {self.at}"
        if self.suggestion:
            text += f"; did you mean '{self.suggestion}'?"
        return SpecError(field, text, position=self.at or None, suggestion=self.suggestion)


def shown(name: Any) -> str:
    """A name that somebody gave, as messages have it: not long, and in ASCII."""
    return str(name)[:40].encode("ascii", "backslashreplace").decode()


def children(node: Node) -> tuple[Node, ...]:
    match node:
        case Negative(operand=one) | Not(operand=one) | Frame(operand=one):
            return (one,)
        case Binary(left=left, right=right):
            return (left, right)
        case Compare(operands=several) | Logic(operands=several) | Call(arguments=several):
            return several
        case Shift(operand=operand, by=by):
            return (operand, by)
    return ()
