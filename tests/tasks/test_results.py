"""Celery's results of durable tasks: read from the runs."""

from __future__ import annotations

import uuid

import pytest
from celery import group, states
from celery.exceptions import TaskRevokedError
from celery.result import AsyncResult
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.tasks import claims, services
from apps.tasks.models import TaskRun
from apps.tasks.states import State
from apps.tasks.testing import run_pending
from tests.workload import tasks as work

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("state_follows_from_events"),
]


def run_of(result) -> TaskRun:
    return TaskRun.objects.get(pk=result.id)


def test_a_result_tells_what_the_run_says():
    result = work.add.delay(1, 2)
    assert (result.state, result.ready(), result.result) == (states.PENDING, False, None)
    claimed = claims.claim(run_id=uuid.UUID(result.id), worker="w")
    assert claimed is not None
    assert result.state == states.STARTED
    claims.fail(claimed, ValueError("once"), retry=True, delay=0)
    assert (result.state, str(result.result)) == (states.RETRY, "once")
    with pytest.raises(AsyncResult.TimeoutError):
        result.get(timeout=0.01, interval=0.005)
    run_pending()
    assert (result.state, result.get(timeout=0), result.retries) == (states.SUCCESS, 3, 1)
    assert result.date_done == run_of(result).finished_at
    result.forget()
    assert AsyncResult(result.id).get(timeout=0) == 3


def test_a_step_knows_what_followed_it_whatever_that_was():
    result = (work.add.s(1, 1) | group(work.add.s(1), work.add.s(2)) | work.total.s()).apply_async()
    first = result.parent.parent
    assert first.children == []
    run_pending()
    assert [child.id for child in first.children] == [result.id]
    result = (work.add.s(1, 1) | group(work.add.s(1), work.add.s(2))).apply_async()
    run_pending()
    assert [child.get(timeout=0) for child in result.parent.children] == [[3, 4]]


def test_a_dead_runs_error_is_raised_as_its_class():
    result = work.hopeless.apply_async(max_attempts=1)
    run_pending()
    assert result.failed()
    with pytest.raises(ValueError, match="always"):
        result.get(timeout=0)
    assert "in hopeless" in result.traceback


def test_a_cancelled_run_is_revoked():
    result = work.add.delay(1, 2)
    services.cancel(run_id=result.id)
    assert result.state == states.REVOKED
    with pytest.raises(TaskRevokedError):
        result.get(timeout=0)


@pytest.mark.parametrize("task_id", ["c03fc129-eccf-4ad4-afe6-e5db5523326f", "no-uuid"])
def test_an_id_that_was_never_requested_is_pending(task_id):
    assert AsyncResult(task_id).state == states.PENDING
    assert not AsyncResult(task_id).exists()


def test_a_run_that_nothing_follows_costs_no_query_more():
    work.add.delay(1, 2)
    claimed = claims.claim(run_id=TaskRun.objects.get().pk, worker="w")
    assert claimed is not None
    with CaptureQueriesContext(connection) as captured:
        claims.succeed(claimed, 3)
    # Besides the statement that ends the run, which is a prepared one: Django does not see those.
    assert [query["sql"] for query in captured] == []
    assert run_of(AsyncResult(str(claimed.run_id))).state == State.SUCCEEDED
