"""Reading many rows at once: through Arrow (ADBC), whose client decodes PostgreSQL's COPY in C++.

It needs a connection of its own, which sees only what is committed. One is kept for each thread, because to
make one takes as long as to read 50,000 rows.
"""

from __future__ import annotations

import os
import threading
from typing import Any

import numpy as np
from adbc_driver_postgresql import dbapi
from django.db import connections
from numpy.typing import NDArray
from psycopg.conninfo import make_conninfo

_local = threading.local()

#: What the settings of a connection may hold that libpq does not know.
_NOT_LIBPQ = {"cursor_factory", "context", "prepare_threshold", "server_side_binding", "isolation_level"}


def read_columns(query: str, using: str = "default") -> list[NDArray[np.int64]]:
    """The columns of the result of *query*, times and integers, as int64 arrays; times in milliseconds.

    Raises the driver's errors when the server cannot be reached or ends the connection.
    """
    connection = _connection(using)
    try:
        with connection.cursor() as cursor:
            cursor.execute(query)
            table = cursor.fetch_arrow_table()
    except BaseException:
        forget(using)
        raise
    return [_int64(column.to_numpy()) for column in table.columns]


def forget(using: str = "default") -> None:
    """Close this thread's connection; the next read makes a new one."""
    _, connection = _kept().pop(using, (0, None))
    if connection is not None:
        connection.close()


def _kept() -> dict[str, tuple[int, Any]]:
    kept: dict[str, tuple[int, Any]] = _local.__dict__.setdefault("kept", {})
    return kept


def _connection(using: str) -> Any:
    pid, connection = _kept().get(using, (0, None))
    if connection is None or pid != os.getpid():
        parameters = connections[using].get_connection_params()
        conninfo = make_conninfo(**{key: value for key, value in parameters.items() if key not in _NOT_LIBPQ})
        connection = dbapi.connect(conninfo, autocommit=True)
        _kept()[using] = os.getpid(), connection
    return connection


def _int64(column: NDArray[Any]) -> NDArray[np.int64]:
    if column.dtype.kind == "M":
        column = column.astype("datetime64[ms]")
    return column.astype(np.int64)
