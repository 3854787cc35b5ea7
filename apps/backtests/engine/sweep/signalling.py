"""The signal stage of a sweep: one strategy with many parameters over the same bars."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from apps.backtests.engine.bars import Bars
from apps.backtests.engine.spec import Spec
from apps.backtests.engine.strategies import STRATEGIES, Signals


def signaller(bars: Bars, spec: Spec) -> Callable[[Mapping[str, Any]], Signals]:
    """A function from complete parameters to signals over *bars*."""
    strategy = STRATEGIES[spec.strategy]
    return lambda params: strategy.signals(bars, params)
