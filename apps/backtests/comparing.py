"""Backtests side by side: what was asked for, what came of it, and how their curves go together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.backtests.columns import Curve, Floats, Times
from apps.backtests.engine import downsample
from apps.backtests.models import Backtest
from apps.backtests.selectors import curve_of
from apps.candles.timeframes import TIMEFRAMES


def compared(backtests: Sequence[Backtest], *, points: int) -> dict[str, Any]:
    """Several backtests that have results, each list in their order.

    - ``metrics``: by name.
    - ``differences``: the settings in which not all are the same, by their path.
    - ``equity``: at most *points* moments at which bars close, of the time from the first close that all of
      them have to the last: ``ts``, with the growth of 1 since the first to the last close known then; empty
      where there is no such time.
    - ``correlation``: of the changes from close to close of the coarsest of them; null where one does not
      change.
    """
    results = [backtest.result for backtest in backtests]
    assert all(result is not None for result in results)
    names = list(dict.fromkeys(name for result in results if result for name in result.metrics))
    curves = _at_closes(backtests)
    inside = _inside(curves)
    coarsest = min(range(len(curves)), key=lambda at: (-_step(backtests[at]), len(inside[at])))
    ts = reduce(np.union1d, _distinct(inside))
    # Of up to ten times millions of values, each array goes as soon as the next is made of it.
    growth = [_grown(curves.pop(0), ts) for _ in backtests]
    kept = _drawn(growth, points)
    drawn = [values[kept].tolist() for values in growth]
    return {
        "metrics": {name: [result.metrics.get(name) for result in results if result] for name in names},
        "differences": _differences([_settings(backtest) for backtest in backtests]),
        "equity": {"ts": ts[kept].tolist(), "growth": drawn},
        "correlation": _correlation([_changes(growth.pop(0), ts, inside[coarsest]) for _ in backtests]),
    }


def _step(backtest: Backtest) -> int:
    """Milliseconds of the bars that its curve has a value for each of."""
    return TIMEFRAMES[backtest.spec["execution"]["detail"] or backtest.timeframe].width


def _at_closes(backtests: Sequence[Backtest]) -> list[Curve]:
    """Their curves with the moments at which each value was known, which are the ends of the bars."""
    curves: list[Curve] = []
    for backtest in backtests:
        assert backtest.result is not None
        curve = curve_of(backtest.result)
        ts = _same(curve.ts + _step(backtest), [one.ts for one in curves])
        curves.append(Curve(ts=ts, value=curve.value))
    return curves


def _same(ts: Times, known: Sequence[Times]) -> Times:
    """That of *known* which is equal, so that it is there once."""
    return next((one for one in known if one is ts or np.array_equal(one, ts)), ts)


def _distinct(times: Sequence[Times]) -> list[Times]:
    return list({id(ts): ts for ts in times}.values())


def _inside(curves: Sequence[Curve]) -> list[Times]:
    """The moments of each in the time that every curve covers; of those that are equal one array."""
    first = max(int(curve.ts[0]) for curve in curves)
    last = min(int(curve.ts[-1]) for curve in curves)
    found: list[Times] = []
    for curve in curves:
        found.append(_same(curve.ts[slice(*np.searchsorted(curve.ts, (first, last + 1)))], found))
    return found


def _settings(backtest: Backtest) -> dict[str, Any]:
    return {
        "instruments": backtest.instruments,
        "timeframe": backtest.timeframe,
        "start": backtest.start.isoformat(),
        "end": backtest.end.isoformat(),
        **_flat(backtest.spec),
    }


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Objects inside as paths with dots; a strategy's document is one value."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and value and name != "strategy":
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _differences(settings: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    paths = dict.fromkeys(path for one in settings for path in one)
    columns = {path: [one.get(path) for one in settings] for path in paths}
    return {path: values for path, values in columns.items() if any(value != values[0] for value in values)}


def _grown(curve: Curve, ts: Times) -> Floats:
    """The growth of a curve since the first of these moments, all of which it covers."""
    if not len(ts):
        return np.empty(0)
    begin = int(np.searchsorted(curve.ts, ts[0], side="right")) - 1
    values = curve.value[begin : begin + len(ts)]
    if not np.array_equal(curve.ts[begin : begin + len(ts)], ts):
        # The last value that is known at each moment.
        values = curve.value[np.searchsorted(curve.ts, ts, side="right") - 1]
    return values / values[0] if values[0] > 0 else np.zeros(len(ts))


def _drawn(growth: Sequence[Floats], points: int) -> NDArray[np.int64]:
    """The places at which to draw: each curve's share of peaks and troughs."""
    if not len(growth[0]):
        return np.empty(0, np.int64)
    if len(growth[0]) <= points:
        return np.arange(len(growth[0]), dtype=np.int64)
    share = max(4, points // len(growth))
    kept = np.unique(np.concatenate([downsample(values, share) for values in growth]))
    if len(kept) > points:
        # Each has the fewest that there can be, and there are too many of them.
        kept = kept[np.linspace(0, len(kept) - 1, points).astype(np.int64)]
    return kept


def _changes(growth: Floats, ts: Times, closes: Times) -> Floats:
    """The changes of a curve from each of *closes*, which are among *ts*, to the next; less their mean."""
    held = growth if len(closes) == len(ts) else growth[np.searchsorted(ts, closes)]
    if len(held) < 2:
        return np.empty(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        change: Floats = held[1:] / held[:-1]
    change -= 1
    change[~np.isfinite(change)] = 0.0
    change -= change.mean()
    return change


def _correlation(changes: Sequence[Floats]) -> list[list[float | None]]:
    """Of each with each; null where one does not change."""
    sizes = [float(np.sqrt(one @ one)) for one in changes]
    found: list[list[float | None]] = [[None] * len(changes) for _ in changes]
    for row, one in enumerate(changes):
        for column in range(row, len(changes)):
            if (scale := sizes[row] * sizes[column]) > 0:
                value = 1.0 if row == column else float(one @ changes[column]) / scale
                found[row][column] = found[column][row] = round(min(1.0, max(-1.0, value)), 6)
    return found
