"""The signal stage of a sweep: one strategy with many parameters over the same bars."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from apps.backtests.engine.bars import Bars
from apps.backtests.engine.language import Cache
from apps.backtests.engine.spec import Spec
from apps.backtests.engine.strategies import Signals


def signaller(
    bars: Bars, spec: Spec, *, check: Callable[[], object] | None = None
) -> Callable[[Mapping[str, Any]], Signals]:
    """A function from complete parameters to signals over *bars*; what combinations share is made once.

    *check* is called between computations; what it raises ends them.
    """
    strategy, cache = spec.definition, Cache(bars)
    return lambda params: strategy.signals(bars, params, check=check, cache=cache)
