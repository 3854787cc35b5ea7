"""Backtests side by side: what was asked for, what came of it, and how their curves go together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.backtests.columns import Curve
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
    curves = [_at_closes(backtest) for backtest in backtests]
    ts, growth = _together(curves)
    kept = _drawn(growth, points)
    return {
        "metrics": {name: [result.metrics.get(name) for result in results if result] for name in names},
        "differences": _differences([_settings(backtest) for backtest in backtests]),
        "equity": {"ts": ts[kept].tolist(), "growth": [values[kept].tolist() for values in growth]},
        "correlation": _correlation(_coarsest(backtests, curves, ts), ts, growth),
    }


def _step(backtest: Backtest) -> int:
    """Milliseconds of the bars that its curve has a value for each of."""
    return TIMEFRAMES[backtest.spec["execution"]["detail"] or backtest.timeframe].width


def _at_closes(backtest: Backtest) -> Curve:
    """Its curve with the moments at which each value was known, which are the ends of the bars."""
    assert backtest.result is not None
    curve = curve_of(backtest.result)
    return Curve(ts=curve.ts + _step(backtest), value=curve.value)


def _coarsest(
    backtests: Sequence[Backtest], curves: Sequence[Curve], ts: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The closes, among *ts*, of the widest bars; of equally wide ones where there are the fewest."""
    inside = [curve.ts[np.isin(curve.ts, ts, assume_unique=True)] for curve in curves]
    place = min(range(len(curves)), key=lambda at: (-_step(backtests[at]), len(inside[at])))
    return inside[place]


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


def _together(curves: Sequence[Curve]) -> tuple[NDArray[np.int64], list[NDArray[np.float64]]]:
    """All moments of the time that every curve covers, and the growth of each at them."""
    first = max(int(curve.ts[0]) for curve in curves)
    last = min(int(curve.ts[-1]) for curve in curves)
    inside = [curve.ts[slice(*np.searchsorted(curve.ts, (first, last + 1)))] for curve in curves]
    ts = np.unique(np.concatenate(inside))
    return ts, [_grown(curve, ts) for curve in curves]


def _grown(curve: Curve, ts: NDArray[np.int64]) -> NDArray[np.float64]:
    if not len(ts):
        return np.empty(0)
    # The last value that is known at each moment.
    values = curve.value[np.searchsorted(curve.ts, ts, side="right") - 1]
    return values / values[0] if values[0] > 0 else np.zeros(len(ts))


def _drawn(growth: Sequence[NDArray[np.float64]], points: int) -> NDArray[np.int64]:
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


def _correlation(
    closes: NDArray[np.int64], ts: NDArray[np.int64], growth: Sequence[NDArray[np.float64]]
) -> list[list[float | None]]:
    at = np.flatnonzero(np.isin(ts, closes, assume_unique=True))
    returns = []
    for values in growth:
        held = values[at]
        with np.errstate(divide="ignore", invalid="ignore"):
            change = held[1:] / held[:-1] - 1
        returns.append(np.where(np.isfinite(change), change, 0.0))
    return [[_pearson(one, other) for other in returns] for one in returns]


def _pearson(a: NDArray[np.float64], b: NDArray[np.float64]) -> float | None:
    if len(a) < 2:
        return None
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return round(min(1.0, max(-1.0, float(a @ b) / scale)), 6) if scale > 0 else None
