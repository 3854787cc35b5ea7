"""What is computed, step by step, and what that takes: work and memory per bar."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from apps.backtests.engine.bars import HIGHEST_PRICE, LOWEST_PRICE
from apps.backtests.engine.indicators import INDICATORS
from apps.backtests.engine.language.functions import SERIES

PRICES = frozenset(SERIES) - {"volume"}

_GIVEN = frozenset({"open", "high", "low", "close", "volume"})
_FLAGS = frozenset({"<", "<=", ">", ">=", "==", "!=", "all", "any", "not_cross", "session", "constant"})
_FRAME = 6 * 8  # five columns of the higher bars, and which of them is known at each bar
_SUMS = 2 * 8  # what all averages of one column share


@dataclass(frozen=True)
class Ref:
    """The result of a step of the plan."""

    index: int


Value = Ref | float
Truth = Ref | bool


@dataclass(frozen=True)
class Step:
    """One computation.

    ``operation`` is an operator, a function or ``indicator``; ``inputs`` are results of earlier steps and
    numbers; ``detail`` is whatever else it needs. ``frame`` is the timeframe whose bars it runs over, ""
    for the bars themselves. ``digest`` identifies the computation in any plan over the same bars.
    ``range`` are the least and the highest magnitude that its values can have behind the warm-up; it is
    (0, inf) where some may be missing.
    """

    operation: str
    inputs: tuple[Value, ...]
    detail: Any
    frame: str
    digest: bytes
    lookback: int
    cost: float
    range: tuple[float, float]

    @property
    def broken(self) -> bool:
        """Whether values may be missing or infinite behind the warm-up."""
        return math.isinf(self.range[1])


@dataclass
class Plan:
    """Steps in order; ``outputs`` are the ones that are wanted, by name."""

    steps: list[Step] = field(default_factory=list)
    outputs: dict[str, Value | Truth] = field(default_factory=dict)

    @property
    def cost(self) -> float:
        """Work per bar in passes over a column; higher timeframes are counted as if they had all bars."""
        return sum(step.cost for step in self.steps)

    @property
    def width(self) -> float:
        """Memory for results per bar, in columns of 8 bytes, where most of them are held at once.

        As in ``cost``, higher timeframes count as if they had all bars. What one step needs while it
        runs, and the bars themselves, are not in it.
        """
        last = self._last_uses()
        expiring: dict[int, list[int]] = {}
        for index, use in last.items():
            expiring.setdefault(use, []).append(index)
        sizes: list[int] = []
        for step in self.steps:
            inputs = [sizes[item.index] for item in step.inputs if isinstance(item, Ref)]
            sizes.append(_size(step, inputs))
        kept: set[tuple[str, str]] = set()
        held = most = 0
        for index, step in enumerate(self.steps):
            if index not in last:
                continue
            for key, size in _keeps(step):
                held += 0 if key in kept else size
                kept.add(key)
            held += sizes[index]
            most = max(most, held)
            held -= sum(sizes[at] for at in expiring.get(index, ()))
        return most / 8

    def _last_uses(self) -> dict[int, int]:
        """The step behind which each step that is needed can be freed; outputs never."""
        never = len(self.steps)
        last = {item.index: never for item in self.outputs.values() if isinstance(item, Ref)}
        for index in range(never - 1, -1, -1):
            if index in last:
                for item in self.steps[index].inputs:
                    if isinstance(item, Ref):
                        last.setdefault(item.index, index)
        return last


def range_of(
    operation: str, inputs: Sequence[Value], detail: Any, steps: Sequence[Step]
) -> tuple[float, float]:
    """``Step.range`` of a step; wider than it is where that is not obvious."""
    ranges = [steps[item.index].range if isinstance(item, Ref) else (abs(item),) * 2 for item in inputs]
    lows, highs = [low for low, _ in ranges], [high for _, high in ranges]
    if any(map(math.isnan, highs)):
        return 0.0, math.inf
    match operation:
        case "column":
            return (LOWEST_PRICE, HIGHEST_PRICE) if detail in PRICES else (0.0, sys.float_info.max)
        case "average":
            return LOWEST_PRICE, HIGHEST_PRICE
        case "negative" | "abs" | "shift" | "on" | "min" | "max":
            return min(lows), max(highs)
        case "+" | "-":
            return 0.0, sum(highs)
        case "*":
            return 0.0, math.inf if math.inf in highs else highs[0] * highs[1]  # 0 times unknown is unknown
        case "/" if lows[1] > 0.0:
            return 0.0, highs[0] / lows[1]
        case "log" if lows[0] > 0.0 and _positive(inputs[0], steps):
            return 0.0, max(map(abs, map(math.log, ranges[0])))
        case "sqrt" if _positive(inputs[0], steps):
            return 0.0, math.sqrt(highs[0])
        case "value_when":
            return ranges[1]
        case "hour" | "minute" | "weekday" | "barssince":
            return 0.0, float(2**53)
        case "pick":
            return ranges[0]
        case "indicator" if not INDICATORS[detail[0]].gaps and max(highs, default=0.0) < 1e140:
            # See there; and the squares of a window of such values are finite.
            return 0.0, max(highs, default=1.0) * 1e18 + 1e18
    return 0.0, math.inf


def _positive(value: Value, steps: Sequence[Step]) -> bool:
    """Whether *value* is a price, now or before."""
    while isinstance(value, Ref):
        step = steps[value.index]
        if step.operation in ("column", "average"):
            return True
        if step.operation not in ("shift", "on"):
            return False
        value = step.inputs[0]
    return False


def _size(step: Step, inputs: list[int]) -> int:
    """Bytes of its result per bar."""
    match step.operation:
        case "column":
            return 0
        case "cross":
            return 2
        case "pick":
            return 1 if inputs[0] == 2 else 8
        case "shift" | "on":
            return inputs[0] or 8
        case "indicator":
            return 8 * INDICATORS[step.detail[0]].outputs
    return 1 if step.operation in _FLAGS else 8


def _keeps(step: Step) -> list[tuple[tuple[str, str], int]]:
    """What a step leaves behind for others until the end: names and bytes per bar."""
    kept = []
    if step.frame:
        kept.append(((step.frame, ""), _FRAME))
    name = (
        step.detail if step.operation == "column" else step.detail[0] if step.operation == "average" else ""
    )
    if name and name not in _GIVEN:
        kept.append(((step.frame, name), 8))
    if step.operation == "average":
        kept.append(((step.frame, f"average {name}"), _SUMS))
    return kept
