"""Figures about queues and tasks: what waits now, and what happened how fast of late.

What happened is as `tally` has counted it; `figures` has the newest events counted first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import inf

from django.db import connection
from django.db.models import Count, Sum
from django.utils import timezone

from apps.core.resources import sql
from apps.tasks import tally
from apps.tasks.durations import Durations
from apps.tasks.models import Resolution, Statistic, TaskRun
from apps.tasks.states import State

#: Window -> its length. Up to two hours are told from minutes, more from hours.
WINDOWS = {
    "1m": timedelta(minutes=1),
    "5m": timedelta(minutes=5),
    "15m": timedelta(minutes=15),
    "1h": timedelta(hours=1),
    "6h": timedelta(hours=6),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
}
_FROM_MINUTES = timedelta(hours=2)
_ATTEMPT_ENDS = ("task.succeeded", "task.attempt_failed", "task.orphaned")


@dataclass(frozen=True, kw_only=True)
class Backlog:
    """The runs of one task on one queue, or of one whole queue, that have not ended or are dead."""

    queue: str
    task: str = ""
    scheduled: int = 0
    #: Scheduled ones whose time has come, so that the relay owes them a message.
    due: int = 0
    queued: int = 0
    running: int = 0
    dead: int = 0
    #: Seconds for which the first due one has waited for its message. None: none waits.
    due_lag: float | None = None
    #: Seconds for which the first queued one has waited for a worker.
    oldest_queued: float | None = None
    #: Seconds for which the first running one has run.
    oldest_running: float | None = None

    @property
    def waiting(self) -> int:
        """Runs that could start now."""
        return self.due + self.queued


@dataclass(kw_only=True)
class Activity:
    """What happened to the runs of one task on one queue in a span of time."""

    queue: str
    task: str
    #: The length of the span; infinite for all time.
    seconds: float
    #: Event type -> how often.
    events: dict[str, int] = field(default_factory=dict)
    #: From when runs were due to when they started.
    wait: Durations = field(default_factory=Durations)
    #: From the starts of attempts to their ends.
    duration: Durations = field(default_factory=Durations)

    def count(self, event: str) -> int:
        """How often *event* happened."""
        return self.events.get(event, 0)

    def rate(self, event: str) -> float:
        """How often *event* happened per second."""
        return self.count(event) / self.seconds

    @property
    def failure_rate(self) -> float | None:
        """The share of attempts that failed or were orphaned; None without any."""
        ended = sum(self.count(event) for event in _ATTEMPT_ENDS)
        return 1 - self.count("task.succeeded") / ended if ended else None


@dataclass(frozen=True, kw_only=True)
class Minute:
    """What happened in one minute, to runs of all tasks."""

    starts_at: datetime
    requested: int = 0
    succeeded: int = 0
    #: Attempts that failed or were orphaned.
    failed: int = 0
    #: Runs that were given up.
    dead: int = 0


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Everything of one moment: what waits, and what happened in a window before it."""

    at: datetime
    window: str
    queues: list[Backlog]
    backlogs: list[Backlog]
    activities: list[Activity]
    #: Of all time.
    totals: list[Activity]


def backlogs() -> list[Backlog]:
    """What has not ended, by queue and task. Reads the active and the dead runs only, by their indexes."""
    dead = {
        (queue, task): count
        for queue, task, count in TaskRun.objects.filter(state=State.DEAD)
        .order_by()
        .values_list("queue", "task")
        .annotate(count=Count("*"))
    }
    with connection.cursor() as cursor:
        cursor.execute(sql(__package__, "backlog.sql"))
        rows = cursor.fetchall()
    found = [
        Backlog(
            queue=queue,
            task=task,
            scheduled=scheduled,
            due=due,
            queued=queued,
            running=running,
            dead=dead.pop((queue, task), 0),
            due_lag=due_lag,
            oldest_queued=oldest_queued,
            oldest_running=oldest_running,
        )
        for queue, task, scheduled, due, queued, running, due_lag, oldest_queued, oldest_running in rows
    ]
    found += [Backlog(queue=queue, task=task, dead=count) for (queue, task), count in dead.items()]
    return sorted(found, key=lambda backlog: (backlog.queue, backlog.task))


def by_queue(found: Iterable[Backlog], queues: Iterable[str]) -> list[Backlog]:
    """Backlogs summed over tasks: of each of *queues*, and of those that are found besides."""
    parts: dict[str, list[Backlog]] = {queue: [] for queue in queues}
    for backlog in found:
        parts.setdefault(backlog.queue, []).append(backlog)
    return [
        Backlog(
            queue=queue,
            scheduled=sum(part.scheduled for part in of_queue),
            due=sum(part.due for part in of_queue),
            queued=sum(part.queued for part in of_queue),
            running=sum(part.running for part in of_queue),
            dead=sum(part.dead for part in of_queue),
            due_lag=_longest(part.due_lag for part in of_queue),
            oldest_queued=_longest(part.oldest_queued for part in of_queue),
            oldest_running=_longest(part.oldest_running for part in of_queue),
        )
        for queue, of_queue in parts.items()
    ]


def _longest(ages: Iterable[float | None]) -> float | None:
    return max((age for age in ages if age is not None), default=None)


def activities(window: str) -> list[Activity]:
    """What happened in one of `WINDOWS`, by queue and task.

    A window begins with a whole minute, or a whole hour, so it is up to one longer than its name says.
    """
    length, now = WINDOWS[window], timezone.now()
    start = (now - length).replace(second=0, microsecond=0)
    resolution = Resolution.MINUTE
    if length > _FROM_MINUTES:
        resolution, start = Resolution.HOUR, start.replace(minute=0)
    rows = Statistic.objects.filter(resolution=resolution, starts_at__gte=start)
    return _activities(
        rows.values_list("queue", "task", "event", "count", "seconds", "histogram"),
        (now - start).total_seconds(),
    )


def minutes(count: int) -> list[Minute]:
    """What happened in each of the last *count* minutes, the present one included, oldest first."""
    last = timezone.now().replace(second=0, microsecond=0)
    rows = Statistic.objects.filter(
        resolution=Resolution.MINUTE, starts_at__gt=last - timedelta(minutes=count)
    ).values_list("starts_at", "event")
    counts = {(at, event): total for at, event, total in rows.annotate(total=Sum("count"))}
    moments = [last - timedelta(minutes=ago) for ago in reversed(range(count))]
    return [
        Minute(
            starts_at=at,
            requested=counts.get((at, "task.requested"), 0),
            succeeded=counts.get((at, "task.succeeded"), 0),
            failed=counts.get((at, "task.attempt_failed"), 0) + counts.get((at, "task.orphaned"), 0),
            dead=counts.get((at, "task.dead_lettered"), 0),
        )
        for at in moments
    ]


def totals() -> list[Activity]:
    """What ever happened, by queue and task. These counts never go down."""
    rows = Statistic.objects.filter(resolution=Resolution.TOTAL)
    return _activities(rows.values_list("queue", "task", "event", "count", "seconds", "histogram"), inf)


def _activities(
    rows: Iterable[tuple[str, str, str, int, float, list[int]]], seconds: float
) -> list[Activity]:
    found: dict[tuple[str, str], Activity] = {}
    counts: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for queue, task, event, count, summed, histogram in rows:
        key = (queue, task)
        activity = found.setdefault(key, Activity(queue=queue, task=task, seconds=seconds))
        counts[key][event] += count
        if event == "task.started":
            activity.wait = activity.wait.plus(histogram, summed)
        elif histogram:
            activity.duration = activity.duration.plus(histogram, summed)
    for key, activity in found.items():
        activity.events = dict(counts[key])
    return [found[key] for key in sorted(found)]


def figures(window: str, queues: Iterable[str]) -> Figures:
    """Everything as of now, with a line for each of *queues* even where nothing is."""
    tally.catch_up()
    found = backlogs()
    return Figures(
        at=timezone.now(),
        window=window,
        queues=by_queue(found, queues),
        backlogs=found,
        activities=activities(window),
        totals=totals(),
    )
