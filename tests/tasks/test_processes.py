"""Relay, workers and beat as processes, over SQS."""

from __future__ import annotations

import json
import signal
import threading
from datetime import UTC, datetime, timedelta

from django.db import connection, transaction

from apps.core.ids import uuid7
from apps.events import projections
from apps.events.selectors import read_stream
from apps.tasks import publishing, queues, relay, services
from apps.tasks.models import TaskRun
from apps.tasks.projection import TaskRuns
from apps.tasks.publishing import Wakeup
from apps.tasks.states import State
from apps.tasks.testing import run_pending
from tests.platform import wait_for_all
from tests.support import wait_until
from tests.workload import tasks as work
from tests.workload.models import Effect


def types(run_id) -> list[str]:
    return [event.type.removeprefix("task.") for event in read_stream(f"task:{run_id}")]


def test_runs_reach_a_worker_and_their_history_is_whole(platform):
    platform.relay()
    platform.worker()
    with transaction.atomic():
        results = [work.note.delay(f"n{index}") for index in range(25)]
    wait_for_all()
    assert Effect.objects.count() == 25
    for result in results:
        assert types(result.id) == ["requested", "published", "started", "succeeded"]
    started = read_stream(f"task:{results[0].id}")[2]
    assert started.data["worker"] == started.meta["worker"] != ""
    assert projections.check(TaskRuns()) == []
    wait_until(lambda: queues.depth("default").empty, what="acknowledged messages to be deleted")


def test_a_failing_run_is_retried_over_the_queue_and_its_dead_letter_arrives(platform):
    platform.relay()
    platform.worker()
    flaky, hopeless = work.flaky.delay("f", failures=2), work.hopeless.delay()
    wait_for_all()
    assert TaskRun.objects.get(pk=flaky.id).state == State.SUCCEEDED
    assert types(hopeless.id).count("published") == 3
    assert types(hopeless.id)[-1] == "dead_lettered"
    wait_until(lambda: queues.depth("default-dlq").visible == 1, what="the dead letter")
    # The relay, which looks at the letter, too, may have it at the moment.
    (letter,) = queues.client().receive_message(
        QueueUrl=queues.url("default-dlq"), MessageAttributeNames=["All"], WaitTimeSeconds=10
    )["Messages"]
    assert json.loads(letter["Body"])["headers"]["id"] == hopeless.id
    assert letter["MessageAttributes"]["reason"]["StringValue"] == "ValueError: always"
    wait_until(lambda: not TaskRun.objects.filter(dead_letter_due=True).exists())


def test_the_message_carries_the_runs_id_and_none_of_its_arguments(own_queues, committed):
    result = work.note.delay("a-secret-argument")
    assert relay.publish_due(queue="default") == (1, 1)
    (message,) = queues.client().receive_message(QueueUrl=queues.url("default"))["Messages"]
    assert "a-secret-argument" not in message["Body"]
    assert len(message["Body"]) < 400
    content = json.loads(message["Body"])
    assert content["headers"]["id"] == result.id
    published = read_stream(f"task:{result.id}")[-1]
    assert published.data["message_id"] == message["MessageId"]


def test_nothing_is_published_before_its_commit_or_its_time(own_queues, committed):
    with transaction.atomic():
        work.note.delay("a")
        work.note.apply_async(args=["b"], countdown=3600)
        counts = []
        thread = threading.Thread(target=lambda: counts.append(_published_elsewhere()))
        thread.start()
        thread.join()
        assert counts == [(0, 0)]
    assert relay.publish_due(queue="default") == (1, 1)
    assert relay.publish_due(queue="default") == (0, 0)


def _published_elsewhere() -> tuple[int, int]:
    try:
        return relay.publish_due(queue="default")
    finally:
        connection.close()


def test_higher_priority_is_published_first(own_queues, committed):
    low = work.note.apply_async(args=["low"])
    high = work.note.apply_async(args=["high"], priority=5)
    assert relay.publish_due(queue="default", limit=1) == (1, 1)
    assert TaskRun.objects.get(pk=high.id).state == State.QUEUED
    assert TaskRun.objects.get(pk=low.id).state == State.SCHEDULED


def test_what_sqs_does_not_take_stays_to_be_published(own_queues, committed):
    work.note.delay("a")
    queues.client().delete_queue(QueueUrl=queues.url("default"))
    assert relay.publish_due(queue="default") == (1, 0)
    assert TaskRun.objects.get().state == State.SCHEDULED
    queues.ensure()
    assert relay.publish_due(queue="default") == (1, 1)


def test_a_queue_that_takes_nothing_does_not_hold_up_the_others(platform):
    """More runs wait for the missing queue than a batch holds, and earlier."""
    platform.environ["SQS_CREATE_QUEUES"] = "false"
    for _ in range(120):
        work.note.apply_async(args=["stuck"], queue="email", priority=9)
    queues.client().delete_queue(QueueUrl=queues.url("email"))
    result = work.note.delay("a")
    process = platform.relay()
    platform.worker()
    wait_until(lambda: TaskRun.objects.get(pk=result.id).state == State.SUCCEEDED)
    assert "does not exist" in process.log
    assert TaskRun.objects.filter(queue="email", state=State.SCHEDULED).count() == 120
    queues.ensure()
    wait_until(lambda: not TaskRun.objects.filter(queue="email", state=State.SCHEDULED).exists(), seconds=60)


def test_a_dead_letter_that_sqs_does_not_take_stays_to_be_sent(own_queues, committed):
    work.refused.delay()
    run_pending()
    queues.client().delete_queue(QueueUrl=queues.url("default-dlq"))
    assert relay.publish_dead_letters() == (1, 0)
    queues.ensure()
    assert relay.publish_dead_letters() == (1, 1)
    assert relay.publish_dead_letters() == (0, 0)
    assert queues.depth("default-dlq").visible == 1


def test_every_queue_is_made_with_a_dead_letter_queue(own_queues):
    for queue in ("default", "email", "ingest", "backtests"):
        attributes = queues.client().get_queue_attributes(QueueUrl=queues.url(queue), AttributeNames=["All"])
        policy = json.loads(attributes["Attributes"]["RedrivePolicy"])
        assert int(policy["maxReceiveCount"]) >= 5
        assert policy["deadLetterTargetArn"].endswith(f"{own_queues}{queue}-dlq")


def test_duplicate_and_foreign_messages_do_no_harm(platform):
    result = work.note.delay("a")
    platform.relay()
    platform.worker()
    wait_for_all()
    twice = Wakeup(run_id=TaskRun.objects.get().pk, task="workload.note", queue="default")
    assert len(publishing.send([twice])) == 1
    queues.client().send_message(QueueUrl=queues.url("default"), MessageBody="not a message")
    queues.client().send_message(QueueUrl=queues.url("default"), MessageBody='{"properties": 5}')
    publishing.send([Wakeup(run_id=uuid7(), task="workload.unheard_of", queue="default")])
    publishing.send([Wakeup(run_id=uuid7(), task="workload.note", queue="default")])
    stranger = Wakeup(run_id=uuid7(), task="workload.note", queue="default")
    queues.client().send_message(
        QueueUrl=queues.url("default"),
        MessageBody=publishing.body(stranger).replace(str(stranger.run_id), "of-plain-celery"),
    )
    after = work.note.delay("b")
    wait_until(lambda: TaskRun.objects.get(pk=after.id).state == State.SUCCEEDED)
    # The duplicate is deleted; what nobody can handle stays for the redrive policy.
    wait_until(lambda: queues.depth("default").in_flight == 5, what="five messages left in flight")
    assert types(result.id) == ["requested", "published", "started", "succeeded"]
    assert Effect.objects.count() == 2


def test_a_run_requested_for_later_is_published_when_it_falls_due(platform):
    platform.relay()
    platform.worker()
    moment = datetime.now(UTC) + timedelta(seconds=1.5)
    result = work.note.apply_async(args=["a"], run_at=moment)
    wait_for_all()
    published, started = read_stream(f"task:{result.id}")[1:3]
    assert moment <= published.recorded_at <= started.recorded_at


def test_a_running_task_can_be_cancelled(platform):
    platform.relay()
    platform.worker()
    result = work.long.delay("a", steps=600, seconds=0.1)
    wait_until(lambda: TaskRun.objects.get(pk=result.id).progress, what="progress")
    assert services.cancel(run_id=result.id, actor="user:1") == State.RUNNING
    wait_for_all()
    assert types(result.id)[-2:] == ["cancel_requested", "cancelled"]
    assert not Effect.objects.exists()


def test_a_task_longer_than_its_lease_runs_once(platform):
    """The lease is 3 s in tests; the worker renews it."""
    platform.relay()
    platform.worker()
    platform.beat()
    result = work.note.delay("a", seconds=7)
    wait_for_all()
    wait_until(
        lambda: TaskRun.objects.filter(task="tasks.reconcile_orphans", state=State.SUCCEEDED).exists(),
        what="beat's reconciliation",
    )
    assert types(result.id) == ["requested", "published", "started", "succeeded"]


def test_two_relays_publish_every_run_once(platform):
    relays = platform.relay(), platform.relay()
    platform.ready(*relays)
    with transaction.atomic():
        results = [work.note.delay(f"n{index}") for index in range(250)]
    waiting = TaskRun.objects.filter(state=State.SCHEDULED)
    wait_until(lambda: not waiting.exists(), what="publishing")
    for result in results:
        assert types(result.id) == ["requested", "published"]
    assert queues.depth("default").visible == 250


def test_two_beats_make_one_run_a_tick(platform):
    platform.beat()
    platform.beat()
    reconciliations = TaskRun.objects.filter(task="tasks.reconcile_orphans")
    wait_until(lambda: reconciliations.count() >= 4, what="ticks")
    ticks = [run.requested_at.timestamp() // 1 for run in reconciliations]
    assert len(ticks) == len(set(ticks))


def test_a_pool_process_keeps_its_connection_from_run_to_run(platform):
    platform.relay()
    platform.worker(concurrency=1)
    results = [work.backend.delay() for _ in range(6)]
    wait_for_all()
    assert len({TaskRun.objects.get(pk=result.id).result for result in results}) == 1


def test_a_stopped_worker_finishes_what_it_has_begun(platform):
    platform.relay()
    worker = platform.worker()
    platform.ready(worker)
    result = work.long.delay("a", steps=10, seconds=0.2)
    wait_until(lambda: TaskRun.objects.get(pk=result.id).state == State.RUNNING)
    assert worker.stop()
    assert TaskRun.objects.get(pk=result.id).state == State.SUCCEEDED


def test_a_worker_waits_for_queues_that_are_not_there_yet(platform):
    for queue in ("default", "email", "ingest", "backtests"):
        queues.client().delete_queue(QueueUrl=queues.url(queue))
    worker = platform.worker()
    result = work.note.delay("a")
    wait_until(lambda: "no queue" in worker.log, what="the worker to miss its queues")
    platform.relay()
    wait_for_all()
    assert TaskRun.objects.get(pk=result.id).worker.endswith(f"/{worker.pid}")


def test_the_relay_ends_in_order_when_asked(platform):
    process = platform.relay()
    platform.ready(process)
    process.signal(signal.SIGTERM)
    assert process.wait_ended(10)
    assert process.returncode == 0


def test_a_queue_that_was_deleted_is_made_again_and_filled(platform):
    platform.relay()
    result = work.note.delay("a")
    wait_until(lambda: TaskRun.objects.get(pk=result.id).state == State.QUEUED)
    queues.client().delete_queue(QueueUrl=queues.url("default"))
    platform.worker()
    wait_for_all()
    assert types(result.id) == ["requested", "published", "published", "started", "succeeded"]
    assert Effect.objects.count() == 1
