"""Taking finished streams out of the database."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from django.db import connection, transaction

from apps.core.resources import sql
from apps.events import projections
from apps.events.archive.files import Archive, Span, Writer, unfinished
from apps.events.maintenance import alone, maintenance, origin
from apps.events.progress import SILENT, Progress
from apps.events.projections import Projection

#: Streams in one file at the most.
PER_FILE = 10_000
#: Streams that are read, and streams that are deleted, at a time: writers wait for the latter, if at all.
_BATCH = 500


@dataclass(kw_only=True)
class Archived:
    """What one run did."""

    files: list[Path] = field(default_factory=list)
    streams: int = 0
    events: int = 0
    #: Streams that are in a file and in the database too, because they went on after they were written.
    kept: int = 0


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What a run would do."""

    streams: int
    events: int
    #: Streams that are old enough but that not every follower has read.
    unread: int
    first_finished_at: datetime | None
    last_finished_at: datetime | None


def preview(target: Projection, *, older_than: timedelta) -> Preview:
    """What `archive` would take. Changes nothing."""
    with connection.cursor() as cursor:
        cursor.execute(
            _named(sql(__package__, "preview.sql"), target),
            {"prefix": target.stream_prefix, "before": _now(minus=older_than)},
        )
        streams, events, unread, first, last = cursor.fetchone()
    return Preview(
        streams=streams, events=events, unread=unread, first_finished_at=first, last_finished_at=last
    )


def archive(
    target: Projection,
    *,
    older_than: timedelta,
    folder: Path,
    limit: int | None = None,
    progress: Progress = SILENT,
) -> Archived:
    """Move the streams of *target* that were finished longer than *older_than* ago into files in *folder*.

    At most *limit* streams. A stream leaves the database, its state row with it, when it lies whole in a
    file that has reached the disk and was read back. Streams that a follower has not read yet stay, and so
    do those that go on in the meantime. What a killed run left undone is finished first: files of this
    database whose streams are still here are not written again.

    Raises `maintenance.Busy` when another process is archiving, and `files.ArchiveError` when a file that
    is to be finished is damaged.
    """
    done = Archived()
    with alone():
        mine = origin()
        for left in unfinished(folder, origin=mine):
            if left.manifest.projection == target.name:
                _drop(target, left, done)
        before = _now(minus=older_than)
        after: Any = None
        room = limit
        while room is None or room > 0:
            written, after = _export(
                target, before=before, after=after, folder=folder, mine=mine,
                at_most=PER_FILE if room is None else min(room, PER_FILE), progress=progress,
            )  # fmt: skip
            if written is None:
                break
            _drop(target, written, done)
            if room is not None:
                room -= written.manifest.streams
    return done


def _now(*, minus: timedelta = timedelta()) -> datetime:
    """By the database's clock, like the times that it is compared with."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp() - make_interval(secs => %s)", [minus.total_seconds()])
        moment: datetime = cursor.fetchone()[0]
    return moment


def _named(text: str, target: Projection) -> str:
    """The names of the table and its key, and the condition, put in their places."""
    key = f'{target.table}."{target.key}"'
    for name, value in {
        "{table}": target.table,
        "{key}": key,
        "{key_type}": projections.key_type(target),
        "{finished}": f"({target.finished()})",
        "{unread}": sql(__package__, "unread.sql").replace("{stream}", f"%(prefix)s || {key}::text"),
    }.items():
        text = text.replace(name, value)
    return text


def _export(
    target: Projection,
    *,
    before: datetime,
    after: Any,
    folder: Path,
    mine: str,
    at_most: int,
    progress: Progress,
) -> tuple[Archive | None, Any]:
    """Write the next streams after the key *after* into a file: it (None when there are none), last key."""
    with (
        Writer(folder, origin=mine) as writer,
        transaction.atomic(durable=True),
        connection.cursor() as cursor,
    ):
        # Streams and their state as of one moment. Nobody waits for a transaction that only reads.
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        cursor.execute("SELECT clock_timestamp()")
        now = cursor.fetchone()[0]
        candidates = _named(sql(__package__, "candidates.sql"), target)
        while writer.streams < at_most:
            cursor.execute(
                candidates,
                {
                    "prefix": target.stream_prefix,
                    "before": before,
                    "after": after,
                    "limit": min(_BATCH, at_most - writer.streams),
                },
            )
            keys = [key for (key,) in cursor.fetchall()]
            if not keys:
                break
            after = keys[-1]
            for rows in _lines([f"{target.stream_prefix}{key}" for key in keys]):
                writer.write(rows)
                progress.advance(len(rows))
        if not writer.events:
            return None, after
        name = f"events-{target.name}-{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
        return writer.finish(name=name, projection=target.name, finished_before=before, now=now), after


def _lines(streams: list[str]) -> Iterator[list[tuple[str, int, datetime, str]]]:
    """The events of *streams*, stream by stream in version order, with the lines of the file."""
    with connection.chunked_cursor() as cursor:
        cursor.execute(sql(__package__, "lines.sql"), {"streams": streams})
        while rows := cursor.fetchmany(1000):
            yield rows


def _drop(target: Projection, archive: Archive, done: Archived) -> None:
    """Rid the database of the streams of a file that are exactly what the file has of them."""
    archive.verify()
    spans = archive.spans()
    while batch := list(islice(spans, _BATCH)):
        dropped, kept = _drop_batch(
            target, batch, before=datetime.fromisoformat(archive.manifest.finished_before)
        )
        done.streams += len(dropped)
        done.events += sum(span.events for span in dropped)
        done.kept += kept
    archive.mark_dropped(_now())
    done.files.append(archive.path)


def _drop_batch(target: Projection, batch: list[Span], *, before: datetime) -> tuple[list[Span], int]:
    """Delete those of *batch* that nobody has touched since; they, and how many others are still there."""
    with maintenance() as cursor:
        # Whoever appends to a stream changes its row first, and waits here.
        cursor.execute(
            _named(sql(__package__, "lock.sql"), target),
            {
                "prefix": target.stream_prefix,
                "before": before,
                "keys": [span.stream.removeprefix(target.stream_prefix) for span in batch],
            },
        )
        locked = [f"{target.stream_prefix}{key}" for (key,) in cursor.fetchall()]
        cursor.execute(sql(__package__, "spans.sql"), {"streams": locked})
        here = {Span(stream=s, events=n, version=v, position=p) for s, n, v, p in cursor.fetchall()}
        dropped = [span for span in batch if span in here]
        streams = [span.stream for span in dropped]
        cursor.execute("DELETE FROM events_event WHERE stream = ANY(%s)", [streams])
        events: int = cursor.rowcount
        cursor.execute(
            _named("DELETE FROM {table} WHERE {key} = ANY(%s::text[]::{key_type}[])", target),
            [[stream.removeprefix(target.stream_prefix) for stream in streams]],
        )
        if events != sum(span.events for span in dropped) or cursor.rowcount != len(dropped):
            raise RuntimeError(f"streams of {target.name} changed although their rows were locked")
        # A run that was killed may have deleted some before.
        cursor.execute(sql(__package__, "spans.sql"), {"streams": [span.stream for span in batch]})
        kept = len(cursor.fetchall())
    return dropped, kept
