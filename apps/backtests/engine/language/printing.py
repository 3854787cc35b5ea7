"""From a tree to its one canonical text: parsing it gives an equal tree."""

from __future__ import annotations

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

_OR, _AND, _NOT, _COMPARE, _SUM, _PRODUCT, _NEGATIVE, _ATOM = range(8)


def number(value: float) -> str:
    """The shortest form that reads as *value*; whole numbers without a point."""
    return str(int(value)) if value == int(value) else repr(value)


def printed(node: Node) -> str:
    """*node* as text, with the fewest brackets."""
    return _text(node)[0]


def _text(node: Node) -> tuple[str, int]:
    """The text and how tightly its outermost operator binds."""
    match node:
        case Number(value=value):
            return number(value), _ATOM
        case Name(name=name):
            return name, _ATOM
        case Negative(operand=operand):
            return f"-{_within(operand, _NEGATIVE)}", _NEGATIVE
        case Not(operand=operand):
            return f"not {_within(operand, _NOT)}", _NOT
        case Binary(operator=operator, left=left, right=right):
            level = _SUM if operator in "+-" else _PRODUCT
            return f"{_within(left, level)} {operator} {_within(right, level + 1)}", level
        case Compare(operators=operators, operands=operands):
            parts = [_within(operands[0], _SUM)]
            for operator, operand in zip(operators, operands[1:], strict=True):
                parts += operator, _within(operand, _SUM)
            return " ".join(parts), _COMPARE
        case Logic(operator=operator, operands=operands):
            level = _AND if operator == "and" else _OR
            return f" {operator} ".join(_within(operand, level + 1) for operand in operands), level
        case Shift(operand=operand, by=by):
            return f"{_within(operand, _ATOM)}[{_text(by)[0]}]", _ATOM
        case Call(name=name, arguments=arguments):
            return f"{name}({', '.join(_text(argument)[0] for argument in arguments)})", _ATOM
        case Frame(timeframe=timeframe, operand=operand):
            return f'on("{timeframe}", {_text(operand)[0]})', _ATOM
    raise TypeError(f"not a node of the language: {node!r}")


def _within(node: Node, level: int) -> str:
    text, own = _text(node)
    return text if own >= level else f"({text})"
