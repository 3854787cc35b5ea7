"""Moving-average crossover: in the market while the fast average is above the slow one."""

from __future__ import annotations

import numpy as np

from apps.backtests.engine.bars import Bars
from apps.backtests.engine.errors import SpecError
from apps.backtests.engine.indicators import LONGEST_WINDOW, MovingAverage, crosses
from apps.backtests.engine.kernel import ENTER_LONG, ENTER_SHORT, EXIT_LONG, EXIT_SHORT
from apps.backtests.engine.strategies.base import Params, Signals, Strategy


def signals(bars: Bars, params: Params, *, strict: bool = False) -> Signals:
    """Signals at the crossings of two simple moving averages of the close.

    ``direction`` "long" enters at a cross up and leaves at a cross down; "long_short" also enters
    short at a cross down and leaves it at a cross up, which reverses the position in one bar.
    The first possible signal is at bar ``slow``, the second bar with both averages. *strict* selects
    the other definition of a crossing (see ``crosses``), for comparison with engines that use it.
    """
    average = MovingAverage(bars.close)
    up, down = crosses(average.over(params["fast"]), average.over(params["slow"]), strict=strict)
    at_up, at_down = ENTER_LONG, EXIT_LONG
    if params["direction"] == "long_short":
        at_up, at_down = ENTER_LONG | EXIT_SHORT, ENTER_SHORT | EXIT_LONG
    bits = up.astype(np.uint8) * np.uint8(at_up) + down.astype(np.uint8) * np.uint8(at_down)
    return Signals(bits=bits, warmup=params["slow"] - 1)


def _check(params: Params) -> None:
    if params["fast"] >= params["slow"]:
        raise SpecError("fast", f"must be less than slow ({params['slow']})")


SMA_CROSS = Strategy(
    name="sma_cross",
    title="Moving-average crossover",
    schema={
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Moving-average crossover",
        "type": "object",
        "additionalProperties": False,
        "required": ["fast", "slow"],
        "properties": {
            "fast": {
                "type": "integer",
                "minimum": 1,
                "maximum": LONGEST_WINDOW,
                "description": "Bars in the fast average; less than slow.",
            },
            "slow": {
                "type": "integer",
                "minimum": 2,
                "maximum": LONGEST_WINDOW,
                "description": "Bars in the slow average.",
            },
            "direction": {
                "type": "string",
                "enum": ["long", "long_short"],
                "default": "long",
                "description": "Hold long positions only, or reverse into short ones.",
            },
        },
    },
    check=_check,
    signals=signals,
)
