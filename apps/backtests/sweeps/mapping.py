"""A metric by one or two parameters, small enough to be drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from apps.backtests.engine.bars import Floats
from apps.backtests.engine.sweep import LOW_IS_GOOD, heatmap
from apps.backtests.sweeps.reading import Found

#: The most places of an axis, the fewest that values are put together into, and how sparse a map may be.
MOST, _FEWEST, _SPARSE = 200, 12, 4


@dataclass(frozen=True, kw_only=True, eq=False)
class Axis:
    """The places along one side of a map, ascending.

    Attributes:
        values: of each place its value, or where its range begins.
        ends: where each range ends, itself left out except at the last; None where places are values.
        at: the place of each combination's value.
    """

    values: list[Any]
    ends: list[float] | None
    at: list[Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Map:
    """``values[y][x]``, NaN where there is none; without *y* there is one row."""

    x: Axis
    y: Axis | None
    values: Floats


def map_of(found: Found, x: str, y: str | None, metric: str, *, reduce: str = "max") -> Map:
    """*metric* by the parameters *x* and *y*; of several at one place the best (``max``) or the ``mean``.

    Numbers are put together into ranges where a side has more than `MOST` of them, or where most places
    would be empty, as after random draws.
    """
    names = (x,) if y is None else (x, y)
    columns = [found.table[f"params.{name}"].to_pylist() if len(found) else [] for name in names]
    kinds = [len(set(column)) for column in columns]
    most = MOST
    if len(columns) == 2 and math.prod(kinds) > _SPARSE * len(found):
        most = max(_FEWEST, min(MOST, int(2 * math.sqrt(len(found)))))
    axes = [_axis(column, kind, most) for column, kind in zip(columns, kinds, strict=True)]
    across, along = axes[0], axes[1] if y is not None else None
    if not len(found):
        return Map(x=across, y=along, values=np.empty((0, 0)))
    drawn = heatmap(
        across.at,
        [0] * len(found) if along is None else along.at,
        found.metric(metric),
        reduce=reduce,
        low=metric in LOW_IS_GOOD,
    )
    return Map(x=across, y=along, values=drawn.values)


def _axis(column: list[Any], kinds: int, most: int) -> Axis:
    if kinds <= most or any(isinstance(value, str) for value in column):
        return Axis(values=sorted(set(column), key=ordered), ends=None, at=column)
    given = np.asarray(column, np.float64)
    low, high = float(given.min()), float(given.max())
    if all(isinstance(value, int) for value in column):
        width = math.ceil((high - low + 1) / most)
        edges = low + width * np.arange(math.ceil((high - low + 1) / width) + 1)
    else:
        edges = np.linspace(low, high, most + 1)
    places = np.minimum(np.searchsorted(edges, given, side="right") - 1, len(edges) - 2)
    some = np.unique(places)
    return Axis(values=edges[some].tolist(), ends=edges[some + 1].tolist(), at=places.tolist())


def ordered(value: Any) -> tuple[bool, Any]:
    """What values of parameters are sorted by: numbers first, then text."""
    return isinstance(value, str), value
