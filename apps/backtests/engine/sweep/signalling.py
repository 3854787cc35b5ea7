"""The signal stage of a sweep: one strategy with many parameters over the same bars."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from apps.backtests.engine.bars import Bars
from apps.backtests.engine.errors import SpecError
from apps.backtests.engine.spec import Spec
from apps.backtests.engine.strategies import STRATEGIES, Signals, Strategy


def signaller(bars: Bars, spec: Spec) -> Callable[[Mapping[str, Any]], Signals]:
    """A function from complete parameters to signals over *bars*."""
    strategy = STRATEGIES[spec.strategy]
    return lambda params: strategy.signals(bars, params)


def strategy_named(value: object) -> Strategy:
    """The strategy of a specification. Raises SpecError."""
    if not isinstance(value, str) or value not in STRATEGIES:
        raise SpecError("strategy", f"must be one of {', '.join(STRATEGIES)}")
    return STRATEGIES[value]


def cost_of(strategy: Strategy, params: Mapping[str, Any]) -> float:
    """Work for each bar, in passes over a column."""
    return 10.0
