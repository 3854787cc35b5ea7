"""Figures are told from events, each counted once."""

from __future__ import annotations

import io
import threading
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from apps.events.models import Cursor
from apps.tasks import claims, services, stats, tally
from apps.tasks.durations import BOUNDS, Durations
from apps.tasks.models import Resolution, Statistic, TaskRun
from apps.tasks.testing import run_pending
from tests.support import settle
from tests.workload import tasks as work

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed")]


def of(task: str, found: list[stats.Activity]) -> stats.Activity:
    (activity,) = (one for one in found if one.task == task)
    return activity


def test_events_are_counted_by_task_and_queue():
    work.note.delay("a")
    work.note.apply_async(args=["b"], queue="email")
    work.hopeless.apply_async(max_attempts=1)
    run_pending()
    settle()
    tally.catch_up()
    found = stats.activities("5m")
    assert [(one.queue, one.task) for one in found] == [
        ("default", "workload.hopeless"), ("default", "workload.note"), ("email", "workload.note"),
    ]  # fmt: skip
    hopeless = of("workload.hopeless", found)
    assert hopeless.events == {
        "task.requested": 1, "task.started": 1, "task.attempt_failed": 1, "task.dead_lettered": 1,
    }  # fmt: skip
    assert (hopeless.failure_rate, found[1].failure_rate) == (1.0, 0.0)
    assert hopeless.rate("task.started") == pytest.approx(1 / hopeless.seconds)
    assert 300 <= hopeless.seconds < 361
    assert (found[1].wait.count, found[1].duration.count) == (1, 1)
    assert stats.activities("24h")[0].events == hopeless.events
    assert stats.totals()[0].events == hopeless.events


@pytest.mark.parametrize("time", range(5))
def test_each_event_is_counted_once_whoever_counts(monkeypatch, time):
    """Also where nobody has counted before: who begins second must not begin anew."""
    monkeypatch.setattr(tally, "BATCH", 7)
    for index in range(20):
        work.note.delay(str(index))
    run_pending()
    barrier = threading.Barrier(4)

    def count() -> None:
        try:
            barrier.wait()
            settle()
            tally.catch_up(seconds=10)
        finally:
            connection.close()

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (activity,) = stats.totals()
    assert activity.events == {"task.requested": 20, "task.started": 20, "task.succeeded": 20}
    assert activity.wait.count == activity.duration.count == 20
    settle()
    assert tally.catch_up() == 0


def test_whoever_finds_another_counting_does_not_wait():
    work.note.delay("a")
    Cursor.objects.create(follower=tally.FOLLOWER)
    settle()
    locked, done = threading.Event(), threading.Event()

    def hold() -> None:
        from django.db import transaction

        try:
            with transaction.atomic():
                Cursor.objects.select_for_update().get(follower=tally.FOLLOWER)
                locked.set()
                done.wait(30)
        finally:
            connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    locked.wait(30)
    assert tally.catch_up() == 0
    done.set()
    thread.join()
    assert tally.catch_up() == 1


def test_a_follower_that_begins_anew_counts_anew():
    work.note.delay("a")
    run_pending()
    settle()
    tally.catch_up()
    before = stats.totals()[0].events
    call_command("events", "followers", "--restart", tally.FOLLOWER, stdout=io.StringIO())
    settle()
    tally.catch_up()
    assert stats.totals()[0].events == before


def test_waits_and_durations_are_measured_from_the_events():
    """The wait begins when the run is due, also after a retry; the execution with its attempt."""
    result = work.note.apply_async(args=["a"], run_at=datetime.now(UTC) - timedelta(days=30))
    run_id = uuid.UUID(result.id)
    claimed = claims.claim(run_id=run_id, worker="w")
    assert claimed is not None
    claims.fail(claimed, RuntimeError("x"), retry=True, delay=0)
    services.reschedule(run_id=run_id, run_at=timezone.now() + timedelta(seconds=40))
    move_events(run_id, {1: 0, 2: 3, 3: 10, 4: 12}, due={1: -999, 3: 15, 4: 52})
    TaskRun.objects.filter(pk=run_id).update(due_at=timezone.now())
    claimed = claims.claim(run_id=run_id, worker="w")
    assert claimed is not None
    claims.succeed(claimed, None)
    move_events(run_id, {5: 60, 6: 60.5}, due={})
    settle()
    tally.catch_up()
    activity = of("workload.note", stats.totals())
    # From the request, not from thirty days before; and from the time it was given last.
    assert activity.wait.seconds == pytest.approx(3 + 8)
    assert activity.duration.seconds == pytest.approx(7 + 0.5)
    assert activity.wait.count == activity.duration.count == 2


def move_events(run_id, seconds: dict[int, float], due: dict[int, float]) -> None:
    """Let events have happened so many seconds after a certain moment."""
    start = datetime(2026, 1, 1, 12, tzinfo=UTC)
    with connection.cursor() as cursor:
        cursor.execute("SET chandlery.events_maintenance = 'on'")
        for version, after in seconds.items():
            cursor.execute(
                "UPDATE events_event SET recorded_at = %s WHERE stream = %s AND version = %s",
                [start + timedelta(seconds=after), f"task:{run_id}", version],
            )
        for version, after in due.items():
            cursor.execute(
                "UPDATE events_event SET data = data || jsonb_build_object("
                " CASE type WHEN 'task.attempt_failed' THEN 'retry_at' ELSE 'due_at' END, %s::text)"
                " WHERE stream = %s AND version = %s",
                [(start + timedelta(seconds=after)).isoformat(), f"task:{run_id}", version],
            )
        cursor.execute("SET chandlery.events_maintenance = 'off'")


def test_old_spans_are_forgotten_and_totals_never():
    for resolution, age in (
        (Resolution.MINUTE, 3), (Resolution.MINUTE, 1), (Resolution.HOUR, 91), (Resolution.HOUR, 3),
        (Resolution.TOTAL, 20_000),
    ):  # fmt: skip
        Statistic.objects.create(
            resolution=resolution, starts_at=timezone.now() - timedelta(days=age), queue="q", task="t",
            event="task.started", histogram=[],
        )  # fmt: skip
    assert tally.forget_old() == 2
    assert Statistic.objects.count() == 3


def test_what_waits_is_counted_with_its_age():
    work.note.delay("due")
    work.note.apply_async(args=["later"], countdown=3600)
    running = work.note.apply_async(args=["running"], queue="email")
    claims.claim(run_id=uuid.UUID(running.id), worker="w")
    work.refused.apply_async(queue="ingest")
    TaskRun.objects.filter(task="workload.refused").update(state="dead")
    queued = work.long.delay("x", steps=1, seconds=0)
    TaskRun.objects.filter(pk=queued.id).update(
        state="queued", published_at=timezone.now() - timedelta(seconds=90)
    )
    found = {(one.queue, one.task): one for one in stats.backlogs()}
    note = found["default", "workload.note"]
    assert (note.scheduled, note.due, note.queued, note.running, note.waiting) == (2, 1, 0, 0, 1)
    assert note.due_lag is not None
    assert note.due_lag >= 0
    assert note.oldest_queued is None
    assert found["email", "workload.note"].running == 1
    assert found["ingest", "workload.refused"] == stats.Backlog(
        queue="ingest", task="workload.refused", dead=1
    )
    queues = {one.queue: one for one in stats.by_queue(found.values(), ["default", "backtests"])}
    assert list(queues) == ["default", "backtests", "email", "ingest"]
    assert queues["backtests"] == stats.Backlog(queue="backtests")
    assert (queues["default"].scheduled, queues["default"].queued, queues["ingest"].dead) == (2, 1, 1)
    assert queues["default"].oldest_queued == pytest.approx(90, abs=5)


def test_the_last_minutes_are_told_one_by_one():
    work.note.delay("a")
    work.hopeless.apply_async(max_attempts=1)
    run_pending()
    settle()
    tally.catch_up()
    found = stats.minutes(60)
    assert len(found) == 60
    assert [sum(one) for one in zip(*((m.requested, m.succeeded, m.failed) for m in found), strict=True)] == [
        2,
        1,
        1,
    ]
    assert found[-1].starts_at - found[0].starts_at == timedelta(minutes=59)


def test_the_beat_job_counts():
    work.note.delay("a")
    from apps.tasks.tasks import tally_events

    tally_events.delay()
    settle()
    run_pending()
    assert Statistic.objects.filter(event="task.requested", resolution="total").count() == 2


def test_quantiles_lie_between_the_bounds_around_the_true_ones():
    counts = [0] * (len(BOUNDS) + 1)
    counts[9], counts[10] = 90, 10
    durations = Durations(counts=tuple(counts), seconds=100.0)
    assert BOUNDS[8] < durations.quantile(0.5) < BOUNDS[9]
    assert BOUNDS[9] < durations.quantile(0.95) < BOUNDS[10]
    assert (durations.count, durations.mean) == (100, 1.0)
    assert Durations().quantile(0.5) is Durations().mean is None
    beyond = Durations(counts=(*([0] * len(BOUNDS)), 4), seconds=1e6)
    assert beyond.quantile(0.95) == BOUNDS[-1]
    assert durations.plus(counts, 100.0).count == 200
