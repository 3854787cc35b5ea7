"""SQS throttles, fails, loses, repeats and reorders: everything is done, and once."""

from __future__ import annotations

import threading
import time

import pytest
from django.db import transaction

from apps.events.selectors import read_stream
from apps.tasks.models import TaskRun
from apps.tasks.states import State
from tests.faults.conftest import assert_each_once
from tests.platform import wait_for_all
from tests.support import wait_until
from tests.workload import tasks as work


def request(number: int) -> list[str]:
    names = [f"n{index}" for index in range(number)]
    with transaction.atomic():
        for name in names:
            work.note.delay(name)
    return names


@pytest.mark.parametrize(
    "kind", ["throttled", "unavailable", "internal error", "forbidden", "reset", "lost answer"]
)
def test_a_third_of_all_requests_fails(breakable_sqs, platform, kind):
    relay, worker = platform.relay(), platform.worker()
    platform.ready(relay, worker)
    breakable_sqs.control.fault(kind, rate=0.33)
    names = request(60)
    time.sleep(3)
    breakable_sqs.control.heal()
    wait_for_all(90)
    assert_each_once(names)
    assert breakable_sqs.control.broken()[kind] > 3
    assert (relay.returncode, worker.returncode) == (None, None)


def test_messages_come_twice_and_in_any_order(breakable_sqs, platform):
    breakable_sqs.control.fault("duplicate", rate=0.5)
    breakable_sqs.control.fault("reorder", rate=0.5)
    platform.relay()
    platform.worker()
    platform.worker()
    names = request(150)
    wait_for_all(90)
    assert_each_once(names)
    received = breakable_sqs.control.messages()["received"]
    assert received > len(names) * 1.2


def test_all_messages_are_lost_in_the_middle(breakable_sqs, platform):
    """The queue stays, what was in it is gone: the relay finds it empty and fills it again."""
    platform.relay()
    platform.worker(concurrency=1)
    with transaction.atomic():
        names = [f"n{index}" for index in range(30)]
        for name in names:
            work.note.delay(name, seconds=0.05)
    wait_until(lambda: TaskRun.objects.filter(state=State.SUCCEEDED).count() > 3, what="work to begin")
    assert breakable_sqs.control.lose() > 5
    wait_for_all(90)
    assert_each_once(names)
    reasons = [
        event.data["reason"]
        for run in TaskRun.objects.all()
        for event in read_stream(run.stream)
        if event.type == "task.published"
    ]
    assert "lost" in reasons


def test_sqs_is_away_for_a_minute(breakable_sqs, platform):
    """Requests go on being taken, by the database; when SQS is back all of them are done.

    As long as this lasts, every pause between attempts has grown to its longest.
    """
    relay, worker = platform.relay(), platform.worker()
    platform.ready(relay, worker)
    before = request(10)
    wait_for_all()
    breakable_sqs.kill()
    during = [f"during{index}" for index in range(20)]
    for name in during:
        work.note.delay(name)
        time.sleep(3)
    assert TaskRun.objects.filter(state=State.SCHEDULED, task="workload.note").count() == 20
    breakable_sqs.start()
    wait_for_all(90)
    assert_each_once(before + during)
    assert (relay.returncode, worker.returncode) == (None, None)


def test_the_same_publication_sent_twice_to_a_fifo_queue_is_one_message(breakable_sqs, platform):
    """SQS took it and the answer was lost: the relay cannot know, and sends again."""
    breakable_sqs.control.fault("lost answer", action="SendMessage", times=3)
    platform.relay()
    for index in range(3):
        work.note.apply_async(args=[f"n{index}"], queue="ordered.fifo", group_key=f"g{index}")
    wait_until(lambda: TaskRun.objects.filter(state=State.QUEUED).count() == 3, what="three published runs")
    assert breakable_sqs.control.broken()["lost answer"] == 3
    depths = breakable_sqs.control.depths()
    assert [depth["visible"] for name, depth in depths.items() if name.endswith("ordered.fifo")] == [3]
    platform.worker("ordered.fifo")
    wait_for_all()
    assert_each_once([f"n{index}" for index in range(3)])


def test_requests_and_work_go_on_while_messages_are_lost_again_and_again(breakable_sqs, platform):
    platform.relay()
    platform.relay()
    platform.worker()
    stop = threading.Event()

    def lose() -> None:
        while not stop.wait(0.7):
            breakable_sqs.control.lose()

    thread = threading.Thread(target=lose)
    thread.start()
    names = []
    for round_ in range(4):
        names += [f"r{round_}n{index}" for index in range(20)]
        with transaction.atomic():
            for name in names[-20:]:
                work.note.delay(name, seconds=0.01)
        time.sleep(0.7)
    stop.set()
    thread.join()
    wait_for_all(90)
    assert_each_once(names)
