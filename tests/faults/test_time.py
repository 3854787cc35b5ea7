"""Processes whose clock is wrong, and processes that time passes by."""

from __future__ import annotations

import os
import signal

import pytest

from apps.events.selectors import read_stream
from apps.stack.testing import Worker
from apps.tasks.models import TaskRun
from apps.tasks.states import State
from tests.faults.conftest import assert_each_once
from tests.platform import wait_for_all
from tests.support import wait_until
from tests.workload import tasks as work
from tests.workload.models import Start


def types(run_id) -> list[str]:
    return [event.type.removeprefix("task.") for event in read_stream(f"task:{run_id}")]


def send(worker: Worker, number: signal.Signals) -> None:
    """To the worker and its pool."""
    pids = (worker.pid, *worker.children())
    for pid in pids:
        os.kill(pid, number)


def test_a_worker_that_was_stopped_and_wakes_after_its_lease_commits_nothing(platform):
    platform.relay()
    platform.beat()
    sleeper = platform.worker(concurrency=1)
    result = work.long.delay("a", steps=8, seconds=0.25)
    wait_until(lambda: Start.objects.exists(), what="the handler to be under way")
    send(sleeper, signal.SIGSTOP)
    platform.worker(concurrency=1)
    wait_until(lambda: Start.objects.count() == 2, seconds=60, what="another worker to begin")
    # Both are under way now: the one that lost its lease, and the one that holds it.
    send(sleeper, signal.SIGCONT)
    wait_for_all(60)
    wait_until(lambda: "no longer held" in sleeper.log, what="the sleeper to find out")
    assert_each_once(["a"])
    assert types(result.id) == [
        "requested", "published", "started", "orphaned", "published", "started", "succeeded",
    ]  # fmt: skip
    assert sleeper.returncode is None
    again = work.note.delay("b")
    wait_until(lambda: TaskRun.objects.get(pk=again.id).state == State.SUCCEEDED)


@pytest.mark.parametrize("seconds", [3600, -3600])
def test_a_worker_whose_clock_is_an_hour_off(platform, seconds):
    """All times are the database's: leases, due times and retries neither come early nor never."""
    platform.environ |= {"DJANGO_SETTINGS_MODULE": "tests.faults.skewed", "CLOCK_OFF": str(seconds)}
    worker = platform.worker()
    platform.ready(worker)
    platform.environ |= {"DJANGO_SETTINGS_MODULE": "project.settings.test"}
    platform.relay()
    platform.beat()
    long = work.long.delay("long", steps=8, seconds=0.6)
    flaky = work.flaky.delay("flaky", failures=2)
    later = work.note.apply_async(args=["later"], countdown=1.5)
    expiring = work.note.apply_async(args=["expiring"], expires=60)
    wait_for_all(60)
    assert_each_once(["long", "flaky", "later", "expiring"])
    assert "orphaned" not in types(long.id)
    assert TaskRun.objects.get(pk=flaky.id).attempt == 3
    run = TaskRun.objects.get(pk=later.id)
    assert run.due_at <= run.published_at <= run.started_at
    assert TaskRun.objects.get(pk=expiring.id).worker.endswith(f"/{worker.pid}")
