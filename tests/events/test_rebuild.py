"""State tables are what their events say, and can be made from them."""

from __future__ import annotations

import io

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from apps.events.registry import UnknownEventType
from apps.events.selectors import read_stream
from apps.tasks.models import TaskRun
from apps.tasks.projection import ImpossibleTransition, TaskRuns
from apps.tasks.testing import run_pending
from tests.workload import tasks as work

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed")]


def rebuild(*arguments: str) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("rebuild", "task_runs", *arguments, stdout=out, stderr=err)
    except CommandError as exc:
        return str(exc), err.getvalue()
    return out.getvalue(), ""


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
