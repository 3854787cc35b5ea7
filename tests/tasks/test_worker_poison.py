"""Messages that end whoever receives them, before the run is claimed: SQS's own redrive takes them away."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from apps.events import projections
from apps.events.selectors import read_stream
from apps.tasks import queues
from apps.tasks.models import DeadLetter, Process, TaskRun
from apps.tasks.projection import TaskRuns
from apps.tasks.states import State
from tests.platform import wait_for_all
from tests.support import wait_until
from tests.workload import tasks as work
from tests.workload.models import Effect, Start


@pytest.fixture
def frail(settings: Any) -> None:
    """Queues on which a message is soon visible again, and soon moved."""
    settings.SQS_MAX_RECEIVES = 2
    settings.SQS_VISIBILITY_TIMEOUT = 4


def types(run_id) -> list[str]:
    return [event.type.removeprefix("task.") for event in read_stream(f"task:{run_id}")]


def assert_given_up(run_id: str) -> None:
    assert types(run_id) == ["requested", "published", "dead_lettered"]
    assert TaskRun.objects.get(pk=run_id).attempt == 0
    assert DeadLetter.objects.get().run_id == TaskRun.objects.get(pk=run_id).pk
    wait_until(lambda: queues.depth("default-dlq").visible == 1, what="the message to stay for a person")
    assert projections.check(TaskRuns()) == []


def is_dead(run_id: str) -> bool:
    return TaskRun.objects.get(pk=run_id).state == State.DEAD


def test_how_long_messages_are_kept_is_not_up_to_the_queue(platform):
    """A queue that is older than the setting, or made by others, may have another visibility timeout."""
    other = {"VisibilityTimeout": "1"}
    queues.client().set_queue_attributes(QueueUrl=queues.url("default"), Attributes=other)
    platform.relay()
    worker = platform.worker(concurrency=1)
    held = work.patient.delay("long")
    wait_until(Start.objects.exists, what="the handler to be under way")
    its = Process.objects.get(kind=Process.Kind.WORKER)
    later = Process.objects.filter(pk=its.pk, seen_at__gt=its.seen_at + timedelta(seconds=2.5))
    wait_until(later.exists, what="the queue's timeout to run out twice")
    assert worker.log.count(f"[{held.id}] received") == 1
    Start.objects.create(name="go", pid=0)
    wait_for_all()


def test_messages_that_wait_behind_a_long_handler_are_not_taken_for_poison(frail, platform):
    """They are received once: the worker keeps them until their turn comes."""
    platform.relay()
    worker = platform.worker(concurrency=1)
    work.patient.delay("long")
    wait_until(Start.objects.exists, what="the handler to be under way")
    waiting = [work.note.delay(f"n{index}") for index in range(3)]
    wait_until(lambda: queues.depth("default").in_flight == 4, what="the worker to have all messages")
    its = Process.objects.get(kind=Process.Kind.WORKER)
    later = Process.objects.filter(pk=its.pk, seen_at__gt=its.seen_at + timedelta(seconds=15))
    wait_until(later.exists, what="their visibility timeouts to run out three times")
    assert queues.depth("default-dlq").empty
    Start.objects.create(name="go", pid=0)
    wait_for_all()
    for result in waiting:
        assert types(result.id) == ["requested", "published", "started", "succeeded"]
    assert worker.log.count(f"[{waiting[0].id}] received") == 1


def test_a_message_that_ends_the_worker_is_given_up(frail, platform):
    """The supervisor, here the test, starts the worker again each time."""
    platform.relay()
    worker = platform.worker(concurrency=1)
    result = work.poison.delay()
    deaths = 0

    def done() -> bool:
        nonlocal deaths
        if worker.returncode is not None:
            deaths += 1
            assert deaths < 6
            worker.launch()
        return is_dead(result.id)

    wait_until(done, seconds=120, what="the run to be given up")
    assert deaths == 2
    assert_given_up(result.id)
    work.note.delay("b")
    wait_until(Effect.objects.exists, what="the worker to go on")


def test_a_message_that_ends_every_process_of_the_pool_is_given_up(frail, platform):
    platform.relay()
    worker = platform.worker(concurrency=1)
    result = work.fatal.delay()
    wait_until(lambda: is_dead(result.id), seconds=60, what="the run to be given up")
    assert_given_up(result.id)
    assert worker.returncode is None
    work.note.delay("b")
    wait_until(Effect.objects.exists, what="the worker to go on")
