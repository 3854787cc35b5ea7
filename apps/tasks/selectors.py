"""Reading runs and their history."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet, Sum

from apps.events.records import StoredEvent
from apps.events.registry import event_type
from apps.events.selectors import read_stream
from apps.tasks.models import TaskRun, UsageCount
from apps.tasks.usage import REQUESTS


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


def usage_since(since: datetime | None = None) -> dict[str, int]:
    """What all processes together have done since a moment, or ever, by name of the count.

    Of the last day and the one before, to the minute; before that, to the day. Processes report every few
    seconds.
    """
    counts = UsageCount.objects.all() if since is None else UsageCount.objects.filter(at__gte=since)
    return dict(counts.values("name").annotate(total=Sum("count")).values_list("name", "total"))


def requests_per_task(since: datetime) -> float | None:
    """How many SQS requests all processes have sent for each task that finished since a moment.

    None: no task finished.
    """
    totals = UsageCount.objects.filter(at__gte=since).aggregate(
        requests=Sum("count", filter=Q(name__startswith=REQUESTS)),
        finished=Sum("count", filter=Q(name="finished")),
    )
    return (totals["requests"] or 0) / totals["finished"] if totals["finished"] else None
