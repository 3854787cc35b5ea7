"""Running our own SQL so that the server plans it once and not every time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import DEFAULT_DB_ALIAS, connection, connections

#: Seconds after which the plans of a connection are made anew: a plan that was right for a small table may
#: not be right for what has become of it meanwhile.
_REPLAN_EVERY = 5.0
#: Seconds after its last use for which a connection is taken to be sound.
_TRUSTED_FOR = 1.0

_refreshed = 0.0


def execute(statement: str, parameters: Mapping[str, Any]) -> psycopg.Cursor[Any]:
    """Execute *statement* on Django's connection, as part of its transaction, as a prepared statement.

    For short statements that find their rows by an index: planning these costs more than executing them.
    Errors are Django's (`django.db.DatabaseError` and its kinds). Where ``DATABASE_PREPARE`` is off, the
    statement is planned every time.
    """
    return _execute(statement, parameters, psycopg.Cursor)


def perform(statement: str, parameters: Mapping[str, Any]) -> None:
    """Execute *statement* as `execute` does, where nobody wants its rows.

    The connection keeps a cursor for these: making one takes a third of the time that a short statement costs
    on this side, with finding out anew how each parameter is written.
    """
    _execute(statement, parameters, _kept_cursor)


def _execute(
    statement: str,
    parameters: Mapping[str, Any],
    cursor_of: Callable[[psycopg.Connection[Any]], psycopg.Cursor[Any]],
) -> psycopg.Cursor[Any]:
    # Looked up once, which takes a while each time.
    wrapper = connections[DEFAULT_DB_ALIAS]
    wrapper.close_if_health_check_failed()
    wrapper.ensure_connection()
    wrapper.validate_no_broken_transaction()
    raw: psycopg.Connection[Any] = wrapper.connection
    with wrapper.wrap_database_errors:
        cursor = cursor_of(raw)
        _replan(raw, cursor)
        return cursor.execute(statement, parameters, prepare=True)


def _kept_cursor(raw: psycopg.Connection[Any]) -> psycopg.Cursor[Any]:
    cursor: psycopg.Cursor[Any] | None = getattr(raw, "_chandlery_cursor", None)
    if cursor is None:
        cursor = psycopg.Cursor(raw)
        raw._chandlery_cursor = cursor  # type: ignore[attr-defined]
    return cursor


@contextmanager
def pipelined() -> Iterator[None]:
    """Send what `execute` is given within the block without waiting for the server's answers.

    A cursor's rows are there to be fetched as ever: fetching sends what is left and waits for it. The end of
    the block waits for everything. Where a statement fails, the server skips those after it, and the error
    is raised where something is fetched next, or at the end: as Django's, there and here. For the statements
    of one transaction none of which needs to know what those before it came to.
    """
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    raw: psycopg.Connection[Any] = connection.connection
    with connection.wrap_database_errors, raw.pipeline():
        yield


def clock() -> float:
    """The database's time (Unix seconds): one clock for processes on any number of machines."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
        return float(cursor.fetchone()[0])


def refresh() -> None:
    """Have Django's connection looked at before the next piece of work, unless it was in use just now.

    One that failed or is too old is given up then, and the next statement opens another.
    """
    global _refreshed
    now = time.monotonic()
    if connection.errors_occurred or now - _refreshed > _TRUSTED_FOR:
        connection.close_if_unusable_or_obsolete()
    _refreshed = now


def _replan(raw: psycopg.Connection[Any], cursor: psycopg.Cursor[Any]) -> None:
    now = time.monotonic()
    planned: float | None = getattr(raw, "_chandlery_planned", None)
    if planned is None or now - planned > _REPLAN_EVERY:
        if planned is not None and raw.prepare_threshold is not None:
            cursor.execute("DISCARD PLANS", prepare=False)
        raw._chandlery_planned = now  # type: ignore[attr-defined]
