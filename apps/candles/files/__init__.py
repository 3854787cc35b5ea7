"""Candles in files: reading minutes out of what others wrote, and writing candles for others to read.

Neither Django nor a database is in it.

    with RejectsFile("minutes.csv.gz") as rejects:
        for batch in read_minutes("minutes.csv.gz"):
            sifted = sift_minutes(batch.rows, …)
            rejects.write(batch, sifted.rejected)

    write_candles_file(candles, "minutes.parquet", "parquet")
    chunks = encode([candles, others], "arrow")

`arrow_table` is in `apps.candles.files.arrow`, which imports pyarrow; nothing that is imported here does.
"""

from __future__ import annotations

from apps.candles.files.batches import BATCH_ROWS, Batch
from apps.candles.files.errors import AmbiguousFile, UnreadableFile
from apps.candles.files.read import READ_FORMATS, read_minutes
from apps.candles.files.rejects import RejectsFile
from apps.candles.files.times import TIME_UNITS
from apps.candles.files.write import ENCODINGS, WRITE_FORMATS, encode, write_candles_file

__all__ = [
    "BATCH_ROWS",
    "ENCODINGS",
    "READ_FORMATS",
    "TIME_UNITS",
    "WRITE_FORMATS",
    "AmbiguousFile",
    "Batch",
    "RejectsFile",
    "UnreadableFile",
    "encode",
    "read_minutes",
    "write_candles_file",
]
