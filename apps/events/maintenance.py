"""The transactions in which the event table may be changed: archiving, restoring and re-basing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

#: Chosen once and for all: nothing else of the product may use it.
_ARCHIVING = 0x65766E31


class Busy(Exception):
    """Another process is at it."""


@contextmanager
def maintenance() -> Iterator[CursorWrapper]:
    """A transaction of its own, never inside another, in which the guard of the event table is off."""
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("SET LOCAL chandlery.events_maintenance = 'on'")
        yield cursor


@contextmanager
def alone() -> Iterator[None]:
    """Let no other process archive from this database meanwhile; raises `Busy` when one is."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, 0)", [_ARCHIVING])
        if not cursor.fetchone()[0]:
            raise Busy("another process is archiving events of this database")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s, 0)", [_ARCHIVING])


def origin() -> str:
    """A name for this database that no other has, on whatever server."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.system_identifier || '-' || d.oid FROM pg_control_system() AS c, pg_database AS d"
            " WHERE d.datname = current_database()"
        )
        return str(cursor.fetchone()[0])
