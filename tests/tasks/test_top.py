"""The live view shows what there is."""

from __future__ import annotations

import io
import json
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone
from rich.console import Console

from apps.tasks import depths, relay
from apps.tasks.models import PeriodicTask, Process, TaskRun
from apps.tasks.top.screen import screen
from apps.tasks.top.snapshot import Watch
from tests.support import settle
from tests.tasks.operating import dead, running, succeeded, waiting
from tests.workload import tasks as work

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed")]


@pytest.fixture(autouse=True)
def fresh_depths(own_queues):
    depths.forget()
    yield
    depths.forget()


def top(*words) -> str:
    settle()
    output = io.StringIO()
    call_command("top", "--once", *words, stdout=output)
    return output.getvalue()


def test_one_look_shows_queues_running_runs_and_failures():
    dead(2)
    waiting(3)
    work.note.delay("queued")
    relay.publish_due(queue="default")
    run = running(worker="celery@host/1")
    TaskRun.objects.filter(pk=run.pk).update(
        progress={"done": 1, "total": 4, "message": "step 1"},
        started_at=timezone.now() - timedelta(seconds=30),
    )
    now = timezone.now()
    Process.objects.create(
        kind="relay", name="host/9", host="host", pid=9, version="1", started_at=now, seen_at=now
    )
    text = top()
    for part in (
        "relay host/9",
        "default", "backtests", "3 scheduled", "1 queued", "1 running", "2 dead", "workload.long",
        "celery@host/1", "25 %", "step 1", "1 m 3", "PermanentError: no use", "dead since",
    ):  # fmt: skip
        assert part in text, part
    assert "again at" not in text


def test_one_look_as_json():
    dead()
    run = running()
    seen = json.loads(top("--json"))
    (queue,) = (one for one in seen["queues"] if one["queue"] == "default")
    assert (queue["running"], queue["dead"]) == (1, 1)
    assert [one["id"] for one in seen["running"]] == [str(run.pk)]
    assert seen["on_sqs"]["default"] == {"visible": 0, "in_flight": 0, "delayed": 0}
    assert seen["failures"][0]["error"] == "PermanentError: no use"
    assert seen["rates"]["default"]["failed"] > 0


def test_rates_are_of_the_time_between_two_looks():
    watch = Watch()
    succeeded()
    settle()
    assert watch.look().rates["default"].requested > 0
    assert watch.look().rates.get("default") is None
    succeeded()
    dead()
    settle()
    rates = watch.look().rates["default"]
    assert rates.requested == rates.ended
    assert rates.failed == pytest.approx(rates.ended / 2)


def test_the_screen_fits_into_the_terminal():
    dead(20)
    for _ in range(30):
        running()
    seen = Watch().look()
    for height in (32, 45):
        console = Console(width=120, height=height, file=io.StringIO(), color_system=None)
        console.print(screen(seen, height=height))
        text = console.file.getvalue()
        assert len(text.splitlines()) <= height
        assert all(len(line) <= 120 for line in text.splitlines())
        assert "running: 30, " in text


def test_failures_are_the_latest_dead_and_then_what_is_tried_again():
    first, second = dead(2)
    work.later.delay(600)
    from apps.tasks.testing import run_pending

    run_pending()
    failures = Watch().look().failures
    assert [one.state for one in failures] == ["dead", "dead", "scheduled"]
    assert [one.id for one in failures[:2]] == [str(second.pk), str(first.pk)]


def test_the_ticks_of_beat_are_shown():
    now = timezone.now()
    common = {"task": "workload.note", "interval": 60, "counts_from": now}
    PeriodicTask.objects.create(name="late", next_tick_at=now - timedelta(minutes=5), **common)
    PeriodicTask.objects.create(
        name="soon",
        next_tick_at=now + timedelta(minutes=5),
        last_tick_at=now,
        last_run=succeeded().pk,
        **common,
    )
    PeriodicTask.objects.create(name="off", enabled=False, **common)
    seen = Watch().look()
    assert [(one.entry, one.run) for one in seen.ticks] == [("late", ""), ("soon", "succeeded")]
    text = top()
    assert "overdue" in text
    assert "4 m" in text


def test_a_look_takes_few_queries(django_assert_max_num_queries):
    dead()
    settle()
    watch = Watch()
    watch.look()
    with django_assert_max_num_queries(19):
        watch.look()
