"""What operators do to one run: redrive, retry now, cancel, reschedule."""

from __future__ import annotations

import threading
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.utils import timezone

from apps.core.ids import uuid7
from apps.events.selectors import read_stream
from apps.tasks import claims, relay, services
from apps.tasks.models import TaskRun
from apps.tasks.operations import operate
from apps.tasks.states import Operation, State
from apps.tasks.testing import run_pending
from tests.workload import tasks as work

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("state_follows_from_events"),
]


def run_of(result) -> TaskRun:
    return TaskRun.objects.get(pk=result.id)


def last_event(run_id):
    return read_stream(f"task:{run_id}")[-1]


def test_a_run_that_waits_for_a_later_time_can_be_made_due():
    result = work.note.apply_async(args=["a"], countdown=3600)
    assert run_pending() == []
    services.retry_now(run_id=result.id, actor="user:1")
    assert last_event(result.id).type == "task.rescheduled"
    assert last_event(result.id).meta["actor"] == "user:1"
    assert run_pending() == [uuid.UUID(result.id)]


@pytest.mark.parametrize(
    ("countdown", "message"), [(0, "is due already"), (None, "is succeeded: only scheduled")]
)
def test_what_does_not_wait_cannot_be_made_due(countdown, message):
    result = work.note.apply_async(args=["a"], countdown=countdown or 0)
    if countdown is None:
        run_pending()
    with pytest.raises(services.WrongState, match=message):
        services.retry_now(run_id=result.id)


def test_a_scheduled_run_can_be_due_at_another_time():
    result = work.note.delay("a")
    moment = datetime.now(UTC) + timedelta(days=3)
    services.reschedule(run_id=result.id, run_at=moment)
    assert run_pending() == []
    assert run_of(result).due_at == moment
    services.reschedule(run_id=result.id, run_at=datetime.now(UTC) - timedelta(days=3))
    assert run_pending() == [uuid.UUID(result.id)]


def test_the_message_of_a_run_that_was_rescheduled_claims_nothing(own_queues):
    result = work.note.delay("a")
    assert relay.publish_due(queue="default") == (1, 1)
    services.reschedule(run_id=result.id, run_at=timezone.now() + timedelta(hours=1))
    assert run_of(result).state == State.SCHEDULED
    assert claims.claim(run_id=uuid.UUID(result.id), worker="w") is None
    assert relay.publish_due(queue="default") == (0, 0)
    services.retry_now(run_id=result.id)
    assert relay.publish_due(queue="default") == (1, 1)
    assert claims.claim(run_id=uuid.UUID(result.id), worker="w") is not None


def test_a_run_that_has_started_or_ended_cannot_be_rescheduled():
    result = work.note.delay("a")
    claims.claim(run_id=uuid.UUID(result.id), worker="w")
    with pytest.raises(services.WrongState, match="is running: only scheduled and queued"):
        services.reschedule(run_id=result.id, run_at=timezone.now())
    with pytest.raises(TypeError, match="aware"):
        services.reschedule(run_id=result.id, run_at=datetime(2030, 1, 1))  # noqa: DTZ001


def test_a_run_that_is_not_there_can_have_nothing_done_to_it():
    run_id = uuid7()
    for service in (services.redrive, services.cancel, services.retry_now):
        with pytest.raises(TaskRun.DoesNotExist, match=str(run_id)):
            service(run_id=run_id)


def test_many_runs_are_operated_on_at_once_and_the_others_are_explained():
    waiting = work.note.apply_async(args=["a"], countdown=60)
    ended = work.note.delay("b")
    run_pending()
    running = work.note.delay("c")
    claims.claim(run_id=uuid.UUID(running.id), worker="w")
    missing = uuid7()
    ids = [uuid.UUID(result.id) for result in (waiting, ended, running)]
    outcome = operate(operation=Operation.CANCEL, run_ids=[*ids, missing, ids[0]])
    assert outcome.done == {ids[0]: State.CANCELLED, ids[2]: State.RUNNING}
    assert outcome.refused == {ids[1]: "has ended: it is succeeded", missing: "does not exist"}
    assert last_event(running.id).type == "task.cancel_requested"
    assert last_event(waiting.id).type == "task.cancelled"
    again = operate(operation=Operation.CANCEL, run_ids=[ids[2]])
    assert again.refused == {ids[2]: "is being cancelled already"}


def test_of_two_runs_with_one_unique_key_one_can_be_redriven():
    first = work.refused.apply_async(unique_key="k")
    run_pending()
    second = work.refused.apply_async(unique_key="k")
    other = work.refused.delay()
    run_pending()
    outcome = operate(
        operation=Operation.REDRIVE, run_ids=[uuid.UUID(result.id) for result in (first, second, other)]
    )
    assert set(outcome.done) == {uuid.UUID(first.id), uuid.UUID(other.id)}
    assert "unique key" in outcome.refused[uuid.UUID(second.id)]


def test_several_operators_at_once_do_each_thing_once():
    ids = [uuid.UUID(work.note.apply_async(args=["a"], countdown=60).id) for _ in range(20)]
    barrier = threading.Barrier(4)
    outcomes = []

    def cancel(order: int) -> None:
        try:
            barrier.wait()
            outcomes.append(operate(operation=Operation.CANCEL, run_ids=ids[::order]))
        finally:
            connection.close()

    threads = [threading.Thread(target=cancel, args=(order,)) for order in (1, -1, 1, -1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done = [run_id for outcome in outcomes for run_id in outcome.done]
    assert sorted(done) == sorted(ids)
    assert {event.type for run_id in ids for event in read_stream(f"task:{run_id}")} == {
        "task.requested", "task.cancelled",
    }  # fmt: skip


def test_only_what_is_rescheduled_takes_a_time():
    with pytest.raises(TypeError, match="run_at"):
        operate(operation=Operation.RESCHEDULE, run_ids=[])
    with pytest.raises(TypeError, match="run_at"):
        operate(operation=Operation.CANCEL, run_ids=[], run_at=timezone.now())
