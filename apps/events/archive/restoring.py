"""Taking streams back from archive files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from django.db import IntegrityError, connection
from django.db.backends.utils import CursorWrapper

from apps.core.resources import sql
from apps.events import projections
from apps.events.archive.files import Archive, ArchiveError
from apps.events.maintenance import maintenance
from apps.events.progress import SILENT, Progress
from apps.events.projections import Projection

_BATCH = 1000


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What came back from one file."""

    streams: int
    events: int
    #: Events of the file that were in the database already.
    present: int
    #: State rows that were made, or brought up to date, from the events.
    rows: int


def restore(path: Path, *, progress: Progress = SILENT) -> Restored:
    """Bring the streams of one file back: all of them or none, and nothing that is there already.

    Positions, versions, times and data are what they were, and state rows are what the events say. The
    file may come from another server. *path* is the file or its manifest. Where a stream came back, went on
    and was archived again, it is whole when all of its files are back.

    In the order of followers restored events come before all others (their transaction is 0), among
    themselves by position: a follower that has read anything since does not see them again, and one that
    begins at the beginning sees each once. Followers wait until the file is in.

    Raises `ArchiveError`, and changes nothing, when the file is damaged, when its places are taken by
    other events, or when a follower is just reading what was restored before;
    `registry.UnknownEventType` when it has events that this code does not know.
    """
    archive = Archive(path)
    archive.verify()
    target = _projection(archive)
    with maintenance() as cursor:
        # Nobody may be in the middle of restored events while others are put between them.
        cursor.execute("LOCK TABLE events_cursor IN EXCLUSIVE MODE")
        _stage(cursor, archive.lines(), progress)
        _refuse_clashes(cursor, archive)
        try:
            cursor.execute(sql(__package__, "insert.sql"))
        except IntegrityError as exc:
            raise ArchiveError(f"{archive.path}: somebody is writing to its streams: {exc}") from exc
        events = cursor.rowcount
        _raise_sequence(cursor, archive)
        cursor.execute("SELECT DISTINCT stream FROM events_restored ORDER BY stream")
        streams = [stream for (stream,) in cursor.fetchall()]
        rows = projections.mend(target, streams)
    return Restored(streams=len(streams), events=events, present=archive.manifest.events - events, rows=rows)


def _projection(archive: Archive) -> Projection:
    try:
        return projections.projection(archive.manifest.projection)
    except KeyError:
        raise ArchiveError(f"{archive.path} is of {archive.manifest.projection}, unknown here") from None


def _stage(cursor: CursorWrapper, lines: Iterator[str], progress: Progress) -> None:
    """The file's events as a temporary table."""
    cursor.execute("CREATE TEMPORARY TABLE events_line (line jsonb) ON COMMIT DROP")
    with connection.wrap_database_errors, cursor.copy("COPY events_line FROM STDIN") as copy:
        while batch := list(islice(lines, _BATCH)):
            copy.write("".join([line.replace("\\", "\\\\") + "\n" for line in batch]))
            progress.advance(len(batch))
    cursor.execute(sql(__package__, "stage.sql"))


def _refuse_clashes(cursor: CursorWrapper, archive: Archive) -> None:
    cursor.execute(sql(__package__, "clash.sql"))
    if clash := cursor.fetchone():
        stream, version, position = clash
        raise ArchiveError(
            f"{archive.path} cannot come back here: version {version} of {stream}, at position {position},"
            " is in its place and is another event"
        )
    cursor.execute(sql(__package__, "reading.sql"))
    if reading := cursor.fetchone():
        raise ArchiveError(
            f"the follower {reading[0]} is reading what was restored before: restore {archive.path} when it"
            " is past that, or let it begin again (events followers --restart)"
        )


def _raise_sequence(cursor: CursorWrapper, archive: Archive) -> None:
    """New events come after the restored ones: on another server the numbers may not have come so far."""
    cursor.execute("SELECT last_value < %s FROM events_event_position_seq", [archive.manifest.last_position])
    if cursor.fetchone()[0]:
        cursor.execute("LOCK TABLE events_event IN SHARE ROW EXCLUSIVE MODE")
        cursor.execute(
            "SELECT setval('events_event_position_seq', greatest(last_value, %s))"
            " FROM events_event_position_seq",
            [archive.manifest.last_position],
        )
