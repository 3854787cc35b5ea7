"""Follows a plan over bars: arrays in, arrays out, each freed after its last use."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.backtests.engine.bars import Bars, Floats
from apps.backtests.engine.indicators import INDICATORS, MovingAverage, crosses
from apps.backtests.engine.indicators.crossings import Flags
from apps.backtests.engine.indicators.technical import Check, over_pieces, over_runs, over_windows
from apps.backtests.engine.language.frames import DAY, MINUTE, Columns, Higher, higher
from apps.backtests.engine.language.logarithm import logarithm
from apps.backtests.engine.language.plan import Plan, Ref, Step


@dataclass(frozen=True)
class Result:
    """What a step gives: numbers, flags, or a tuple of either, and the first bar on which it has a value.

    Numbers are NaN before ``start`` and may be NaN behind it; a flag is set only where it is certain.
    """

    value: Any
    start: int


class Cache:
    """Results that runs over the same bars share, such as the combinations of a sweep.

    It holds up to *limit* bytes; what was not used for longest goes first. Not safe between threads.
    """

    def __init__(self, bars: Bars, *, limit: int = 256 * 2**20) -> None:
        self.bars = bars
        self.limit = limit
        self.used = 0
        self._held: OrderedDict[bytes, tuple[Any, int]] = OrderedDict()

    def get(self, key: bytes) -> Any:
        """What was put there, or None."""
        held = self._held.get(key)
        if held is None:
            return None
        self._held.move_to_end(key)
        return held[0]

    def put(self, key: bytes, value: Any, size: int) -> None:
        if size > self.limit or key in self._held:
            return
        self._held[key] = (value, size)
        self.used += size
        while self.used > self.limit:
            _, (_, freed) = self._held.popitem(last=False)
            self.used -= freed


@dataclass
class Evaluation:
    """One run of a plan over *bars*, whose own step is *step* milliseconds."""

    bars: Bars
    step: int
    check: Check | None = None
    cache: Cache | None = None
    _frames: dict[str, Higher] = field(default_factory=dict)
    _averages: dict[tuple[str, str], MovingAverage] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.cache is not None and self.cache.bars is not self.bars:
            raise ValueError("a cache belongs to the bars it was made for")
        self._own = Columns.of(self.bars)

    def run(self, plan: Plan) -> dict[str, Any]:
        """The outputs by name: a Result, or the number or answer that the plan has already.

        What overflows is infinite and what has no value NaN; numpy does not warn of either.
        """
        with np.errstate(all="ignore"):
            return self._run(plan)

    def _run(self, plan: Plan) -> dict[str, Any]:
        wanted = {item.index for item in plan.outputs.values() if isinstance(item, Ref)}
        found: dict[int, Result] = {}
        uses = self._needed(plan, wanted, found)
        for index, step in enumerate(plan.steps):
            if index not in uses or index in found:
                continue
            if self.check is not None:
                self.check()
            inputs = [found[item.index] if isinstance(item, Ref) else item for item in step.inputs]
            found[index] = result = self._compute(step, inputs)
            del inputs
            if self.cache is not None and step.operation not in ("column", "pick"):
                self.cache.put(step.digest, result, _size(result.value))
            for item in step.inputs:
                if isinstance(item, Ref):
                    uses[item.index] -= 1
                    if not uses[item.index] and item.index not in wanted:
                        del found[item.index]
        return {
            name: found[item.index] if isinstance(item, Ref) else item for name, item in plan.outputs.items()
        }

    def _needed(self, plan: Plan, wanted: Iterable[int], found: dict[int, Result]) -> dict[int, int]:
        """How often each step's result is used by steps that must be computed; cached ones go to *found*."""
        uses = dict.fromkeys(wanted, 0)
        for index in range(len(plan.steps) - 1, -1, -1):
            if index not in uses:
                continue
            step = plan.steps[index]
            if self.cache is not None:
                held = self.cache.get(step.digest)
                if held is not None:
                    found[index] = held
                    continue
            for item in step.inputs:
                if isinstance(item, Ref):
                    uses[item.index] = uses.get(item.index, 0) + 1
        return uses

    def columns(self, frame: str) -> Columns:
        return self.higher(frame).columns if frame else self._own

    def higher(self, frame: str) -> Higher:
        if frame not in self._frames:
            key = f"higher {self.step} {frame}".encode()
            held = self.cache.get(key) if self.cache is not None else None
            self._frames[frame] = held or higher(self.bars, self.step, frame)
            if self.cache is not None:
                self.cache.put(key, self._frames[frame], self._frames[frame].nbytes)
        return self._frames[frame]

    def _compute(self, step: Step, inputs: list[Any]) -> Result:
        operation = step.operation
        start = max((item.start for item in inputs if isinstance(item, Result)), default=0)
        values = [item.value if isinstance(item, Result) else item for item in inputs]
        match operation:
            case "column":
                return Result(self.columns(step.frame).column(step.detail), 0)
            case "indicator":
                return self._indicator(step, values, start)
            case "average":
                return self._average(step)
            case "pick":
                return Result(values[0][step.detail], start)
            case "shift":
                return Result(_shifted(values[0], step.detail), start + step.detail)
            case "on":
                return self._spread(step.detail, values[0], start)
            case "hour" | "minute" | "weekday" | "session" | "constant":
                return Result(self._time(step, values), 0)
        return Result(_ELEMENTWISE[operation](values, step.detail), start)

    def _indicator(self, step: Step, values: list[Any], start: int) -> Result:
        # A family has the name of one of its indicators.
        name, *numbers = step.detail
        indicator = INDICATORS[name]
        assert indicator.compute is not None
        lookback = indicator.lookback(*numbers)
        if indicator.scans:
            value = over_pieces(
                indicator.compute, values, tuple(numbers), window=lookback + 1, check=self.check
            )
        elif indicator.looped:
            value = indicator.compute(*values, *numbers, check=self.check)
        elif indicator.columns:
            value = indicator.compute(*values, *numbers)
        elif indicator.windowed:
            value = over_windows(
                indicator.compute, values[0], tuple(numbers), start=start, window=lookback + 1
            )
        else:
            value = over_runs(
                indicator.compute, values[0], tuple(numbers), start=start, lookback=lookback, check=self.check
            )
        return Result(value, start + lookback)

    def _average(self, step: Step) -> Result:
        name, window = step.detail
        return Result(self._moving_average(step.frame, name).over(window), window - 1)

    def _moving_average(self, frame: str, name: str) -> MovingAverage:
        """Shared by all windows."""
        key = (frame, name)
        if key not in self._averages:
            held = self.cache.get(repr(key).encode()) if self.cache is not None else None
            self._averages[key] = held or MovingAverage(self.columns(frame).column(name))
            if self.cache is not None:
                self.cache.put(repr(key).encode(), self._averages[key], self._averages[key].nbytes)
        return self._averages[key]

    def _spread(self, frame: str, value: Any, start: int) -> Result:
        above = self.higher(frame)
        spread = above.spread_flags(value) if value.dtype == np.bool_ else above.spread(value)
        return Result(spread, above.start(start))

    def _time(self, step: Step, values: list[Any]) -> Any:
        ts = self.columns(step.frame).ts
        match step.operation:
            case "constant":
                return np.full(len(ts), step.detail)
            case "hour":
                return (ts // (60 * MINUTE) % 24).astype(np.float64)
            case "minute":
                return (ts // MINUTE % 60).astype(np.float64)
            case "weekday":
                return ((ts // DAY + 3) % 7).astype(np.float64)
        begin, end = (round(hours * 60 * MINUTE) for hours in values)
        clock = ts % DAY
        inside = (clock >= begin) & (clock < end) if begin <= end else (clock >= begin) | (clock < end)
        return inside if step.detail else ~inside


def _shifted(values: Any, bars: int) -> Any:
    result = np.empty_like(values)
    result[:bars] = False if values.dtype == np.bool_ else np.nan
    result[bars:] = values[: max(len(values) - bars, 0)]
    return result


def _divided(values: list[Any], _: Any) -> Floats:
    a, b = values
    if isinstance(b, float):
        return a / b if b else np.full(len(a), np.nan)
    result: Floats = a / b
    if not b.all():
        result[b == 0.0] = np.nan
    return result


def _not_equal(values: list[Any], _: Any) -> Flags:
    a, b = values
    result: Flags = (a < b) | (a > b)
    return result


def _cross(values: list[Any], strict: bool) -> tuple[Flags, Flags]:
    return crosses(*_arrays(values), strict=strict)


def _not_cross(values: list[Any], _: Any) -> Flags:
    """Where both lines are known on this bar and the one before, and did not cross."""
    found, *lines = values
    a, b = _arrays(lines)
    known = ~np.isnan(a - b)
    result: Flags = known & ~found
    result[1:] &= known[:-1]
    result[:1] = False
    return result


def _arrays(values: list[Any]) -> list[Floats]:
    count = next(len(value) for value in values if not isinstance(value, float))
    return [np.full(count, value) if isinstance(value, float) else value for value in values]


def _last(flags: Flags) -> NDArray[np.int64]:
    """The last bar on which the flag was set, -1 where it never was."""
    return np.maximum.accumulate(np.where(flags, np.arange(len(flags)), -1))


def _bars_since(values: list[Any], _: Any) -> Floats:
    last = _last(values[0])
    result = (np.arange(len(last)) - last).astype(np.float64)
    result[last < 0] = np.nan
    return result


def _value_when(values: list[Any], _: Any) -> Floats:
    flags, value = values
    last = _last(flags)
    result = np.full(len(last), value) if isinstance(value, float) else value[np.maximum(last, 0)]
    result[last < 0] = np.nan
    return result


def _plainly(function: Callable[..., Any]) -> Callable[[list[Any], Any], Any]:
    """*function* of the values alone."""
    return lambda values, _: function(*values)


def _root(x: Floats) -> Floats:
    return np.sqrt(x)


def _each(function: Callable[..., Any]) -> Callable[..., Any]:
    def compute(*values: Any) -> Any:
        result = values[0]
        for value in values[1:]:
            result = function(result, value)
        return result

    return compute


_ELEMENTWISE: dict[str, Callable[[list[Any], Any], Any]] = {
    "negative": _plainly(np.negative),
    "+": _plainly(np.add),
    "-": _plainly(np.subtract),
    "*": _plainly(np.multiply),
    "/": _divided,
    "abs": _plainly(np.abs),
    "sqrt": _plainly(_root),
    "log": _plainly(logarithm),
    "min": _plainly(_each(np.minimum)),
    "max": _plainly(_each(np.maximum)),
    "<": _plainly(np.less),
    "<=": _plainly(np.less_equal),
    ">": _plainly(np.greater),
    ">=": _plainly(np.greater_equal),
    "==": _plainly(np.equal),
    "!=": _not_equal,
    "all": _plainly(_each(np.logical_and)),
    "any": _plainly(_each(np.logical_or)),
    "cross": _cross,
    "not_cross": _not_cross,
    "barssince": _bars_since,
    "value_when": _value_when,
}


def _size(value: Any) -> int:
    if isinstance(value, tuple):
        return sum(map(_size, value))
    return int(value.nbytes)
