"""Writing the entries of a run: what can be written is, whatever stands beside it."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from billiard.exceptions import SoftTimeLimitExceeded
from django.db import InterfaceError, OperationalError, connection, transaction

from apps.core.resources import sql
from apps.tasks.errors import Cancelled, Fenced
from apps.tasks.models import Entry, TaskRun
from apps.tasks.requests import request_many

if TYPE_CHECKING:
    from apps.tasks.microbatched import MicroBatchedTask
    from apps.tasks.run import Run

logger = logging.getLogger(__name__)

#: These end the attempt: they are not about entries.
_ENDING = (Cancelled, Fenced, SoftTimeLimitExceeded)
_OUTAGES = (OperationalError, InterfaceError)


def write(*, task: MicroBatchedTask, run: Run) -> dict[str, int]:
    """Give the entries of *run* to the handler, in the caller's transaction, and delete those it took.

    An entry that fails on its own gets a run of its own. Where no entry of several could be written, the
    fault is hardly theirs, and the error is raised: the run is tried again as a whole, until its last
    attempt. So are errors that pass: of the database's operation, and those that say when to try again.

    A run whose last worker was lost goes on as two runs of half of its entries each, so that an entry
    that kills workers is left alone in the end.
    """
    entries = list(Entry.objects.filter(run_id=run.id))
    if len(entries) > 1 and _was_lost(run):
        middle = len(entries) // 2
        _move(task, [entries[:middle], entries[middle:]], delay=0.0)
        return {"entries": len(entries), "written": 0, "moved": len(entries)}
    writer = _Writer(task.run, last_attempt=run.attempt >= run.max_attempts)
    if len(entries) == 1:
        task.run(entries)
    elif entries:
        writer.write(entries)
    if writer.failed:
        if not writer.written and not writer.last_attempt:
            raise writer.failed[0][1]
        for entry, error in writer.failed:
            logger.warning(
                "%s: entry %s is set aside: %s: %s", task.name, entry.pk, type(error).__name__, error
            )
        _move(task, [[entry] for entry, _ in writer.failed], delay=task.backoff.delay(1))
    Entry.objects.filter(run_id=run.id).delete()
    moved = len(writer.failed)
    return {"entries": len(entries), "written": len(entries) - moved, "moved": moved}


class _Writer:
    """Calls a handler with entries, and where it raises with ever smaller parts of them."""

    def __init__(self, handler: Callable[[list[Entry]], Any], *, last_attempt: bool) -> None:
        self._handler = handler
        self.last_attempt = last_attempt
        self.written = 0
        self.failed: list[tuple[Entry, Exception]] = []

    def write(self, entries: list[Entry]) -> None:
        try:
            with transaction.atomic():
                self._handler(list(entries))
        except Exception as exc:
            if self._ends_the_attempt(exc):
                raise
            if len(entries) == 1:
                self.failed.append((entries[0], exc))
                return
        else:
            self.written += len(entries)
            return
        middle = len(entries) // 2
        self.write(entries[:middle])
        self.write(entries[middle:])

    def _ends_the_attempt(self, exc: Exception) -> bool:
        if isinstance(exc, _ENDING):
            return True
        passing = isinstance(exc, _OUTAGES) or getattr(exc, "retry_after", None) is not None
        # In the last attempt an error that does not pass may be that of one entry.
        return passing and not (self.last_attempt and connection.is_usable())


def _was_lost(run: Run) -> bool:
    if run.id is None or run.attempt == 1:
        return False
    return TaskRun.objects.filter(pk=run.id, error__type="Orphaned").exists()


def _move(task: MicroBatchedTask, parts: Sequence[Sequence[Entry]], *, delay: float) -> None:
    """Request a run for each of *parts*, and give it these entries."""
    runs = [task.run_of(len(part), countdown=delay) for part in parts]
    request_many(runs)
    ids: list[uuid.UUID] = [entry.pk for part in parts for entry in part]
    run_ids = [run.id for run, part in zip(runs, parts, strict=True) for _ in part]
    with connection.cursor() as cursor:
        cursor.execute(sql(__package__, "move_entries.sql"), {"ids": ids, "run_ids": run_ids})
