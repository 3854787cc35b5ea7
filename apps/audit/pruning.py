"""Taking the oldest rows out of the database, into a file that proves what they were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from django.db import connection, transaction
from django.db.models import Min
from django.utils import timezone

from apps.audit import audit_actions, chain, exporting, files
from apps.audit.entries import NewEntry, new_entry
from apps.audit.exporting import Part
from apps.audit.files import FileExamination
from apps.audit.models import Entry
from apps.core import context
from apps.core.ids import uuid7
from apps.events.progress import SILENT, Progress

#: Rows that are deleted in one transaction, which holds the chain's end meanwhile.
BATCH = 10_000
#: Chosen once and for all: nothing else of the product may use it.
_PRUNING = 0x61756474


class Refused(Exception):
    """Nothing was deleted: another process prunes, or the rows or the file do not verify."""


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """What was taken out of the database."""

    part: Part
    file: Path
    sha256: str


def old(*, older_than: timedelta) -> Part:
    """The rows that were appended longer ago than that: all before the first that was not."""
    head = chain.head()
    before = timezone.now() - older_than
    young = Entry.objects.filter(recorded_at__gte=before).aggregate(first=Min("sequence"))["first"]
    return Part(first=head.pruned_through + 1, last=head.sequence if young is None else int(young) - 1)


def prune(*, older_than: timedelta, output: Path, progress: Progress = SILENT) -> Pruned | None:
    """Move the rows that were appended longer ago than that into a new file; None where there are none.

    1. The rows are written, brought to the disk, read back and verified. A part of the chain that is broken
       is not pruned: `Refused`.
    2. An entry ``audit.pruned`` with file, part and SHA-256 is appended together with the first deletion.
    3. Rows are deleted in batches, oldest first, and the head keeps the hash of the last: after each batch
       the chain can be verified. Who was killed in between begins anew, with another file.
    """
    with _alone():
        chosen = old(older_than=older_than)
        if not chosen.count:
            return None
        digest = _write(chosen, output, progress)
        pruned = Pruned(part=chosen, file=output, sha256=digest)
        while chain.head().pruned_through < chosen.last:
            _delete_batch(pruned)
        return pruned


@contextmanager
def _alone() -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, 0)", [_PRUNING])
        if not cursor.fetchone()[0]:
            raise Refused("another process prunes this database")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s, 0)", [_PRUNING])


def _write(chosen: Part, output: Path, progress: Progress) -> str:
    head = chain.head()
    with files.NewFile(output, compress=output.suffix == ".gz") as new:
        exporting.write_jsonl(new.file, chosen, progress=progress)
        digest = new.finish()
    look = FileExamination([output])
    finding = next(iter(look), None)
    if finding is not None:
        raise Refused(f"nothing was deleted: the rows in {output} do not verify: {finding}")
    if files.sha256(output) != digest or look.rows != chosen.count:
        raise Refused(f"nothing was deleted: {output} is not what was written to it")
    first = Entry.objects.only("previous_hash").get(sequence=chosen.first)
    if bytes(first.previous_hash) != head.pruned_hash:
        raise Refused(f"nothing was deleted: row {chosen.first} does not follow what was pruned before")
    return digest


def _delete_batch(pruned: Pruned) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pruned_through FROM audit_head FOR UPDATE")
        first = int(cursor.fetchone()[0]) + 1
        last = min(first + BATCH - 1, pruned.part.last)
        if first == pruned.part.first:
            chain.append([_told(pruned)])
        cursor.execute("SELECT hash FROM audit_entry WHERE sequence = %s", [last])
        (digest,) = cursor.fetchone()
        cursor.execute("SET LOCAL chandlery.audit_maintenance = 'on'")
        cursor.execute("DELETE FROM audit_entry WHERE sequence BETWEEN %s AND %s", [first, last])
        if cursor.rowcount != last - first + 1:
            raise Refused(f"rows {first} to {last} are not all there any more: verify the chain")
        cursor.execute("UPDATE audit_head SET pruned_through = %s, pruned_hash = %s", [last, bytes(digest)])
        cursor.execute("SET LOCAL chandlery.audit_maintenance = 'off'")


def _told(pruned: Pruned) -> NewEntry:
    known = context.current()
    return new_entry(
        id=uuid7(),
        occurred_at=timezone.now(),
        action=audit_actions.AUDIT_PRUNED.name,
        actor=known.actor,
        correlation_id=known.correlation_id,
        detail={
            "file": str(pruned.file),
            "first": pruned.part.first,
            "through": pruned.part.last,
            "sha256": pruned.sha256,
        },
    )
