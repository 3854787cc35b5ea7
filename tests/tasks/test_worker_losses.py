"""Runs whose process dies, and runs of tasks that a worker does not know."""

from __future__ import annotations

import os
import signal
import uuid
from datetime import timedelta

from django.db import connection
from django.utils import timezone

from apps.core.ids import uuid7
from apps.events import projections
from apps.events.selectors import read_stream
from apps.tasks import claims, publishing, queues
from apps.tasks.models import Process, TaskRun
from apps.tasks.projection import TaskRuns
from apps.tasks.publishing import Wakeup
from apps.tasks.states import State
from tests.platform import wait_for_all
from tests.support import wait_until
from tests.workload import tasks as work
from tests.workload.models import Effect, Start


def types(run_id) -> list[str]:
    return [event.type.removeprefix("task.") for event in read_stream(f"task:{run_id}")]


def test_a_killed_pool_process_is_noticed_at_once(long_visibility, platform):
    """As by the kernel for want of memory. The lease is long, and nobody looks for orphans."""
    platform.environ |= {"TASKS_LEASE": "60"}
    platform.relay()
    worker = platform.worker(concurrency=1)
    result = work.patient.delay("a")
    start = wait_until(lambda: Start.objects.first(), what="the handler to be under way")
    killed = timezone.now()
    os.kill(start.pid, signal.SIGKILL)
    wait_until(lambda: Start.objects.count() == 2, what="a second attempt")
    assert read_stream(f"task:{result.id}")[3].recorded_at - killed < timedelta(seconds=3)
    Start.objects.create(name="go", pid=0)
    wait_for_all()
    assert types(result.id) == [
        "requested", "published", "started", "orphaned", "published", "started", "succeeded",
    ]  # fmt: skip
    error = read_stream(f"task:{result.id}")[3].data["error"]
    assert "SIGKILL" in error["message"]
    assert TaskRun.objects.get(pk=result.id).attempt == 2
    assert Effect.objects.count() == 1
    assert worker.returncode is None
    assert projections.check(TaskRuns()) == []
    wait_until(lambda: queues.depth("default").empty, what="both messages to be deleted")


def test_requests_that_meet_processes_just_killed_are_done_by_others(platform):
    """Their pipes still stand for a moment; Celery gives what was written to one to another process."""
    worker = platform.worker(concurrency=2)
    platform.ready(worker, platform.relay(), platform.beat())
    names = []
    for number in range(5):
        pool = worker.children()
        for pid in pool:
            os.kill(pid, signal.SIGKILL)
        names += (round_ := [f"{number}{letter}" for letter in "abcd"])
        for name in round_:
            work.note.delay(name)
        done = Effect.objects.filter(name__in=round_)
        wait_until(lambda done=done: done.count() == 4, what="the round to be done")
        wait_until(lambda pool=pool: len(set(worker.children()) - set(pool)) == 2, what="two new processes")
    wait_for_all()
    assert sorted(Effect.objects.values_list("name", flat=True)) == sorted(names)
    assert worker.returncode is None
    assert projections.check(TaskRuns()) == []


def test_a_handler_beyond_its_hard_time_limit_is_an_orphan_at_once(long_visibility, platform):
    platform.environ |= {"TASKS_LEASE": "60"}
    platform.relay()
    platform.worker(concurrency=1)
    result = work.overlong.delay()
    wait_until(lambda: TaskRun.objects.get(pk=result.id).state == State.DEAD, what="the run to be given up")
    assert types(result.id) == ["requested", "published", "started", "orphaned", "dead_lettered"]
    assert "TimeLimitExceeded" in TaskRun.objects.get(pk=result.id).error["message"]


def test_a_run_that_its_worker_holds_and_does_not_execute_is_taken_back(platform):
    """As after the database was away when the end of the run was to be recorded. Nobody looks for orphans."""
    platform.environ["TASKS_LEASE"] = "4"
    platform.worker()
    name = wait_until(lambda: Process.objects.values_list("name", flat=True).first(), what="its report")
    result = work.note.delay("a")
    assert claims.claim(run_id=uuid.UUID(result.id), worker=name)
    platform.relay()
    wait_for_all()
    assert types(result.id) == ["requested", "started", "orphaned", "published", "started", "succeeded"]
    error = read_stream(f"task:{result.id}")[2].data["error"]
    assert "does not execute it any more" in error["message"]


def of_unknown_task(**fields) -> TaskRun:
    """A run as it was requested by code that knew the task."""
    result = work.note.apply_async(args=["a"], **fields)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE tasks_taskrun SET task = 'workload.gone' WHERE id = %s", [result.id])
        cursor.execute("SET chandlery.events_maintenance = 'on'")
        cursor.execute(
            "UPDATE events_event SET data = jsonb_set(data, '{task}', '\"workload.gone\"') WHERE stream = %s",
            [f"task:{result.id}"],
        )
        cursor.execute("SET chandlery.events_maintenance = 'off'")
    return TaskRun.objects.get(pk=result.id)


def test_a_run_of_an_unknown_task_is_handed_over_until_it_is_dead(platform):
    run = of_unknown_task(max_attempts=1)
    platform.environ["TASKS_HANDOVER_LIMIT"] = "1"
    platform.relay()
    worker = platform.worker()
    after = work.note.delay("b")
    wait_until(lambda: TaskRun.objects.get(pk=run.pk).state == State.DEAD, what="the run to be given up")
    assert types(run.pk) == [
        "requested", "published", "started", "handed_back", "published", "started", "attempt_failed",
        "dead_lettered",
    ]  # fmt: skip
    run.refresh_from_db()
    assert run.error["type"] == "UnknownTask"
    assert "workload.gone" in run.error["message"]
    assert f"/{worker.pid}" in run.error["message"]
    assert "this worker knows no task 'workload.gone'" in read_stream(run.stream)[3].data["reason"]
    assert "no worker that knows task 'workload.gone' has come" in read_stream(run.stream)[-1].data["reason"]
    wait_until(lambda: TaskRun.objects.get(pk=after.id).state == State.SUCCEEDED)
    wait_until(lambda: queues.depth("default").empty, what="its messages to be deleted")
    assert projections.check(TaskRuns()) == []


def test_a_message_of_an_unknown_task_and_of_no_run_is_left_alone(platform):
    publishing.send([Wakeup(run_id=uuid7(), task="workload.unheard_of", queue="default")])
    worker = platform.worker()
    wait_until(lambda: "neither is known" in worker.log, what="the worker to have received it")
    assert queues.depth("default").in_flight == 1
