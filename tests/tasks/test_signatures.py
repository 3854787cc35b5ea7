"""A new version is deployed while runs wait that were requested under the old signature."""

from __future__ import annotations

from dataclasses import replace

import pytest

from apps.events.selectors import read_stream
from apps.tasks import Backoff, claims
from apps.tasks.models import TaskRun
from apps.tasks.requests import request
from apps.tasks.states import State
from apps.tasks.testing import run_pending
from tests.workload import tasks as work
from tests.workload.models import Effect

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("state_follows_from_events"),
]


def recorded_at(version: int, *args, **kwargs) -> TaskRun:
    """A run that was requested when the handler's signature was of that version."""
    task = work.renamed
    now = task.args_version
    task.args_version = version
    try:
        run = task.new_run()
    finally:
        task.args_version = now
    # What the old signature took, the new one need not take.
    request(replace(run, args=list(args), kwargs=kwargs))
    return TaskRun.objects.get(pk=run.id)


def reason(run: TaskRun) -> str:
    return read_stream(run.stream)[-1].data["reason"]


def test_arguments_of_an_old_version_are_upgraded_step_by_step():
    recorded_at(1, title="a")
    recorded_at(2, "b")
    work.renamed.delay(name="c")
    run_pending()
    assert sorted(Effect.objects.values_list("name", flat=True)) == ["a", "b", "c"]


def test_without_an_upgrade_the_run_is_dead_and_says_why(monkeypatch):
    monkeypatch.setattr(work.renamed, "upgrades", {})
    run = recorded_at(1, title="a")
    run_pending()
    run.refresh_from_db()
    assert (run.state, run.attempt, run.error["type"]) == (State.DEAD, 1, "IncompatibleArguments")
    assert "recorded at version 1" in reason(run)
    assert "no upgrade from 1" in reason(run)


def test_arguments_that_do_not_fit_although_the_version_does_are_dead_and_say_why():
    run = recorded_at(3, title="a")
    run_pending()
    run.refresh_from_db()
    assert run.state == State.DEAD
    assert "does not take these arguments" in reason(run)


def test_arguments_of_a_later_version_wait_for_a_newer_worker():
    run = recorded_at(4, name="a")
    run_pending()
    run.refresh_from_db()
    assert (run.state, run.attempt) == (State.SCHEDULED, 0)
    event = read_stream(run.stream)[-1]
    assert event.type == "task.handed_back"
    assert "version 4" in event.data["reason"]
    assert event.recorded_at < run.due_at


def test_no_newer_worker_ever_came(settings):
    settings.TASKS_HANDOVER_LIMIT = 0
    run = recorded_at(4, name="a")
    run_pending()
    assert "no worker has come" in reason(run)


def test_a_result_over_the_limit_is_refused_and_nothing_is_written(settings):
    settings.TASKS_RESULT_LIMIT = 20
    small, large = work.note.delay("a"), work.note.delay("b" * 30)
    run_pending()
    assert TaskRun.objects.get(pk=small.id).state == State.SUCCEEDED
    run = TaskRun.objects.get(pk=large.id)
    assert (run.state, run.error["type"]) == (State.DEAD, "ResultTooLarge")
    assert "the limit is 20" in run.error["message"]
    assert list(Effect.objects.values_list("name", flat=True)) == ["a"]


def test_a_call_can_have_its_own_backoff():
    result = work.hopeless.apply_async(backoff=Backoff(base=600, maximum=600, factor=1))
    held = claims.claim(run_id=TaskRun.objects.get().pk, worker="w")
    assert held.backoff == Backoff(base=600, maximum=600, factor=1)
    claims.hand_back(run_ids=[held.run_id], worker="w", reason="test")
    run_pending()
    run = TaskRun.objects.get(pk=result.id)
    # With the task's own it would be tried again within 0.05 s.
    assert run.state == State.SCHEDULED
    assert run.backoff == {"base": 600, "factor": 1, "maximum": 600}
