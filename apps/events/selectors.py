"""Reading events of one stream, and the age of what followers wait for."""

from __future__ import annotations

from django.db import connection

from apps.events.records import StoredEvent
from apps.events.store import from_row

_COLUMNS = "position, stream, version, type, schema_version, data, meta, recorded_at, xid::text"


def read_stream(stream: str, *, after: int = 0) -> list[StoredEvent]:
    """The events of *stream* above version *after*, in order."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {_COLUMNS} FROM events_event WHERE stream = %s AND version > %s ORDER BY version",  # noqa: S608
            [stream, after],
        )
        return [from_row(row) for row in cursor.fetchall()]


def oldest_writer_age() -> float:
    """Seconds since the oldest transaction that may still record events began; 0 when there is none.

    Followers do not read past it, so this is the least lag that any of them has.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(extract(epoch FROM clock_timestamp() - min(xact_start)), 0)"
            " FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()"
        )
        return float(cursor.fetchone()[0])
