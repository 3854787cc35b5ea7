"""Processes and queues die in the middle of work: nothing is lost, no effect happens twice."""

from __future__ import annotations

import os
import signal

from apps.events.selectors import read_stream
from apps.tasks import queues
from apps.tasks.models import TaskRun
from apps.tasks.states import State
from tests.faults.conftest import assert_each_once
from tests.platform import wait_for_all
from tests.support import wait_until
from tests.workload import tasks as work
from tests.workload.models import Start


def test_a_worker_killed_in_the_middle_of_tasks(platform):
    """SIGKILL to the worker and its pool; another takes over once the leases have run out."""
    platform.relay()
    worker = platform.worker()
    names = [f"n{index}" for index in range(12)]
    results = [work.long.delay(name, steps=5, seconds=0.3) for name in names]
    wait_until(lambda: Start.objects.count() >= 2, what="two handlers to be under way")
    worker.kill()
    platform.worker()
    platform.beat()
    wait_for_all(90)
    assert_each_once(names)
    histories = [[event.type for event in read_stream(f"task:{result.id}")] for result in results]
    assert sum(history.count("task.orphaned") for history in histories) >= 1
    assert Start.objects.count() > len(names)


def test_a_pool_process_killed_in_the_middle_of_a_task(platform):
    platform.relay()
    platform.worker()
    platform.beat()
    result = work.long.delay("a", steps=10, seconds=0.2)
    start = wait_until(lambda: Start.objects.first(), what="the handler to be under way")
    os.kill(start.pid, signal.SIGKILL)
    wait_for_all(90)
    assert_each_once(["a"])
    assert TaskRun.objects.get(pk=result.id).attempt == 2


def test_the_sqs_server_killed_with_all_its_messages(private_sqs, platform):
    """Queues and messages are gone; the relay makes and fills them again, and the worker survives."""
    relay, worker = platform.relay(), platform.worker(concurrency=1)
    names = [f"n{index}" for index in range(40)]
    for name in names:
        work.note.delay(name, seconds=0.05)
    wait_until(lambda: not TaskRun.objects.filter(state=State.SCHEDULED).exists(), what="publishing")
    waiting = TaskRun.objects.filter(state=State.QUEUED).count()
    assert waiting > 10
    private_sqs.kill(refuse=True)
    late = [f"late{index}" for index in range(5)]
    for name in late:
        work.note.delay(name)
    private_sqs.start()
    wait_for_all(90)
    assert_each_once(names + late)
    assert relay.returncode is None
    assert worker.returncode is None
    lost = [
        event
        for run in TaskRun.objects.all()
        for event in read_stream(run.stream)
        if event.type == "task.published" and event.data["reason"] == "lost"
    ]
    assert lost
    queues.forget_urls()
    wait_until(lambda: queues.depth("default").empty, what="an empty queue")


def test_a_relay_killed_while_publishing(platform):
    relay = platform.relay()
    platform.ready(relay)
    names = [f"n{index}" for index in range(150)]
    for name in names:
        work.note.delay(name)
    wait_until(lambda: TaskRun.objects.filter(state=State.QUEUED).exists(), what="publishing to begin")
    relay.kill()
    platform.worker()
    platform.relay()
    wait_for_all(90)
    assert_each_once(names)


def test_beat_killed_and_started_again(platform):
    platform.relay()
    platform.worker()
    beat = platform.beat()
    platform.ready(beat)
    beat.kill()
    platform.beat()
    reconciliations = TaskRun.objects.filter(task="tasks.reconcile_orphans", state=State.SUCCEEDED)
    wait_until(lambda: reconciliations.count() >= 2, what="beat's ticks to be served")
