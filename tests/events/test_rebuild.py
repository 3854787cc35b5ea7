"""State tables are what their events say, and can be made from them."""

from __future__ import annotations

import json

import pytest
from django.core.management import call_command
from django.db import connection

from apps.core.ids import uuid7
from apps.events import projections
from apps.events.progress import Progress
from apps.events.records import NewEvent
from apps.events.registry import UnknownEventType
from apps.events.selectors import read_stream
from apps.events.services import append
from apps.tasks.models import TaskRun
from apps.tasks.projection import ImpossibleTransition, TaskRuns
from apps.tasks.testing import run_pending
from tests.events.helpers import manage
from tests.workload import tasks as work

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed")]


def rebuild(*arguments: str) -> tuple[str, str]:
    return manage("rebuild", "task_runs", *arguments)


@pytest.fixture
def runs() -> dict:
    work.note.delay("a")
    work.refused.delay()
    work.later.delay(600)
    run_pending()
    return {run.pk: run for run in TaskRun.objects.all()}


def test_check_finds_nothing_where_nothing_is_wrong(runs):
    assert rebuild("--check") == ("task_runs: state equals events\n", "")


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        ("UPDATE tasks_taskrun SET attempt = 7 WHERE state = 'succeeded'", "attempt should be 1, is 7"),
        ("UPDATE tasks_taskrun SET kwargs = '{\"x\": 1}' WHERE state = 'dead'", "kwargs should be {}"),
        ("DELETE FROM tasks_taskrun WHERE state = 'dead'", "missing"),
        (
            "CREATE TEMPORARY TABLE another ON COMMIT PRESERVE ROWS AS SELECT * FROM tasks_taskrun LIMIT 1;"
            " UPDATE another SET id = gen_random_uuid();"
            " INSERT INTO tasks_taskrun SELECT * FROM another; DROP TABLE another",
            "surplus",
        ),
    ],
)
def test_check_names_any_difference_and_rebuild_mends_it(runs, statement, finding):
    with connection.cursor() as cursor:
        cursor.execute(statement)
    message, details = rebuild("--check")
    assert "1 differences" in message
    assert finding in details
    assert rebuild()[0] == "task_runs: 1 rows corrected\n"
    assert rebuild("--check")[0] == "task_runs: state equals events\n"
    for pk, run in runs.items():
        now = TaskRun.objects.get(pk=pk)
        assert {c: getattr(now, c) for c in TaskRuns.columns} == {
            c: getattr(run, c) for c in TaskRuns.columns
        }


def test_an_empty_table_is_rebuilt_whole(runs):
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE tasks_taskrun")
    assert rebuild()[0] == "task_runs: 3 rows corrected\n"
    assert rebuild("--check")[0] == "task_runs: state equals events\n"


def test_a_rebuild_stops_at_an_event_it_does_not_know(runs):
    pk = next(iter(runs))
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO events_event (stream, version, type, schema_version, data, meta)"
            " VALUES (%s, 99, 'task.abducted', 1, '{}', '{}')",
            [f"task:{pk}"],
        )
    with pytest.raises(UnknownEventType, match=r"task\.abducted"):
        call_command("rebuild", "task_runs")


def test_a_rebuild_stops_at_an_event_that_cannot_follow(runs):
    dead = next(run for run in runs.values() if run.state == "dead")
    last = read_stream(dead.stream)[-1]
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO events_event (stream, version, type, schema_version, data, meta)"
            " VALUES (%s, %s, 'task.succeeded', 1, '{\"attempt\": 1, \"result\": null}', '{}')",
            [dead.stream, last.version + 1],
        )
    with pytest.raises(ImpossibleTransition, match=r"task\.succeeded"):
        call_command("rebuild", "task_runs")


def test_a_row_that_old_events_made_is_what_they_are_at_the_current_version(runs):
    """Under version 1 a request had no keys, and a run was cancelled for one reason only."""
    pk, now = uuid7(), "2026-01-01T00:00:00+00:00"
    request = {
        "task": "workload.note", "queue": "default", "args": ["old"], "kwargs": {}, "due_at": now,
        "max_attempts": 1, "priority": 0, "group_key": "", "unique_key": "k",
    }  # fmt: skip
    with connection.cursor() as cursor:
        for version, (kind, data) in enumerate({"task.requested": request, "task.cancelled": {}}.items(), 1):
            cursor.execute(
                "INSERT INTO events_event (stream, version, type, schema_version, data, meta)"
                " VALUES (%s, %s, %s, 1, %s, '{}')",
                [f"task:{pk}", version, kind, json.dumps(data)],
            )
    message, details = rebuild("--check")
    assert "1 differences" in message
    assert details == f"{pk}: missing\n"
    assert rebuild()[0] == "task_runs: 1 rows corrected\n"
    run = TaskRun.objects.get(pk=pk)
    assert (run.state, run.unique_while_active, run.concurrency_key, run.seq) == ("cancelled", True, "", 0)
    assert rebuild("--check")[0] == "task_runs: state equals events\n"


def test_every_projection_is_rebuilt_at_once(runs, gadgets):
    append(stream="gadget:7", after=0, events=[NewEvent(type="gadget.made", data={"size": 3})])
    message, details = manage("rebuild", "--all", "--check")
    assert (message, details.splitlines()[-1]) == (
        "gadgets: 1 differences between state and events", "7: missing",
    )  # fmt: skip
    assert "task_runs: state equals events" in details
    corrected = manage("rebuild", "--all")[0].splitlines()
    assert {"gadgets: 1 rows corrected", "task_runs: 0 rows corrected"} <= set(corrected)
    assert manage("rebuild", "gadgets", "task_runs", "--check")[1] == ""


@pytest.mark.parametrize(("arguments", "reason"), [([], "name a projection"), (["nothing"], "no projection")])
def test_a_rebuild_has_to_be_told_of_what(arguments, reason):
    assert reason in manage("rebuild", *arguments)[0]


def test_rows_are_compared_batch_by_batch(gadgets, monkeypatch):
    """Differences at the edges of batches and behind the last are found, whatever the order of keys."""
    monkeypatch.setattr(projections, "_BATCH", 2)
    for serial in (1, 2, 3, 10, 20):
        append(
            stream=f"gadget:{serial}", after=0, events=[NewEvent(type="gadget.made", data={"size": serial})]
        )
    projections.rebuild(gadgets)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM gadgets WHERE serial IN (1, 20)")
        cursor.execute("INSERT INTO gadgets VALUES (0, 1, NULL, ''), (4, 1, NULL, ''), (99, 1, NULL, '')")
        cursor.execute("UPDATE gadgets SET size = 0, note = 'kept' WHERE serial = 10")
    said: list[str] = []
    found = projections.check(gadgets, progress=Progress(said.append, "events", every=0))
    assert {(difference.key, difference.what) for difference in found} == {
        ("1", "missing"), ("20", "missing"), ("0", "surplus"), ("4", "surplus"), ("99", "surplus"),
        ("10", "size"),
    }  # fmt: skip
    assert said[-1].startswith("events: 5 after")
    assert projections.rebuild(gadgets) == 6
    assert projections.check(gadgets) == []
    with connection.cursor() as cursor:
        cursor.execute("SELECT note FROM gadgets WHERE serial = 10")
        assert cursor.fetchone() == ("kept",)
