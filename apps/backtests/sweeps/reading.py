"""What a sweep has found so far, from the chunks that are computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from apps.backtests.engine.bars import Floats
from apps.backtests.engine.sweep import LOW_IS_GOOD, best
from apps.backtests.engine.sweep.walk import KEPT
from apps.backtests.sweeps.columns import floats, unpack, unpack_matrix
from apps.backtests.sweeps.models import Sweep, SweepChunk


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """Combinations that are computed, in the order of their numbers.

    Attributes:
        table: columns ``number``, the parameters as ``params.fast``, then the metrics (null: undefined).
        params: the names of the parameters.
    """

    table: pa.Table
    params: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.table)

    def metric(self, name: str) -> Floats:
        """A column of numbers, NaN where undefined."""
        return floats(self.table, name)

    def best(self, metric: str, count: int) -> list[int]:
        """Rows with the best values, best first."""
        return best(self.metric(metric), metric, count) if len(self) else []

    def row(self, place: int) -> dict[str, Any]:
        """One row as number, params and metrics."""
        (row,) = self.table.slice(place, 1).to_pylist()
        number = row.pop("number")
        params = {name: row.pop(f"params.{name}") for name in self.params}
        return {"number": number, "params": params, "metrics": row}

    def rows(self, places: Sequence[int]) -> list[dict[str, Any]]:
        """Several rows, as `row`."""
        return [self.row(place) for place in places]


def found_of(sweep: Sweep) -> Found:
    """What there is of *sweep* by now."""
    parts, names = [], tuple(sweep.spec["params"])
    rows = SweepChunk.objects.filter(sweep=sweep, table__isnull=False).order_by("number")
    for first, count, params, table in rows.values_list("first", "count", "params", "table"):
        numbers = pa.array(np.arange(first, first + count))
        given, metrics = unpack(params), unpack(table)
        columns = {"number": numbers} | {f"params.{name}": given[name] for name in names}
        columns |= {name: metrics[name] for name in metrics.column_names}
        parts.append(pa.table(columns))
    return Found(table=pa.concat_tables(parts) if parts else pa.table({}), params=names)


def returns_of(sweep: Sweep) -> Floats | None:
    """Period returns, shape ``(periods, combinations)``, of all chunks; None where none were kept."""
    rows = SweepChunk.objects.filter(sweep=sweep, returns__isnull=False).order_by("number")
    parts = [unpack_matrix(data) for data in rows.values_list("returns", flat=True)]
    if not parts:
        return None
    return np.ascontiguousarray(np.concatenate(parts).T)


def walk_of(sweep: Sweep, folds: int) -> dict[str, Floats]:
    """``KEPT`` of all chunks, each of shape ``(combinations, folds)``; rows as in `found_of`."""
    rows = SweepChunk.objects.filter(sweep=sweep, walk__isnull=False).order_by("number")
    tables = [unpack(data) for data in rows.values_list("walk", flat=True)]
    return {
        name: np.concatenate(
            [np.stack([floats(table, f"{name}_{at}") for at in range(folds)], axis=1) for table in tables]
        )
        for name in KEPT
    }


def lowest_is_best(metric: str) -> bool:
    """Whether lower values of *metric* are better."""
    return metric in LOW_IS_GOOD
