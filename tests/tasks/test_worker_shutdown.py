"""A worker that is asked to end hands back what it cannot finish; nothing waits for a lease to run out."""

from __future__ import annotations

import signal
import time

from apps.events import projections
from apps.events.selectors import read_stream
from apps.tasks import queues
from apps.tasks.models import TaskRun
from apps.tasks.projection import TaskRuns
from apps.tasks.states import State
from tests.platform import wait_for_all
from tests.support import wait_until
from tests.workload import tasks as work
from tests.workload.models import Effect, Start


def types(run_id) -> list[str]:
    return [event.type.removeprefix("task.") for event in read_stream(f"task:{run_id}")]


def go() -> None:
    """Let patient handlers end."""
    Start.objects.create(name="go", pid=0)


def long_leases(platform, grace: float) -> None:
    """Leases that no test would wait for."""
    platform.environ |= {
        "TASKS_LEASE": "60",
        "TASKS_SHUTDOWN_GRACE": str(grace),
    }


def test_what_does_not_finish_in_time_is_handed_back_and_taken_over_at_once(long_visibility, platform):
    long_leases(platform, grace=2)
    platform.relay()
    first = platform.worker(concurrency=2)
    results = [work.patient.delay(f"n{index}") for index in range(2)]
    wait_until(lambda: Start.objects.count() == 2, what="both handlers to be under way")
    second = platform.worker(concurrency=2)
    platform.ready(second)
    first.signal(signal.SIGTERM)
    assert first.wait_ended(20)
    ended = time.monotonic()
    assert first.returncode == 0, first.log
    wait_until(lambda: Start.objects.count() == 4, seconds=10, what="the second worker to have both")
    assert time.monotonic() - ended < 8
    go()
    wait_for_all()
    for result in results:
        run = TaskRun.objects.get(pk=result.id)
        assert (run.state, run.attempt) == (State.SUCCEEDED, 1)
        assert run.worker.endswith(f"/{second.pid}")
        assert types(result.id) == [
            "requested", "published", "started", "handed_back", "published", "started", "succeeded",
        ]  # fmt: skip
        back = read_stream(f"task:{result.id}")[3]
        assert back.data["reason"] == "SIGTERM received"
        assert back.data["worker"].endswith(f"/{first.pid}")
    assert Effect.objects.count() == 2
    assert projections.check(TaskRuns()) == []
    wait_until(lambda: queues.depth("default").empty, what="the first worker's messages to be deleted")


def test_messages_that_were_not_begun_are_given_back_at_once(long_visibility, platform):
    """While the handler that is running goes on to its end."""
    long_leases(platform, grace=60)
    platform.relay()
    first = platform.worker(concurrency=1)
    running = work.patient.delay("running")
    wait_until(lambda: Start.objects.exists(), what="the handler to be under way")
    waiting = [work.note.delay(f"n{index}") for index in range(3)]
    wait_until(lambda: queues.depth("default").in_flight == 4, what="the worker to have all messages")
    first.signal(signal.SIGTERM)
    wait_until(lambda: queues.depth("default").visible == 3, seconds=5, what="three messages to be back")
    assert TaskRun.objects.get(pk=running.id).state == State.RUNNING
    platform.worker(concurrency=1)
    wait_until(
        lambda: TaskRun.objects.filter(pk__in=[r.id for r in waiting], state=State.SUCCEEDED).count() == 3,
        what="another worker to execute them",
    )
    go()
    assert first.wait_ended(20)
    assert first.returncode == 0
    assert types(running.id) == ["requested", "published", "started", "succeeded"]
    wait_until(lambda: queues.depth("default").empty, what="an empty queue")


def test_an_idle_worker_ends_at_once(platform):
    worker = platform.worker()
    platform.ready(worker)
    begun = time.monotonic()
    worker.signal(signal.SIGTERM)
    assert worker.wait_ended(15)
    assert worker.returncode == 0
    assert time.monotonic() - begun < 10


def test_a_second_signal_hands_back_without_waiting(long_visibility, platform):
    long_leases(platform, grace=60)
    platform.relay()
    worker = platform.worker()
    result = work.patient.delay("a")
    wait_until(lambda: Start.objects.exists(), what="the handler to be under way")
    worker.signal(signal.SIGTERM)
    wait_until(lambda: "stopped receiving" in worker.log, what="the worker to stop receiving")
    assert types(result.id)[-1] == "started"
    worker.signal(signal.SIGTERM)
    assert worker.wait_ended(20)
    assert worker.returncode == 0
    assert types(result.id)[3] == "handed_back"
    assert TaskRun.objects.get(pk=result.id).attempt == 0


def test_a_worker_ends_in_time_although_the_pool_cannot_end_handlers(long_visibility, platform):
    """With threads, the process is ended together with its handlers; their commits would be fenced off."""
    long_leases(platform, grace=1)
    platform.environ["TEST_WORKER_POOL"] = "threads"
    platform.relay()
    worker = platform.worker(concurrency=2)
    result = work.patient.delay("a")
    wait_until(lambda: Start.objects.exists(), what="the handler to be under way")
    worker.signal(signal.SIGTERM)
    assert worker.wait_ended(20)
    assert worker.returncode == 0
    assert types(result.id)[3] == "handed_back"
    assert "its pool cannot end handlers" in worker.log


def test_a_cold_shutdown_hands_back_too(long_visibility, platform):
    long_leases(platform, grace=60)
    platform.relay()
    worker = platform.worker()
    result = work.patient.delay("a")
    wait_until(lambda: Start.objects.exists(), what="the handler to be under way")
    worker.signal(signal.SIGQUIT)
    assert worker.wait_ended(20)
    assert types(result.id)[3] == "handed_back"
    assert TaskRun.objects.get(pk=result.id).attempt == 0
    platform.worker()
    go()
    wait_until(lambda: TaskRun.objects.get(pk=result.id).state == State.SUCCEEDED, what="another to go on")
