"""Workers and Redis die or fall asleep: runs go elsewhere in time, and nobody writes late."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.conf import settings as configured
from django.contrib.auth import get_user_model
from django.utils import timezone

from apps.events import projections
from apps.events.selectors import read_stream
from apps.liveness.models import Scan, WorkerSession
from apps.liveness.populations import population
from apps.liveness.projection import WorkerSessions
from apps.liveness.reconciling import reconcile_orphans
from apps.stack import environment
from apps.tasks.models import Process, TaskRun
from apps.tasks.populations import run_leases
from apps.tasks.states import State
from tests.faults.conftest import assert_each_once
from tests.faults.test_time import send, types
from tests.platform import Platform, wait_for_all
from tests.support import database_url, wait_until
from tests.workload import tasks as work
from tests.workload.models import Effect, Start

#: Seconds by which a busy machine may be late.
_SLACK = 30


def acted() -> list[uuid.UUID]:
    """The looks for orphans that did not leave runs alone."""
    return [one.pk for one in Scan.objects.all() if not one.populations["runs"]["refused"]]


def acting(times: int = 1) -> None:
    """Until *times* more looks act on runs: their set was rebuilt, and everybody has had time to beat."""
    before = set(acted())
    wait_until(lambda: len(set(acted()) - before) >= times, what="looks that act")


def marked(result) -> bool:
    [(mark, _)] = run_leases().look([(str(result.id), 1)])
    return mark is not None


def test_a_killed_workers_runs_are_elsewhere_within_a_lease_and_one_scan(platform):
    platform.relay()
    platform.beat()
    worker = platform.worker(concurrency=4)
    results = [work.patient.delay(name) for name in "abc"]
    wait_until(lambda: all(map(marked, results)), what="leases of all three in Redis")
    acting()
    other = platform.worker(concurrency=4)
    platform.ready(other)
    killed = timezone.now()
    worker.kill()
    wait_until(lambda: Start.objects.count() == 6, what="all three to begin elsewhere")
    Start.objects.create(name="go", pid=0)
    wait_for_all()
    assert_each_once(list("abc"))
    within = timedelta(seconds=configured.TASKS_LEASE + configured.LIVENESS_RECONCILE_EVERY + _SLACK)
    for result in results:
        [orphaned] = [one for one in read_stream(f"task:{result.id}") if one.type == "task.orphaned"]
        assert killed < orphaned.recorded_at < killed + within
        assert f"/{worker.pid}" in orphaned.data["worker"]
    assert sum(scan.populations["runs"]["acted"].get("stale_mark", 0) for scan in Scan.objects.all()) == 3


def test_a_stopped_workers_handler_that_asks_nobody_is_ended_when_it_wakes(platform):
    """It reports no progress, so it cannot find out; its main process does."""
    platform.relay()
    platform.beat()
    sleeper = platform.worker(concurrency=2)
    result = work.patient.delay("a", polite=False)
    wait_until(lambda: marked(result), what="the lease in Redis")
    acting()
    before = Start.objects.get().pid
    send(sleeper, signal.SIGSTOP)
    platform.worker(concurrency=1)
    wait_until(lambda: Start.objects.count() == 2, what="another worker to begin")
    send(sleeper, signal.SIGCONT)
    wait_until(lambda: "was taken from this worker" in sleeper.log, what="the sleeper to find out")
    wait_until(lambda: before not in sleeper.children(), what="the handler's process to be gone")
    Start.objects.create(name="go", pid=0)
    wait_for_all()
    assert_each_once(["a"])
    assert types(result.id).count("orphaned") == 1
    assert sleeper.returncode is None


def test_a_run_that_must_not_be_repeated_waits_for_a_review_when_its_worker_is_killed(platform):
    platform.relay()
    platform.beat()
    worker = platform.worker(concurrency=1)
    result = work.once.delay("a")
    wait_until(lambda: Start.objects.exists(), what="the handler to be under way")
    worker.kill()
    platform.worker(concurrency=1)
    wait_until(lambda: TaskRun.objects.get(pk=result.id).needs_review, what="the run to need a review")
    run = TaskRun.objects.get(pk=result.id)
    assert (run.state, run.attempt, Start.objects.count()) == (State.DEAD, 1, 1)
    assert projections.check(projections.projection("task_runs")) == []


def test_a_run_that_must_not_be_repeated_is_not_handed_back_either(platform):
    platform.environ |= {"TASKS_SHUTDOWN_GRACE": "0.1"}
    platform.relay()
    worker = platform.worker(concurrency=1)
    result = work.once.delay("a")
    wait_until(lambda: Start.objects.exists(), what="the handler to be under way")
    worker.stop()
    run = TaskRun.objects.get(pk=result.id)
    assert (run.state, run.needs_review) == (State.DEAD, True)
    assert types(result.id)[-2:] == ["orphaned", "dead_lettered"]


def test_redis_dies_with_all_it_knows_and_no_run_is_taken_from_a_worker_that_lives(private_redis, platform):
    platform.relay()
    platform.beat()
    worker = platform.worker(concurrency=2)
    result = work.patient.delay("a")
    wait_until(lambda: marked(result), what="the lease in Redis")
    acting()
    private_redis.kill()
    wait_until(lambda: "Redis does not answer" in Scan.objects.first().refused, what="a look without Redis")
    before = TaskRun.objects.get(pk=result.id).lease_until
    wait_until(
        lambda: TaskRun.objects.get(pk=result.id).lease_until > before + timedelta(seconds=3),
        what="leases in the database",
    )
    private_redis.start()
    wait_until(lambda: marked(result), what="the lease in Redis again")
    acting()
    assert types(result.id) == ["requested", "published", "started"]
    # And who dies now is found as ever.
    worker.kill()
    platform.worker()
    wait_until(lambda: Start.objects.count() == 2, what="the run to begin elsewhere")
    Start.objects.create(name="go", pid=0)
    wait_for_all()
    assert_each_once(["a"])


def test_redis_answers_nobody_for_longer_than_leases_last(private_redis, platform):
    platform.relay()
    platform.beat()
    platform.worker(concurrency=2)
    result = work.patient.delay("a", polite=False)
    wait_until(lambda: marked(result), what="the lease in Redis")
    acting()
    os.kill(private_redis.pid, signal.SIGSTOP)
    stopped = timezone.now()
    lease = timedelta(seconds=configured.TASKS_LEASE)
    wait_until(
        lambda: TaskRun.objects.get(pk=result.id).lease_until > stopped + 3 * lease,
        what="the database to have heard of it for two leases",
    )
    os.kill(private_redis.pid, signal.SIGCONT)
    acting(3)
    assert types(result.id) == ["requested", "published", "started"]
    Start.objects.create(name="go", pid=0)
    wait_for_all()
    assert_each_once(["a"])


def test_a_worker_that_is_declared_dead_ends_itself_and_its_runs_go_elsewhere_at_once(platform):
    platform.environ |= {"TASKS_LEASE": "600", "TASKS_SHUTDOWN_GRACE": "0.1"}
    platform.relay()
    worker = platform.worker(concurrency=1)
    result = work.patient.delay("a", polite=False)
    wait_until(lambda: Start.objects.exists(), what="the handler to be under way")
    row = Process.objects.get(kind=Process.Kind.WORKER)
    other = platform.worker(concurrency=1)
    platform.ready(other)
    assert population("processes").declare_dead(str(row.pk), "hangs")
    wait_until(lambda: Start.objects.count() == 2, what="the run to begin elsewhere")
    wait_until(lambda: worker.returncode is not None, what="the worker to end")
    assert worker.returncode == 70
    Start.objects.create(name="go", pid=0)
    wait_for_all()
    assert_each_once(["a"])
    [orphaned] = [one for one in read_stream(f"task:{result.id}") if one.type == "task.orphaned"]
    assert orphaned.data["error"]["message"] == "hangs in attempt 1"


@pytest.fixture
def trading(committed: None, own_queues: str, settings) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Starts trading workers of one user, in processes of their own."""
    user = get_user_model()._default_manager.create_user("trader")
    # By another way than the tests' own: real sessions of real processes, at short settings.
    settings.LIVENESS_STALE_AFTER, settings.LIVENESS_ORPHAN_AFTER = 0.5, 1.0
    settings.LIVENESS_START_GRACE = 0.0
    started = []

    with Platform.on(database_url(), settings.SQS_ENDPOINT_URL, own_queues) as platform:
        environ = platform.environ | {
            "LIVENESS_BEAT_EVERY": "0.1",
            "LIVENESS_STALE_AFTER": "0.5",
            "LIVENESS_ORPHAN_AFTER": "1.0",
            "LIVENESS_START_GRACE": "0",
        }

        def start() -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.trading_worker", str(user.pk)],
                env=environment.inherited(**environ),
                stdout=subprocess.PIPE,
                text=True,
            )
            started.append(process)
            return process

        yield start
    for process in started:
        process.kill()
        process.communicate()


def looks_until(condition: Callable[[], object], what: str) -> None:
    """Look for orphans again and again."""

    def look() -> object:
        reconcile_orphans()
        return condition()

    wait_until(look, what=what)


def test_a_trading_worker_that_is_killed_is_found_and_another_takes_over(trading):
    first = trading()
    wait_until(lambda: Effect.objects.exists(), what="the worker to write")
    session = WorkerSession.objects.get()
    first.kill()
    looks_until(lambda: WorkerSession.objects.get().state == "orphaned", "the session to be ended")
    assert [one.type for one in read_stream(session.stream)] == ["worker.started", "worker.orphaned"]
    trading()
    wait_until(lambda: Effect.objects.values("name").distinct().count() == 2, what="the next to write")
    assert projections.check(WorkerSessions()) == []


def test_a_trading_worker_that_was_stopped_and_wakes_is_fenced_and_commits_nothing(trading):
    sleeper = trading()
    wait_until(lambda: Effect.objects.exists(), what="the worker to write")
    session = WorkerSession.objects.get()
    os.kill(sleeper.pid, signal.SIGSTOP)
    looks_until(
        lambda: WorkerSession.objects.get(pk=session.pk).state == "orphaned", "the session to be ended"
    )
    written = Effect.objects.count()
    os.kill(sleeper.pid, signal.SIGCONT)
    out, _ = sleeper.communicate(timeout=60)
    assert out.startswith("fenced: ")
    assert sleeper.returncode == 0
    assert Effect.objects.count() == written
    assert [one.type for one in read_stream(session.stream)] == ["worker.started", "worker.orphaned"]
