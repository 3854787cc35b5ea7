"""Tables of chunks as they are stored: compressed Arrow streams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from apps.backtests.engine.bars import Floats

_ZSTD = pa.Codec("zstd", 1)


def pack(columns: Mapping[str, Any]) -> bytes:
    """Columns of one length: numpy arrays (NaN becomes null), or lists of numbers or text."""
    arrays = {
        name: pa.array(column, from_pandas=True) if isinstance(column, np.ndarray) else pa.array(column)
        for name, column in columns.items()
    }
    table = pa.table(arrays)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=_ZSTD)) as writer:
        writer.write_table(table)
    packed: bytes = sink.getvalue().to_pybytes()
    return packed


def unpack(data: bytes) -> pa.Table:
    """The table that was packed."""
    return pa.ipc.open_stream(pa.py_buffer(data)).read_all()


def pack_params(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Parameters of combinations, which all have the same names."""
    return pack({name: [row[name] for row in rows] for name in rows[0]})


def unpack_params(data: bytes) -> list[dict[str, Any]]:
    """The parameters that were packed."""
    rows: list[dict[str, Any]] = unpack(data).to_pylist()
    return rows


def pack_matrix(values: NDArray[Any]) -> bytes:
    """A matrix of numbers, a column each."""
    return pack({str(at): np.ascontiguousarray(values[:, at]) for at in range(values.shape[1])})


def unpack_matrix(data: bytes) -> Floats:
    """The matrix that was packed, as float64."""
    table = unpack(data)
    found: Floats = np.stack([floats(table, name) for name in table.column_names], axis=1)
    return found


def floats(table: pa.Table, name: str) -> Floats:
    """A column of numbers, NaN for null."""
    return np.asarray(table[name].to_numpy(zero_copy_only=False), np.float64)
