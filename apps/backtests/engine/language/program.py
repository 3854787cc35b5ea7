"""A document bound to parameters and run over bars."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from apps.backtests.engine.bars import Bars
from apps.backtests.engine.errors import SpecError
from apps.backtests.engine.indicators.technical import Check
from apps.backtests.engine.language import limits
from apps.backtests.engine.language.binding import Binder
from apps.backtests.engine.language.checking import chosen
from apps.backtests.engine.language.document import (
    LEVELS,
    Distance,
    Document,
    Orders,
    Risk,
    orders_of,
    risk_of,
)
from apps.backtests.engine.language.evaluation import Cache, Evaluation
from apps.backtests.engine.language.frames import check_timeframe
from apps.backtests.engine.language.nodes import Compare, Name, Node, Number, Refused
from apps.backtests.engine.language.plan import Plan
from apps.backtests.engine.language.printing import number, printed

LONGEST_TIME_STOP = 1_000_000
LONGEST_VALIDITY = 1_000

_WORDS = {
    "<": "less than",
    "<=": "at most",
    ">": "greater than",
    ">=": "at least",
    "==": "equal to",
    "!=": "different from",
}


@dataclass(frozen=True)
class Bound:
    """What parameters make of a document: a plan and the numbers of its blocks."""

    plan: Plan
    scalars: Mapping[str, float]


def replaced(document: Document, *, orders: Any = None, risk: Any = None) -> Document:
    """*document* with other blocks, decoded JSON that may use its names; None keeps the block.

    Raises:
        SpecError: below ``orders`` or ``risk``.
    """
    if orders is not None:
        document = replace(document, orders=orders_of(orders, "orders", document.scope))
    if risk is not None:
        document = replace(document, risk=risk_of(risk, "risk", document.scope))
    return document


def check_required(document: Document, params: Mapping[str, Any]) -> None:
    """Raises SpecError where a ``require`` of the document does not hold for *params*."""
    for node in document.require:
        binder = Binder(document.scope, params)
        if binder.truth(node) is True:
            continue
        if isinstance(node, Compare) and len(node.operators) == 1 and chosen(node, document.params) is None:
            left, right = node.operands
            if isinstance(left, Name) and left.name in params:
                shown = printed(right)
                if not isinstance(right, Number):
                    value = binder.number(right)
                    shown += f" ({number(value) if math.isfinite(value) else 'unknown'})"
                raise SpecError(f"params.{left.name}", f"must be {_WORDS[node.operators[0]]} {shown}")
        raise SpecError("params", f"must satisfy {printed(node)}")


def bind(document: Document, params: Mapping[str, Any], field: str = "") -> Bound:
    """The plan for complete, valid *params*.

    Raises:
        SpecError: a window, shift or block has a value it cannot have, or all takes too much work or
            memory. It names ``params`` and the expression, or, with *field*, the expression below it.
    """
    binder = Binder(document.scope, params)

    def bound(name: str, compute: Callable[[], Any]) -> Any:
        try:
            return compute()
        except Refused as refused:
            if field:
                raise refused.error(f"{field}.{name}") from None
            column = f", column {refused.at}" if refused.at else ""
            raise SpecError(
                "params",
                f"do not fit: {refused.message.rstrip(',')} ({name}{column})",
                position=refused.at or None,
            ) from None

    outputs = binder.plan.outputs
    for name, node in document.signals.items():
        outputs[name] = bound(name, partial(binder.truth, node))
    scalars = bound_orders(document.orders, binder, bound)
    scalars |= bound_risk(document.risk, binder, bound)
    plan = binder.plan
    for what, needed, most in (
        ("work", plan.cost, limits.HIGHEST_COST),
        ("memory", plan.width, limits.WIDEST),
    ):
        if needed > most:
            where = f"{field}.{next(iter(document.signals))}" if field else "params"
            raise SpecError(where, f"means more {what} per bar than is allowed ({needed:.0f} of {most:.0f})")
    return Bound(plan, scalars)


def bound_orders(orders: Orders, binder: Binder, bound: Callable[..., Any]) -> dict[str, float]:
    """The numbers of the block; prices become outputs of the plan."""
    if orders.entry == "market":
        return {"valid_bars": 1}
    if orders.long_price is not None or orders.short_price is not None:
        for key in ("long_price", "short_price"):
            node: Node | None = getattr(orders, key)
            if node is not None:
                binder.plan.outputs[key] = bound(f"orders.{key}", partial(binder.value, node))
    else:
        binder.plan.outputs["close"] = binder.value(Name("close"))
    offset = bound("orders.offset", partial(_number, binder, orders.offset, 0, 0.5))
    valid = bound("orders.valid_bars", partial(_bars, binder, orders.valid_bars, 1, LONGEST_VALIDITY))
    return {"offset": offset, "valid_bars": valid}


def bound_risk(risk: Risk, binder: Binder, bound: Callable[..., Any]) -> dict[str, float]:
    """The numbers of the block; distances become outputs of the plan."""
    scalars: dict[str, float] = {"time_stop": 0}
    for key in LEVELS:
        level: Distance | None = getattr(risk, key)
        if level is None:
            continue
        if level.kind == "pct":
            most = 100.0 if key == "take_profit" else 0.99
            scalars[key] = bound(f"risk.{key}.pct", partial(_number, binder, level.node, 0, most))
        else:
            binder.plan.outputs[key] = bound(f"risk.{key}.distance", partial(binder.value, level.node))
    if risk.time_stop is not None:
        longest = LONGEST_TIME_STOP
        scalars["time_stop"] = bound("risk.time_stop", partial(_bars, binder, risk.time_stop, 0, longest))
    return scalars


def evaluate(
    document: Document,
    bound: Bound,
    bars: Bars,
    step: int,
    *,
    check: Check | None = None,
    cache: Cache | None = None,
) -> dict[str, Any]:
    """The outputs of the plan over *bars* by name, as ``Evaluation.run`` gives them.

    Raises:
        SpecError: a timeframe that the document names does not fit the bars.
    """
    check_timeframes(document, step)
    return Evaluation(bars, step, check, cache).run(bound.plan)


def check_timeframes(document: Document, step: int) -> None:
    """Raises SpecError where bars of *step* milliseconds cannot be joined to a timeframe of the document."""
    for timeframe in document.timeframes:
        try:
            check_timeframe(timeframe, step)
        except Refused as refused:
            raise refused.error("strategy") from None


def _number(binder: Binder, node: Node, least: float, most: float) -> float:
    value = binder.number(node)
    if not least <= value <= most:
        raise Refused(f"must lie within {least:g} and {most:g}, not {value:g}")
    return value + 0.0


def _bars(binder: Binder, node: Node, least: int, most: int) -> int:
    value = _number(binder, node, least, most)
    if value != int(value):
        raise Refused(f"must be a whole number of bars, not {value:g}")
    return int(value)
