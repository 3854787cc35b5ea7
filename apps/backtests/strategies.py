"""Strategies as the service sees them: what there are, and whether one that somebody wrote is one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apps.backtests.engine import STRATEGIES, Spec, SpecError
from apps.backtests.engine import strategies as built_in


def resolve(given: object) -> Any:
    """The strategy with this name, document or text. Raises `SpecError` where there is none.

    Documents and texts are known where the engine has its language (``strategy_of``).
    """
    find = getattr(built_in, "strategy_of", None)
    if find is not None and isinstance(given, str | Mapping):
        return find(given)
    if not isinstance(given, str) or given not in STRATEGIES:
        raise SpecError("strategy", f"must be one of {', '.join(STRATEGIES)}")
    return STRATEGIES[given]


def fitted(spec: Spec, step: int) -> Any:
    """The strategy of *spec* with the blocks that it replaces, which fits bars of *step* milliseconds.

    Raises `SpecError` below ``orders`` and ``risk``, and for timeframes that do not fit.
    """
    strategy = resolve(spec.strategy)
    if (replaced := getattr(strategy, "replaced", None)) is not None:
        strategy = replaced(orders=spec.orders, risk=spec.risk)
    if (check := getattr(strategy, "check_timeframes", None)) is not None:
        check(step)
    return strategy


def described(strategy: Any) -> dict[str, Any]:
    """A strategy for clients: name, title, description, schema of its parameters, document, text."""
    return {
        "name": strategy.name,
        "title": strategy.title,
        "description": getattr(strategy, "description", ""),
        "parameters": strategy.schema,
        "document": getattr(strategy, "document", None),
        "text": getattr(strategy, "text", None),
    }


def cost_of(strategy: Any, params: Mapping[str, Any]) -> float:
    """Work for each bar, in units of one simple pass over a column; 1 where the strategy does not tell."""
    cost = getattr(strategy, "cost", None)
    return float(cost(params)) if cost is not None else 1.0


def checked(given: object, params: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a strategy comes to, with the cost of its parameters. Raises `SpecError`.

    Without *params* the cost is that of the defaults, or null where they are not complete.
    """
    strategy = resolve(given)
    try:
        complete = strategy.validated(params or {})
    except SpecError:
        if params is not None:
            raise
        complete = None
    cost = None if complete is None else cost_of(strategy, complete)
    return {**described(strategy), "params": complete, "cost": cost}
