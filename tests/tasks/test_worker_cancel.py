"""A running run that is cancelled ends: by itself at a progress report, or with its process."""

from __future__ import annotations

import time

from apps.events import projections
from apps.events.selectors import read_stream
from apps.tasks import queues, services
from apps.tasks.models import TaskRun
from apps.tasks.projection import TaskRuns
from apps.tasks.states import State
from tests.platform import wait_for_all
from tests.support import wait_until
from tests.workload import tasks as work
from tests.workload.models import Effect, Start


def types(run_id) -> list[str]:
    return [event.type.removeprefix("task.") for event in read_stream(f"task:{run_id}")]


def state_of(result) -> str:
    return TaskRun.objects.get(pk=result.id).state


def begun(name: str) -> Start:
    return wait_until(lambda: Start.objects.filter(name=name).first(), what=f"{name} to be under way")


def test_a_handler_that_does_not_look_is_killed_and_the_next_run_goes_on(long_visibility, platform):
    """Nothing but the notification tells the worker in time: it renews leases every 15 s."""
    platform.environ |= {"TASKS_CANCEL_GRACE": "1", "TASKS_LEASE": "60"}
    platform.relay()
    worker = platform.worker(concurrency=1)
    result = work.patient.delay("a", polite=False)
    pid = begun("a").pid
    pool = worker.children()
    after = work.note.delay("b")
    asked = time.monotonic()
    assert services.cancel(run_id=result.id, actor="user:1") == State.RUNNING
    wait_until(lambda: state_of(result) == State.CANCELLED, seconds=12, what="the run to be cancelled")
    assert time.monotonic() - asked >= 1
    wait_until(lambda: state_of(after) == State.SUCCEEDED, what="the next run to go on")
    assert types(result.id) == ["requested", "published", "started", "cancel_requested", "cancelled"]
    assert TaskRun.objects.get(pk=result.id).attempt == 1
    assert pid in pool
    assert pid not in worker.children()
    assert len(worker.children()) == len(pool)
    assert not Effect.objects.filter(name="a").exists()
    assert worker.returncode is None
    assert projections.check(TaskRuns()) == []
    wait_until(lambda: queues.depth("default").empty, what="both messages to be deleted")


def test_a_handler_that_looks_ends_by_itself(platform):
    platform.environ["TASKS_CANCEL_GRACE"] = "30"
    platform.relay()
    worker = platform.worker(concurrency=1)
    result = work.patient.delay("a")
    pid = begun("a").pid
    services.cancel(run_id=result.id)
    wait_until(lambda: state_of(result) == State.CANCELLED, seconds=10, what="the run to be cancelled")
    assert pid in worker.children()


def test_a_run_whose_end_comes_first_is_not_cancelled(platform):
    platform.environ["TASKS_CANCEL_GRACE"] = "30"
    platform.relay()
    platform.worker(concurrency=1)
    result = work.patient.delay("a", polite=False)
    begun("a")
    services.cancel(run_id=result.id)
    Start.objects.create(name="go", pid=0)
    wait_for_all()
    assert types(result.id)[-2:] == ["cancel_requested", "succeeded"]
    assert Effect.objects.count() == 1


def test_without_prefork_a_handler_is_only_asked(platform):
    platform.environ |= {"TASKS_CANCEL_GRACE": "0.5", "TEST_WORKER_POOL": "threads"}
    platform.relay()
    worker = platform.worker(concurrency=2)
    rude, polite = work.patient.delay("rude", polite=False), work.patient.delay("polite")
    begun("rude"), begun("polite")
    services.cancel(run_id=rude.id)
    services.cancel(run_id=polite.id)
    wait_until(lambda: state_of(polite) == State.CANCELLED, what="the polite one to be cancelled")
    wait_until(lambda: "cannot end a handler" in worker.log, what="the worker to say what it cannot do")
    assert state_of(rude) == State.RUNNING
    Start.objects.create(name="go", pid=0)
    wait_until(lambda: state_of(rude) == State.SUCCEEDED, what="the rude one to end by itself")
