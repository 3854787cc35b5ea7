"""Entries that were committed are written exactly once, whoever is killed meanwhile."""

from __future__ import annotations

from collections import Counter

from django.db import transaction

from apps.events import projections
from apps.events.selectors import read_stream
from apps.tasks.models import Entry, TaskRun
from apps.tasks.projection import TaskRuns
from apps.tasks.states import State
from tests.support import wait_until
from tests.workload import tasks as work
from tests.workload.models import Effect, Record


def put_some(count: int, name: str = "n", **payload) -> list[str]:
    """In transactions of five."""
    names = [f"{name}{index}" for index in range(count)]
    for start in range(0, count, 5):
        with transaction.atomic():
            for each in names[start : start + 5]:
                work.record.put(name=each, **payload)
    return names


def wait_for_entries(seconds: float = 90.0) -> None:
    wait_until(lambda: not Entry.objects.exists(), seconds=seconds, what="all entries to be written")


def assert_each_once(names: list[str]) -> None:
    assert Counter(Effect.objects.values_list("name", flat=True)) == Counter(names)
    assert Record.objects.count() == len(names)
    assert projections.check(TaskRuns()) == []


def types() -> Counter[str]:
    return Counter(event.type for run in TaskRun.objects.all() for event in read_stream(run.stream))


def test_entries_reach_a_worker_many_at_a_time_woken_by_their_commit(platform):
    platform.environ["TASKS_RELAY_POLL"] = "3600"
    platform.ready(platform.relay(), platform.worker())
    names = put_some(100)
    wait_for_entries(30)
    assert_each_once(names)
    assert TaskRun.objects.filter(task="workload.record").count() < 20


def test_two_relays_collect_every_entry_once(platform):
    platform.ready(platform.relay(), platform.relay(), platform.worker())
    names = put_some(600)
    wait_for_entries()
    assert_each_once(names)
    assert sum(run.kwargs["entries"] for run in TaskRun.objects.all()) == 600


def test_a_worker_killed_in_the_middle_of_a_batch(platform):
    relay, worker = platform.relay(), platform.worker(concurrency=1)
    platform.ready(relay, worker)
    names = put_some(60, seconds=0.05)
    running = TaskRun.objects.filter(state=State.RUNNING)
    wait_until(running.exists, what="a batch to be under way")
    worker.kill()
    assert Entry.objects.count() >= 10
    platform.worker()
    platform.beat()
    wait_for_entries()
    assert_each_once(names)
    assert types()["task.orphaned"] >= 1


def test_a_relay_killed_while_it_collects(platform):
    relay = platform.relay()
    platform.ready(relay)
    names = put_some(400)
    wait_until(TaskRun.objects.exists, what="a run of entries")
    relay.kill()
    names += put_some(50, "late")
    platform.relay()
    platform.worker()
    wait_for_entries()
    assert_each_once(names)


def test_an_entry_that_kills_workers_ends_dead_and_alone(platform):
    """Each loss halves the batch, until the entry has none beside it."""
    platform.relay()
    platform.worker(concurrency=1)
    platform.beat()
    names = put_some(3)
    work.record.put(name="killer", fault="kill")
    wait_until(lambda: TaskRun.objects.filter(state=State.DEAD).exists(), seconds=120, what="a dead run")
    wait_until(lambda: Entry.objects.count() == 1, what="the others to be written")
    assert_each_once(names)
    dead = TaskRun.objects.get(state=State.DEAD)
    assert Entry.objects.get().run_id == dead.pk
    assert dead.kwargs == {"entries": 1}
    assert dead.error["type"] == "Orphaned"
