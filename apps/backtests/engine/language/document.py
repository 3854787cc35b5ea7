"""A strategy as data: the JSON form, checked and canonical."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from apps.backtests.engine.errors import SpecError
from apps.backtests.engine.language import limits
from apps.backtests.engine.language.checking import Checker, Let, Scope, bounds, chosen, suggestion
from apps.backtests.engine.language.functions import CONDITION, FLAG, NUMBER
from apps.backtests.engine.language.nodes import (
    Compare,
    Frame,
    Name,
    Node,
    Number,
    Refused,
    children,
    shown,
)
from apps.backtests.engine.language.parameters import Parameter, identifier, parameter, text
from apps.backtests.engine.language.printing import printed
from apps.backtests.engine.language.trees import expression, tree

SIGNALS = ("entry_long", "exit_long", "entry_short", "exit_short")
LEVELS = ("stop_loss", "take_profit", "trailing")
KEYS = (
    "version", "name", "title", "description", "params", "let", "require", *SIGNALS, "orders", "risk",
)  # fmt: skip
VERSION = 1
LONGEST_TITLE = 100
LONGEST_ABOUT = 2_000


@dataclass(frozen=True)
class Distance:
    """Of a stop or target: ``pct``, a fraction of the base price, or ``distance``, a price per bar."""

    kind: str
    node: Node


@dataclass(frozen=True, kw_only=True)
class Orders:
    entry: str = "market"
    offset: Node = field(default_factory=lambda: Number(0.0))
    long_price: Node | None = None
    short_price: Node | None = None
    valid_bars: Node = field(default_factory=lambda: Number(1.0))


@dataclass(frozen=True, kw_only=True)
class Risk:
    stop_loss: Distance | None = None
    take_profit: Distance | None = None
    trailing: Distance | None = None
    time_stop: Node | None = None
    base: str = "fill"


@dataclass(frozen=True, kw_only=True)
class Document:
    """A strategy document. Every instance is checked but for what depends on parameters and bars."""

    name: str
    title: str
    description: str
    params: Mapping[str, Parameter]
    lets: Mapping[str, Node]
    require: tuple[Node, ...]
    signals: Mapping[str, Node]
    orders: Orders
    risk: Risk
    scope: Scope

    @cached_property
    def timeframes(self) -> tuple[str, ...]:
        """Higher timeframes of what is computed: signals, prices and distances, and the lets they use."""
        nodes: list[Node | None] = [*self.signals.values(), self.orders.long_price, self.orders.short_price]
        levels: list[Distance | None] = [getattr(self.risk, name) for name in LEVELS]
        nodes += [level.node for level in levels if level is not None]
        found: set[str] = set()
        seen: set[str] = set()
        while nodes:
            node = nodes.pop()
            if node is None or (isinstance(node, Compare) and chosen(node, self.params) is not None):
                continue
            if isinstance(node, Frame):
                found.add(node.timeframe)
            if isinstance(node, Name) and node.name in self.lets and node.name not in seen:
                seen.add(node.name)
                nodes.append(self.lets[node.name])
            nodes += children(node)
        return tuple(sorted(found))

    def as_dict(self, *, trees: bool = False) -> dict[str, Any]:
        """The complete canonical JSON form; expressions as text, or as *trees*."""

        return {
            "version": VERSION,
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "params": {name: item.as_dict() for name, item in self.params.items()},
            "let": {name: _optional(node, trees) for name, node in self.lets.items()},
            "require": [_optional(node, trees) for node in self.require],
            **{name: _optional(self.signals.get(name), trees) for name in SIGNALS},
            "orders": orders_dict(self.orders, trees=trees),
            "risk": risk_dict(self.risk, trees=trees),
        }


def orders_dict(orders: Orders, *, trees: bool = False) -> dict[str, Any]:
    """The canonical JSON form of an orders block."""
    return {
        "entry": orders.entry,
        "offset": _scalar_dict(orders.offset, trees),
        "long_price": _optional(orders.long_price, trees),
        "short_price": _optional(orders.short_price, trees),
        "valid_bars": _scalar_dict(orders.valid_bars, trees),
    }


def risk_dict(risk: Risk, *, trees: bool = False) -> dict[str, Any]:
    """The canonical JSON form of a risk block."""
    levels: dict[str, Any] = {}
    for name in LEVELS:
        level: Distance | None = getattr(risk, name)
        if level is None:
            levels[name] = None
        else:
            show = _scalar_dict if level.kind == "pct" else _optional
            levels[name] = {level.kind: show(level.node, trees)}
    stop = None if risk.time_stop is None else _scalar_dict(risk.time_stop, trees)
    return {**levels, "time_stop": stop, "base": risk.base}


def document(value: Any, field: str = "strategy") -> Document:
    """The document that *value*, decoded JSON, describes. Raises SpecError below *field*."""
    given = mapping(value, field, KEYS)
    version = given.get("version", VERSION)
    if isinstance(version, bool) or not isinstance(version, int | float) or version != VERSION:
        raise SpecError(f"{field}.version", f"must be {VERSION}")
    name = identifier(given.get("name", "custom"), f"{field}.name", {})
    title = text(given.get("title", name), f"{field}.title", LONGEST_TITLE)
    about = text(given.get("description", ""), f"{field}.description", LONGEST_ABOUT)
    params = _params(given.get("params"), f"{field}.params")
    scope = Scope(params)
    lets = _lets(given.get("let"), f"{field}.let", scope)
    signals = {}
    for key in SIGNALS:
        if given.get(key) is not None:
            node = checked(given[key], f"{field}.{key}", scope, (CONDITION,))
            signals[key] = node
    if not {"entry_long", "entry_short"} & set(signals):
        raise SpecError(f"{field}.entry_long", "is required, or entry_short: a strategy enters somewhere")
    return Document(
        name=name,
        title=title or name,
        description=about,
        params=params,
        lets=lets,
        require=_require(given.get("require"), f"{field}.require", scope),
        signals=signals,
        orders=orders_of(given.get("orders"), f"{field}.orders", scope),
        risk=risk_of(given.get("risk"), f"{field}.risk", scope),
        scope=scope,
    )


def orders_of(value: Any, field: str, scope: Scope) -> Orders:
    """An orders block; None is a market order."""
    value = {} if value is None else value
    given = mapping(value, field, ("entry", "offset", "long_price", "short_price", "valid_bars"))
    entry = _one_of(given.get("entry", "market"), f"{field}.entry", ("market", "limit", "stop"))
    prices = {
        key: None
        if given.get(key) is None
        else checked(given[key], f"{field}.{key}", scope, ("series", NUMBER))
        for key in ("long_price", "short_price")
    }
    orders = Orders(
        entry=entry,
        offset=scalar(given.get("offset", 0), f"{field}.offset", scope),
        valid_bars=scalar(given.get("valid_bars", 1), f"{field}.valid_bars", scope),
        **prices,
    )
    if entry == "market" and orders != Orders():
        raise SpecError(f"{field}.entry", "is a market order, which has no price, offset or duration")
    if any(prices.values()) and orders.offset != Number(0.0):
        raise SpecError(f"{field}.offset", "cannot be combined with a price")
    return orders


def risk_of(value: Any, field: str, scope: Scope) -> Risk:
    """A risk block; None is no risk block."""
    value = {} if value is None else value
    given = mapping(value, field, (*LEVELS, "time_stop", "base"))
    levels: dict[str, Distance | None] = {}
    for key in LEVELS:
        level, where = given.get(key), f"{field}.{key}"
        if level is None:
            levels[key] = None
            continue
        level = mapping(level, where, ("pct", "distance"))
        if len(level) != 1:
            raise SpecError(where, "has either pct, a fraction of the price, or distance, in price")
        [(kind, inner)] = level.items()
        if kind == "pct":
            levels[key] = Distance(kind, scalar(inner, f"{where}.pct", scope))
        else:
            node = checked(inner, f"{where}.distance", scope, ("series", NUMBER))
            levels[key] = Distance(kind, node)
    stop = given.get("time_stop")
    return Risk(
        **levels,
        time_stop=None if stop is None else scalar(stop, f"{field}.time_stop", scope),
        base=_one_of(given.get("base", "fill"), f"{field}.base", ("fill", "signal_close")),
    )


def scalar(value: Any, field: str, scope: Scope) -> Node:
    """A number or an expression of parameters."""
    if isinstance(value, float) and not math.isfinite(value):
        raise SpecError(field, "must be finite")
    return checked(value, field, scope, (NUMBER,))


def checked(value: Any, field: str, scope: Scope, kinds: tuple[str, ...]) -> Node:
    """The expression *value* if it is of one of *kinds*, or SpecError naming *field*."""
    try:
        node = expression(value)
        kind = Checker(scope).kind(node)
        if kind not in kinds:
            raise Refused(_mismatch(kind, kinds))
    except Refused as refused:
        raise refused.error(field) from None
    return node


def mapping(value: Any, field: str, keys: Iterable[str]) -> Mapping[str, Any]:
    """*value* if it is an object with some of *keys* only, or SpecError."""
    known = tuple(keys)
    if not isinstance(value, Mapping):
        raise SpecError(field, "must be an object")
    for key in value:
        if key not in known:
            name = shown(key)
            guess = suggestion(name, known)
            message = f"is unknown; known are {', '.join(known)}"
            if guess:
                message = f"is unknown; did you mean '{guess}'?"
            raise SpecError(f"{field}.{name}", message, suggestion=guess)
    return value


def _params(value: Any, field: str) -> dict[str, Parameter]:
    given = _named(value, field, limits.MOST_PARAMS)
    params: dict[str, Parameter] = {}
    for name, item in given.items():
        where = f"{field}.{shown(name)}"
        params[identifier(name, where, params)] = parameter(name, item, where)
    return params


def _lets(value: Any, field: str, scope: Scope) -> dict[str, Node]:
    """Each let behind those it uses, whatever order they were given in; added to *scope*."""
    given = _named(value, field, limits.MOST_LETS)
    nodes: dict[str, Node] = {}
    for name, item in given.items():
        where = f"{field}.{shown(name)}"
        identifier(name, where, {**scope.params, **nodes})
        try:
            nodes[name] = expression(item)
        except Refused as refused:
            raise refused.error(where) from None
    ordered: dict[str, Node] = {}

    def add(name: str, path: tuple[str, ...]) -> None:
        if name in ordered:
            return
        where = f"{field}.{name}"
        if name in path:
            raise SpecError(where, f"is defined by itself ({' → '.join((*path, name))})")
        for other in _names(nodes[name]):
            if other in nodes:
                add(other, (*path, name))
        checker = Checker(scope)
        try:
            kind = checker.kind(nodes[name])
        except Refused as refused:
            raise refused.error(where) from None
        scope.lets[name] = Let(nodes[name], kind, checker.framed, bounds(nodes[name], scope))
        ordered[name] = nodes[name]

    for name in nodes:
        add(name, ())
    return ordered


def _require(value: Any, field: str, scope: Scope) -> tuple[Node, ...]:
    value = [] if value is None else value
    if not isinstance(value, list | tuple) or len(value) > limits.MOST_LETS:
        raise SpecError(field, f"must be a list of at most {limits.MOST_LETS} conditions on the parameters")
    return tuple(checked(item, f"{field}[{at}]", scope, (FLAG,)) for at, item in enumerate(value))


def _names(node: Node) -> set[str]:
    if isinstance(node, Name):
        return {node.name}
    return set().union(*map(_names, children(node)))


def _named(value: Any, field: str, most: int) -> Mapping[str, Any]:
    value = {} if value is None else value
    if not isinstance(value, Mapping):
        raise SpecError(field, "must be an object")
    if len(value) > most:
        raise SpecError(field, f"has at most {most} entries, not {len(value)}")
    return value


def _one_of(value: Any, field: str, known: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value not in known:
        raise SpecError(field, f"must be one of {', '.join(known)}")
    return value


def _mismatch(kind: str, wanted: tuple[str, ...]) -> str:
    if wanted == (CONDITION,):
        if kind == FLAG:
            return "is the same on every bar: a signal depends on the bars"
        return "must be a condition, as close > open, not a number"
    if wanted == (FLAG,):
        return "must be a condition on the parameters alone"
    if wanted == (NUMBER,):
        return "must be a number or an expression of parameters, the same on every bar"
    return "must be a number per bar, not a condition"


def _scalar_dict(node: Node, trees: bool) -> Any:
    found = tree(node)
    if isinstance(found, int | float):
        return float(found)
    return found if trees else printed(node)


def _optional(node: Node | None, trees: bool) -> Any:
    if node is None:
        return None
    return tree(node) if trees else printed(node)
