"""Copying a part of the chain out of the database."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction
from django.db.models import Max, Min
from django.utils import timezone

from apps.audit import chain, files
from apps.audit.files import Header, Writable
from apps.audit.models import Entry
from apps.core.resources import sql
from apps.events.progress import SILENT, Progress

_FETCH = 2000

#: The columns of CSV.
COLUMNS = (
    "sequence", "id", "occurred_at", "recorded_at", "actor", "action", "object_type", "object_id", "account",
    "outcome", "address", "user_agent", "request_id", "correlation_id", "before", "after", "detail",
    "encoding", "key_id", "previous_hash", "hash",
)  # fmt: skip
#: A cell that begins so would be a formula to a spreadsheet.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Incomplete(Exception):
    """Rows of the part are not there: they were pruned meanwhile, or somebody has deleted them."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of the chain without holes. Empty where *last* is below *first*."""

    first: int
    last: int

    @property
    def count(self) -> int:
        return max(0, self.last - self.first + 1)


def part(*, since: datetime | None = None, until: datetime | None = None) -> Part:
    """The rows that were appended in [since, until).

    Rows are appended moments after the deed, in the order of the chain. So a part has no holes, and can be
    verified. Rows in between that a clock, set back meanwhile, puts outside belong to it.
    """
    head = chain.head()
    first, last = head.pruned_through + 1, head.sequence
    if since is not None:
        begins = Entry.objects.filter(recorded_at__gte=since).aggregate(first=Min("sequence"))["first"]
        first = last + 1 if begins is None else int(begins)
    if until is not None:
        ends = Entry.objects.filter(recorded_at__lt=until).aggregate(last=Max("sequence"))["last"]
        last = first - 1 if ends is None else int(ends)
    return Part(first=first, last=last)


def write_jsonl(file: Writable, chosen: Part, *, progress: Progress = SILENT) -> int:
    """Write a part that is not empty, as `files` describes. Returns how many rows it has.

    Raises `Incomplete`.
    """
    with transaction.atomic():
        return _whole(chosen, files.write(file, _header(chosen), _lines(chosen, progress)))


def write_csv(file: Writable, chosen: Part, *, progress: Progress = SILENT) -> int:
    """Write a part as CSV, for people. What would be a formula to a spreadsheet gets an apostrophe.

    Raises `Incomplete`.
    """
    count = 0
    with transaction.atomic(), connection.chunked_cursor() as cursor:
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(COLUMNS)
        columns = ", ".join(f"{name}::text" for name in COLUMNS[:-2])
        cursor.execute(
            f"SELECT {columns}, encode(previous_hash, 'hex'), encode(hash, 'hex')"  # noqa: S608
            " FROM audit_entry WHERE sequence BETWEEN %s AND %s ORDER BY sequence",
            [chosen.first, chosen.last],
        )
        while rows := cursor.fetchmany(_FETCH):
            writer.writerows([_cell(value) for value in row] for row in rows)
            count += len(rows)
            progress.advance(len(rows))
            file.write(text.getvalue().encode())
            text.seek(0)
            text.truncate()
        file.write(text.getvalue().encode())
    return _whole(chosen, count)


def _whole(chosen: Part, count: int) -> int:
    if count != chosen.count:
        raise Incomplete(f"of rows {chosen.first} to {chosen.last}, {chosen.count - count} are missing")
    return count


def _cell(value: str | None) -> str:
    text = "" if value is None else value
    return f"'{text}" if text.startswith(_FORMULA) else text


def _header(chosen: Part) -> Header:
    ends = Entry.objects.in_bulk([chosen.first, chosen.last])
    if len(ends) != len({chosen.first, chosen.last}):
        raise Incomplete(f"rows {chosen.first} to {chosen.last} are not all there")
    return Header.sealed(
        first=chosen.first,
        last=chosen.last,
        previous_hash=bytes(ends[chosen.first].previous_hash),
        digest=bytes(ends[chosen.last].hash),
        now=timezone.now(),
    )


def _lines(chosen: Part, progress: Progress) -> Iterator[str]:
    with connection.chunked_cursor() as cursor:
        cursor.execute(sql(__package__, "lines.sql"), {"first": chosen.first, "last": chosen.last})
        while rows := cursor.fetchmany(_FETCH):
            for _, line in rows:
                yield line
            progress.advance(len(rows))
