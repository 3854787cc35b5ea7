"""State tables that can be rebuilt from events.

A projection folds the events of each stream into one row. The live code keeps the row up to date in
the transaction that records the event; the fold here is the independent statement of what that row
must be, against which `check` compares and from which `rebuild` restores.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from django.db import connection, transaction

from apps.events.records import StoredEvent
from apps.events.store import from_row

Row = dict[str, Any]


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


def _events(prefix: str) -> Iterator[StoredEvent]:
    """All events of the streams under *prefix*, stream by stream in version order, as a server cursor."""
    with connection.chunked_cursor() as cursor:
        cursor.execute(
            "SELECT position, stream, version, type, schema_version, data, meta, recorded_at, xid::text"
            " FROM events_event WHERE starts_with(stream, %s) ORDER BY stream, version",
            [prefix],
        )
        while rows := cursor.fetchmany(2000):
            for row in rows:
                yield from_row(row)


def _expected(target: Projection) -> Iterator[Row]:
    """One folded row per stream."""
    stream, row = "", None
    for event in _events(target.stream_prefix):
        if event.stream != stream:
            if row is not None:
                yield row
            stream, row = event.stream, None
        row = target.fold(row, event)
    if row is not None:
        yield row


def _found(target: Projection) -> dict[str, Row]:
    names_ = ", ".join(f'"{column}"' for column in target.columns)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {names_} FROM {target.table}")  # noqa: S608
        rows = [dict(zip(target.columns, values, strict=True)) for values in cursor.fetchall()]
    for row in rows:
        for column in target.json_columns:
            # A raw cursor of Django's hands jsonb over as text.
            if isinstance(row[column], str):
                row[column] = json.loads(row[column])
    return {str(row[target.key]): row for row in rows}


def check(target: Projection) -> list[Difference]:
    """Compare the table with a replay of all events, as of one moment. Changes nothing.

    Inside a transaction of the caller's the moment is only as single as that transaction's isolation.
    """
    own = not connection.in_atomic_block
    with transaction.atomic():
        if own:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        return _compare(target)


def _compare(target: Projection) -> list[Difference]:
    found = _found(target)
    differences = []
    for row in _expected(target):
        key = str(row[target.key])
        actual = found.pop(key, None)
        if actual is None:
            differences.append(Difference(key=key, what="missing"))
            continue
        differences += [
            Difference(key=key, what=column, expected=row[column], found=actual[column])
            for column in target.columns
            if row[column] != actual[column]
        ]
    differences += [Difference(key=key, what="surplus") for key in found]
    return differences


def rebuild(target: Projection) -> int:
    """Make the table what its events say, and return how many rows were corrected.

    Writers are locked out while it runs. Columns that do not follow from events keep their values.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {target.table} IN SHARE ROW EXCLUSIVE MODE")
        wrong = {difference.key: difference.what for difference in _compare(target)}
        surplus = [key for key, what in wrong.items() if what == "surplus"]
        if surplus:
            cursor.execute(
                f"DELETE FROM {target.table} WHERE {target.key}::text = ANY(%s)",  # noqa: S608
                [surplus],
            )
        for row in _expected(target):
            if str(row[target.key]) in wrong:
                _upsert(target, row)
    return len(wrong)


def _upsert(target: Projection, row: Row) -> None:
    values = {**target.defaults(), **row}
    names_ = ", ".join(f'"{column}"' for column in values)
    assignments = ", ".join(f'"{c}" = excluded."{c}"' for c in target.columns if c != target.key)
    parameters = [
        json.dumps(value) if column in target.json_columns and value is not None else value
        for column, value in values.items()
    ]
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {target.table} ({names_}) VALUES ({', '.join(['%s'] * len(values))})"  # noqa: S608
            f' ON CONFLICT ("{target.key}") DO UPDATE SET {assignments}',
            parameters,
        )
