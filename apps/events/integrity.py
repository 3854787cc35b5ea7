"""Looking for events that cannot be right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.db import connection, transaction

from apps.events import registry
from apps.events.progress import SILENT, Progress
from apps.events.records import STREAM_NAME, StoredEvent
from apps.events.registry import UnknownEventType
from apps.events.store import COLUMNS, from_row

_FETCH = 2000


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something wrong with one event."""

    position: int
    stream: str
    version: int
    what: str

    def __str__(self) -> str:
        return f"position {self.position}: {self.stream}@{self.version}: {self.what}"


def verify(
    *, prefix: str = "", clock_tolerance: float = 5.0, progress: Progress = SILENT
) -> Iterator[Finding]:
    """Look at every event of the streams whose names begin with *prefix*, and yield what is wrong.

    Streams have well-formed names and versions from 1 without holes. Positions ascend with them, except
    among events of one moment, and times do not go back by more than *clock_tolerance* seconds. Types are
    registered, and data can be read at the current schema version and is complete there. Memory does not
    grow with the number of events.
    """
    before: StoredEvent | None = None
    with transaction.atomic(), connection.chunked_cursor() as cursor:
        cursor.execute(
            f"SELECT {COLUMNS} FROM events_event WHERE starts_with(stream, %s) ORDER BY stream, version",  # noqa: S608
            [prefix],
        )
        while rows := cursor.fetchmany(_FETCH):
            for row in rows:
                event = from_row(row)
                if before is not None and before.stream != event.stream:
                    before = None
                for what in (*_of_stream(before, event, clock_tolerance), *_of_data(event)):
                    yield Finding(
                        position=event.position, stream=event.stream, version=event.version, what=what
                    )
                before = event
            progress.advance(len(rows))


def _of_stream(before: StoredEvent | None, event: StoredEvent, clock_tolerance: float) -> Iterator[str]:
    """What is wrong with the event as the successor of *before*, None for the first of a stream."""
    if before is None and not STREAM_NAME.fullmatch(event.stream):
        yield "the name of the stream is not well-formed"
    last = before.version if before is not None else 0
    if event.version == last + 2:
        yield f"version {last + 1} is missing"
    elif event.version > last + 2:
        yield f"versions {last + 1} to {event.version - 1} are missing"
    if before is None:
        return
    # What one statement recorded at one moment may have drawn its numbers in any order.
    if event.position < before.position and event.recorded_at != before.recorded_at:
        yield f"version {before.version} has position {before.position}, which is later"
    back = (before.recorded_at - event.recorded_at).total_seconds()
    if back > clock_tolerance:
        yield f"recorded {back:.3f} s before version {before.version}"


def _of_data(event: StoredEvent) -> Iterator[str]:
    """What is wrong with the event by itself."""
    try:
        registry.check(event.type, event.current_data())
    except UnknownEventType as exc:
        yield str(exc)
    except ValueError as exc:
        yield f"data at schema version {event.schema_version}: {exc}"
    except Exception as exc:
        # An upcaster is code of any app, and stumbles in any way over data it was not made for.
        yield f"data at schema version {event.schema_version} cannot be read: {type(exc).__name__}: {exc}"
