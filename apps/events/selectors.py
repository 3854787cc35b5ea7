"""Reading events of one stream, how far behind followers are, and what they wait for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from apps.core.resources import sql
from apps.events.records import StoredEvent
from apps.events.store import COLUMNS, from_row


def read_stream(stream: str, *, after: int = 0, limit: int | None = None) -> list[StoredEvent]:
    """The events of *stream* above version *after*, in order: all of them, or the first *limit*."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {COLUMNS} FROM events_event WHERE stream = %s AND version > %s"  # noqa: S608
            " ORDER BY version LIMIT %s",
            [stream, after, limit],
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


@dataclass(frozen=True, kw_only=True)
class Lag:
    """How far behind one follower is."""

    follower: str
    #: Events that are committed and not handled, those that wait for an older writer included.
    events: int
    #: Whether there are more, which were not counted.
    more: bool
    #: Since the first of them was recorded; 0 when there is none.
    seconds: float
    #: When it last handled something.
    updated_at: datetime


def lags(*, follower: str | None = None, at_most: int = 100_000) -> list[Lag]:
    """How far behind every follower is, or one of them, by name.

    No more than *at_most* events are counted for each.
    """
    with connection.cursor() as cursor:
        cursor.execute(sql(__package__, "lags.sql"), {"follower": follower, "limit": at_most + 1})
        rows = cursor.fetchall()
    return [
        Lag(
            follower=name,
            events=min(events, at_most),
            more=events > at_most,
            seconds=float(seconds),
            updated_at=updated_at,
        )
        for name, events, seconds, updated_at in rows
    ]


def estimated_events() -> int:
    """About how many events there are, as PostgreSQL's statistics have it; 0 when they have nothing."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = 'events_event'::regclass"
        )
        return int(cursor.fetchone()[0])
