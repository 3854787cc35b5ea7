"""Databases of the run: copies of the migrated one, and the server's clock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import psycopg
from django.db import connection
from psycopg import sql

#: The migrated database, empty; nobody stays connected to it, so that it can be copied.
PRISTINE = "pristine"


def _administer(*statements: sql.Composed) -> None:
    parameters = connection.get_connection_params()
    for name in ("cursor_factory", "context"):
        parameters.pop(name, None)
    with psycopg.connect(**{**parameters, "dbname": "postgres"}, autocommit=True) as server:
        for statement in statements:
            server.execute(statement)


def copy(name: str, *, of: str = PRISTINE) -> None:
    """Make the database *name* as a copy of another, to which we are not connected."""
    # Where TimescaleDB is, its scheduler is connected to every database and comes back when it is ended.
    _administer(
        sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(of)),
        sql.SQL("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = {}").format(
            sql.Literal(of)
        ),
        sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(of)),
        sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(sql.Identifier(of)),
    )


def drop(name: str) -> None:
    """Remove the database *name*, whoever is connected to it."""
    _administer(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def using(name: str) -> Iterator[None]:
    """Let this process work on the database *name* for the duration of a block."""
    before = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = name
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["NAME"] = before


def execute(statement: str, parameters: Any = None) -> None:
    """Run one statement."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)


def value(statement: str, parameters: Any = None) -> Any:
    """The first column of the first row."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchone()[0]


def now() -> datetime:
    """The server's clock."""
    moment: datetime = value("SELECT clock_timestamp()")
    return moment
