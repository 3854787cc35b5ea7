"""The text form of a strategy document: one statement a line, indented lines continue it.

    strategy dip "Buy the dip"
    description "What it does."
    param fast = 20 in 2..200 step 1 "Bars in the average."
    param width = 2.0 in 0.5..5.0 step 0.5
    param direction = long in long, long_short
    let trend = ema(close, fast)
    require fast < 100
    enter long when crossover(close, trend) and direction == long
    exit long when close < trend
    order limit
    order offset 1%
    order valid 3 bars
    stop loss 2%
    trailing stop width * atr(14)
    time stop 50 bars
    levels from signal close

Lines that begin with ``#`` are remarks. A parameter is a number if one of its figures has a point, an integer
if none has, and a choice if its range is a list. A level is ``2%`` or ``fraction EXPRESSION`` of the price,
else a distance in price.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from apps.backtests.engine.errors import SpecError
from apps.backtests.engine.language import limits
from apps.backtests.engine.language.document import LEVELS, SIGNALS, Distance, Document, Orders
from apps.backtests.engine.language.nodes import Node, Number
from apps.backtests.engine.language.parameters import Parameter
from apps.backtests.engine.language.printing import printed

_FIGURE = r"-?\d{1,20}(?:\.\d{1,20})?(?:[eE][+-]?\d{1,3})?"
_TEXT = r"\"(?:[^\"\\]|\\.)*\""
_PARAM = re.compile(
    rf"(?P<name>\w+)(?:\s*=\s*(?P<default>{_FIGURE}|\w+))?\s+in\s+"
    rf"(?:(?P<min>{_FIGURE})\s*\.\.\s*(?P<max>{_FIGURE})(?:\s+step\s+(?P<step>{_FIGURE}))?"
    rf"|(?P<choices>\w+(?:\s*,\s*\w+)*))(?:\s+(?P<text>{_TEXT}))?",
    re.ASCII,
)
_STRATEGY = re.compile(rf"(?P<name>\w+)(?:\s+(?P<text>{_TEXT}))?", re.ASCII)
_PERCENT = re.compile(r"(-?\d{1,20}(?:\.\d{1,20})?)\s*%", re.ASCII)
_SIGNAL_WORDS = {
    "enter long when": "entry_long",
    "exit long when": "exit_long",
    "enter short when": "entry_short",
    "exit short when": "exit_short",
}
_LEVEL_WORDS = {"stop loss": "stop_loss", "take profit": "take_profit", "trailing stop": "trailing"}
_ENTRY_KINDS = ("market", "limit", "stop")


@dataclass
class _Reader:
    document: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    line: int = 0

    def put(self, value: Any, *path: str) -> None:
        """Set the value at *path*, once."""
        place = self.document
        for name in path[:-1]:
            place = place.setdefault(name, {})
        if path[-1] in place:
            raise self.error(f"says again what was said: {'.'.join(path)}")
        place[path[-1]] = value
        self.lines[".".join(path)] = self.line

    def error(self, message: str) -> SpecError:
        return SpecError("strategy", f"line {self.line} {message}", position=None)

    def statement(self, text: str) -> None:
        for word, act in _STATEMENTS.items():
            if text == word or text.startswith(f"{word} "):
                act(self, text[len(word) :].strip(), word)
                return
        raise self.error(f"is not a statement; they begin with {', '.join(_STATEMENTS)}")

    def strategy(self, rest: str, _: str) -> None:
        found = _STRATEGY.fullmatch(rest)
        if found is None:
            raise self.error('is not understood; as in: strategy dip "Buy the dip"')
        self.put(found["name"], "name")
        if found["text"] is not None:
            self.put(self.quoted(found["text"]), "title")

    def description(self, rest: str, _: str) -> None:
        self.put(self.quoted(rest), "description")

    def param(self, rest: str, _: str) -> None:
        found = _PARAM.fullmatch(rest)
        if found is None:
            raise self.error('is not understood; as in: param fast = 20 in 2..200 step 1 "Bars."')
        value: dict[str, Any] = {}
        if found["choices"] is not None:
            value["type"] = "choice"
            value["choices"] = re.split(r"\s*,\s*", found["choices"])
            value["default"] = found["default"]
        else:
            figures = {key: found[key] for key in ("default", "min", "max", "step") if found[key] is not None}
            whole = not any(set(figure) & set(".eE") for figure in figures.values())
            value["type"] = "integer" if whole else "number"
            try:
                value |= {key: (int if whole else float)(figure) for key, figure in figures.items()}
            except ValueError:
                raise self.error("has a default that is not a number") from None
        if found["text"] is not None:
            value["description"] = self.quoted(found["text"])
        self.put(value, "params", found["name"])

    def let(self, rest: str, _: str) -> None:
        name, sign, expression = rest.partition("=")
        if not sign or not name.strip() or expression.startswith("="):
            raise self.error("is not understood; as in: let trend = ema(close, 50)")
        self.put(expression.strip(), "let", name.strip())

    def require(self, rest: str, _: str) -> None:
        conditions = self.document.setdefault("require", [])
        self.lines[f"require[{len(conditions)}]"] = self.line
        conditions.append(rest)

    def signal(self, rest: str, word: str) -> None:
        self.put(rest, _SIGNAL_WORDS[word])

    def order(self, rest: str, _: str) -> None:
        if rest in _ENTRY_KINDS:
            self.put(rest, "orders", "entry")
            return
        if rest.startswith("offset "):
            self.put(self.fraction(rest[7:].strip()), "orders", "offset")
            return
        if rest.startswith("valid "):
            self.put(self.bars(rest[6:]), "orders", "valid_bars")
            return
        for side in ("long", "short"):
            if rest.startswith(f"{side} at "):
                self.put(rest[len(side) + 4 :].strip(), "orders", f"{side}_price")
                return
        raise self.error(
            "is not understood; as in: order limit, order offset 1%, order long at low[1], order valid 3 bars"
        )

    def level(self, rest: str, word: str) -> None:
        given = self.fraction(rest, distance=True)
        self.put(given, "risk", _LEVEL_WORDS[word])

    def time_stop(self, rest: str, _: str) -> None:
        self.put(self.bars(rest), "risk", "time_stop")

    def levels(self, rest: str, _: str) -> None:
        self.put(rest.replace(" ", "_"), "risk", "base")

    def fraction(self, text: str, *, distance: bool = False) -> Any:
        """``2%`` or ``fraction EXPRESSION``; for levels also a distance."""
        percent = _PERCENT.fullmatch(text)
        if percent is not None:
            value: Any = float(Decimal(percent[1]) / 100)
        elif text.startswith("fraction "):
            value = text[9:].strip()
        elif distance:
            return {"distance": text}
        else:
            raise self.error("needs a percentage, as 1%, or: fraction, and an expression of parameters")
        return {"pct": value} if distance else value

    def bars(self, text: str) -> str:
        # Not by a pattern: it would try each of many blanks as the first of the rest.
        words = text.strip().rsplit(maxsplit=1)
        return words[0] if len(words) == 2 and words[1] in ("bar", "bars") else text.strip()

    def quoted(self, text: str) -> str:
        try:
            value = json.loads(text)
        except ValueError:
            value = None
        if not isinstance(value, str):
            raise self.error("needs a text in double quotes")
        return value


_STATEMENTS: dict[str, Callable[[_Reader, str, str], None]] = {
    "strategy": _Reader.strategy,
    "description": _Reader.description,
    "param": _Reader.param,
    "let": _Reader.let,
    "require": _Reader.require,
    **dict.fromkeys(_SIGNAL_WORDS, _Reader.signal),
    "order": _Reader.order,
    **dict.fromkeys(_LEVEL_WORDS, _Reader.level),
    "time stop": _Reader.time_stop,
    "levels from": _Reader.levels,
}


def read(text: str) -> tuple[dict[str, Any], dict[str, int]]:
    """The JSON form of *text*, not yet checked, and the line of each of its parts by dotted path.

    Raises:
        SpecError: for ``strategy``, naming the line of what is not a statement.
    """
    if len(text) > limits.LONGEST_DOCUMENT:
        raise SpecError("strategy", f"is longer than {limits.LONGEST_DOCUMENT} characters")
    reader = _Reader()
    statements: list[tuple[int, list[str]]] = []
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line[0] in " \t":
            if not statements:
                raise SpecError("strategy", f"line {number} is indented, but continues nothing")
            statements[-1][1].append(line.strip())
        else:
            statements.append((number, [line.strip()]))
    for number, parts in statements:
        reader.line = number
        reader.statement(" ".join(parts))
    return reader.document, reader.lines


def write(document: Document) -> str:
    """The text form: reading it gives the same document."""
    quote = json.dumps(document.title, ensure_ascii=False)
    lines = [f"strategy {document.name} {quote}"]
    if document.description:
        lines.append(_wrapped("description", document.description))
    lines += [_param(item) for item in document.params.values()]
    lines += [f"let {name} = {printed(node)}" for name, node in document.lets.items()]
    lines += [f"require {printed(node)}" for node in document.require]
    words = {field: word for word, field in _SIGNAL_WORDS.items()}
    lines += [f"{words[key]} {printed(document.signals[key])}" for key in SIGNALS if key in document.signals]
    lines += _orders(document.orders)
    risk, words = document.risk, {field: word for word, field in _LEVEL_WORDS.items()}
    for key in LEVELS:
        level: Distance | None = getattr(risk, key)
        if level is not None:
            shown = _fraction(level.node) if level.kind == "pct" else printed(level.node)
            lines.append(f"{words[key]} {shown}")
    if risk.time_stop is not None:
        lines.append(f"time stop {printed(risk.time_stop)} bars")
    if risk.base != "fill":
        lines.append(f"levels from {risk.base.replace('_', ' ')}")
    return "\n".join(lines) + "\n"


def _orders(orders: Orders) -> list[str]:
    if orders.entry == "market":
        return []
    lines = [f"order {orders.entry}"]
    if orders.offset != Number(0.0):
        lines.append(f"order offset {_fraction(orders.offset)}")
    if orders.long_price is not None:
        lines.append(f"order long at {printed(orders.long_price)}")
    if orders.short_price is not None:
        lines.append(f"order short at {printed(orders.short_price)}")
    if orders.valid_bars != Number(1.0):
        lines.append(f"order valid {printed(orders.valid_bars)} bars")
    return lines


def _param(item: Parameter) -> str:
    default = "" if item.default is None else f" = {item.default}"
    if item.type == "choice":
        line = f"param {item.name}{default} in {', '.join(item.choices)}"
    else:
        line = f"param {item.name}{default} in {item.min}..{item.max} step {item.step}"
    return _wrapped(line, item.description) if item.description else line


def _wrapped(head: str, text: str) -> str:
    line = f"{head} {json.dumps(text, ensure_ascii=False)}"
    lines = textwrap.wrap(line, 100, break_long_words=False, break_on_hyphens=False)
    # A line that begins with the sign would be a remark.
    lines[1:] = [f"\\u0023{line[1:]}" if line.startswith("#") else line for line in lines[1:]]
    return "\n    ".join(lines)


def _fraction(node: Node) -> str:
    if isinstance(node, Number):
        shown = f"{Decimal(repr(node.value)) * 100:f}"
        shown = f"{shown.rstrip('0').rstrip('.') if '.' in shown else shown}%"
        if _PERCENT.fullmatch(shown):
            return shown
    return f"fraction {printed(node)}"
