"""PostgreSQL's binary COPY format as packed numpy records.

Every column of the candle tables has a fixed width and is never null, so a row on the wire is a
record of fixed size: a field count, then for each column its length and its big-endian value. An
array of such records *is* the body of a COPY stream.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from django.db import connections
from numpy.typing import ArrayLike

_SIGNATURE = b"PGCOPY\n\xff\r\n\0"
_HEADER = _SIGNATURE + b"\0" * 8  # no flags, no header extension
_TRAILER = b"\xff\xff"
_SLICE = 1 << 20

#: Milliseconds from 1970-01-01 to 2000-01-01, where PostgreSQL's microseconds start.
PG_EPOCH = 946_684_800_000

_WIDTHS = {"smallint": 2, "integer": 4, "bigint": 8, "timestamp with time zone": 8}


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How rows of chosen columns of one table look on the wire."""

    columns: tuple[str, ...]
    times: frozenset[str]
    record: np.dtype[np.void]

    def encode(self, rows: int, values: Mapping[str, ArrayLike]) -> Iterator[bytes]:
        """A COPY stream of *rows* rows, in pieces of a megabyte.

        *values* holds an integer array or one integer for every column; times are in milliseconds
        since 1970 like everywhere else in Python.
        """
        body = np.empty(rows, self.record)
        body["fields"] = len(self.columns)
        for name in self.columns:
            body[f"length {name}"] = self.record[name].itemsize
            if name in self.times:
                body[name] = (np.asarray(values[name], np.int64) - PG_EPOCH) * 1000
            else:
                body[name] = values[name]
        yield _HEADER
        flat = body.view(np.uint8)
        for at in range(0, len(flat), _SLICE):
            yield flat[at : at + _SLICE].tobytes()
        yield _TRAILER


@cache
def layout(table: str, columns: Sequence[str], using: str = "default") -> Layout:
    """The layout of *columns* (a tuple) of *table*, from the column types that the server reports."""
    with connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute"
            " WHERE attrelid = to_regclass(%s) AND attname = ANY(%s)",
            [table, list(columns)],
        )
        types = dict(cursor.fetchall())
    fields: list[tuple[str, str]] = [("fields", ">i2")]
    for name in columns:
        if types.get(name) not in _WIDTHS:
            raise TypeError(f"{table}.{name} has type {types.get(name)}, which has no fixed width here")
        fields += [(f"length {name}", ">i4"), (name, f">i{_WIDTHS[types[name]]}")]
    return Layout(
        columns=tuple(columns),
        times=frozenset(name for name in columns if types[name].startswith("timestamp")),
        record=np.dtype(fields),
    )
