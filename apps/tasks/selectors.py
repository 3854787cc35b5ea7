"""Reading runs and their history, fit to be shown: secrets are masked."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import F, Q, QuerySet, Sum

from apps.core.redaction import redact
from apps.core.resources import sql
from apps.events.records import StoredEvent
from apps.events.registry import event_type
from apps.events.selectors import read_stream
from apps.liveness.leases import Unavailable
from apps.tasks.filters import EVERYTHING, RunFilter
from apps.tasks.models import Entry, Process, Step, TaskRun, UsageCount
from apps.tasks.populations import run_leases
from apps.tasks.states import State
from apps.tasks.usage import REQUESTS

#: Of one run no more relatives than this are looked at.
_RELATIVES = 200


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


@dataclass(frozen=True, kw_only=True)
class Relatives:
    """Other runs that have to do with one. Of each kind at most 200."""

    #: Whose handler requested it: one, or none.
    parents: list[TaskRun]
    #: What its handler requested.
    children: list[TaskRun]
    #: What else followed from the same first cause.
    others: list[TaskRun]


def runs(
    *, selection: RunFilter = EVERYTHING, before: uuid.UUID | None = None, limit: int
) -> tuple[list[TaskRun], uuid.UUID | None]:
    """A page of the selected runs, newest first, and what *before* is for the next page, if there is one."""
    found: QuerySet[TaskRun] = selection.runs()
    if before is not None:
        found = found.filter(pk__lt=before)
    page = list(found[: limit + 1])
    return page[:limit], (page[limit - 1].pk if len(page) > limit else None)


def failures(*, limit: int) -> list[TaskRun]:
    """The runs that died last, the latest first; then those that wait for another attempt, the next first."""
    light = TaskRun.objects.defer("args", "kwargs", "result", "meta")
    dead = light.filter(state=State.DEAD).order_by("-finished_at")[:limit]
    again = light.filter(state=State.SCHEDULED, error__isnull=False).order_by("due_at")[:limit]
    return [*dead, *again][:limit]


def under_way(*, limit: int) -> list[TaskRun]:
    """Running runs, those that have run longest first."""
    light = TaskRun.objects.defer("args", "kwargs", "result", "meta")
    return list(light.filter(state=State.RUNNING).order_by("started_at")[:limit])


def error_types() -> list[str]:
    """The types of error that any run's last failed attempt had."""
    with connection.cursor() as cursor:
        cursor.execute(sql(__package__, "error_types.sql"))
        return [row[0] for row in cursor.fetchall()]


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
                data=redact(event.current_data()),
                meta=event.meta,
            )
        )
        before = event
    return entries


def relatives(run: TaskRun) -> Relatives:
    """What caused a run, what it caused, and what else came of the same cause."""
    cause = run.meta.get("causation_id")
    # A run that was requested outside of any context is the first cause of what it requests.
    correlation = run.meta.get("correlation_id") or str(run.pk)
    found = RunFilter(correlation_id=correlation).runs().exclude(pk=run.pk).defer("args", "kwargs", "result")
    family = list(found.order_by("id")[:_RELATIVES])
    parents = [one for one in family if str(one.pk) == cause]
    children = [one for one in family if one.meta.get("causation_id") == str(run.pk)]
    kin = {one.pk for one in (*parents, *children)}
    return Relatives(parents=parents, children=children, others=[one for one in family if one.pk not in kin])


def last_beat(run: TaskRun) -> float | None:
    """Seconds since Redis last heard of a running run; None: it has not, or does not answer."""
    if run.state != State.RUNNING:
        return None
    try:
        [(mark, _)] = run_leases().look([(str(run.pk), run.fence)])
    except Unavailable:
        return None
    return None if mark is None or mark.token != run.fence else mark.age


def entries(run_id: uuid.UUID | str) -> QuerySet[Entry]:
    """The entries that a run of a micro-batched task is still to write, in order."""
    return Entry.objects.filter(run_id=run_id)


def steps(run_id: uuid.UUID | str) -> QuerySet[Step]:
    """What a run has done outside of the database, and what it came to, in order."""
    return Step.objects.filter(run_id=run_id)


def processes() -> QuerySet[Process]:
    """The processes of the platform that run, then those that ended or vanished within a day."""
    return Process.objects.order_by(F("ended_at").desc(nulls_first=True), "kind", "name")


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
