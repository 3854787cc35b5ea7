"""From the text of an expression to its tree: Python's parser, and a short list of what it may find.

Nothing is evaluated. The length, the alphabet, brackets and numbers are checked before Python sees the
text, so that nothing in it can exhaust the parser.
"""

from __future__ import annotations

import ast
import re
from keyword import iskeyword

from apps.backtests.engine.language import limits
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

_BINARY: dict[type[ast.operator], str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
_COMPARE: dict[type[ast.cmpop], str] = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
}
_LEGAL = re.compile(r"[A-Za-z0-9_ \t\r\n.,<>=!+\-*/()\[\]\"'%]*")
_WORD = re.compile(r"[A-Za-z0-9_.]+")
_NUMBER = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?")
_TIMEFRAME = re.compile(r"\"[A-Za-z0-9]{0,10}\"|'[A-Za-z0-9]{0,10}'")
_LOGIC_WORDS = {"and", "or", "not"}
_REFUSED = {
    ast.Attribute: "attributes are not part of the language",
    ast.Lambda: "functions cannot be defined",
    ast.ListComp: "loops are not part of the language",
    ast.SetComp: "loops are not part of the language",
    ast.DictComp: "loops are not part of the language",
    ast.GeneratorExp: "loops are not part of the language",
    ast.Starred: "starred arguments are not part of the language",
    ast.NamedExpr: "assignments are not part of the language",
    ast.IfExp: "if and else are not part of the language",
    ast.Slice: "slices are not part of the language: x[n] is the value n bars before",
    ast.Tuple: "lists of values are not part of the language",
    ast.List: "lists of values are not part of the language",
}


def parsed(text: str) -> Node:
    """The tree of *text*. Raises Refused with the column."""
    if not isinstance(text, str):
        raise Refused("must be text or a tree of JSON")
    if len(text) > limits.LONGEST_TEXT:
        raise Refused(f"is longer than {limits.LONGEST_TEXT} characters")
    if not text.strip():
        raise Refused("is empty")
    # Line ends become blanks one by one, so that columns are those of the text on one line.
    flat = re.sub(r"[\r\n\t]", " ", text)
    _check_characters(flat)
    indent = len(flat) - len(flat.lstrip())
    try:
        body = ast.parse(flat.strip(), mode="eval").body
    except SyntaxError as error:
        # Python gives no place for what ends too soon.
        column = error.offset + indent if error.offset and error.lineno == 1 else len(flat) + 1
        raise Refused(_syntax(error), min(column, len(flat) + 1)) from None
    except (ValueError, MemoryError, RecursionError):
        raise Refused("cannot be read") from None
    return limits.measured(_node(body, indent + 1, 1))


def _syntax(error: SyntaxError) -> str:
    text = (error.msg or "").lower()
    if "never closed" in text or "unmatched" in text or "does not match" in text:
        return "has a bracket without its partner"
    if "unterminated" in text:
        return "has a quotation mark without its partner"
    return "cannot be understood"


def _check_characters(text: str) -> None:
    legal = _LEGAL.match(text)
    end = legal.end() if legal else 0
    if end < len(text):
        sign = text[end]
        name = f"'{sign}'" if sign.isascii() and sign.isprintable() else f"U+{ord(sign):04X}"
        raise Refused(f"has the character {name}, which is not part of the language,", end + 1)
    for sign, meaning in (("**", "powers are"), ("//", "whole division is"), ("%", "remainders are")):
        if sign in text:
            raise Refused(f"{meaning} not part of the language", text.index(sign) + 1)
    brackets = depth = 0
    for column, sign in enumerate(text, 1):
        if sign in "([":
            brackets += 1
            depth += 1
            if brackets > limits.MOST_BRACKETS:
                raise Refused(f"has more than {limits.MOST_BRACKETS} brackets", column)
            if depth > 3 * limits.DEEPEST:
                raise Refused(f"is nested more than {limits.DEEPEST} levels deep", column)
        elif sign in ")]":
            depth -= 1
    operators = sum(text.count(sign) for sign in "+-*/<>=!")
    _check_texts(text)
    for match in _WORD.finditer(_TIMEFRAME.sub(lambda found: " " * len(found.group()), text)):
        word, column = match.group(), match.start() + 1
        if word in _LOGIC_WORDS:
            operators += 1
        if word[0].isdigit() or (word[0] == "." and word[1:2].isdigit()):
            _check_number(text, match.start())
        elif "." in word:
            raise Refused("attributes are not part of the language", column + word.index("."))
        elif "__" in word or word.startswith("_"):
            raise Refused(f"'{word[:40]}' is not a name: names begin with a letter", column)
        elif iskeyword(word) and word not in _LOGIC_WORDS:
            raise Refused(f"'{word}' is not part of the language", column)
    if operators > limits.MOST_OPERATORS:
        raise Refused(f"has more than {limits.MOST_OPERATORS} operators")


def _check_texts(text: str) -> None:
    """Python has other kinds of texts: with a letter before the first quotation mark, or several in one."""
    for plain in _TIMEFRAME.finditer(text):
        before, behind = text[: plain.start()], text[plain.end() :].lstrip(" ")
        if before[-1:].isalnum() or before[-1:] == "_" or behind[:1] in ("'", '"'):
            raise Refused('a text is one name between quotation marks, as "4h"', plain.start() + 1)


def _check_number(text: str, start: int) -> None:
    match = _NUMBER.match(text, start)
    end = match.end() if match else start
    literal = text[start:end]
    if len(literal) > limits.MOST_DIGITS:
        raise Refused(f"a number has at most {limits.MOST_DIGITS} digits", start + 1)
    if match is None or (end < len(text) and (text[end].isalnum() or text[end] in "_.\"'")):
        raise Refused("a number is written in digits, as 14 or 0.5", start + 1)
    if float(literal) > limits.HIGHEST_NUMBER:
        raise Refused(f"numbers lie within {limits.HIGHEST_NUMBER:g}", start + 1)


def _node(node: ast.expr, base: int, depth: int) -> Node:
    at = base + node.col_offset
    if depth > 4 * limits.DEEPEST:
        raise Refused(f"is nested more than {limits.DEEPEST} levels deep", at)

    def inner(child: ast.expr) -> Node:
        return _node(child, base, depth + 1)

    match node:
        case ast.Constant(value=bool() | None):
            raise Refused("True, False and None are not part of the language", at)
        case ast.Constant(value=int() | float() as value):
            return Number(float(value), at=at)
        case ast.Constant(value=str()):
            raise Refused('a text can only be the timeframe in on("4h", ...)', at)
        case ast.Name(id=name):
            return Name(name, at=at)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return Negative(inner(operand), at=at)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return Not(inner(operand), at=at)
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _BINARY:
            return Binary(_BINARY[type(operator)], inner(left), inner(right), at=at)
        case ast.BoolOp(op=joint, values=values):
            word = "and" if isinstance(joint, ast.And) else "or"
            return Logic(word, tuple(map(inner, values)), at=at)
        case ast.Compare(left=left, ops=ops, comparators=rest) if all(type(op) in _COMPARE for op in ops):
            operands = (inner(left), *map(inner, rest))
            return Compare(tuple(_COMPARE[type(op)] for op in ops), operands, at=at)
        case ast.Subscript(value=value, slice=by):
            return _shift(value, by, base, depth)
        case ast.Call():
            return _call(node, base, depth)
    raise Refused(_REFUSED.get(type(node), "this is not part of the language"), at)


def _shift(value: ast.expr, by: ast.expr, base: int, depth: int) -> Node:
    if isinstance(by, ast.Constant) and not (isinstance(by.value, int) and not isinstance(by.value, bool)):
        raise Refused("a shift is a whole number of bars", base + by.col_offset)
    operand, shift = _node(value, base, depth + 1), _node(by, base, depth + 1)
    return Shift(operand, shift, at=base + value.col_offset)


def _call(node: ast.Call, base: int, depth: int) -> Node:
    at = base + node.col_offset
    if isinstance(node.func, ast.Attribute):
        raise Refused("attributes are not part of the language", base + (node.func.value.end_col_offset or 0))
    if not isinstance(node.func, ast.Name):
        raise Refused("only a name can be called", at)
    if node.keywords:
        raise Refused("arguments have no names", base + node.keywords[0].col_offset)
    arguments = node.args
    if node.func.id == "on":
        if len(arguments) != 2:
            raise Refused('on needs a timeframe and an expression, as on("4h", ema(close, 50)),', at)
        frame = arguments[0]
        if not (isinstance(frame, ast.Constant) and isinstance(frame.value, str)):
            raise Refused('the timeframe of on is a text, as "4h",', base + frame.col_offset)
        return Frame(frame.value, _node(arguments[1], base, depth + 1), at=at)
    return Call(node.func.id, tuple(_node(argument, base, depth + 1) for argument in arguments), at=at)
