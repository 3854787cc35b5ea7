"""The heavy columns of results, to and from the database as the bytes that they are.

Django sends bytes as text of twice their size, which takes five times as long.
"""

from __future__ import annotations

import uuid

import psycopg
from django.db import connection

from apps.backtests.models import HEAVY, BacktestResult
from apps.core.database import perform
from apps.core.resources import sql


def write_heavy(result_id: uuid.UUID, *, trades: bytes, equity: bytes, drawing: bytes) -> None:
    """Give a result its heavy columns, in the caller's transaction."""
    given = {"id": result_id, "trades": trades, "equity": equity, "drawing": drawing}
    perform(sql(__package__, "write_heavy.sql"), given)


def read_heavy(result_id: uuid.UUID, column: str) -> bytes | None:
    """One of the heavy columns; None where it is null.

    Raises `BacktestResult.DoesNotExist` where the result is gone.
    """
    if column not in HEAVY:
        raise ValueError(f"{column!r} is not one of {', '.join(HEAVY)}")
    query = sql(__package__, "read_heavy.sql").format(column=column)
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        row = cursor.execute(query.encode(), {"id": result_id}, binary=True).fetchone()
    if row is None:
        raise BacktestResult.DoesNotExist(f"There is no result {result_id} any more.")
    data: bytes | None = row[0]
    return data
