"""Candles as Parquet. Imports pyarrow: only what reads Parquet imports this."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from apps.candles.files.arrays import check_times, values
from apps.candles.files.batches import BATCH_ROWS, MAX_ROW_GROUP, Batch, OneInstrument, Options
from apps.candles.files.columns import FIELDS, Layout, by_name, is_header
from apps.candles.files.errors import AmbiguousFile, UnreadableFile
from apps.candles.files.times import of_unit, read_times


def read_parquet(path: Path, *, options: Options) -> Iterator[Batch]:
    """The batches of a Parquet file, its columns told by their names.

    Times are moments, dates, numbers or text; the others are ints, floats, decimals or text. Raises
    `UnreadableFile`, also for a group of rows of more than `MAX_ROW_GROUP`.
    """
    name = path.name
    try:
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=2**20) as file:
            yield from _read(file, name, options)
    except (pa.ArrowException, OSError) as exc:
        raise UnreadableFile(name, f"it is damaged: {str(exc)[:200]}") from None


def _read(file: pq.ParquetFile, name: str, options: Options) -> Iterator[Batch]:
    schema, metadata = file.schema_arrow, file.metadata
    for group in range(metadata.num_row_groups):
        if metadata.row_group(group).total_byte_size > MAX_ROW_GROUP:
            raise UnreadableFile(name, f"a group of rows holds more than {MAX_ROW_GROUP:,} bytes")
    layout = _layout(schema, name, options)
    wanted = [*layout.places, *([] if layout.label is None else [layout.label])]
    instruments = OneInstrument(name)
    done, total = 0, metadata.num_rows
    for piece in file.iter_batches(batch_size=BATCH_ROWS, columns=[schema.field(at).name for at in wanted]):
        columns = [piece.column(schema.field(at).name) for at in wanted]
        count = piece.num_rows
        lines = range(done + 1, done + count + 1)
        if layout.label is not None:
            instruments.check(columns[-1].to_pylist(), lines)
        times = _times(columns[0], options)
        if not done:
            check_times(name, times)
        rows: list[Any] = list(zip(times, *map(_values, columns[1 : len(FIELDS)]), strict=True))
        done += count
        if count:
            yield Batch(rows=rows, lines=lines, raw=rows, entry=None, done=done, total=total, unit="rows")


def _layout(schema: pa.Schema, name: str, options: Options) -> Layout:
    """Where the columns are; a lone column of moments is the time, whatever its name."""
    if len(set(schema.names)) != len(schema.names):
        raise UnreadableFile(name, "two of its columns have the same name")
    moments = [field.name for field in schema if pa.types.is_timestamp(field.type)]
    try:
        return by_name(name, schema.names, options)
    except AmbiguousFile:
        columns = options.columns or {}
        if "ts" in columns or len(moments) != 1 or not is_header(schema.names):
            raise
        named = Options(columns={**columns, "ts": moments[0]}, time_unit=options.time_unit, base=options.base)
        return by_name(name, schema.names, named)


def _times(column: Any, options: Options) -> Sequence[int | str]:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if pa.types.is_date(kind):
        column, kind = column.cast(pa.timestamp("ms")), pa.timestamp("ms")
    if not pa.types.is_timestamp(kind):
        return read_times(_values(column), options.time_unit)
    numbers = column.cast(pa.int64())
    times = of_unit(numbers.fill_null(0).to_numpy(zero_copy_only=False), kind.unit)
    if column.null_count:
        for place in np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False)).tolist():
            times[place] = "no time: null"
    return times


def _values(column: Any) -> Sequence[Any]:
    if pa.types.is_floating(column.type) and not column.null_count:
        return values(column.to_numpy(zero_copy_only=False))
    if pa.types.is_floating(column.type) and column.type != pa.float64():
        return [None if value is None else str(np.float32(value)) for value in column.to_pylist()]
    result: list[Any] = column.to_pylist()
    return result
