"""One line for each attempt, and no second one by Celery."""

from __future__ import annotations

import logging

import pytest

from apps.tasks.execution import attempt
from apps.tasks.logs import OtherThanRuns
from tests.workload import tasks as work


@pytest.mark.django_db
def test_an_attempt_has_a_line_whose_level_is_that_of_its_outcome(caplog):
    caplog.set_level(logging.DEBUG, "apps.tasks.execution")

    def lines_of(task, result):
        caplog.clear()
        attempt(run_id=result.id, worker="w/1", task=task)
        begun, *_, ended = (one for one in caplog.records if one.name == "apps.tasks.execution")
        assert (begun.levelname, begun.message, begun.fields) == (
            "DEBUG", "attempt started", {"queue": "default"}
        )  # fmt: skip
        assert ended.message == "attempt ended"
        fields = dict(ended.fields)
        assert fields.pop("duration_ms") > 0
        assert fields.pop("wait_ms") >= 0
        assert fields.pop("queue") == "default"
        return ended.levelname, bool(ended.exc_info), fields

    succeeded = {"outcome": "succeeded", "error": None}
    dead = {"outcome": "dead", "error": "PermanentError: no use"}
    failed = {"outcome": "failed", "error": "RuntimeError: failure 1 of 1"}
    assert lines_of(work.note, work.note.delay("n")) == ("INFO", False, succeeded)
    assert lines_of(work.refused, work.refused.delay()) == ("ERROR", True, dead)
    assert lines_of(work.flaky, work.flaky.delay("n", 1)) == ("WARNING", False, failed)


def test_celery_tells_of_the_errors_of_other_tasks_alone():
    def passes(name: str, description: str) -> bool:
        told = {"name": name, "description": description}
        return OtherThanRuns().filter(logging.makeLogRecord({"data": told}))

    assert not passes("workload.note", "raised unexpected")
    assert passes("workload.note", "INTERNAL ERROR")
    assert passes("somebody.elses", "raised unexpected")
    assert OtherThanRuns().filter(logging.makeLogRecord({}))
