"""How each area of the installation stands: each function is a query or two, bounded and by indexes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import Count, Min, Q, Sum
from django.db.models.fields.json import KeyTextTransform
from django.utils import timezone

from apps.core import redaction
from apps.liveness import selectors as liveness
from apps.liveness.leases import Counts
from apps.liveness.marks import worker_leases
from apps.notifications.models import Email
from apps.notifications.states import EmailState
from apps.ratelimits import selectors as ratelimits
from apps.ratelimits.tally import MOST_DENIALS
from apps.tasks import conf, stats, wording
from apps.tasks.models import Process, Resolution, Statistic, TaskRun
from apps.tasks.states import State
from apps.tasks.stats import Backlog, Minute
from apps.webhooks.codes import Outcome
from apps.webhooks.models import Delivery

#: Minutes that charts show, and those that rates are of.
MINUTES = 60
_RATED = 5
#: Dead runs that are looked at, the newest; processes; and deliveries of the last hour.
MOST_DEAD = 200
_MOST_PROCESSES = 500
MOST_DELIVERIES = 20_000
_SHOWN = 5
_HOUR = timedelta(hours=1)
_EVENTS = ("task.requested", "task.succeeded", "task.attempt_failed", "task.orphaned", "task.dead_lettered")


@dataclass(frozen=True, kw_only=True)
class Backlogs:
    """What has not ended, by queue, and by task on it."""

    queues: Sequence[Backlog]
    tasks: Sequence[Backlog]

    @property
    def waiting(self) -> int:
        """Runs that could start now."""
        return sum(one.waiting for one in self.queues)

    @property
    def running(self) -> int:
        return sum(one.running for one in self.queues)

    @property
    def dead(self) -> int:
        return sum(one.dead for one in self.queues)

    @property
    def oldest(self) -> float | None:
        """Seconds that the first of those has waited that could start now."""
        ages = [age for one in self.queues for age in (one.due_lag, one.oldest_queued) if age is not None]
        return max(ages, default=None)

    def active(self, *tasks: str) -> int:
        """Runs of these tasks that have not ended."""
        return sum(one.scheduled + one.queued + one.running for one in self.tasks if one.task in tasks)


def backlogs() -> Backlogs:
    """What waits and runs now."""
    found = stats.backlogs()
    return Backlogs(queues=stats.by_queue(found, conf.queues()), tasks=found)


@dataclass(frozen=True, kw_only=True)
class Pace:
    """What happened in the last hour."""

    #: The present one last, as far as its events are counted.
    minutes: Sequence[Minute]
    #: Queue -> runs that succeeded a minute, over the last five whole minutes.
    rates: Mapping[str, float]

    @property
    def per_minute(self) -> float:
        """Runs that succeeded a minute, of all queues."""
        return sum(self.rates.values())


def pace() -> Pace:
    """The last hour by minutes, from the counts of `apps.tasks.tally`."""
    last = timezone.now().replace(second=0, microsecond=0)
    rows = (
        Statistic.objects.filter(
            resolution=Resolution.MINUTE, starts_at__gt=last - timedelta(minutes=MINUTES), event__in=_EVENTS
        )
        .order_by()
        .values_list("starts_at", "queue", "event")
        .annotate(total=Sum("count"))
    )
    counts: Counter[tuple[datetime, str]] = Counter()
    ended: Counter[str] = Counter()
    for at, queue, event, total in rows:
        assert at is not None
        counts[at, event] += total
        if event == "task.succeeded" and last - timedelta(minutes=_RATED) <= at < last:
            ended[queue] += total
    moments = [last - timedelta(minutes=ago) for ago in reversed(range(MINUTES))]
    return Pace(
        minutes=[
            Minute(
                starts_at=at,
                requested=counts[at, "task.requested"],
                succeeded=counts[at, "task.succeeded"],
                failed=counts[at, "task.attempt_failed"] + counts[at, "task.orphaned"],
                dead=counts[at, "task.dead_lettered"],
            )
            for at in moments
        ],
        rates={queue: total / _RATED for queue, total in ended.items()},
    )


@dataclass(frozen=True, kw_only=True)
class Death:
    """A run that was given up, fit to be shown."""

    id: str
    task: str
    at: datetime | None
    error: str


@dataclass(frozen=True, kw_only=True)
class Failures:
    """Of the newest dead runs: those of the last, and how often each type of error among them."""

    newest: Sequence[Death]
    types: Sequence[tuple[str, int]]


def failures() -> Failures:
    """What the newest dead runs died of."""
    found = list(
        TaskRun.objects.filter(state=State.DEAD)
        .order_by("-id")
        .annotate(kind=KeyTextTransform("type", "error"), message=KeyTextTransform("message", "error"))
        .values_list("id", "task", "finished_at", "kind", "message")[:MOST_DEAD]
    )
    return Failures(
        newest=[
            Death(
                id=str(pk),
                task=task,
                at=at,
                error=redaction.text(
                    wording.error({"type": kind, "message": message[:400]} if kind else None)
                ),
            )
            for pk, task, at, kind, message in ((*row[:4], row[4] or "") for row in found[:_SHOWN])
        ],
        types=Counter(kind or "unknown" for *_, kind, _ in found).most_common(_SHOWN),
    )


def runs_to_review() -> int:
    """Runs that a person has to look at."""
    return TaskRun.objects.filter(needs_review=True).count()


@dataclass(frozen=True, kw_only=True)
class Kind:
    """The processes of one kind that have not said that they ended."""

    name: str
    alive: int = 0
    vanished: int = 0
    #: Runs that those alive execute at a time.
    slots: int = 0
    #: The last report of any.
    seen_at: datetime | None = None
    #: What those alive say is wrong with them.
    troubles: Sequence[str] = field(default=())


def processes() -> list[Kind]:
    """Workers, relays and beats, in that order."""
    light = Process.objects.only(
        "kind", "name", "seen_at", "ended_at", "lost_at", "condemned", "concurrency", "facts"
    )
    found = list(light.filter(ended_at=None).order_by("-seen_at")[:_MOST_PROCESSES])
    kinds = []
    for kind in Process.Kind:
        mine = [one for one in found if one.kind == kind]
        alive = [one for one in mine if one.condition == "running"]
        kinds.append(
            Kind(
                name=kind.value,
                alive=len(alive),
                vanished=len(mine) - len(alive),
                slots=sum(one.concurrency for one in alive),
                seen_at=max((one.seen_at for one in mine), default=None),
                troubles=[str(one.facts["trouble"]) for one in alive if one.facts.get("trouble")],
            )
        )
    return kinds


@dataclass(frozen=True, kw_only=True)
class Trading:
    """The trading workers."""

    counts: Counts


def trading() -> Trading:
    """How many beat. Raises `Unavailable`."""
    return Trading(counts=worker_leases().counts())


def left_alone() -> list[str]:
    """Populations whose orphans the last look did not settle because most of them were late at once."""
    scan = liveness.scans().only("populations").first()
    return [] if scan is None else [name for name, one in scan.populations.items() if one.get("mass")]


@dataclass(frozen=True, kw_only=True)
class Denials:
    """Requests that limits denied in the last hour."""

    count: int
    #: Whether there were more than are kept.
    more: bool
    #: Of each of the last 60 minutes, oldest first.
    minutes: Sequence[int]
    groups: Sequence[tuple[str, int]]
    subjects: Sequence[tuple[str, int]]


def denials() -> Denials:
    """By group, by minute, and of whom. Raises `Unavailable`."""
    now = time.time()
    kept = ratelimits.denials(most=MOST_DENIALS)
    found = [one for one in kept if now - one.at < _HOUR.total_seconds() and not one.shadow]
    minutes = [0] * MINUTES
    for one in found:
        minutes[-1 - min(MINUTES - 1, max(0, int((now - one.at) // 60)))] += 1
    return Denials(
        count=len(found),
        more=len(kept) == MOST_DENIALS and now - kept[-1].at < _HOUR.total_seconds(),
        minutes=minutes,
        groups=Counter(one.policy.partition("/")[0] for one in found).most_common(_SHOWN),
        subjects=Counter(one.subject for one in found).most_common(3),
    )


@dataclass(frozen=True, kw_only=True)
class Deliveries:
    """Requests to webhooks in the last hour."""

    accepted: int
    #: Valid without anything to do, or there before.
    idle: int
    refused: int
    failed: int

    @property
    def total(self) -> int:
        return self.accepted + self.idle + self.refused + self.failed


def deliveries() -> Deliveries:
    """By what became of them; of very many, of the newest."""
    newest = Delivery.objects.filter(at__gte=timezone.now() - _HOUR).order_by("-at")
    counts = newest.values("outcome")[:MOST_DELIVERIES].aggregate(
        accepted=Count("pk", filter=Q(outcome=Outcome.ACCEPTED)),
        idle=Count("pk", filter=Q(outcome__in=(Outcome.RECORDED, Outcome.DUPLICATE))),
        refused=Count("pk", filter=Q(outcome=Outcome.REFUSED)),
        failed=Count("pk", filter=Q(outcome=Outcome.FAILED)),
    )
    return Deliveries(**counts)


@dataclass(frozen=True, kw_only=True)
class Unsent:
    """E-mails that are still to be sent."""

    count: int
    #: Seconds that the first of them has waited.
    oldest: float


def unsent() -> Unsent:
    """How many e-mails wait."""
    found = Email.objects.filter(state=EmailState.REQUESTED).aggregate(n=Count("pk"), first=Min("created_at"))
    first = found["first"]
    waited = 0.0 if first is None else max(0.0, (timezone.now() - first).total_seconds())
    return Unsent(count=found["n"], oldest=waited)


def backtests_finished() -> int:
    """How many backtests were ever computed."""
    totals = Statistic.objects.filter(
        resolution=Resolution.TOTAL, task="backtests.run", event="task.succeeded"
    )
    return totals.aggregate(n=Sum("count"))["n"] or 0
