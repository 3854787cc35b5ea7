"""What a sweep has found so far, from the chunks that are computed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from threading import Lock
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa

from apps.backtests.engine.bars import Floats
from apps.backtests.engine.sweep import best
from apps.backtests.engine.sweep.walk import KEPT
from apps.backtests.sweeps.columns import floats, unpack, unpack_matrix
from apps.backtests.sweeps.models import Sweep, SweepChunk


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """Combinations that are computed, in the order of their numbers.

    Attributes:
        table: columns ``number``, the parameters as ``params.fast``, then the metrics (null: undefined).
        params: the names of the parameters.
        chunks: what the rows are of, in order: chunks, and how many rows of each.
    """

    table: pa.Table
    params: tuple[str, ...]
    chunks: tuple[tuple[UUID, int], ...] = ()

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
        return self.rows([place])[0]

    def rows(self, places: Sequence[int]) -> list[dict[str, Any]]:
        """Several rows, as `row`."""
        if not len(places):
            return []
        made = []
        for row in self.table.take(pa.array(places, pa.int64())).to_pylist():
            number = row.pop("number")
            params = {name: row.pop(f"params.{name}") for name in self.params}
            made.append({"number": number, "params": params, "metrics": row})
        return made


def found_of(sweep: Sweep) -> Found:
    """What there is of *sweep* by now. Chunks that this process has seen before are not read again."""
    names = tuple(sweep.spec["params"])
    rows = SweepChunk.objects.filter(sweep=sweep, table__isnull=False).order_by("number")
    keys = list(rows.values_list("pk", "computed_at"))
    known = {key: table for key in keys if (table := _decoded.get(key)) is not None}
    unknown = [key[0] for key in keys if key not in known]
    heavy = rows.filter(pk__in=unknown).values_list("pk", "computed_at", "first", "count", "params", "table")
    for pk, computed_at, first, count, params, table in heavy if unknown else ():
        given, metrics = unpack(params), unpack(table)
        columns = {"number": pa.array(np.arange(first, first + count))}
        columns |= {f"params.{name}": given[name] for name in names}
        columns |= {name: metrics[name] for name in metrics.column_names}
        known[pk, computed_at] = pa.table(columns)
        _decoded.put((pk, computed_at), known[pk, computed_at])
    # One that is gone or computed again since the first look is left out.
    parts = [known[key] for key in keys if key in known]
    return Found(
        table=pa.concat_tables(parts) if parts else pa.table({}),
        params=names,
        chunks=tuple((key[0], len(known[key])) for key in keys if key in known),
    )


def returns_of(found: Found) -> Floats | None:
    """Period returns, shape ``(periods, combinations)``, NaN where a chunk kept none; None: all did not."""
    made: Floats | None = None
    for part, data in _heavy(found, "returns"):
        returns = unpack_matrix(data)
        if made is None:
            made = np.full((returns.shape[1], len(found)), np.nan)
        made[:, part] = returns.T
    return made


def walk_of(found: Found, folds: int) -> dict[str, Floats]:
    """``KEPT`` of *found*, each of shape ``(combinations, folds)``; NaN where a chunk kept none."""
    made: dict[str, Floats] = {name: np.full((len(found), folds), np.nan) for name in KEPT}
    for part, data in _heavy(found, "walk"):
        table = unpack(data)
        for name, at in product(KEPT, range(folds)):
            made[name][part, at] = floats(table, f"{name}_{at}")
    return made


def _heavy(found: Found, name: str) -> Iterator[tuple[slice, Any]]:
    """A heavy column of each chunk that has it, one after the other, and the rows of *found* it is of."""
    start = 0
    for pk, count in found.chunks:
        data = SweepChunk.objects.values_list(name, flat=True).filter(pk=pk).first()
        if data is not None:
            yield slice(start, start + count), data
        start += count


class Decoded:
    """Tables of chunks that were decoded: what is used again soon, up to *limit* bytes. Safe in threads."""

    def __init__(self, limit: int) -> None:
        self._limit, self._used = limit, 0
        self._held: OrderedDict[Hashable, pa.Table] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable) -> pa.Table | None:
        """What was put there, or None."""
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
            return self._held.get(key)

    def put(self, key: Hashable, table: pa.Table) -> None:
        """Keep *table*, and let go what was not used for longest."""
        with self._lock:
            if key not in self._held:
                self._held[key] = table
                self._used += table.nbytes
            while self._used > self._limit:
                self._used -= self._held.popitem(last=False)[1].nbytes


_decoded = Decoded(limit=64 * 2**20)
