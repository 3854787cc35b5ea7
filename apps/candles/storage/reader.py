"""Reading candles as arrays."""

from __future__ import annotations

import numpy as np
from django.db import connections
from numpy.typing import NDArray

from apps.candles.storage.wire import layout
from apps.candles.timeframes import Timeframe, to_datetime
from apps.core.resources import sql

_COLUMNS = ("ts", "open", "high", "low", "close", "volume")


def read_ticks(
    *, timeframe: Timeframe, instrument_id: int, start: int, end: int, using: str = "default"
) -> dict[str, NDArray[np.int64]]:
    """The stored bars of a stored timeframe that open in [start, end) milliseconds, in order of time.

    Six int64 arrays: ``ts`` in milliseconds, the others in units of the instrument's scales.
    """
    assert timeframe.table is not None
    wire = layout(timeframe.table, _COLUMNS, using)
    query = sql(__package__, "read.sql").format(
        columns=", ".join(_COLUMNS),
        table=timeframe.table,
        instrument_id=instrument_id,
        start=to_datetime(start),
        end=to_datetime(end),
    )
    stream = bytearray()
    connection = connections[using]
    with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(query) as copy:
        # Joining the pieces at the end would take several times as long: there is one for every row.
        for piece in copy:
            stream += piece
    return wire.decode(stream)
