"""The outcome of a sweep: a row for each combination, a column for each metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.backtests.engine.bars import Floats
from apps.backtests.engine.sweep.measuring import LOW_IS_GOOD

#: The most cells of a map; from so many different values on an axis is binned where there would be more.
MOST_CELLS, MOST_PLACES, BINS = 250_000, 500, 200


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """Metrics of combinations.

    Attributes:
        params: the parameters of each row.
        metrics: float64 columns by the names of ``SWEPT``; NaN where a metric is undefined.
        returns: period returns, shape ``(rows, periods - 1)``, where they were asked for.
    """

    params: tuple[Mapping[str, Any], ...]
    metrics: Mapping[str, Floats]
    returns: Floats | None = None

    def __len__(self) -> int:
        return len(self.params)

    def row(self, number: int) -> dict[str, Any]:
        """One row, as JSON types: its metrics by name, None where undefined."""
        return {
            name: None if np.isnan(column[number]) else float(column[number])
            for name, column in self.metrics.items()
        }

    def best(self, metric: str, count: int) -> list[int]:
        """The rows with the best values of *metric*, best first, the lower row first among equals."""
        return best(self.metrics[metric], metric, count)


def best(values: Floats, metric: str, count: int) -> list[int]:
    """The places of the best *values* of *metric*; places without a value are left out."""
    ranked = values if metric in LOW_IS_GOOD else -values
    order = np.argsort(ranked, kind="stable")
    return [int(place) for place in order[:count] if not np.isnan(values[place])]


def joined(tables: Sequence[Table]) -> Table:
    """The rows of all *tables*, in order."""
    returns = [one.returns for one in tables if one.returns is not None]
    return Table(
        params=tuple(row for one in tables for row in one.params),
        metrics={name: np.concatenate([one.metrics[name] for one in tables]) for name in tables[0].metrics},
        returns=np.concatenate(returns) if returns else None,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Heatmap:
    """A metric by two parameters, the others reduced; ``values[y][x]``, NaN where there is none.

    Where an axis is ``binned``, its values are the middles of `BINS` ranges of one width.
    """

    x: tuple[Any, ...]
    y: tuple[Any, ...]
    values: Floats
    x_binned: bool = False
    y_binned: bool = False


def heatmap(
    x: Sequence[Any], y: Sequence[Any], values: Floats, *, reduce: str = "max", low: bool = False
) -> Heatmap:
    """A map of *values* at (*x*, *y*); of several at one place the best (``max``) or their ``mean``.

    With *low* the lowest is the best. NaN counts as none. Where there would be more than `MOST_CELLS`, the
    axes that have more than `MOST_PLACES` numbers are binned.
    """
    across, along = _Axis.of(x), _Axis.of(y)
    if len(across.places) * len(along.places) > MOST_CELLS:
        across, along = across.binned(x), along.binned(y)
    shape = (len(along.places), len(across.places))
    known = ~np.isnan(values)
    cells = along.at[known] * shape[1] + across.at[known]
    found = np.full(shape[0] * shape[1], np.nan)
    if reduce == "mean":
        count = np.bincount(cells, minlength=len(found))
        total = np.bincount(cells, values[known], minlength=len(found))
        found[count > 0] = total[count > 0] / count[count > 0]
    else:
        pick = np.fmin if low else np.fmax
        pick.at(found, cells, values[known])
    return Heatmap(
        x=across.places,
        y=along.places,
        values=found.reshape(shape),
        x_binned=across.is_binned,
        y_binned=along.is_binned,
    )


@dataclass(frozen=True)
class _Axis:
    """Different values in order, and the place of each given one among them."""

    places: tuple[Any, ...]
    at: NDArray[np.int64]
    is_binned: bool = False

    @classmethod
    def of(cls, given: Sequence[Any]) -> _Axis:
        known = sorted(set(given), key=lambda value: (isinstance(value, str), value))
        place = {value: at for at, value in enumerate(known)}
        return cls(tuple(known), np.array([place[value] for value in given], np.int64))

    def binned(self, given: Sequence[Any]) -> _Axis:
        if len(self.places) <= MOST_PLACES:
            return self
        low, high = float(self.places[0]), float(self.places[-1])
        at = ((np.array(given, np.float64) - low) / (high - low) * BINS).astype(np.int64)
        middles = low + (high - low) * (np.arange(BINS) + 0.5) / BINS
        return _Axis(tuple(middles.tolist()), np.minimum(at, BINS - 1), True)
