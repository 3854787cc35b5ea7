"""Runs from request to end, executed in this process through the real claims."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from apps.core import context
from apps.events.selectors import read_stream
from apps.tasks import claims, selectors, services
from apps.tasks import run as run_module
from apps.tasks.models import TaskRun
from apps.tasks.states import State
from apps.tasks.testing import run_pending
from tests.support import wait_until
from tests.workload import tasks as work
from tests.workload.models import Effect

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("state_follows_from_events"),
]


def types(run_id) -> list[str]:
    return [event.type.removeprefix("task.") for event in read_stream(f"task:{run_id}")]


def run_of(result) -> TaskRun:
    return TaskRun.objects.get(pk=result.id)


def run_to_the_end(result) -> TaskRun:
    """Execute until the run has ended: its retries fall due within 0.05 s."""

    def ended():
        run_pending()
        return run_of(result).finished_at

    wait_until(ended, what="the run to end")
    return run_of(result)


def test_a_run_goes_from_request_to_success_and_tells_every_step():
    result = work.note.delay("a")
    assert run_of(result).state == State.SCHEDULED
    assert run_pending() == [uuid.UUID(result.id)]
    run = run_of(result)
    assert (run.state, run.attempt, run.result) == (State.SUCCEEDED, 1, {"noted": "a"})
    assert run.finished_at is not None
    assert run.lease_until is None
    assert types(run.pk) == ["requested", "started", "succeeded"]
    assert Effect.objects.count() == 1


def test_a_request_is_rolled_back_with_its_transaction():
    with pytest.raises(RuntimeError), transaction.atomic():
        work.note.delay("a")
        raise RuntimeError
    assert not TaskRun.objects.exists()
    assert run_pending() == []


def test_a_handler_that_raises_leaves_nothing_and_is_tried_again():
    result = work.flaky.delay("a", failures=2)
    run = run_to_the_end(result)
    assert (run.state, run.attempt) == (State.SUCCEEDED, 3)
    assert [effect.attempt for effect in Effect.objects.all()] == [3]
    assert types(run.pk) == [
        "requested", "started", "attempt_failed", "started", "attempt_failed", "started", "succeeded",
    ]  # fmt: skip


def test_a_run_without_attempts_left_is_dead_with_its_reason():
    run = run_to_the_end(work.hopeless.delay())
    assert (run.state, run.attempt) == (State.DEAD, 3)
    assert run.error["type"] == "ValueError"
    assert "in hopeless" in run.error["trace"]
    assert types(run.pk)[-2:] == ["attempt_failed", "dead_lettered"]
    assert "3 attempts" in read_stream(run.stream)[-1].data["reason"]
    assert run.dead_letter_due


def test_the_secrets_in_an_error_are_not_stored():
    run = run_to_the_end(work.indiscreet.delay(secret="hunter2"))
    stored = [event.data for event in read_stream(run.stream)]
    assert run.error["message"] == "POST /orders?signature=*** failed: {'api_key': '***', 'qty': 5}"
    assert "hunter2" not in str((run.error, stored[1:]))


def test_a_permanent_error_is_dead_at_once():
    run = run_to_the_end(work.refused.delay())
    assert (run.state, run.attempt) == (State.DEAD, 1)
    assert "permanent" in read_stream(run.stream)[-1].data["reason"]


def test_an_exception_can_say_when_to_try_again():
    result = work.later.delay(600)
    run_pending()
    run = run_of(result)
    assert run.state == State.SCHEDULED
    assert timedelta(seconds=599) < run.due_at - run.started_at < timedelta(seconds=602)


def test_a_dead_run_can_be_redriven_with_fresh_attempts_in_the_same_stream():
    run = run_to_the_end(work.refused.delay())
    services.redrive(run_id=run.pk, actor="user:1")
    run = TaskRun.objects.get(pk=run.pk)
    assert (run.state, run.attempt, run.dead_letter_due) == (State.SCHEDULED, 0, False)
    run_pending()
    assert types(run.pk)[-4:] == ["redriven", "started", "attempt_failed", "dead_lettered"]
    assert read_stream(run.stream)[-4].meta["actor"] == "user:1"


def test_a_run_that_is_under_way_or_has_succeeded_cannot_be_redriven():
    result = work.note.delay("a")
    with pytest.raises(services.WrongState, match="scheduled"):
        services.redrive(run_id=result.id)
    run_pending()
    with pytest.raises(services.WrongState, match="succeeded"):
        services.redrive(run_id=result.id)


def test_cancelling_before_the_start_is_final():
    result = work.note.delay("a")
    assert services.cancel(run_id=result.id) == State.CANCELLED
    assert run_pending() == []
    assert types(result.id) == ["requested", "cancelled"]
    with pytest.raises(services.WrongState, match="ended"):
        services.cancel(run_id=result.id)


def test_a_running_handler_learns_of_the_cancellation_at_its_next_report():
    run = run_to_the_end(work.cancelling.delay())
    assert run.state == State.CANCELLED
    assert types(run.pk) == ["requested", "started", "cancel_requested", "cancelled"]


def test_a_handler_that_loses_its_claim_on_the_way_is_rolled_back():
    result = work.fenced.delay("a")
    run_pending()
    assert not Effect.objects.exists()
    assert types(result.id) == ["requested", "started"]


def test_a_worker_that_was_declared_dead_changes_nothing():
    result = work.note.delay("a")
    claimed = claims.claim(run_id=uuid.UUID(result.id), worker="w1")
    assert claimed is not None
    TaskRun.objects.filter(pk=result.id).update(lease_until=timezone.now() - timedelta(seconds=1))
    assert [orphan.worker for orphan in claims.reconcile()] == ["w1"]
    second = claims.claim(run_id=uuid.UUID(result.id), worker="w2")
    assert second is not None
    assert second.fence == claimed.fence + 1
    with pytest.raises(claims.Fenced), transaction.atomic():
        Effect.objects.create(name="late", attempt=1)
        claims.succeed(claimed, None)
    assert not Effect.objects.exists()
    assert claims.fail(claimed, RuntimeError("late"), retry=True) is None
    claims.succeed(second, None)
    assert types(result.id) == ["requested", "started", "orphaned", "started", "succeeded"]


def test_a_run_whose_lease_holds_is_no_orphan():
    result = work.note.delay("a")
    claims.claim(run_id=uuid.UUID(result.id), worker="w1")
    assert claims.reconcile() == []
    assert claims.claim(run_id=uuid.UUID(result.id), worker="w2") is None


def test_an_orphan_without_attempts_left_is_dead():
    result = work.note.apply_async(args=["a"], max_attempts=1)
    claims.claim(run_id=uuid.UUID(result.id), worker="w1")
    TaskRun.objects.filter(pk=result.id).update(lease_until=timezone.now() - timedelta(seconds=1))
    claims.reconcile()
    run = run_of(result)
    assert run.state == State.DEAD
    assert "w1" in run.error["message"]
    assert types(run.pk) == ["requested", "started", "orphaned", "dead_lettered"]


def test_a_renewed_lease_holds_on():
    result = work.note.delay("a")
    run_id = uuid.UUID(result.id)
    claims.claim(run_id=run_id, worker="w1")
    before = run_of(result).lease_until
    assert claims.renew(run_ids=[run_id], worker="w2") == 0
    assert claims.renew(run_ids=[run_id], worker="w1") == 1
    assert run_of(result).lease_until > before
    claims.succeed(claims.Claim(
        run_id=run_id, task="", args=[], kwargs={}, attempt=1, max_attempts=1, fence=1, meta={}
    ), None)  # fmt: skip
    assert claims.renew(run_ids=[run_id], worker="w1") == 0


def test_a_unique_key_returns_the_run_that_has_not_ended():
    first = work.note.apply_async(args=["a"], unique_key="k")
    assert work.note.apply_async(args=["b"], unique_key="k").id == first.id
    run_pending()
    second = work.note.apply_async(args=["c"], unique_key="k")
    assert second.id != first.id
    with pytest.raises(services.WrongState, match="succeeded"):
        services.redrive(run_id=first.id)


def test_redriving_does_not_break_a_unique_key_taken_by_another_run():
    first = run_to_the_end(work.refused.apply_async(unique_key="k"))
    work.note.apply_async(args=["b"], unique_key="k")
    with pytest.raises(services.WrongState, match="unique key"):
        services.redrive(run_id=first.pk)


def test_a_task_id_given_twice_is_one_run():
    run_id = str(uuid.uuid4())
    work.note.apply_async(args=["a"], task_id=run_id)
    run_pending()
    assert work.note.apply_async(args=["a"], task_id=run_id).id == run_id
    assert run_pending() == []


def test_a_run_waits_for_its_time():
    moment = datetime.now(UTC) + timedelta(days=400)
    result = work.note.apply_async(args=["a"], run_at=moment)
    assert run_of(result).due_at == moment
    assert run_pending() == []
    assert claims.claim(run_id=uuid.UUID(result.id), worker="w") is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"args": [object()]}, "argument 0 is not a JSON value"),
        ({"args": [float("nan")]}, "argument 0 is not a JSON value"),
        ({"args": []}, "missing 1 required positional argument"),
        ({"args": ["a"], "run_at": datetime(2030, 1, 1)}, "aware"),  # noqa: DTZ001
        ({"args": ["a"], "compression": "gzip"}, "take no option compression"),
        ({"args": ["a"], "queue": "nowhere"}, "no queue 'nowhere'"),
        ({"args": ["a"], "max_attempts": 0}, "at least 1"),
    ],
)
def test_a_request_that_cannot_work_is_refused_when_it_is_made(options, message):
    with pytest.raises(TypeError, match=message):
        work.note.apply_async(**options)
    assert not TaskRun.objects.exists()


def test_what_a_handler_requests_shares_the_first_cause():
    with context.bind(actor="user:7", request_id="req-1", correlation_id="req-1"):
        work.chain.delay(names=["a", "b"])
    first, second = run_pending()
    event = read_stream(f"task:{second}")[0]
    assert event.meta["correlation_id"] == "req-1"
    assert event.meta["causation_id"] == str(first)
    assert event.meta["actor"] == "task:workload.chain"
    assert read_stream(f"task:{first}")[0].meta["actor"] == "user:7"


def test_progress_is_visible_before_the_handler_has_finished():
    result = work.long.delay("a", steps=2, seconds=0)
    run_pending()
    assert run_of(result).progress == {"done": 0, "total": 2, "message": "step 0"}
    assert run_of(result).result == {"steps": 2}


def test_a_handler_that_breaks_its_transaction_fails_like_any_other():
    result = work.broken_transaction.apply_async(max_attempts=1)
    run = run_to_the_end(result)
    assert (run.state, run.error["type"]) == (State.DEAD, "IntegrityError")


def test_a_task_called_as_a_function_is_just_the_function():
    assert work.note("a") == {"noted": "a"}
    assert not TaskRun.objects.exists()


def test_a_handler_calls_durable_tasks_as_the_functions_that_they_are():
    result = work.total.delay([1, [2, 3]])
    # As a worker does.
    work.total.push_request(id=result.id, called_directly=False, hostname="w")
    try:
        assert work.total() == 6
    finally:
        work.total.pop_request()
    assert run_of(result).result == 6


def test_the_timeline_explains_each_event():
    run = run_to_the_end(work.refused.delay())
    timeline = selectors.timeline(run.pk)
    assert [entry.version for entry in timeline] == [1, 2, 3, 4]
    assert timeline[0].elapsed is None
    assert all(entry.elapsed >= timedelta(0) for entry in timeline[1:])
    assert all(entry.meaning for entry in timeline)


def test_progress_outlives_a_lost_connection():
    """As after a restart of the database: each run finds a connection that works."""
    run = run_module.Run(claimed_run())
    run.progress(1, 3)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend'"
        )
        assert cursor.fetchone()[0] >= 1
    again = run_module.Run(claimed_run())
    again.progress(3, 3, "done")
    assert TaskRun.objects.get(pk=again.id).progress["done"] == 3
    run_module.close_side_connection()


def claimed_run() -> claims.Claim:
    claimed = claims.claim(run_id=uuid.UUID(work.note.delay("a").id), worker="w")
    assert claimed is not None
    return claimed
