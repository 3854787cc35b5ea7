"""What Prometheus is told of durable tasks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import accumulate

from django.db import connection
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from apps.core.resources import sql
from apps.events.selectors import oldest_writer_age
from apps.tasks import conf, depths, queues, selectors, stats, tally
from apps.tasks.durations import BOUNDS, Durations
from apps.tasks.usage import REQUESTS

#: What an event says of a run, and of an attempt.
_OUTCOMES = {"task.succeeded": "succeeded", "task.dead_lettered": "dead", "task.cancelled": "cancelled"}
_ATTEMPTS = {
    "task.succeeded": "succeeded",
    "task.attempt_failed": "failed",
    "task.orphaned": "orphaned",
    "task.handed_back": "handed_back",
}
_LABELS = ("queue", "task")


class TaskCollector(Collector):
    """Reads the database."""

    def collect(self) -> Iterator[Metric]:
        """Everything, as of now."""
        tally.catch_up()
        backlogs = stats.backlogs()
        yield from _backlog(backlogs)
        yield from _ages(stats.by_queue(backlogs, conf.queues()))
        yield from _counters(stats.totals())
        yield from _events()
        yield from _processes()


class QueueCollector(Collector):
    """Asks SQS how full its queues are; without it those figures are absent."""

    def collect(self) -> Iterator[Metric]:
        """Everything, as of some seconds ago at most."""
        messages = GaugeMetricFamily(
            "chandlery_sqs_messages", "Messages on SQS, as SQS counts them", labels=["queue", "kind"]
        )
        reachable = GaugeMetricFamily(
            "chandlery_sqs_reachable", "Whether SQS said how full a queue is", labels=["queue"]
        )
        names = [name for queue in conf.queues() for name in (queue, queues.dead_letter_name(queue))]
        for queue, depth in depths.depths(names).items():
            reachable.add_metric([queue], 0 if depth is None else 1)
            if depth is not None:
                for kind in ("visible", "in_flight", "delayed"):
                    messages.add_metric([queue, kind], getattr(depth, kind))
        yield messages
        yield reachable


def _backlog(found: Iterable[stats.Backlog]) -> Iterator[Metric]:
    runs = GaugeMetricFamily(
        "chandlery_task_runs", "Runs that have not ended, or are dead", labels=[*_LABELS, "state"]
    )
    due = GaugeMetricFamily(
        "chandlery_task_due", "Scheduled runs that are due and have no message yet", labels=_LABELS
    )
    for one in found:
        for state in ("scheduled", "queued", "running", "dead"):
            runs.add_metric([one.queue, one.task, state], getattr(one, state))
        due.add_metric([one.queue, one.task], one.due)
    yield runs
    yield due


def _ages(found: Iterable[stats.Backlog]) -> Iterator[Metric]:
    for name, field, meaning in (
        ("due_lag", "due_lag", "How long the first due run has waited for its message; 0: none waits"),
        ("oldest_queued", "oldest_queued", "How long the first queued run has waited for a worker"),
        ("oldest_running", "oldest_running", "How long the first running run has run"),
    ):
        family = GaugeMetricFamily(f"chandlery_task_{name}_seconds", meaning, labels=["queue"])
        for one in found:
            family.add_metric([one.queue], getattr(one, field) or 0.0)
        yield family


def _counters(found: Iterable[stats.Activity]) -> Iterator[Metric]:
    events = CounterMetricFamily("chandlery_task_events", "Events of runs", labels=[*_LABELS, "event"])
    outcomes = CounterMetricFamily("chandlery_task_outcomes", "Ends of runs", labels=[*_LABELS, "outcome"])
    attempts = CounterMetricFamily("chandlery_task_attempts", "Ends of attempts", labels=[*_LABELS, "result"])
    wait = HistogramMetricFamily("chandlery_task_wait_seconds", "From due to started", labels=_LABELS)
    duration = HistogramMetricFamily(
        "chandlery_task_duration_seconds", "From the start of an attempt to its end", labels=_LABELS
    )
    for one in found:
        labels = [one.queue, one.task]
        for event, count in one.events.items():
            events.add_metric([*labels, event.removeprefix("task.")], count)
        for event, outcome in _OUTCOMES.items():
            outcomes.add_metric([*labels, outcome], one.count(event))
        for event, result in _ATTEMPTS.items():
            attempts.add_metric([*labels, result], one.count(event))
        for family, durations in ((wait, one.wait), (duration, one.duration)):
            family.add_metric(labels, _buckets(durations), durations.seconds)
    yield from (events, outcomes, attempts, wait, duration)


def _buckets(durations: Durations) -> list[tuple[str, float]]:
    counts = durations.counts or (0,) * (len(BOUNDS) + 1)
    bounds = [*(str(bound) for bound in BOUNDS), "+Inf"]
    return list(zip(bounds, (float(count) for count in accumulate(counts)), strict=True))


def _events() -> Iterator[Metric]:
    with connection.cursor() as cursor:
        cursor.execute(sql(__package__, "event_lag.sql"))
        rows = cursor.fetchall()
    yield CounterMetricFamily(
        "chandlery_events_appended", "Events recorded, those of rolled-back transactions included", rows[0][0]
    )
    lag = GaugeMetricFamily(
        "chandlery_events_follower_lag", "Events that a follower has not read, at most", labels=["follower"]
    )
    for _, follower, behind in rows:
        if follower is not None:
            lag.add_metric([follower], behind)
    yield lag
    yield GaugeMetricFamily(
        "chandlery_events_oldest_writer_seconds",
        "Age of the oldest writing transaction: followers wait for its end",
        oldest_writer_age(),
    )


def _processes() -> Iterator[Metric]:
    there = GaugeMetricFamily(
        "chandlery_processes", "Processes of the last day", labels=["kind", "condition"]
    )
    lag = GaugeMetricFamily(
        "chandlery_relay_lag_seconds", "How late a relay published what it published last", labels=["relay"]
    )
    conditions: Counter[tuple[str, str]] = Counter()
    for process in selectors.processes():
        conditions[process.kind, process.condition] += 1
        if process.condition == "running" and "lag" in process.facts:
            lag.add_metric([process.name], process.facts["lag"])
    for labels, count in conditions.items():
        there.add_metric(labels, count)
    yield there
    yield lag
    requests = CounterMetricFamily("chandlery_sqs_requests", "Requests sent to SQS", labels=["action"])
    usage = selectors.usage_since()
    for name, count in usage.items():
        if name.startswith(REQUESTS):
            requests.add_metric([name.removeprefix(REQUESTS)], count)
    yield requests
    yield CounterMetricFamily(
        "chandlery_worker_finished", "Runs that workers brought to an end", usage.get("finished", 0)
    )
