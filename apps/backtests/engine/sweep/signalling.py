"""The signal stage of a sweep: one strategy with many parameters over the same bars."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from apps.backtests.engine.bars import Bars
from apps.backtests.engine.language import Cache
from apps.backtests.engine.spec import Spec
from apps.backtests.engine.strategies import Signals

#: Bytes of what combinations share that are kept, of all instruments together.
_KEPT = 256 * 2**20


def signaller(
    bars: Bars, spec: Spec, *, share: int = 1, check: Callable[[], object] | None = None
) -> Callable[[Mapping[str, Any]], Signals]:
    """A function from complete parameters to signals over *bars*; what combinations share is made once.

    *share*: how many instruments have one each, and its memory with it. *check* is called between
    computations; what it raises ends them.
    """
    strategy, cache = spec.definition, Cache(bars, limit=_KEPT // share)
    return lambda params: strategy.signals(bars, params, check=check, cache=cache)
