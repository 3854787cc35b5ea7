"""Candles as Arrow: tables, IPC streams and Parquet. Imports pyarrow: only what needs it imports this."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from apps.candles.sources.base import VALUES, Candles

# Rows in a record batch.
_ROWS = 65_536

_MOMENT = pa.timestamp("ms", tz="UTC")
_COLUMNS = [pa.field("ts", _MOMENT, nullable=False)] + [
    pa.field(name, pa.float64(), nullable=False) for name in VALUES
]
_LABEL = pa.field("instrument", pa.dictionary(pa.int32(), pa.string()), nullable=False)


def arrow_table(candles: Candles) -> pa.Table:
    """``ts`` (timestamp[ms, UTC]) and `VALUES` (float64), sharing memory with the candles.

    The schema's metadata are ``instrument``, ``timeframe``, ``source`` and ``fingerprint``.
    """
    return pa.Table.from_arrays(_arrays(candles), schema=pa.schema(_COLUMNS, metadata=_described(candles)))


def write_parquet(candles: Candles, file: IO[bytes]) -> None:
    """Compressed by zstd."""
    pq.write_table(arrow_table(candles), file, compression="zstd")


def write_stream(candles: Candles, file: IO[bytes]) -> None:
    """An IPC stream."""
    table = arrow_table(candles)
    with pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=_ROWS)


def stream(candles: Sequence[Candles]) -> Iterator[bytes]:
    """The IPC stream of several instruments, a record batch at a time; see `files.encode`."""
    metadata = {"candles": json.dumps([{**_described(one), "rows": len(one)} for one in candles])}
    if candles:
        metadata["timeframe"] = candles[0].timeframe
    schema = pa.schema([_LABEL, *_COLUMNS], metadata=metadata)
    names = pa.array([one.instrument for one in candles], pa.string())
    sink = _Sink()
    with pa.ipc.new_stream(pa.PythonFile(sink, mode="w"), schema) as writer:
        for place, one in enumerate(candles):
            arrays = _arrays(one)
            for start in range(0, len(one), _ROWS):
                columns = [array.slice(start, _ROWS) for array in arrays]
                indices = pa.repeat(pa.scalar(place, pa.int32()), len(columns[0]))
                labels = pa.DictionaryArray.from_arrays(indices, names)
                writer.write_batch(pa.RecordBatch.from_arrays([labels, *columns], schema=schema))
                yield sink.taken()
    yield sink.taken()


def _arrays(candles: Candles) -> list[pa.Array]:
    return [pa.array(candles.ts).view(_MOMENT), *(pa.array(getattr(candles, name)) for name in VALUES)]


def _described(candles: Candles) -> dict[str, str]:
    return {
        "instrument": candles.instrument,
        "timeframe": candles.timeframe,
        "source": candles.source,
        "fingerprint": candles.fingerprint,
    }


class _Sink:
    """A file whose bytes are taken away as they come."""

    closed = False

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """There is nothing behind this."""

    def close(self) -> None:
        """There is nothing behind this."""

    def taken(self) -> bytes:
        """What was written since this was last called."""
        data = b"".join(self._pieces)
        self._pieces.clear()
        return data
