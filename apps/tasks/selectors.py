"""Reading runs and their history."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet

from apps.events.records import StoredEvent
from apps.events.registry import event_type
from apps.events.selectors import read_stream
from apps.tasks.models import Entry, Step, TaskRun


@dataclass(frozen=True, kw_only=True)
class TimelineEntry:
    """One event of a run, fit to be shown."""

    version: int
    type: str
    meaning: str
    recorded_at: datetime
    #: Since the event before; None for the first.
    elapsed: timedelta | None
    data: dict[str, Any]
    meta: dict[str, Any]


def runs(*, state: str | None = None, task: str | None = None, queue: str | None = None) -> QuerySet[TaskRun]:
    """Runs, newest first."""
    filters = {"state": state, "task": task, "queue": queue}
    return TaskRun.objects.filter(**{key: value for key, value in filters.items() if value})


def timeline(run_id: uuid.UUID | str) -> list[TimelineEntry]:
    """Everything that happened to a run, in order."""
    before: StoredEvent | None = None
    entries = []
    for event in read_stream(f"task:{run_id}"):
        entries.append(
            TimelineEntry(
                version=event.version,
                type=event.type,
                meaning=event_type(event.type).meaning,
                recorded_at=event.recorded_at,
                elapsed=event.recorded_at - before.recorded_at if before else None,
                data=event.current_data(),
                meta=event.meta,
            )
        )
        before = event
    return entries


def entries(run_id: uuid.UUID | str) -> QuerySet[Entry]:
    """The entries that a run of a micro-batched task is still to write, in order."""
    return Entry.objects.filter(run_id=run_id)


def steps(run_id: uuid.UUID | str) -> QuerySet[Step]:
    """What a run has done outside of the database, and what it came to, in order."""
    return Step.objects.filter(run_id=run_id)
