"""All that the live view shows, as of one moment.

Cheap beside a million ended runs: the backlog reads the active runs by their indexes, what died last
and what waits for another attempt come from partial indexes, and rates from the counts of
`apps.tasks.tally`, which are a few rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.utils import timezone

from apps.core.redaction import redact
from apps.events.selectors import oldest_writer_age
from apps.tasks import conf, depths, selectors, stats, tally, wording
from apps.tasks.models import TaskRun
from apps.tasks.periodic.selectors import entries
from apps.tasks.queues import Depth
from apps.tasks.stats import Backlog

_ENDS = ("task.succeeded", "task.dead_lettered", "task.cancelled")
_FAILURES = ("task.attempt_failed", "task.orphaned")
#: More runs than these are counted and not listed.
_LISTED = 50
#: Seconds for which the first look may have events counted.
_FIRST = 10.0


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Runs of one queue per second."""

    requested: float = 0.0
    ended: float = 0.0
    #: Attempts.
    failed: float = 0.0


@dataclass(frozen=True, kw_only=True)
class RunningRun:
    """A run under way."""

    id: str
    task: str
    queue: str
    worker: str
    attempt: str
    #: Seconds since its start.
    age: float
    #: From 0 to 1, where it reports progress.
    share: float | None
    message: str
    cancelling: bool

    @property
    def left(self) -> float | None:
        """Seconds that it needs yet if it goes on as it did; None where that cannot be told."""
        return self.age * (1 - self.share) / self.share if self.share else None


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A run that died, or that waits for another attempt."""

    id: str
    task: str
    state: str
    #: When it died, or when the next attempt is due.
    at: datetime
    error: str


@dataclass(frozen=True, kw_only=True)
class Tick:
    """An entry of beat, and when it ticked and ticks."""

    entry: str
    last: datetime | None
    next: datetime | None
    #: What became of the run of the last tick.
    run: str
    error: str


@dataclass(frozen=True, kw_only=True)
class Member:
    """A process of the platform that has not said that it ended."""

    name: str
    kind: str
    #: running, or vanished.
    condition: str
    trouble: str


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What there is to see."""

    at: datetime
    queues: list[Backlog]
    on_sqs: Mapping[str, Depth | None]
    dead_letters: Mapping[str, Depth | None]
    rates: Mapping[str, Rates]
    running: list[RunningRun]
    failures: list[Failure]
    #: The next ones first.
    ticks: list[Tick]
    processes: list[Member]
    #: SQS requests for each finished task in the last hour; None: nothing was finished.
    requests_per_task: float | None
    #: Seconds; followers wait for the end of the oldest writing transaction.
    oldest_writer: float


@dataclass(kw_only=True)
class Watch:
    """Takes snapshots one after the other; rates are of the time between two of them.

    The first has the rates of the last minute.
    """

    _before: tuple[datetime, Counter[tuple[str, str]]] | None = field(default=None, init=False)

    def look(self) -> Snapshot:
        """What there is to see now."""
        # Events that were counted late would pass for ones that happened between two looks.
        tally.catch_up(seconds=_FIRST if self._before is None else 1.0)
        found = stats.by_queue(stats.backlogs(), conf.queues())
        return Snapshot(
            at=timezone.now(),
            queues=found,
            on_sqs=depths.depths(),
            dead_letters=depths.dead_letter_depths(),
            rates=self._rates(),
            running=[_running(run) for run in selectors.under_way(limit=_LISTED)],
            failures=[_failure(run) for run in selectors.failures(limit=_LISTED)],
            ticks=_ticks(),
            processes=_members(),
            requests_per_task=selectors.requests_per_task(timezone.now() - timedelta(hours=1)),
            oldest_writer=oldest_writer_age(),
        )

    def _rates(self) -> dict[str, Rates]:
        now, counts = timezone.now(), _by_queue(stats.totals())
        before, self._before = self._before, (now, counts)
        if before is None:
            lately = stats.activities("1m")
            seconds = lately[0].seconds if lately else 1.0
            return _per_second(_by_queue(lately), seconds)
        return _per_second(counts - before[1], (now - before[0]).total_seconds())


def _by_queue(activities: list[stats.Activity]) -> Counter[tuple[str, str]]:
    counts: Counter[tuple[str, str]] = Counter()
    for activity in activities:
        for event, count in activity.events.items():
            counts[activity.queue, event] += count
    return counts


def _per_second(counts: Counter[tuple[str, str]], seconds: float) -> dict[str, Rates]:
    return {
        queue: Rates(
            requested=counts[queue, "task.requested"] / seconds,
            ended=sum(counts[queue, event] for event in _ENDS) / seconds,
            failed=sum(counts[queue, event] for event in _FAILURES) / seconds,
        )
        for queue in {queue for queue, _ in counts}
    }


def _running(run: TaskRun) -> RunningRun:
    assert run.started_at is not None
    progress = run.progress or {}
    return RunningRun(
        id=str(run.pk),
        task=run.task,
        queue=run.queue,
        worker=run.worker,
        attempt=f"{run.attempt}/{run.max_attempts}",
        age=max((timezone.now() - run.started_at).total_seconds(), 0.0),
        share=wording.share_done(run.progress),
        message=str(redact(progress.get("message", ""))),
        cancelling=run.cancel_requested,
    )


def _failure(run: TaskRun) -> Failure:
    return Failure(
        id=str(run.pk),
        task=run.task,
        state=run.state,
        at=run.finished_at or run.due_at,
        error=str(redact(wording.error(run.error))),
    )


def _members() -> list[Member]:
    return [
        Member(
            name=one.name,
            kind=one.kind,
            condition=one.condition,
            trouble=str(one.facts.get("trouble") or ""),
        )
        for one in selectors.processes().filter(ended_at=None)[:_LISTED]
    ]


def _ticks() -> list[Tick]:
    found = entries().filter(enabled=True, retired_at__isnull=True).order_by("next_tick_at", "name")
    return [
        Tick(
            entry=one.name,
            last=one.last_tick_at,
            next=one.next_tick_at,
            run=getattr(one, "last_run_state", None) or "",
            error=one.last_error,
        )
        for one in found[:_LISTED]
    ]
