"""Messages in the dead-letter queues: recorded, acted on, and deleted once they need nobody."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.urls import reverse

from apps.core.ids import uuid7
from apps.events import projections
from apps.events.selectors import read_stream
from apps.tasks import claims, dead_letters, publishing, queues, relay, services
from apps.tasks.models import DeadLetter, TaskRun
from apps.tasks.projection import TaskRuns
from apps.tasks.publishing import Wakeup
from apps.tasks.states import State
from apps.tasks.testing import run_pending
from tests.support import wait_until
from tests.workload import tasks as work

QUEUES = ("default", "ordered.fifo")


@pytest.fixture(autouse=True)
def frail(settings: Any) -> None:
    """A message is moved to the dead-letter queue when it was received once."""
    settings.SQS_MAX_RECEIVES = 1


@pytest.fixture
def on_queues(frail: None, own_queues: str, committed: None) -> Any:
    yield
    assert projections.check(TaskRuns()) == []


def types(run_id) -> list[str]:
    return [event.type.removeprefix("task.") for event in read_stream(f"task:{run_id}")]


def depth(queue: str = "default") -> queues.Depth:
    return queues.depth(queues.dead_letter_name(queue))


def send(body: str, queue: str = "default-dlq") -> str:
    return queues.client().send_message(QueueUrl=queues.url(queue), MessageBody=body)["MessageId"]


def have_moved(queue: str = "default") -> None:
    """Have SQS move what is in *queue* to its dead-letter queue, as if it had been received too often."""
    before = depth(queue).visible
    queued = queues.depth(queue).visible

    def moved() -> bool:
        queues.client().receive_message(
            QueueUrl=queues.url(queue), MaxNumberOfMessages=10, VisibilityTimeout=0
        )
        return depth(queue).visible == before + queued

    wait_until(moved, what="messages to be moved")


def letter() -> DeadLetter:
    return DeadLetter.objects.get()


@pytest.mark.parametrize("queue", QUEUES)
def test_a_run_whose_message_nobody_could_claim_is_given_up(on_queues, queue):
    result = work.note.apply_async(args=["a"], queue=queue, group_key="g" if "fifo" in queue else "")
    run_id = uuid.UUID(result.id)
    relay.Relay()._round()
    assert types(run_id) == ["requested", "published"]
    have_moved(queue)
    assert dead_letters.collect(queue) == dead_letters.Collected(seen=1, deleted=0, dead=(run_id,))
    run = TaskRun.objects.get(pk=run_id)
    assert (run.state, run.attempt, run.alert_due, run.dead_letter_due) == (State.DEAD, 0, True, False)
    assert run.error["type"] == "Unclaimed"
    assert types(run_id) == ["requested", "published", "dead_lettered"]
    assert "never claimed" in read_stream(run.stream)[-1].data["reason"]
    found = letter()
    assert (found.run_id, found.queue, found.task, found.gone_at) == (run_id, queue, "workload.note", None)
    assert "never claimed" in found.reason
    assert depth(queue).visible == 1


def test_a_message_that_is_not_that_of_the_last_publication_says_nothing_of_the_run(on_queues):
    """As one whose deletion failed again and again, although the run was claimed."""
    run_id = uuid.UUID(work.note.delay("a").id)
    relay.publish_due(queue="default")
    claims.claim(run_id=run_id, worker="w")
    have_moved()
    claims.orphan(run_id=run_id, worker="w", reason="it was killed")
    relay.publish_due(queue="default")
    assert dead_letters.collect("default") == dead_letters.Collected(seen=1, deleted=1)
    assert TaskRun.objects.get(pk=run_id).state == State.QUEUED
    assert depth().empty
    assert letter().gone_at is not None


@pytest.mark.parametrize("queue", QUEUES)
def test_the_message_of_a_dead_run_stays_until_the_run_is_redriven(on_queues, queue):
    result = work.refused.apply_async(queue=queue)
    run_pending()
    assert relay.publish_dead_letters() == (1, 1)
    assert dead_letters.look() == 1
    assert letter().reason == "PermanentError: no use"
    assert depth(queue).visible == 1
    assert dead_letters.look() == 0
    services.redrive(run_id=result.id)
    assert dead_letters.look() == 1
    assert depth(queue).empty
    assert letter().gone_at is not None
    assert types(result.id)[-1] == "redriven"


@pytest.mark.parametrize("end", ["succeeded", "cancelled"])
def test_the_message_of_a_run_that_needs_nobody_is_deleted(on_queues, end):
    result = work.note.delay("a")
    send(publishing.body(Wakeup(run_id=uuid.UUID(result.id), task="workload.note", queue="default")))
    if end == "succeeded":
        run_pending()
    else:
        services.cancel(run_id=result.id)
    assert dead_letters.collect("default") == dead_letters.Collected(seen=1, deleted=1)
    assert depth().empty
    assert TaskRun.objects.get(pk=result.id).state == end


def test_a_dead_run_has_one_message(on_queues):
    result = work.refused.delay()
    run_pending()
    relay.publish_dead_letters()
    send(publishing.body(Wakeup(run_id=uuid.UUID(result.id), task="workload.refused", queue="default")))
    assert dead_letters.collect("default").deleted == 1
    assert depth().visible == 1


@pytest.mark.parametrize(
    "body",
    [
        "not a message",
        "{}",
        '{"headers": {"task": "x", "id": "of-plain-celery"}}',
        '{"headers": {"task": "a\\u0000b", "id": 5}}',
        "5",
        publishing.body(Wakeup(run_id=uuid7(), task="workload.note", queue="default")),
    ],
)
def test_a_strangers_message_stays_and_is_seen(on_queues, body):
    message_id = send(body)
    assert dead_letters.look() == 1
    assert dead_letters.look() == 0
    found = letter()
    assert (found.message_id, found.body, found.gone_at) == (message_id, body, None)
    assert depth().visible == 1
    assert dead_letters.discard(found)
    assert depth().empty


def test_messages_beyond_a_look_are_seen_by_the_next_ones(on_queues):
    sent = {send(f"stranger {index}") for index in range(25)}
    assert dead_letters.collect("default", limit=10).seen == 10
    assert dead_letters.present("default").count() == 10
    assert dead_letters.collect("default").seen == 25
    assert set(dead_letters.present("default").values_list("message_id", flat=True)) == sent
    assert depth().visible == 25


def test_messages_that_somebody_else_took_away_are_gone(on_queues):
    send("stranger")
    dead_letters.look()
    queues.client().purge_queue(QueueUrl=queues.url("default-dlq"))
    dead_letters.look()
    assert letter().gone_at is not None


def test_a_redriven_letter_leaves_the_queue_and_its_run_runs(on_queues):
    result = work.refused.delay()
    run_pending()
    relay.publish_dead_letters()
    dead_letters.look()
    dead_letters.redrive(letter(), actor="user:1")
    assert depth().empty
    assert letter().gone_at is not None
    assert read_stream(f"task:{result.id}")[-1].meta["actor"] == "user:1"
    send("stranger")
    dead_letters.look()
    with pytest.raises(services.WrongState, match="of no run"):
        dead_letters.redrive(DeadLetter.objects.get(gone_at=None))


def test_a_run_that_kills_its_workers_is_not_published_again_as_lost(on_queues, settings):
    settings.TASKS_LOST_AFTER = 0
    poison = work.note.delay("poison")
    relay.publish_due(queue="default")
    have_moved()
    lost = work.note.delay("lost")
    relay.publish_due(queue="default")
    sqs, address = queues.client(), queues.url("default")
    (message,) = sqs.receive_message(QueueUrl=address)["Messages"]
    sqs.delete_message(QueueUrl=address, ReceiptHandle=message["ReceiptHandle"])
    looks = relay.LostMessages()
    wait_until(looks.look, what="the lost one to be published again")
    assert types(lost.id) == ["requested", "published", "published"]
    assert types(poison.id) == ["requested", "published", "dead_lettered"]


def test_a_dead_letter_queue_that_is_not_there_does_not_hide_the_others(on_queues):
    queues.client().delete_queue(QueueUrl=queues.url("default-dlq"))
    send("stranger", "email-dlq")
    assert dead_letters.look() == 1


def act(client: Any, action: str) -> str:
    """Choose an action, and answer the page that asks, without which nothing is done."""
    chosen = {"action": action, "_selected_action": [letter().pk]}
    board, before = reverse("admin:tasks_deadletter_changelist"), letter().gone_at
    assert "No, go back" in client.post(board, chosen).content.decode()
    assert letter().gone_at == before
    return client.post(board, {**chosen, "answered": "yes"}, follow=True).content.decode()


def test_the_admin_shows_redrives_and_deletes(on_queues, admin_client):
    result = work.refused.delay()
    run_pending()
    relay.publish_dead_letters()
    dead_letters.look()
    page = admin_client.get(reverse("admin:tasks_deadletter_changelist")).content.decode()
    assert "PermanentError: no use" in page
    assert reverse("admin:tasks_taskrun_change", args=[result.id]) in page
    assert "1 redriven." in act(admin_client, "redrive")
    assert depth().empty
    assert types(result.id)[-1] == "redriven"
    assert "scheduled" in act(admin_client, "redrive")
    DeadLetter.objects.all().delete()
    send("stranger")
    dead_letters.look()
    assert "1 deleted." in act(admin_client, "delete_message")
    assert depth().empty
