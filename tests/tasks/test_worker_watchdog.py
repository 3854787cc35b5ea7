"""A worker that has stopped receiving is ended, so that its supervisor starts it again."""

from __future__ import annotations

import json
from datetime import timedelta

from apps.events.selectors import read_stream
from apps.tasks import queues
from apps.tasks.models import Process, TaskRun
from apps.tasks.polling import polls
from apps.tasks.states import State
from apps.tasks.usage import usage
from apps.tasks.worker.watchdog import Watchdog
from tests.support import wait_until
from tests.workload import tasks as work
from tests.workload.models import Effect, Start

EXIT = 70


def begun(name: str) -> Start:
    return wait_until(lambda: Start.objects.filter(name=name).first(), what=f"{name} to be under way")


def trouble() -> str:
    return Process.objects.get(kind=Process.Kind.WORKER).facts.get("trouble", "")


def take_away(task: str) -> None:
    """Delete the message that names *task*."""
    sqs, address = queues.client(), queues.url("default")

    def taken() -> bool:
        for message in sqs.receive_message(QueueUrl=address, VisibilityTimeout=1).get("Messages", []):
            if json.loads(message["Body"])["headers"]["task"] == task:
                sqs.delete_message(QueueUrl=address, ReceiptHandle=message["ReceiptHandle"])
                return True
        return False

    wait_until(taken, what=f"the message of {task} to be back")


def test_a_worker_whose_main_loop_hangs_ends_and_hands_back(long_visibility, platform):
    platform.environ |= {
        "TASKS_POLL_WATCHDOG": "4",
        "TASKS_SHUTDOWN_GRACE": "6",
        "TASKS_LEASE": "60",
    }
    platform.relay()
    worker = platform.worker(concurrency=1)
    result = work.patient.delay("a")
    begun("a")
    work.hanging.delay()
    wait_until(trouble, what="the worker to report its trouble")
    assert "nothing was heard of polls" in trouble()
    assert worker.wait_ended(30)
    assert worker.returncode == EXIT
    assert "main loop does not answer" in worker.log
    back = read_stream(f"task:{result.id}")[-1]
    if back.type == "task.published":
        back = read_stream(f"task:{result.id}")[-2]
    assert back.type == "task.handed_back"
    assert "nothing was heard" in back.data["reason"]
    take_away(work.hanging.name)
    Start.objects.create(name="go", pid=0)
    platform.worker(concurrency=1)
    wait_until(lambda: TaskRun.objects.get(pk=result.id).state == State.SUCCEEDED, what="another to go on")
    assert TaskRun.objects.get(pk=result.id).attempt == 1


def test_a_worker_whose_polls_fail_goes_on_trying_while_it_has_work(proxy, platform):
    """An outage of SQS is no reason to end what runs well without it."""
    platform.environ["TASKS_POLL_WATCHDOG"] = "3"
    platform.relay()
    worker = platform.worker(concurrency=1)
    result = work.patient.delay("a")
    begun("a")
    proxy.fault = "unavailable"
    wait_until(trouble, what="the worker to report its trouble")
    assert "HTTP 503" in trouble()
    reported = Process.objects.get(kind=Process.Kind.WORKER).seen_at
    later = Process.objects.filter(kind=Process.Kind.WORKER, seen_at__gt=reported + timedelta(seconds=4))
    wait_until(later.exists, what="some more time")
    assert worker.returncode is None
    Start.objects.create(name="go", pid=0)
    assert worker.wait_ended(20)
    assert worker.returncode == EXIT
    assert TaskRun.objects.get(pk=result.id).state == State.SUCCEEDED
    assert Process.objects.get(kind=Process.Kind.WORKER).ended_at is not None


def test_a_worker_that_has_no_room_for_messages_is_left_alone(platform):
    platform.environ["TASKS_POLL_WATCHDOG"] = "2"
    platform.relay()
    worker = platform.worker(concurrency=1)
    work.patient.delay("a")
    begun("a")
    for index in range(6):
        work.note.delay(f"n{index}")
    wait_until(lambda: queues.depth("default").in_flight == 4, what="the worker to be full")
    full = Process.objects.get(kind=Process.Kind.WORKER).seen_at
    later = Process.objects.filter(kind=Process.Kind.WORKER, seen_at__gt=full + timedelta(seconds=6))
    wait_until(later.exists, what="some time without a poll")
    assert "watchdog" not in worker.log
    assert not trouble()
    Start.objects.create(name="go", pid=0)
    wait_until(lambda: Effect.objects.count() == 7, what="all of them")
    assert worker.returncode is None


class Ending:
    under_way = overdue = False


def test_a_process_that_was_stopped_for_an_hour_was_not_silent_for_an_hour():
    ended: list[str] = []
    watchdog = Watchdog(Ending(), end=ended.append, idle=lambda: True)
    try:
        polls.succeeded("some-queue", 0)
        for _ in range(10):
            watchdog.look(2.0, 120.0)
        assert not ended
        polls.waiting("some-queue")
        for _ in range(61):
            watchdog.look(2.0, 120.0)
        assert not ended
        watchdog.look(2.0, 120.0)
        assert ended == ["nothing was heard of polls of some-queue for 120 s"]
        polls.succeeded("some-queue", 0)
        watchdog.look(2.0, 120.0)
        assert "trouble" not in usage.facts()
    finally:
        polls.forget("some-queue")
