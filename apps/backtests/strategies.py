"""Strategies as the service sees them: what there are, and whether one that somebody wrote is one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from apps.backtests.engine import Spec, SpecError, Strategy, strategy_of


def resolve(given: object) -> Strategy:
    """The strategy with this name, document or text. Raises `SpecError` where there is none."""
    return strategy_of(cast("str | Mapping[str, Any]", given))


def fitted(spec: Spec, step: int) -> Strategy:
    """The strategy of *spec* with the blocks that it replaces, which fits bars of *step* milliseconds.

    Raises `SpecError` for timeframes that do not fit.
    """
    spec.definition.check_timeframes(step)
    return spec.definition


def described(strategy: Strategy) -> dict[str, Any]:
    """A strategy for clients: name, title, description, schema of its parameters, document, text."""
    return {
        "name": strategy.name,
        "title": strategy.title,
        "description": strategy.description,
        "parameters": strategy.schema,
        "document": strategy.document,
        "text": strategy.text,
    }


def cost_of(strategy: Strategy, params: Mapping[str, Any]) -> float:
    """Work for each bar with these complete parameters, in units of one simple pass over a column."""
    return strategy.cost(params)


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
