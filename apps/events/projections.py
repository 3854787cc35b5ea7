"""State tables that can be rebuilt from events.

A projection folds the events of each stream into one row. The live code keeps the row up to date in
the transaction that records the event; the fold here is the independent statement of what that row
must be, against which `check` compares and from which `rebuild` restores.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from operator import attrgetter
from typing import Any, Protocol

from django.db import connection, transaction

from apps.events.progress import SILENT, Progress
from apps.events.records import StoredEvent
from apps.events.store import COLUMNS, from_row

Row = dict[str, Any]

#: Rows that are folded, read and compared at a time.
_BATCH = 1000
#: Rows that are written in one statement.
_WRITTEN = 100


class Projection(Protocol):
    """How one state table follows from events."""

    @property
    def name(self) -> str:
        """The name used on the command line."""
        ...

    @property
    def stream_prefix(self) -> str:
        """Streams whose name begins so belong to it."""
        ...

    @property
    def table(self) -> str:
        """The state table."""
        ...

    @property
    def key(self) -> str:
        """Its primary key."""
        ...

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that follow from events. Others (a lease, a progress bar) are left alone."""
        ...

    @property
    def json_columns(self) -> frozenset[str]:
        """Those of them that are jsonb."""
        ...

    def fold(self, row: Row | None, event: StoredEvent) -> Row:
        """The row after *event*; raises `registry.UnknownEventType` for a type it does not know."""
        ...

    def defaults(self) -> Row:
        """Values for the table's other columns when `rebuild` has to insert a missing row."""
        ...

    def finished(self) -> str:
        """An SQL expression over one row of the table: since when nothing more will happen to its stream.

        Null while something may; such streams are never archived. The stream of a row is named by the
        prefix and the row's key. ``NULL::timestamptz`` keeps all streams for ever.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A row that is not what its events say."""

    key: str
    #: ``missing`` in the table, ``surplus`` in the table, or the name of the differing column.
    what: str
    expected: Any = None
    found: Any = None

    def __str__(self) -> str:
        if self.what in ("missing", "surplus"):
            return f"{self.key}: {self.what}"
        return f"{self.key}: {self.what} should be {self.expected!r}, is {self.found!r}"


_projections: dict[str, Projection] = {}


def register(projection: Projection) -> None:
    """Make *projection* known to the ``rebuild`` command."""
    _projections[projection.name] = projection


def projection(name: str) -> Projection:
    """The projection of that name; raises `KeyError`."""
    return _projections[name]


def names() -> list[str]:
    """The names of all projections."""
    return sorted(_projections)


def check(target: Projection, *, progress: Progress = SILENT) -> list[Difference]:
    """Compare the table with a replay of all events, as of one moment. Changes nothing.

    Inside a transaction of the caller's the moment is only as single as that transaction's isolation.
    """
    return list(differences(target, progress=progress))


def differences(target: Projection, *, progress: Progress = SILENT) -> Iterator[Difference]:
    """What `check` finds, one by one: neither the events nor the table are ever in memory as a whole."""
    own = not connection.in_atomic_block
    with transaction.atomic():
        if own:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        for expected in _batches(_folded(target, _events(target.stream_prefix, progress))):
            found = _found(target, expected)
            for row in expected:
                yield from _compare(target, row, found.get(str(row[target.key])))
        with connection.chunked_cursor() as cursor:
            cursor.execute(
                f"SELECT {target.key}::text FROM {target.table} WHERE {_surplus(target)}",  # noqa: S608
                [target.stream_prefix],
            )
            for (key,) in cursor:
                yield Difference(key=key, what="surplus")


def rebuild(target: Projection, *, progress: Progress = SILENT) -> int:
    """Make the table what its events say, and return how many rows were corrected.

    Writers are locked out while it runs. Columns that do not follow from events keep their values.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {target.table} IN SHARE ROW EXCLUSIVE MODE")
        cursor.execute(f"DELETE FROM {target.table} WHERE {_surplus(target)}", [target.stream_prefix])  # noqa: S608
        corrected: int = cursor.rowcount
        for expected in _batches(_folded(target, _events(target.stream_prefix, progress))):
            corrected += _correct(target, expected)
    return corrected


def mend(target: Projection, streams: Sequence[str]) -> int:
    """Make the rows of *streams* what their events say, and return how many were corrected.

    To be called in a transaction: until it ends nobody else changes these rows.
    """
    corrected = 0
    lock = (
        f'SELECT FROM {target.table} WHERE "{target.key}" = ANY(%s::text[]::{key_type(target)}[]) FOR UPDATE'
    )
    for at in range(0, len(streams), _BATCH):
        batch = list(streams[at : at + _BATCH])
        with connection.cursor() as cursor:
            cursor.execute(lock, [[stream.removeprefix(target.stream_prefix) for stream in batch]])
            cursor.execute(
                f"SELECT {COLUMNS} FROM events_event WHERE stream = ANY(%s) ORDER BY stream, version",  # noqa: S608
                [batch],
            )
            expected = list(_folded(target, map(from_row, cursor.fetchall())))
        corrected += _correct(target, expected)
    return corrected


def key_type(target: Projection) -> str:
    """The SQL type of the table's key."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT format_type(atttypid, atttypmod) FROM pg_attribute"
            " WHERE attrelid = to_regclass(%s) AND attname = %s",
            [target.table, target.key],
        )
        return str(cursor.fetchone()[0])


def _correct(target: Projection, expected: Sequence[Row]) -> int:
    """Write those of *expected* that the table lacks or has otherwise, and return how many."""
    found = _found(target, expected)
    wrong = [row for row in expected if any(_compare(target, row, found.get(str(row[target.key]))))]
    _upsert(target, wrong)
    return len(wrong)


def _surplus(target: Projection) -> str:
    """A condition: the row has no event at all. Its parameter is the prefix of the streams."""
    return (
        "NOT EXISTS (SELECT FROM events_event AS e"
        f' WHERE e.stream = %s || {target.table}."{target.key}"::text)'
    )


def _events(prefix: str, progress: Progress) -> Iterator[StoredEvent]:
    """All events of the streams under *prefix*, stream by stream in version order, as a server cursor."""
    with connection.chunked_cursor() as cursor:
        cursor.execute(
            f"SELECT {COLUMNS} FROM events_event WHERE starts_with(stream, %s) ORDER BY stream, version",  # noqa: S608
            [prefix],
        )
        while rows := cursor.fetchmany(2000):
            yield from map(from_row, rows)
            progress.advance(len(rows))


def _folded(target: Projection, events: Iterable[StoredEvent]) -> Iterator[Row]:
    """One row per stream."""
    for _, history in groupby(events, key=attrgetter("stream")):
        row: Row | None = None
        for event in history:
            row = target.fold(row, event)
        if row is not None:
            yield row


def _batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while batch := list(islice(rows, _BATCH)):
        yield batch


def _found(target: Projection, expected: Sequence[Row]) -> dict[str, Row]:
    """The rows of the table that have the keys of *expected*, by key."""
    names_ = ", ".join(f'"{column}"' for column in target.columns)
    with connection.cursor() as cursor:
        cursor.execute(
            f'SELECT {names_} FROM {target.table} WHERE "{target.key}" = ANY(%s)',  # noqa: S608
            [[row[target.key] for row in expected]],
        )
        rows = [dict(zip(target.columns, values, strict=True)) for values in cursor.fetchall()]
    for row in rows:
        for column in target.json_columns:
            # A raw cursor of Django's hands jsonb over as text.
            if isinstance(row[column], str):
                row[column] = json.loads(row[column])
    return {str(row[target.key]): row for row in rows}


def _compare(target: Projection, expected: Row, found: Row | None) -> Iterator[Difference]:
    key = str(expected[target.key])
    if found is None:
        yield Difference(key=key, what="missing")
        return
    for column in target.columns:
        if expected[column] != found[column]:
            yield Difference(key=key, what=column, expected=expected[column], found=found[column])


def _upsert(target: Projection, rows: Sequence[Row]) -> None:
    """Insert *rows*, or correct those that are there."""
    defaults = target.defaults()
    columns = [*target.columns, *(column for column in defaults if column not in target.columns)]
    names_ = ", ".join(f'"{column}"' for column in columns)
    assignments = ", ".join(f'"{c}" = excluded."{c}"' for c in target.columns if c != target.key)
    with connection.cursor() as cursor:
        for at in range(0, len(rows), _WRITTEN):
            batch = [{**defaults, **row} for row in rows[at : at + _WRITTEN]]
            values = ", ".join([f"({', '.join(['%s'] * len(columns))})"] * len(batch))
            cursor.execute(
                f"INSERT INTO {target.table} ({names_}) VALUES {values}"  # noqa: S608
                f' ON CONFLICT ("{target.key}") DO UPDATE SET {assignments}',
                [
                    json.dumps(row[column])
                    if column in target.json_columns and row[column] is not None
                    else row[column]
                    for row in batch
                    for column in columns
                ],
            )
