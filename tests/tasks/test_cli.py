"""`manage.py tasks`: what operators see and do in a terminal."""

from __future__ import annotations

import io
import json

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from apps.core.ids import uuid7
from apps.events.selectors import read_stream
from apps.tasks import bulk, depths
from apps.tasks.cli import arguments
from apps.tasks.management.commands.tasks import Command
from apps.tasks.models import BulkOperation, PeriodicTask, Process, TaskRun
from apps.tasks.states import State
from apps.tasks.testing import run_pending
from tests.support import settle
from tests.tasks.operating import dead, running, succeeded, waiting
from tests.workload import tasks as work

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed")]


def tasks(*words) -> str:
    output = io.StringIO()
    call_command("tasks", *map(str, words), stdout=output)
    return output.getvalue()


def tasks_json(*words):
    return json.loads(tasks(*words, "--json"))


def failing(*words) -> CommandError:
    with pytest.raises(CommandError) as failure:
        tasks(*words)
    return failure.value


def test_runs_are_listed():
    (refused,) = dead()
    noted = succeeded()
    text = tasks("list")
    assert text.index(str(noted.pk)) < text.index(str(refused.pk))
    assert "PermanentError: no use" in text
    found = tasks_json("list", "--state", "dead", "--state", "cancelled")
    assert [run["id"] for run in found["runs"]] == [str(refused.pk)]
    assert found["next"] is None
    assert str(noted.pk) not in tasks("list", "--error", "no use", "--requested-since", "1h")
    assert str(noted.pk) not in tasks("list", "--requested-until", "1h")


def test_lists_are_paged():
    runs = [str(run.pk) for run in waiting(5)]
    first = tasks_json("list", "--limit", 3)
    assert [run["id"] for run in first["runs"]] == runs[:1:-1]
    rest = tasks_json("list", "--limit", 3, "--before", first["next"])
    assert [run["id"] for run in rest["runs"]] == runs[1::-1]
    assert f"--before {runs[2]}" in tasks("list", "--limit", 3)


def test_a_run_is_shown_with_its_history():
    (run,) = dead()
    text = tasks("show", run.pk)
    for part in ("workload.refused", "requested", "attempt_failed", "dead_lettered", "PermanentError: no use",
                 "in refused"):  # fmt: skip
        assert part in text
    assert [event["type"] for event in tasks_json("show", run.pk)["events"]][-1] == "task.dead_lettered"
    assert failing("show", uuid7()).returncode == 1


def test_secrets_are_masked():
    result = work.echo.delay(token="s3cr3t")
    run_pending()
    assert "s3cr3t" not in tasks("show", result.id) + tasks("list") + tasks("show", result.id, "--json")


def test_one_run_is_operated_on():
    (run,) = dead()
    assert "redrive: 1 run done" in tasks("redrive", run.pk, "--yes")
    assert read_stream(run.stream)[-1].meta["actor"].startswith("cli:")
    tasks("reschedule", run.pk, "--at", "2h", "--yes")
    assert "retry: 1 run done" in tasks("retry", run.pk, "--yes")
    tasks("cancel", run.pk, "--yes")
    run.refresh_from_db()
    assert run.state == State.CANCELLED


def test_a_dry_run_counts_and_changes_nothing():
    runs = dead(3)
    text = tasks("redrive", "--task", "workload.refused", "--dry-run")
    assert "redrive 3 runs (3 dead)" in text
    assert all(str(run.pk) in text for run in runs)
    assert tasks_json("redrive", "--all", "--dry-run") == {"count": 3, "by_state": {"dead": 3}, "missing": []}
    assert not TaskRun.objects.exclude(state=State.DEAD).exists()
    assert not BulkOperation.objects.exists()


def test_many_runs_are_operated_on_and_the_oldest_first():
    runs = dead(5)
    assert "of which the oldest 2" in tasks("redrive", "--state", "dead", "--limit", 2, "--yes")
    assert {run.pk for run in runs[:2]} == set(
        TaskRun.objects.filter(state="scheduled").values_list("pk", flat=True)
    )
    assert tasks_json("redrive", "--all", "--yes")["done"] == 3


def test_what_is_refused_is_said_and_fails():
    (ended,) = dead()
    later, missing = waiting()[0], uuid7()
    output = io.StringIO()
    with pytest.raises(CommandError) as failure:
        call_command("tasks", "redrive", str(ended.pk), str(later.pk), str(missing), "--yes", stdout=output)
    assert failure.value.returncode == 1
    text = output.getvalue()
    assert f"there is no run {missing}" in text
    assert "1 refused: is scheduled: only dead and cancelled runs can be redriven" in text
    assert TaskRun.objects.get(pk=ended.pk).state == State.SCHEDULED


def test_nothing_is_done_without_being_told_which_or_without_consent(monkeypatch):
    (run,) = waiting()
    assert failing("cancel").returncode == 2
    assert failing("cancel", "--queue", "email", "--yes").returncode == 1
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert failing("cancel", run.pk).returncode == 2
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: "n")
    assert "nothing was done" in str(failing("cancel", run.pk))
    run.refresh_from_db()
    assert run.state == State.SCHEDULED
    asked = []
    monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or "y")
    tasks("cancel", run.pk)
    assert asked == ["cancel 1 run? [y/N] "]
    run.refresh_from_db()
    assert run.state == State.CANCELLED


def test_a_worker_can_be_told_to_do_it():
    dead(2)
    text = tasks("redrive", "--all", "--yes", "--background")
    ordered = BulkOperation.objects.get()
    assert f"in the background: run {ordered.run_id}" in text
    run_pending()
    ordered.refresh_from_db()
    assert ordered.done == 2


def test_figures_are_shown(own_queues):
    depths.forget()
    succeeded()
    dead()
    running()
    settle()
    text = tasks("stats", "--window", "5m")
    assert "workload.refused" in text
    assert "100.0 %" in text
    assert {one["task"] for one in tasks_json("stats")["activity"]} >= {"workload.note", "workload.refused"}
    text = tasks("queues")
    assert "default" in text
    (queue,) = (one for one in tasks_json("queues") if one["queue"] == "default")
    assert (queue["running"], queue["dead"]) == (1, 1)
    assert queue["sqs"] == queue["sqs_dead_letters"] == {"visible": 0, "in_flight": 0, "delayed": 0}


def test_processes_are_shown():
    now = timezone.now()
    Process.objects.create(
        kind="worker", name="celery@host/7", host="host", pid=7, version="1.2", queues=["email"],
        concurrency=4, started_at=now, seen_at=now, counts={"finished": 10, "requests.ReceiveMessage": 4},
        facts={"trouble": "no poll of email"},
    )  # fmt: skip
    text = tasks("processes")
    for part in ("celery@host/7", "running", "1.2", "email", "0.40", "no poll of email"):
        assert part in text
    (process,) = tasks_json("processes")["processes"]
    assert (process["condition"], process["requests"]) == ("running", 4)


def test_periodic_tasks_are_shown():
    now = timezone.now()
    PeriodicTask.objects.create(
        name="nightly", task="workload.note", crontab="0 3 * * *", counts_from=now, next_tick_at=now,
        last_run=succeeded().pk, last_error="no such task",
    )  # fmt: skip
    text = tasks("periodic")
    for part in ("nightly", "0 3 * * *", "succeeded", f"{now:%Y-%m-%d %H:%M:%S}", "no such task"):
        assert part in text
    assert [entry["name"] for entry in tasks_json("periodic")] == ["nightly"]


def test_queues_are_shown_without_sqs(settings):
    from apps.tasks import queues

    settings.SQS_ENDPOINT_URL = "http://127.0.0.1:1"
    queues.forget_urls()
    depths.forget()
    try:
        assert "?" in tasks("queues")
        assert tasks_json("queues")[0]["sqs"] is None
    finally:
        depths.forget()


@pytest.mark.parametrize(
    "words",
    [
        ["list", "--state", "gone"], ["list", "--limit", "0"], ["list", "--requested-since", "yesterday"],
        ["show", "1"], ["reschedule", str(uuid7())], ["stats", "--window", "2m"], ["vanish"], [],
    ],
)  # fmt: skip
def test_command_lines_that_make_no_sense_are_refused(words, capsys):
    command = Command()
    command._called_from_command_line = True
    parser = command.create_parser("manage.py", "tasks")
    with pytest.raises(SystemExit) as end:
        parser.parse_args(words)
    assert end.value.code == 2


def test_moments_are_absolute_or_relative():
    assert arguments.past("2026-01-02T03:04Z").isoformat() == "2026-01-02T03:04:00+00:00"
    assert arguments.past("2026-01-02").isoformat() == "2026-01-02T00:00:00+00:00"
    assert arguments.past("2h") < arguments.past("90m") < arguments.future("10s") < arguments.future("+1.5d")


def test_large_operations_show_how_far_they_are(monkeypatch):
    monkeypatch.setattr(bulk, "CHUNK", 2)
    dead(5)
    assert "redrive: 5 runs done" in tasks("redrive", "--all", "--yes")
